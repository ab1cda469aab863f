//! `cargo xtask campaign`: injects faults into running components while programs use them, and sees what becomes of it.
//!
//! | module | what it does |
//! |---|---|
//! | [`fault`] | which faults there are, and which comes next |
//! | [`inject`], [`code`] | carries one out |
//! | [`guest`], [`gdb`] | sees and changes a machine from outside |
//! | [`load`] | what the machine does meanwhile |
//! | [`subject`] | one machine, and what a fault does to it |
//! | [`outcome`], [`report`] | what was found |

pub mod code;
pub mod fault;
pub mod gdb;
pub mod guest;
pub mod inject;
pub mod load;
pub mod outcome;
pub mod report;
pub mod subject;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use motte_manifest::{Component, Start};

use self::fault::{Fault, FaultType, Target};
use self::guest::KernelPlaces;
use self::inject::{Program, Sites};
use self::load::Files;
use self::outcome::{Outcome, Results};
use self::subject::{Setting, Subject};
use crate::compile::{self, Application, Profile};
use crate::disk;
use crate::prepare::{self, Tool};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::{manifest, workspace};

/// Size of the disk that is written to.
const DISK_SIZE: u64 = 64 << 20;
/// Faults for one machine; then it is shut down, its disk is looked at, and another takes over.
const FAULTS_PER_MACHINE: u64 = 50;
/// Where it is kept what the machines said in which something was not recovered from, under the target's folder.
const EVIDENCE: &str = "campaign";
/// The machines have no network card: its driver ends by itself.
const ABSENT: &str = "virtio-net";
/// It waits for the supervisor's end and executes nothing: only its memory can be struck.
const IDLE: &str = "guardian";
/// One fault in so many waits for its component at any of its system calls, and not where it was seen before.
const EXPLORE: u64 = 5;
/// Faults of a type after which it is clear that a component gives no opportunity for it: if none of them found one.
const VAIN: u32 = 3;

/// How many faults, and which.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many faults to inject
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub faults: u64,
    /// Seed of the faults; the same seed gives the same faults
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Components to strike, separated by commas (default: all that start with the system, but init)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub components: Vec<String>,
    /// Types of faults, separated by commas (default: all)
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub types: Vec<FaultType>,
    /// Machines at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: u32,
    /// Inject no more faults after so many minutes; the report says how many there were
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: Option<u64>,
    /// Inject only the fault with this number of the campaign
    #[arg(long, value_name = "NUMBER")]
    pub only: Option<u64>,
    /// Wait for components at any of their system calls, and not mostly where they were seen before: slower, and a fault depends less on
    /// those before it
    #[arg(long)]
    pub any_site: bool,
    /// Tell of every fault as it happens
    #[arg(long)]
    pub verbose: bool,
}

/// What all jobs share.
struct Campaign<'a> {
    options: &'a Options,
    setting: Setting<'a>,
    targets: Vec<Target>,
    types: Vec<FaultType>,
    programs: HashMap<String, Program>,
    disk: PathBuf,
    evidence: PathBuf,
    next: AtomicU64,
    last: u64,
    /// When no more are injected.
    end: Option<Instant>,
    results: Mutex<Results>,
    /// How often a component gave no opportunity for a type of fault, as long as it never did.
    vain: Mutex<HashMap<(String, FaultType), Option<u32>>>,
    progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        let (components, types) = (Vec::new(), Vec::new());
        Self {
            faults: 10_000,
            seed: 1,
            components,
            types,
            jobs: 2,
            minutes: None,
            only: None,
            any_site: false,
            verbose: false,
        }
    }
}

/// Runs a campaign and writes its report. Fails if the kernel panicked or data was lost.
pub fn run(options: &Options) -> Result<()> {
    let results = results(options)?;
    let page = report::write(&results, &workspace::target_directory())?;
    println!("{}", report::summary(&results));
    println!("The report is {}.", page.display());
    let total = results.total();
    if total.kernel_panics > 0 || total.data_errors > 0 {
        bail!("{} kernel panics, {} damaged files", total.kernel_panics, total.data_errors);
    }
    Ok(())
}

/// Runs a campaign.
pub fn results(options: &Options) -> Result<Results> {
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem, Tool::CheckFileSystem, Tool::DebugFileSystem])?;
    let manifest_path = manifest::default_path();
    let system = compile::system(Profile::Release, &manifest_path)?;
    let manifest = manifest::read(&manifest_path, None)?;
    let is_there = |component: &&Component| component.start == Start::Boot && component.name != ABSENT;
    let mut running: Vec<_> = manifest.components.iter().filter(is_there).collect();
    let names: Vec<String> = running.iter().map(|component| component.name.clone()).collect();
    if let Some(unknown) = options.components.iter().find(|name| !names.contains(name)) {
        bail!("no component `{unknown}` runs in the campaign's machines; there are {}", names.join(", "));
    }
    let is_wanted = |name: &String| options.components.is_empty() || options.components.contains(name);
    running.retain(|component| is_wanted(&component.name));
    let targets: Vec<Target> = running
        .iter()
        .map(|component| Target { name: component.name.clone(), serves: !component.provides.is_empty() })
        .collect();
    let mut programs = HashMap::new();
    for component in running {
        programs.insert(component.name.clone(), Program::read(&system.programs().join(&component.program))?);
    }
    let directory = RunDirectory::create(&workspace::run_directory())?;
    let disk = directory.path().join("fresh.img");
    let mut applications = system.applications.clone();
    for (name, script) in [(load::NAME, load::script()), (load::CHECK_NAME, load::check_script())] {
        applications.push(Application { name: name.into(), contents: script.into_bytes().into(), links: Vec::new() });
    }
    disk::create(&disk, DISK_SIZE, &workspace::root().join("rootfs"), &applications, &[])?;
    let evidence = workspace::target_directory().join(EVIDENCE);
    let _ = std::fs::remove_dir_all(&evidence);
    std::fs::create_dir_all(&evidence).with_context(|| format!("{} could not be made", evidence.display()))?;
    let (first, last) = options.only.map_or((1, options.faults), |only| (only, only));
    let started = Instant::now();
    let campaign = Campaign {
        options,
        setting: Setting { kernel: KernelPlaces::read(&system.kernel)?, system: &system, components: names },
        targets,
        types: if options.types.is_empty() { FaultType::ALL.to_vec() } else { options.types.clone() },
        programs,
        disk,
        evidence,
        next: AtomicU64::new(first),
        last,
        end: options.minutes.map(|minutes| started + Duration::from_secs(60 * minutes)),
        results: Mutex::new(Results { seed: options.seed, ..Results::default() }),
        vain: Mutex::default(),
        progress: Progress::estimated(last + 1 - first, "faults"),
    };
    let jobs = u64::from(options.jobs).min((last + 1 - first).div_ceil(FAULTS_PER_MACHINE));
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs)
            .map(|job| {
                let (campaign, image) = (&campaign, directory.path().join(format!("disk-{job}.img")));
                scope.spawn(move || campaign.work(&image))
            })
            .collect();
        jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(|_| bail!("a job of the campaign panicked")))
    })?;
    let mut results = campaign.results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.outcomes.sort_by_key(|outcome| outcome.number);
    results.seconds = started.elapsed().as_secs();
    Ok(results)
}

/// What came of the attempt to inject a fault.
enum Attempt {
    Done(Outcome),
    NoOpportunity,
    /// This component is not there.
    Gone(String),
}

impl Campaign<'_> {
    fn results(&self) -> std::sync::MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One job: machine after machine, until there are no more faults.
    fn work(&self, image: &Path) -> Result<()> {
        let mut files = Files::default();
        self.renew(image)?;
        loop {
            let first = self.next.fetch_add(FAULTS_PER_MACHINE, Ordering::Relaxed);
            if first > self.last || self.is_over() {
                self.results().files += files.count;
                return Ok(());
            }
            let last = self.last.min(first + FAULTS_PER_MACHINE - 1);
            self.batch(image, &mut files, first..=last)?;
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    fn renew(&self, image: &Path) -> Result<()> {
        std::fs::copy(&self.disk, image).with_context(|| format!("{} could not be made", image.display()))?;
        Ok(())
    }

    /// The faults for one machine, and for those that take its place when it does not go on.
    fn batch(&self, image: &Path, files: &mut Files, numbers: std::ops::RangeInclusive<u64>) -> Result<()> {
        let mut subject = None;
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in numbers.clone() {
            if self.is_over() {
                break;
            }
            let mut running = match subject.take() {
                Some(running) => running,
                None => Subject::boot(&self.setting, image, files, false)?.0,
            };
            let started = Instant::now();
            let mut attempt = self.fault(number, &mut running, files)?;
            if let Attempt::Gone(component) = attempt {
                let mut unseen = Outcome::default();
                let former = outcomes.last_mut().unwrap_or(&mut unseen);
                former.cause.get_or_insert_with(|| format!("a component was gone afterwards: {component}"));
                self.keep(former, &mut running)?;
                running.cut_power()?;
                running = self.succeed(former, image, files)?;
                attempt = self.fault(number, &mut running, files)?;
            }
            let Attempt::Done(mut outcome) = attempt else {
                // It has nothing to do in this machine, and may have ended by itself.
                subject = Some(running);
                continue;
            };
            subject = if outcome.cause.is_some() || outcome.data_errors > 0 {
                self.keep(&outcome, &mut running)?;
                running.cut_power()?;
                Some(self.succeed(&mut outcome, image, files)?)
            } else {
                Some(running)
            };
            self.note(&outcome, started.elapsed());
            outcomes.push(outcome);
        }
        if let Some(subject) = subject {
            let (wrong, damage) = subject.finish(image, files)?;
            if let Some(last) = outcomes.last_mut() {
                last.data_errors += wrong.len() as u64;
            }
            if !wrong.is_empty() || damage.is_some() {
                self.renew(image)?;
                files.clear();
            }
            let (first, last) = (numbers.start(), numbers.end());
            let damage = damage.map(|damage| format!("faults {first} to {last}: {damage}"));
            self.results().damaged_file_systems.extend(damage);
        }
        self.results().outcomes.extend(outcomes);
        Ok(())
    }

    /// Writes down what the machine said in which a fault was not recovered from.
    fn keep(&self, outcome: &Outcome, subject: &mut Subject) -> Result<()> {
        let file = self.evidence.join(format!("{}.txt", outcome.number));
        let text = format!("{}\n{}", told(outcome), subject.last_lines());
        std::fs::write(&file, text).with_context(|| format!("{} could not be written", file.display()))
    }

    /// The machine that takes the place of one that did not go on: with its disk, if nothing is lost there.
    fn succeed(&self, outcome: &mut Outcome, image: &Path, files: &mut Files) -> Result<Subject<'_>> {
        match Subject::boot(&self.setting, image, files, true) {
            Ok((subject, wrong)) => {
                // What a server that was struck said of files is not what the disk holds.
                if wrong.is_empty() && outcome.data_errors > 0 {
                    outcome
                        .cause
                        .get_or_insert_with(|| "clients read wrong data; the disk has the right ones".to_owned());
                }
                outcome.data_errors = wrong.len() as u64;
                if wrong.is_empty() {
                    return Ok(subject);
                }
            }
            Err(error) => {
                let cause = outcome.cause.take().unwrap_or_default();
                let reason = error.root_cause().to_string();
                let reason = reason.lines().next().unwrap_or_default();
                outcome.cause = Some(format!("{cause}; and after a cut of the power {reason}"));
                // As it is now, for whoever wants to know why.
                let evidence = self.evidence.join(format!("{}.img", outcome.number));
                std::fs::copy(image, &evidence).with_context(|| format!("{} cannot be written", evidence.display()))?;
                let said = evidence.with_extension("start.txt");
                std::fs::write(&said, format!("{error:#}\n"))
                    .with_context(|| format!("{} cannot be written", said.display()))?;
                let lost = subject::lost_on(image, files);
                outcome.data_errors = outcome.data_errors.max(lost.len() as u64);
                let damage = format!("fault {}: after a cut of the power {reason}", outcome.number);
                self.results().damaged_file_systems.push(damage);
            }
        }
        self.renew(image)?;
        files.clear();
        Ok(Subject::boot(&self.setting, image, files, false)?.0)
    }

    /// One fault.
    fn fault(&self, number: u64, subject: &mut Subject, files: &mut Files) -> Result<Attempt> {
        let mut fault = Fault::new(self.options.seed, number, &self.targets, &self.types);
        if !subject.has(&fault.component, files)? {
            return Ok(Attempt::Gone(fault.component));
        }
        let program = &self.programs[&fault.component];
        // One in so many begins with any site, and so does the second try: new ones are found.
        let tries = if self.options.any_site || number.is_multiple_of(EXPLORE) {
            [Sites::Any; 2]
        } else {
            [Sites::Seen, Sites::Any]
        };
        if fault.component != IDLE && !self.is_vain(&fault) {
            for sites in tries {
                if let Some(outcome) = subject.try_fault(&mut fault, program, sites, files)? {
                    self.note_opportunity(&fault, true);
                    return Ok(Attempt::Done(outcome));
                }
            }
            self.note_opportunity(&fault, false);
        }
        self.results().skipped += 1;
        fault.kind = FaultType::Heap;
        Ok(subject.try_fault(&mut fault, program, Sites::Any, files)?.map_or(Attempt::NoOpportunity, Attempt::Done))
    }

    fn vain(&self) -> std::sync::MutexGuard<'_, HashMap<(String, FaultType), Option<u32>>> {
        self.vain.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether there is no use in waiting for an opportunity: there never was one.
    fn is_vain(&self, fault: &Fault) -> bool {
        let key = (fault.component.clone(), fault.kind);
        self.vain().get(&key).is_some_and(|times| times.is_some_and(|times| times >= VAIN))
    }

    fn note_opportunity(&self, fault: &Fault, was_there: bool) {
        let mut vain = self.vain();
        let times = vain.entry((fault.component.clone(), fault.kind)).or_insert(Some(0));
        *times = if was_there { None } else { times.map(|times| times + 1) };
    }

    fn note(&self, outcome: &Outcome, took: Duration) {
        self.progress.step(&format!("{}: {}", outcome.component, outcome.kind));
        if self.options.verbose {
            println!("{} ({:.1} s)", told(outcome), took.as_secs_f64());
        }
    }
}

/// A fault and what became of it, in one line.
fn told(outcome: &Outcome) -> String {
    let symptoms: Vec<String> = outcome.symptoms.iter().map(outcome::Symptom::text).collect();
    let end = match &outcome.cause {
        Some(cause) => format!("NOT RECOVERED: {cause}"),
        None if outcome.is_manifested() => "recovered".to_owned(),
        None => "did not show".to_owned(),
    };
    let Outcome { number, component, kind, what, still_ms, data_errors, .. } = outcome;
    let symptoms = symptoms.join("; ");
    format!(
        "{number} {component} {kind}: {what}; {symptoms}; {end}; still for {still_ms} ms, {data_errors} files damaged"
    )
}
