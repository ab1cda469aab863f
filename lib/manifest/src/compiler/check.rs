//! How the components fit together: names, services, devices, dependencies, memory, time.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Draft;
use super::source::{At, Finding, Findings, Spanned};
use super::{DEFAULT_MEMORY, System};
use crate::model::{Escalate, MAX_COMPONENTS, Manifest, RestartPolicy, Start, Use};

/// Components without which no system comes up; each provides the service of its own name, and nobody
/// else may.
const MANDATORY: [&str; 2] = ["registry", "supervisor"];

/// Checks the whole and replaces names by indices. Gives `None` after some mistakes; whoever calls looks
/// at the findings for the others.
pub(super) fn resolve(
    findings: &mut Findings,
    mut system: System,
    programs: Option<&BTreeSet<String>>,
) -> Option<Manifest> {
    let drafts = &system.drafts;
    let complete = system.understood;
    let system_at = system.at?;
    if let Some(first_too_many) = drafts.get(MAX_COMPONENTS) {
        findings.push(
            Finding::error(first_too_many.at, format!("the system has {} components", drafts.len()))
                .label(format!("this is number {}; at most {MAX_COMPONENTS} are allowed", MAX_COMPONENTS + 1)),
        );
    }
    if let Some(programs) = programs {
        check_programs(findings, drafts, programs);
    }
    let providers = providers(findings, drafts);
    if complete {
        check_mandatory(findings, drafts, system_at);
    }
    let uses = resolve_uses(findings, drafts, &providers, complete);
    let depends = resolve_depends(findings, drafts, &providers, complete);
    let restart_with = resolve_restart_with(findings, drafts, &providers, complete);
    check_cycles(findings, drafts, &uses, &depends);
    check_devices(findings, drafts);
    check_memory(findings, &system, system_at);
    check_time(findings, drafts);
    check_restarts(findings, drafts);

    let components = std::mem::take(&mut system.drafts)
        .into_iter()
        .zip(uses.into_iter().zip(depends.into_iter().zip(restart_with)))
        .map(|(draft, (uses, (depends, restart_with)))| {
            let mut component = draft.component;
            component.uses = uses;
            component.depends = depends.into_iter().map(|on| on.value as u16).collect();
            component.restart_with = restart_with;
            component
        })
        .collect();
    let memory = system.memory.map_or(DEFAULT_MEMORY, |memory| memory.value);
    Some(Manifest { name: system.name?, memory, heartbeats: system.heartbeats.unwrap_or(true), components })
}

fn check_programs(findings: &mut Findings, drafts: &[Draft], programs: &BTreeSet<String>) {
    for draft in drafts {
        let program = &draft.component.program;
        if !programs.contains(program) {
            findings.push(
                Finding::error(
                    draft.program_at,
                    format!("component `{}`: there is no program `{program}`", draft.component.name),
                )
                .did_you_mean(program, programs.iter().map(String::as_str)),
            );
        }
    }
}

/// Who provides what: from a service's name to the component's index and the place.
fn providers(findings: &mut Findings, drafts: &[Draft]) -> BTreeMap<String, (usize, At)> {
    let mut providers: BTreeMap<String, (usize, At)> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let name = &draft.component.name;
        for service in &draft.provides {
            if MANDATORY.contains(&service.value.as_str()) && *name != service.value {
                findings.push(
                    Finding::error(service.at, format!("component `{name}` may not provide `{}`", service.value))
                        .label(format!("only the component `{}` may", service.value)),
                );
                continue;
            }
            match providers.get(&service.value) {
                Some(&(first, first_at)) if first != index => findings.push(
                    Finding::error(service.at, format!("the service `{}` has two providers", service.value))
                        .see(format!("component `{}` provides it here", drafts[first].component.name), first_at),
                ),
                Some(_) => {}
                None => {
                    providers.insert(service.value.clone(), (index, service.at));
                }
            }
        }
    }
    providers
}

fn check_mandatory(findings: &mut Findings, drafts: &[Draft], system_at: At) {
    for name in MANDATORY {
        let Some(draft) = drafts.iter().find(|draft| draft.component.name == name) else {
            findings.push(
                Finding::error(system_at, format!("the system has no component `{name}`"))
                    .help(format!("add `[component.{name}]` with `provides = [\"{name}\"]`")),
            );
            continue;
        };
        if !draft.provides.iter().any(|service| service.value == name) {
            findings.push(
                Finding::error(draft.at, format!("component `{name}` does not provide the service `{name}`"))
                    .help(format!("add `\"{name}\"` to its `provides`")),
            );
        }
        if draft.component.start == Start::Manual {
            findings.push(Finding::error(draft.start_at, format!("component `{name}` must start with the system")));
        }
    }
}

fn resolve_uses(
    findings: &mut Findings,
    drafts: &[Draft],
    providers: &BTreeMap<String, (usize, At)>,
    complete: bool,
) -> Vec<Vec<Use>> {
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let name = &draft.component.name;
        let mut resolved = Vec::with_capacity(draft.uses.len());
        for used in &draft.uses {
            let service = &used.service.value;
            let provider = providers.get(service).map(|&(provider, _)| provider);
            match provider {
                None if complete => {
                    let message = format!("component `{name}` uses the service `{service}`, which nobody provides");
                    let finding = match used.optional {
                        true => Finding::warning(used.service.at, message),
                        false => Finding::error(used.service.at, message),
                    };
                    let namesake = drafts.iter().find(|d| d.component.name == *service);
                    findings.push(match namesake.map(|namesake| namesake.component.provides.as_slice()) {
                        Some([]) => finding.help(format!("there is a component `{service}`; it provides no service")),
                        Some(provided) => finding.help(format!(
                            "there is a component `{service}`; what it provides is called `{}`",
                            provided.join("`, `")
                        )),
                        None => finding.did_you_mean(service, providers.keys().map(String::as_str)),
                    });
                }
                Some(provider) if provider == index => findings.push(Finding::error(
                    used.service.at,
                    format!("component `{name}` uses its own service `{service}`"),
                )),
                Some(provider)
                    if !used.optional
                        && draft.component.start == Start::Boot
                        && drafts[provider].component.start == Start::Manual =>
                {
                    findings.push(
                        Finding::warning(
                            used.service.at,
                            format!("component `{name}` starts with the system, `{service}` does not"),
                        )
                        .label("calls wait until it is started by hand")
                        .see(
                            format!("component `{}` starts by hand", drafts[provider].component.name),
                            drafts[provider].start_at,
                        ),
                    );
                }
                _ => {}
            }
            resolved.push(Use {
                service: service.clone(),
                provider: provider.map(|provider| provider as u16),
                optional: used.optional,
            });
        }
        all.push(resolved);
    }
    all
}

fn resolve_depends(
    findings: &mut Findings,
    drafts: &[Draft],
    providers: &BTreeMap<String, (usize, At)>,
    complete: bool,
) -> Vec<Vec<Spanned<usize>>> {
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let name = &draft.component.name;
        let mut resolved = Vec::with_capacity(draft.depends.len());
        for on in &draft.depends {
            let Some(found) = drafts.iter().position(|other| other.component.name == on.value) else {
                if complete {
                    let message = format!("component `{name}` depends on `{}`, which does not exist", on.value);
                    findings.push(no_such_component(drafts, providers, on, message));
                }
                continue;
            };
            if found == index {
                findings.push(Finding::error(on.at, format!("component `{name}` depends on itself")));
                continue;
            }
            if draft.component.start == Start::Boot && drafts[found].component.start == Start::Manual {
                findings.push(
                    Finding::error(
                        on.at,
                        format!(
                            "component `{name}` starts with the system but depends on `{}`, which does not",
                            on.value
                        ),
                    )
                    .see(format!("`{}` starts by hand", on.value), drafts[found].start_at),
                );
            }
            resolved.push(Spanned { value: found, at: on.at });
        }
        all.push(resolved);
    }
    all
}

/// A component is named that does not exist: a service, or something misspelt.
fn no_such_component(
    drafts: &[Draft],
    providers: &BTreeMap<String, (usize, At)>,
    named: &Spanned<String>,
    message: String,
) -> Finding {
    let finding = Finding::error(named.at, message);
    match providers.get(&named.value) {
        Some(&(provider, _)) => finding.help(format!(
            "`{}` is a service; the component that provides it is `{}`",
            named.value, drafts[provider].component.name
        )),
        None => finding.did_you_mean(&named.value, drafts.iter().map(|d| d.component.name.as_str())),
    }
}

fn resolve_restart_with(
    findings: &mut Findings,
    drafts: &[Draft],
    providers: &BTreeMap<String, (usize, At)>,
    complete: bool,
) -> Vec<Vec<u16>> {
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let name = &draft.component.name;
        let mut resolved = Vec::with_capacity(draft.restart_with.len());
        if let (true, Some(first)) = (name == "supervisor", draft.restart_with.first()) {
            findings.push(
                Finding::error(first.at, "the supervisor cannot be restarted with other components")
                    .help("it restarts them, and goes on"),
            );
        }
        for with in &draft.restart_with {
            match drafts.iter().position(|other| other.component.name == with.value) {
                Some(found) if found == index => {
                    findings.push(Finding::error(with.at, format!("component `{name}` is restarted with itself")));
                }
                Some(_) if with.value == "supervisor" => findings.push(
                    Finding::error(with.at, format!("component `{name}` cannot be restarted with the supervisor"))
                        .help("a new supervisor finds the components running and leaves them so"),
                ),
                Some(found) => resolved.push(found as u16),
                None if complete => {
                    let message =
                        format!("component `{name}` is restarted with `{}`, which does not exist", with.value);
                    findings.push(no_such_component(drafts, providers, with, message));
                }
                None => {}
            }
        }
        all.push(resolved);
    }
    all
}

/// A component that is never restarted does not fail too often.
fn check_restarts(findings: &mut Findings, drafts: &[Draft]) {
    for draft in drafts {
        let restart = &draft.component.restart;
        if restart.policy == RestartPolicy::Never && restart.escalate != Escalate::Ignore {
            let message =
                format!("component `{}` is never restarted, so it cannot fail too often", draft.component.name);
            findings.push(
                Finding::warning(draft.escalate_at, message)
                    .label("this has no effect")
                    .help("a component with `restart = \"on-failure\"` is quarantined after `max-restarts`"),
            );
        }
    }
}

/// Nothing can start in a circle of `depends`, nor in one that is closed by `uses`. A circle of `uses`
/// alone can start, but calls along it can wait for one another.
fn check_cycles(findings: &mut Findings, drafts: &[Draft], uses: &[Vec<Use>], depends: &[Vec<Spanned<usize>>]) {
    let name = |index: usize| format!("`{}`", drafts[index].component.name);
    let circle = |from: usize, path: &[usize]| {
        std::iter::once(from).chain(path.iter().copied()).map(name).collect::<Vec<_>>().join(" -> ")
    };
    let depends_on = |index: usize| depends[index].iter().map(|on| on.value).collect::<Vec<_>>();
    let needs = |index: usize| {
        uses[index].iter().filter(|used| !used.optional).filter_map(|used| used.provider.map(usize::from))
    };
    let mut reported: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for (from, dependencies) in depends.iter().enumerate() {
        for on in dependencies {
            let (path, how) = match shortest_path(on.value, from, drafts.len(), depends_on) {
                Some(path) => (path, "depend on one another in a circle"),
                None => match shortest_path(on.value, from, drafts.len(), |at| {
                    depends_on(at).into_iter().chain(needs(at)).collect()
                }) {
                    Some(path) => (path, "can never start: `depends` and `uses` form a circle"),
                    None => continue,
                },
            };
            if reported.insert(path.iter().copied().collect()) {
                findings.push(Finding::error(on.at, format!("components {how}")).note(circle(from, &path)));
            }
        }
    }
    for from in 0..drafts.len() {
        for used in drafts[from].uses.iter().filter(|used| !used.optional) {
            let Some(provider) = uses[from].iter().find(|u| u.service == used.service.value).and_then(|u| u.provider)
            else {
                continue;
            };
            let provider = usize::from(provider);
            let Some(path) = shortest_path(provider, from, drafts.len(), |at| needs(at).collect()) else {
                continue;
            };
            if provider != from && reported.insert(path.iter().copied().collect()) {
                findings.push(
                    Finding::warning(used.service.at, "components use one another in a circle")
                        .label("two calls in opposite directions wait for ever")
                        .note(circle(from, &path)),
                );
            }
        }
    }
}

/// The shortest way from `start` to `goal`, both included.
fn shortest_path(start: usize, goal: usize, count: usize, next: impl Fn(usize) -> Vec<usize>) -> Option<Vec<usize>> {
    let mut came_from: Vec<Option<usize>> = vec![None; count];
    let mut queue = std::collections::VecDeque::from([start]);
    came_from[start] = Some(start);
    while let Some(at) = queue.pop_front() {
        if at == goal {
            let mut path = vec![at];
            let mut at = at;
            while at != start {
                at = came_from[at]?;
                path.push(at);
            }
            path.reverse();
            return Some(path);
        }
        for to in next(at) {
            if came_from[to].is_none() {
                came_from[to] = Some(at);
                queue.push_back(to);
            }
        }
    }
    None
}

/// A device belongs to one component.
fn check_devices(findings: &mut Findings, drafts: &[Draft]) {
    exclusive(
        findings,
        drafts,
        |d| &d.ports,
        |a, b| a.overlaps(*b),
        |range| {
            if range.first == range.last {
                format!("port {:#x} is", range.first)
            } else {
                format!("ports {:#x}-{:#x} are", range.first, range.last)
            }
        },
    );
    exclusive(findings, drafts, |d| &d.irqs, |a, b| a == b, |line| format!("interrupt line {line} is"));
    exclusive(
        findings,
        drafts,
        |d| &d.pci,
        |a, b| a == b,
        |id| format!("PCI device {:04x}:{:04x} is", id.vendor, id.device),
    );
    exclusive(
        findings,
        drafts,
        |d| &d.mmio,
        |a, b| a.overlaps(*b),
        |range| format!("device memory {:#x}-{:#x} is", range.first, range.last),
    );
}

fn exclusive<T>(
    findings: &mut Findings,
    drafts: &[Draft],
    devices: impl Fn(&Draft) -> &Vec<Spanned<T>>,
    conflict: impl Fn(&T, &T) -> bool,
    subject: impl Fn(&T) -> String,
) {
    let mut taken: Vec<(usize, &Spanned<T>)> = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        for device in devices(draft) {
            if let Some(&(owner, first)) = taken.iter().find(|(_, first)| conflict(&first.value, &device.value)) {
                let subject = subject(&device.value);
                let message = if owner == index {
                    format!("{subject} given to component `{}` twice", draft.component.name)
                } else {
                    format!(
                        "{subject} given to component `{}` and to `{}`",
                        drafts[owner].component.name, draft.component.name
                    )
                };
                findings.push(Finding::error(device.at, message).see("the first is here", first.at));
            }
            taken.push((index, device));
        }
    }
}

fn check_memory(findings: &mut Findings, system: &System, system_at: At) {
    let sum: u64 = system.drafts.iter().map(|draft| draft.component.memory + draft.component.keep).sum();
    let (limit, at) = system.memory.as_ref().map_or((DEFAULT_MEMORY, system_at), |memory| (memory.value, memory.at));
    if sum <= limit {
        return;
    }
    let mut largest: Vec<_> = system.drafts.iter().map(|draft| &draft.component).collect();
    largest.sort_by_key(|component| std::cmp::Reverse(component.memory));
    let largest: Vec<_> =
        largest.iter().take(3).map(|component| format!("{} {}KiB", component.name, component.memory >> 10)).collect();
    let mut finding = Finding::error(
        at,
        format!("the components' memory is {}KiB together, more than the machine's {}KiB", sum >> 10, limit >> 10),
    )
    .note(format!("the largest are {}", largest.join(", ")));
    if system.memory.is_none() {
        finding = finding
            .help(format!("`memory` in `[system]` says how much there is; without it, {}MiB", DEFAULT_MEMORY >> 20));
    }
    findings.push(finding);
}

/// Throttled components are promised their budgets. Those of one priority and all above it must not be
/// promised more than the one processor that is certain to be there.
fn check_time(findings: &mut Findings, drafts: &[Draft]) {
    const WHOLE: u64 = 1_000_000;
    let mut throttled: Vec<_> =
        drafts.iter().filter(|draft| draft.component.budget_ns < draft.component.period_ns).collect();
    throttled.sort_by_key(|draft| (std::cmp::Reverse(draft.component.priority), draft.at));
    let mut sum = 0;
    for (count, draft) in throttled.iter().enumerate() {
        let component = &draft.component;
        sum += component.budget_ns * WHOLE / component.period_ns;
        if sum > WHOLE {
            let names: Vec<_> = throttled[..=count].iter().map(|d| d.component.name.as_str()).collect();
            findings.push(
                Finding::warning(
                    draft.budget_at,
                    format!(
                        "the budgets down to priority {} promise {}% of a processor",
                        component.priority,
                        sum * 100 / WHOLE
                    ),
                )
                .label(format!("with this one of `{}`", component.name))
                .note(format!("the components are {}", names.join(", "))),
            );
            return;
        }
    }
}
