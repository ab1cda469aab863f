//! From TOML to drafts: every key's type and form, nothing yet about how components fit together.

use motte_interfaces::net_rules::Rules;
use toml_span::value::{Table, Value};

use super::source::{At, Finding, Findings, Spanned, nearest};
use super::value::{self, Wrong};
use crate::model::{
    Component, Escalate, Grant, Grants, Kind, MmioRange, PAGE_SIZE, PciId, PortRange, Restart, RestartPolicy, Root,
    Start, is_keepable,
};

/// Every key of a component.
const KEYS: [&str; 33] = [
    "program",
    "kind",
    "priority",
    "budget",
    "period",
    "memory",
    "keep",
    "keep-slots",
    "stack",
    "slots",
    "provides",
    "uses",
    "optional_uses",
    "ports",
    "irqs",
    "pci",
    "mmio",
    "restart",
    "backoff",
    "backoff-max",
    "max-restarts",
    "window",
    "heartbeat",
    "escalate",
    "stop-timeout",
    "restart-with",
    "depends",
    "start",
    "args",
    "env",
    "grants",
    "net",
    "root",
];

/// A use of a service before its provider is known.
#[derive(Debug, Clone)]
pub(super) struct DraftUse {
    pub service: Spanned<String>,
    pub optional: bool,
}

/// A component as written, with the place of all that can still turn out wrong.
pub(super) struct Draft {
    /// The place of the component's name.
    pub at: At,
    /// Everything that needs no other component. What does is empty here, and in the fields below.
    pub component: Component,
    /// The place of `program`, or of the name.
    pub program_at: At,
    /// The place of `budget`, or of the name.
    pub budget_at: At,
    /// The place of `start`, or of the name.
    pub start_at: At,
    pub provides: Vec<Spanned<String>>,
    pub uses: Vec<DraftUse>,
    pub depends: Vec<Spanned<String>>,
    pub restart_with: Vec<Spanned<String>>,
    /// The place of `escalate`, or of the name.
    pub escalate_at: At,
    pub ports: Vec<Spanned<PortRange>>,
    pub irqs: Vec<Spanned<u8>>,
    pub pci: Vec<Spanned<PciId>>,
    pub mmio: Vec<Spanned<MmioRange>>,
}

/// The table of one component while its keys are taken from it.
struct Reader<'a> {
    findings: &'a mut Findings,
    file: usize,
    name: &'a str,
    at: At,
    table: &'a Table<'a>,
}

/// What a value is, as a word for a message.
pub(super) fn type_name(value: &Value<'_>) -> &'static str {
    if value.as_str().is_some() {
        "a string"
    } else if value.as_integer().is_some() {
        "an integer"
    } else if value.as_float().is_some() {
        "a floating-point number"
    } else if value.as_bool().is_some() {
        "a boolean"
    } else if value.as_array().is_some() {
        "a list"
    } else {
        "a table"
    }
}

/// A value's elements in the order of the source, however the parser keeps them.
pub(super) fn in_order<'a>(table: &'a Table<'a>) -> Vec<(&'a toml_span::value::Key<'a>, &'a Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

impl<'a> Reader<'a> {
    fn wrong_type(&mut self, key: &str, value: &Value<'_>, wanted: &str) {
        let at = At::new(self.file, value.span);
        let mut finding = Finding::error(
            at,
            format!("`{key}` of component `{}` must be {wanted}, not {}", self.name, type_name(value)),
        );
        if let (true, Some(text)) = (wanted.starts_with("a list"), value.as_str()) {
            finding = finding.help(format!("write `{key} = [\"{text}\"]`"));
        }
        self.findings.push(finding);
    }

    fn refuse(&mut self, at: At, wrong: Wrong) {
        self.findings.push(Finding::error(at, wrong.message).label(wrong.label));
    }

    fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table.get(key)
    }

    /// The place of a key's value, or of the component's name if it is not there.
    fn place(&self, key: &str) -> At {
        self.get(key).map_or(self.at, |value| At::new(self.file, value.span))
    }

    fn string(&mut self, key: &str, wanted: &str) -> Option<Spanned<&'a str>> {
        let value = self.get(key)?;
        match value.as_str() {
            Some(text) => Some(Spanned { value: text, at: At::new(self.file, value.span) }),
            None => {
                self.wrong_type(key, value, wanted);
                None
            }
        }
    }

    /// A string in one of the small languages.
    fn parsed<T>(&mut self, key: &str, wanted: &str, parse: fn(&str) -> Result<T, Wrong>) -> Option<Spanned<T>> {
        let text = self.string(key, wanted)?;
        match parse(text.value) {
            Ok(value) => Some(Spanned { value, at: text.at }),
            Err(wrong) => {
                self.refuse(text.at, wrong);
                None
            }
        }
    }

    /// A time within limits; `least` and `most` are in nanoseconds and have their words.
    fn duration(&mut self, key: &str, least: (u64, &str), most: (u64, &str)) -> Option<u64> {
        let time = self.parsed(key, "a time such as \"10ms\"", value::duration)?;
        if time.value < least.0 {
            self.findings
                .push(Finding::error(time.at, format!("`{key}` is too short")).label(format!("at least {}", least.1)));
            return None;
        }
        if time.value > most.0 {
            self.findings
                .push(Finding::error(time.at, format!("`{key}` is too long")).label(format!("at most {}", most.1)));
            return None;
        }
        Some(time.value)
    }

    fn integer(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.get(key)?;
        let Some(number) = value.as_integer() else {
            self.wrong_type(key, value, &format!("a whole number from {least} to {most}"));
            return None;
        };
        if !(least..=most).contains(&number) {
            let at = At::new(self.file, value.span);
            self.findings.push(
                Finding::error(at, format!("`{key}` of component `{}` is {number}, which is out of range", self.name))
                    .label(format!("must be from {least} to {most}")),
            );
            return None;
        }
        Some(number)
    }

    /// One word of a closed list.
    fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let listed = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let text = self.string(key, &format!("one of {listed}"))?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            self.findings.push(
                Finding::error(text.at, format!("`{}` is not a value of `{key}`", text.value))
                    .did_you_mean(text.value, words.iter().map(|(word, _)| *word))
                    .help(format!("`{key}` is one of {listed}")),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A list of which each element is read by `element`; what is wrong is left out.
    fn list<T>(
        &mut self,
        key: &str,
        wanted: &str,
        mut element: impl FnMut(&mut Self, &'a Value<'a>, At) -> Option<T>,
    ) -> Vec<Spanned<T>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(values) = value.as_array() else {
            self.wrong_type(key, value, &format!("a list of {wanted}"));
            return Vec::new();
        };
        let mut read = Vec::with_capacity(values.len());
        for value in values {
            let at = At::new(self.file, value.span);
            if let Some(value) = element(self, value, at) {
                read.push(Spanned { value, at });
            }
        }
        read
    }

    /// A list of strings in one of the small languages.
    fn strings<T>(
        &mut self,
        key: &str,
        wanted: &str,
        mut parse: impl FnMut(&str) -> Result<T, Wrong>,
    ) -> Vec<Spanned<T>> {
        self.list(key, wanted, |reader, value, at| match value.as_str() {
            Some(text) => parse(text).map_err(|wrong| reader.refuse(at, wrong)).ok(),
            None => {
                let message = format!("`{key}` must be a list of {wanted}, but this is {}", type_name(value));
                reader.findings.push(Finding::error(at, message));
                None
            }
        })
    }

    /// A list of names, none of them twice.
    fn names(&mut self, key: &str, wanted: &str, what: &str) -> Vec<Spanned<String>> {
        let names = self.strings(key, wanted, |text| value::name(what, text).map(|()| text.to_owned()));
        for (index, name) in names.iter().enumerate() {
            if let Some(first) = names[..index].iter().find(|first| first.value == name.value) {
                self.findings.push(
                    Finding::error(name.at, format!("`{key}` names `{}` twice", name.value))
                        .see("it is named first here", first.at),
                );
            }
        }
        names
    }

    fn unknown_keys(&mut self) {
        for (key, _) in in_order(self.table) {
            if KEYS.contains(&&*key.name) {
                continue;
            }
            self.findings.push(
                Finding::error(
                    At::new(self.file, key.span),
                    format!("component `{}` has an unknown key `{}`", self.name, key.name),
                )
                .did_you_mean(&key.name, KEYS),
            );
        }
    }

    /// A key that must be there is not, nor is there one that was probably meant to be it.
    fn missing(&mut self, key: &str, example: &str) {
        let misspelt = |other: &str| !KEYS.contains(&other) && nearest(other, KEYS) == Some(key);
        if self.table.keys().any(|other| misspelt(&other.name)) {
            return;
        }
        self.findings.push(
            Finding::error(self.at, format!("component `{}` has no `{key}`", self.name))
                .help(format!("add a line such as `{key} = {example}`")),
        );
    }

    /// Memory and stack: each checked alone, then together.
    fn memory_and_stack(&mut self) -> (u64, u64) {
        const LEAST: u64 = 64 << 10;
        let memory = self.parsed("memory", "a size such as \"512KiB\"", value::size);
        if self.get("memory").is_none() {
            self.missing("memory", "\"512KiB\"");
        }
        if let Some(memory) = memory.as_ref().filter(|memory| memory.value < LEAST) {
            self.findings.push(
                Finding::error(memory.at, format!("`memory` of component `{}` is too small", self.name))
                    .label("at least 64KiB"),
            );
        }
        let quota = memory.map_or(LEAST, |memory| memory.value.max(LEAST));
        let usual = (64 << 10).min(quota / 4 / PAGE_SIZE * PAGE_SIZE);
        let Some(stack) = self.parsed("stack", "a size such as \"64KiB\"", value::size) else {
            return (quota, usual);
        };
        if stack.value == 0 {
            self.findings.push(Finding::error(stack.at, "`stack` is empty").label("at least 4KiB"));
        } else if stack.value >= quota {
            self.findings.push(
                Finding::error(stack.at, format!("the stack of component `{}` does not fit its memory", self.name))
                    .label(format!("must be less than `memory`, which is {}KiB", quota >> 10)),
            );
        }
        (quota, stack.value)
    }

    /// Memory that outlives restarts: small pages up to half a MiB, or whole frames of 2 MiB.
    fn keep(&mut self) -> u64 {
        let Some(keep) = self.parsed("keep", "a size such as \"64KiB\"", value::size) else { return 0 };
        if self.name == "supervisor" {
            self.findings.push(
                Finding::error(keep.at, "the supervisor can have no kept memory")
                    .help("init keeps for it what its successor needs"),
            );
        } else if !is_keepable(keep.value) {
            self.findings.push(
                Finding::error(keep.at, format!("`keep` of component `{}` cannot be had in this size", self.name))
                    .label("up to 512KiB, or a multiple of 2MiB"),
            );
        }
        if is_keepable(keep.value) { keep.value } else { 0 }
    }

    /// Slots that outlive restarts: of no use without memory in which to note what they hold.
    fn keep_slots(&mut self, slots: u32, keep: u64) -> u32 {
        let kept = self.integer("keep-slots", 1, i64::from(slots / 2)).map_or(0, |count| count as u32);
        if kept > 0 && keep == 0 {
            self.findings.push(
                Finding::error(
                    self.place("keep-slots"),
                    format!("component `{}` keeps slots but no memory", self.name),
                )
                .help("add a line such as `keep = \"64KiB\"`: there it notes what the slots hold"),
            );
        }
        kept
    }

    fn slots(&mut self) -> u32 {
        const USUAL: u32 = 256;
        let slots = self.integer("slots", 64, 65536).map_or(USUAL, |slots| slots as u32);
        if !slots.is_power_of_two() {
            self.findings.push(
                Finding::error(self.place("slots"), format!("`slots` is {slots}, which is not a power of two"))
                    .label(format!("did you mean {}?", slots.next_power_of_two())),
            );
        }
        slots
    }

    fn budget_and_period(&mut self) -> (u64, u64) {
        const USUAL: u64 = 10_000_000;
        let period = self.duration("period", (100_000, "100us"), (10_000_000_000, "10s"));
        let budget = self.duration("budget", (1_000, "1us"), (10_000_000_000, "10s"));
        let period_known = period.is_some() || self.get("period").is_none();
        // Whoever gives one of them only means: not throttled beyond that.
        let period = period.unwrap_or(USUAL);
        let Some(budget) = budget else { return (period, period) };
        if budget > period && period_known {
            let mut finding = Finding::error(
                self.place("budget"),
                format!("the budget of component `{}` is longer than its period", self.name),
            );
            finding = match self.get("period") {
                Some(value) => finding.see("the period is given here", At::new(self.file, value.span)),
                None => finding.note("no `period` is given: it is 10ms"),
            };
            self.findings.push(finding);
        }
        (budget, period)
    }

    fn restart(&mut self) -> Restart {
        const DAY: (u64, &str) = (86_400_000_000_000, "86400s");
        let policies = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
        let policy = self.word("restart", &policies.map(|policy| (policy.name(), policy)));
        let escalations =
            [Escalate::Ignore, Escalate::RestartDependents, Escalate::RestartDependencies, Escalate::Reboot]
                .map(|word| (word.name(), word));
        let restart = Restart {
            policy: policy.unwrap_or(RestartPolicy::OnFailure),
            backoff_ns: self.duration("backoff", (0, "0"), DAY).unwrap_or(10_000_000),
            backoff_max_ns: self.duration("backoff-max", (0, "0"), DAY).unwrap_or(1_000_000_000),
            max_restarts: self.integer("max-restarts", 0, 1_000_000).map_or(5, |count| count as u32),
            window_ns: self.duration("window", (1_000_000, "1ms"), DAY).unwrap_or(10_000_000_000),
            heartbeat_ns: self.duration("heartbeat", (0, "0"), DAY).unwrap_or(0),
            escalate: self.word("escalate", &escalations).unwrap_or(Escalate::Ignore),
            stop_timeout_ns: self.duration("stop-timeout", (0, "0"), DAY).unwrap_or(0),
        };
        if restart.backoff_ns > restart.backoff_max_ns {
            let key = if self.get("backoff").is_some() { "backoff" } else { "backoff-max" };
            self.findings.push(
                Finding::error(self.place(key), "`backoff` is longer than `backoff-max`")
                    .help("`backoff` is the first wait, which doubles up to `backoff-max`"),
            );
        }
        restart
    }

    fn grants(&mut self) -> Grants {
        let mut grants = Grants::NONE;
        self.list("grants", "names such as \"kernel-log\"", |reader, value, at| {
            let Some(name) = value.as_str() else {
                let message = format!("`grants` must be a list of names, but this is {}", type_name(value));
                reader.findings.push(Finding::error(at, message));
                return None::<()>;
            };
            let Some(grant) = Grant::from_name(name) else {
                reader.findings.push(
                    Finding::error(at, format!("there is no grant `{name}`"))
                        .did_you_mean(name, Grant::ALL.iter().map(|grant| grant.name()))
                        .help(format!("the grants are {}", Grant::ALL.map(Grant::name).join(", "))),
                );
                return None;
            };
            if grants.contains(grant) {
                reader.findings.push(Finding::error(at, format!("`grants` names `{name}` twice")));
            }
            grants.insert(grant);
            None
        });
        grants
    }

    fn root(&mut self) -> Option<Root> {
        let root = self.parsed("root", "a folder such as \"/srv/www\" or \"/srv/www:ro\"", value::root)?;
        Some(root.value)
    }

    fn env(&mut self) -> Vec<(String, String)> {
        let Some(value) = self.get("env") else { return Vec::new() };
        let Some(table) = value.as_table() else {
            self.wrong_type("env", value, "a table such as { PATH = \"/bin\" }");
            return Vec::new();
        };
        let mut env = Vec::new();
        for (key, value) in in_order(table) {
            let key_at = At::new(self.file, key.span);
            if key.name.is_empty() || key.name.contains(['=', '\0']) {
                self.findings.push(Finding::error(key_at, format!("`{}` cannot name a variable", key.name)));
            }
            match value.as_str() {
                Some(text) => env.push((key.name.to_string(), text.to_owned())),
                None => {
                    let message = format!("the variable `{}` must be a string, not {}", key.name, type_name(value));
                    self.findings.push(Finding::error(At::new(self.file, value.span), message));
                }
            }
        }
        env
    }
}

/// Reads one component's table.
pub(super) fn component(findings: &mut Findings, file: usize, name: &str, at: At, table: &Table<'_>) -> Draft {
    if let Err(wrong) = value::name("component", name) {
        findings.push(Finding::error(at, wrong.message).label(wrong.label));
    } else if matches!(name, "init" | "kernel") {
        findings.push(
            Finding::error(at, format!("no component may be called `{name}`"))
                .label("the system has one that no manifest describes"),
        );
    }
    let mut r = Reader { findings, file, name, at, table };
    r.unknown_keys();

    let program =
        r.parsed("program", "the name of a program", |text| value::name("program", text).map(|()| text.to_owned()));
    let priority = r.integer("priority", 0, 255);
    if r.get("priority").is_none() {
        r.missing("priority", "100");
    }
    let (memory, stack) = r.memory_and_stack();
    let keep = r.keep();
    let slots = r.slots();
    let keep_slots = r.keep_slots(slots, keep);
    let (budget_ns, period_ns) = r.budget_and_period();
    let ports = r.strings("ports", "ranges such as \"0x3f8-0x3ff\"", value::ports);
    let irqs = r.list("irqs", "interrupt lines", |reader, value, at| {
        let line = value.as_integer().and_then(|line| u8::try_from(line).ok()).filter(|&line| line < 240);
        if line.is_none() {
            let message = match value.as_integer() {
                Some(line) => format!("interrupt line {line} does not exist"),
                None => format!("`irqs` must be a list of interrupt lines, but this is {}", type_name(value)),
            };
            reader.findings.push(Finding::error(at, message).label("lines go from 0 to 239"));
        }
        line
    });
    let pci = r.strings("pci", "identities such as \"1af4:1042\"", value::pci);
    let mmio = r.strings("mmio", "ranges such as \"0xfed00000-0xfed00fff\"", value::mmio);
    let has_devices = !(ports.is_empty() && irqs.is_empty() && pci.is_empty() && mmio.is_empty());

    let kinds = [Kind::Driver, Kind::Service, Kind::App];
    let written = r.word("kind", &kinds.map(|kind| (kind.name(), kind)));
    if written == Some(Kind::App) && has_devices {
        let finding = Finding::error(r.place("kind"), format!("component `{name}` is an app but has devices"))
            .help("devices belong to components of kind \"driver\"");
        r.findings.push(finding);
    }
    let kind = written.unwrap_or(if has_devices { Kind::Driver } else { Kind::Service });

    let provides = r.names("provides", "service names", "service");
    let needed = r.names("uses", "service names", "service");
    let optional = r.names("optional_uses", "service names", "service");
    for both in &optional {
        if let Some(other) = needed.iter().find(|other| other.value == both.value) {
            let finding = Finding::error(both.at, format!("`{}` is in both `uses` and `optional_uses`", both.value))
                .see("it is also used here", other.at);
            r.findings.push(finding);
        }
    }
    let uses: Vec<_> = needed
        .into_iter()
        .map(|service| DraftUse { service, optional: false })
        .chain(optional.into_iter().map(|service| DraftUse { service, optional: true }))
        .collect();
    let depends = r.names("depends", "component names", "component");
    let restart_with = r.names("restart-with", "component names", "component");
    let start = r.word("start", &[("boot", Start::Boot), ("manual", Start::Manual)]);
    let args = r.strings("args", "strings", |text| Ok(text.to_owned()));
    let net = r.strings("net", "rules such as \"listen:80\"", |text| match Rules::parse(text) {
        (_, senseless) if senseless.is_empty() && !text.contains(',') && !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(Wrong {
            message: format!("`{text}` is no rule of what a component may do with the network"),
            label: "such as listen:80, listen:8000-8080, connect:*, connect:10.0.2.0/24, connect:*:53, ping, admin"
                .into(),
        }),
    });
    let runs_programs = provides.iter().any(|service| service.value == "process");
    if !net.is_empty() && !runs_programs && !uses.iter().any(|used| used.service.value == "net") {
        let finding =
            Finding::error(r.place("net"), format!("component `{name}` has `net` rules but does not use `net`"))
                .help("add `\"net\"` to its `uses`");
        r.findings.push(finding);
    }
    let root = r.root();
    if root.is_some() && !uses.iter().any(|used| used.service.value == "fs") {
        let finding = Finding::error(r.place("root"), format!("component `{name}` has a `root` but does not use `fs`"))
            .help("`root` is the folder that it sees of the files");
        r.findings.push(finding);
    }
    let component = Component {
        name: name.to_owned(),
        program: program.map_or_else(|| name.to_owned(), |program| program.value),
        kind,
        priority: priority.unwrap_or(0) as u8,
        budget_ns,
        period_ns,
        memory,
        keep,
        keep_slots,
        stack,
        slots,
        provides: provides.iter().map(|service| service.value.clone()).collect(),
        uses: Vec::new(),
        ports: ports.iter().map(|range| range.value).collect(),
        irqs: irqs.iter().map(|line| line.value).collect(),
        pci: pci.iter().map(|id| id.value).collect(),
        mmio: mmio.iter().map(|range| range.value).collect(),
        restart: r.restart(),
        depends: Vec::new(),
        restart_with: Vec::new(),
        start: start.unwrap_or(Start::Boot),
        args: args.into_iter().map(|arg| arg.value).collect(),
        env: r.env(),
        grants: r.grants(),
        net: net.into_iter().map(|rule| rule.value).collect(),
        root,
    };
    let [program_at, budget_at, start_at, escalate_at] =
        ["program", "budget", "start", "escalate"].map(|key| r.place(key));
    Draft {
        at,
        component,
        program_at,
        budget_at,
        start_at,
        escalate_at,
        provides,
        uses,
        depends,
        restart_with,
        ports,
        irqs,
        pci,
        mmio,
    }
}
