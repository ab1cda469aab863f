//! `cargo xtask torture`: kills the components that hold the system up, one after the other, at random moments, at rest and under load.
//!
//! The load is a shell script that runs programs, pipes, copies and syncs, and says when a result is wrong. After each kill the system must
//! answer at its console; at the end of a component's kills the load must have gone on, every file that it said was synced must be whole, and
//! e2fsck must find nothing.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::campaign::gdb::Gdb;
use crate::campaign::guest::{Guest, KernelPlaces};
use crate::compile::{self, Application, Profile, System};
use crate::disk::{self, Access};
use crate::load::{self, Synced};
use crate::machine::{Ending, Hardware};
use crate::prepare::{self, Tool};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::random::Random;
use crate::session::Session;
use crate::{manifest, workspace};

/// Size of the disk that is written to.
const DISK_SIZE: u64 = 64 << 20;
/// The longest pause before a kill, in milliseconds.
const LONGEST_PAUSE: u64 = 400;
/// How long the system may take to answer after a kill.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long the load may take to finish the round that it is in.
const LOAD_LIMIT: Duration = Duration::from_secs(120);
/// How long the shell may take to come back.
const SHELL_LIMIT: Duration = Duration::from_secs(60);

/// The components without which the system is none.
pub const COMPONENTS: &str = "init,guardian,registry,supervisor,process,log,clock,pci,console,virtio-blk,fs,pipe,shell";
/// The first program. It is no component, and no command reaches it: it is destroyed from outside, once in each machine.
const INIT: &str = "init";
/// The component whose programs end with it.
const SHELL: &str = "shell";

/// Where the load lies on the disk.
const LOAD_NAME: &str = "torture-load";
/// The file that ends the load.
const STOP: &str = "/load/stop";
/// How the load begins a line about something that went wrong.
const WRONG: &str = "wrong: ";
/// How the load says that it has begun.
const BEGUN: &str = "the load has begun.";
/// How the load says that it has ended.
const ENDED: &str = "the load has ended.";

/// How many kills, and whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often to kill each component: every other time under load
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub kills: u32,
    /// Seed of the moments; the same seed pauses equally before each kill
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The components to kill
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = COMPONENTS)]
    pub components: Vec<String>,
    /// File to write what happened to (default: target/torture.json)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What became of one component's kills.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The component.
    pub component: String,
    /// How often it was killed.
    pub kills: u32,
    /// Of these, while the load ran.
    pub under_load: u32,
    /// How often the system did not answer, or did not come back.
    pub hangs: u32,
    /// How often what was typed first after the kill was not answered.
    pub lost_lines: u32,
    /// Rounds of the load that ended, each with a synced file.
    pub rounds: usize,
    /// What went wrong, in sentences.
    pub failures: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    seed: u64,
    kills_per_component: u32,
    seconds: u64,
    components: &'a [Outcome],
}

/// The load, whose argument is the first file's number.
fn load_script() -> String {
    let write_file = load::write_file();
    format!(
        r#"mkdir -p /load
n=$1
echo '{BEGUN}'
[ -e /load/data ] || seq 1 60000 > /load/data
while [ ! -e {STOP} ]
do
    {{ {write_file}; }} || echo "{WRONG}file $n could not be written and synced"
    last=$(seq 1 3000 | sort -rn | head -n 1)
    [ "$last" = 3000 ] || echo "{WRONG}a pipe gave '$last'"
    {{ cp /load/data /load/copy && cmp /load/data /load/copy; }} || echo "{WRONG}a copy is not as it should be"
    for i in 1 2 3 4
    do
        said=$(sh -c "echo \$(($i + $n)); exit $i")
        status=$?
        [ "$said $status" = "$((i + n)) $i" ] || echo "{WRONG}a program said '$said' and ended with $status"
    done
    n=$((n + 1))
done
echo '{ENDED}'
"#
    )
}

/// Kills; fails if anything went wrong, once all is done and reported.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let outcomes = torture(options)?;
    let file = options.report.clone().unwrap_or_else(|| workspace::target_directory().join("torture.json"));
    let seconds = started.elapsed().as_secs();
    let report = Report { seed: options.seed, kills_per_component: options.kills, seconds, components: &outcomes };
    std::fs::write(&file, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("the report {} could not be written", file.display()))?;
    print!("{}", table(&outcomes));
    println!("{} kills in {}; written to {}", total(&outcomes), workspace::spoken(started.elapsed()), file.display());
    let failures: usize = outcomes.iter().map(|outcome| outcome.failures.len()).sum();
    ensure!(failures == 0, "{failures} things went wrong; the report lists them");
    Ok(())
}

fn total(outcomes: &[Outcome]) -> u32 {
    outcomes.iter().map(|outcome| outcome.kills).sum()
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("component    kills  under load  rounds  hangs  lost lines  failures\n");
    for outcome in outcomes {
        let Outcome { component, kills, under_load, rounds, hangs, lost_lines, failures } = outcome;
        let failures = failures.len();
        let _ = writeln!(
            text,
            "{component:12} {kills:5} {under_load:11} {rounds:7} {hangs:6} {lost_lines:11} {failures:9}"
        );
    }
    text
}

/// Kills each component so often; what became of it.
pub fn torture(options: &Options) -> Result<Vec<Outcome>> {
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem, Tool::CheckFileSystem, Tool::DebugFileSystem])?;
    let directory = RunDirectory::create(&workspace::run_directory())?;
    let manifest = patient_manifest(directory.path())?;
    for name in &options.components {
        let known = manifest::read(&manifest, None)?;
        ensure!(
            name == INIT || known.component(name).is_some(),
            "the system has no component `{name}`; `services` lists them"
        );
    }
    let system = compile::system(Profile::Release, &manifest)?;
    let mut random = Random::new(options.seed);
    let progress = Progress::bar(options.components.len() as u64 * u64::from(options.kills), "kills");
    let mut outcomes = Vec::new();
    for name in &options.components {
        let image = directory.path().join(format!("{name}.img"));
        let mut programs = system.applications.clone();
        let contents = load_script().into_bytes().into();
        programs.push(Application { name: LOAD_NAME.into(), contents, links: Vec::new() });
        disk::create(&image, DISK_SIZE, &workspace::root().join("rootfs"), &programs, &[])?;
        let mut outcome = Outcome { component: name.clone(), ..Outcome::default() };
        let mut synced = Synced::new(1000);
        while outcome.kills < options.kills {
            // A system that hangs is thrown away; the next one has the same disk and the rest of the kills.
            let killed = Torture { system: &system, image: &image, random: &mut random, progress: &progress }
                .kill_often(options.kills, &mut outcome, &mut synced);
            if let Err(error) = killed {
                outcome.failures.push(format!("kill {}: {error:#}", outcome.kills));
            }
        }
        if let Err(error) = synced.check_on_host(&image) {
            outcome.failures.push(format!("{error:#}"));
        }
        outcomes.push(outcome);
        std::fs::remove_file(&image)?;
    }
    progress.finish();
    Ok(outcomes)
}

/// The default system, but for components that come back at once, to be there for the next kill, and are never put into quarantine.
fn patient_manifest(directory: &Path) -> Result<PathBuf> {
    let text = std::fs::read_to_string(manifest::default_path())?;
    let mut document: toml_edit::DocumentMut = text.parse().context("system/default.toml cannot be read")?;
    let components = document["component"].as_table_mut().context("system/default.toml has no components")?;
    for (_, component) in components.iter_mut() {
        component["max-restarts"] = toml_edit::value(1_000_000);
        component["backoff"] = toml_edit::value("1ms");
        component["backoff-max"] = toml_edit::value("1ms");
    }
    let file = directory.join("torture.toml");
    std::fs::write(&file, document.to_string())?;
    Ok(file)
}

struct Torture<'a> {
    system: &'a System,
    image: &'a Path,
    random: &'a mut Random,
    progress: &'a Progress,
}

impl Torture<'_> {
    /// Boots, kills the component until it was killed `kills` times in all, and looks what is left. An error is a hang.
    fn kill_often(&mut self, kills: u32, outcome: &mut Outcome, synced: &mut Synced) -> Result<()> {
        let hardware = Hardware { has_stub: outcome.component == INIT, ..Hardware::default() };
        let mut session = Session::boot(self.system, &hardware, Some(disk::open(self.image, Access::Write)?))?;
        session.run(&format!("rm -f {STOP}"))?;
        let before = generation(&mut session, &outcome.component)?;
        let killed_before = outcome.kills;
        let result = self.kill_in(&mut session, kills, outcome, synced);
        // What ends the machine here, or has it say nothing, is a hang whatever it was.
        let result = result.and_then(|()| {
            let (killed, after) =
                (u64::from(outcome.kills - killed_before), generation(&mut session, &outcome.component)?);
            if after < before + killed {
                outcome.failures.push(format!("after {killed} kills it was started {} times", after - before));
            }
            if let Err(error) = synced.check(&mut session) {
                outcome.failures.push(format!("{error:#}"));
            }
            match session.shutdown()? {
                Ending::Shutdown(0) => Ok(()),
                ending => bail!("the system did not shut down cleanly: {ending:?}"),
            }
        });
        outcome.hangs += u32::from(result.is_err());
        result
    }

    fn kill_in(&mut self, session: &mut Session, kills: u32, outcome: &mut Outcome, synced: &mut Synced) -> Result<()> {
        while outcome.kills < kills {
            let loaded = outcome.kills % 2 == 1;
            if loaded {
                session.type_keys(&format!("sh /bin/{LOAD_NAME} {} &\r", synced.next()))?;
                session.expect(BEGUN, LOAD_LIMIT).context("the load did not begin")?;
            }
            let pause =
                Duration::from_millis(self.random.below(LONGEST_PAUSE) + if loaded { LONGEST_PAUSE } else { 0 });
            let mut said = session.watch(pause)?;
            if outcome.component == INIT {
                self.kill_init(session)?;
            } else {
                session.type_keys(&format!("kill {}\r", outcome.component))?;
            }
            outcome.kills += 1;
            outcome.under_load += u32::from(loaded);
            if outcome.component == SHELL {
                // Nothing is typed ahead: it would be for the shell that ends.
                said += &session.expect("~# ", SHELL_LIMIT)?;
            }
            outcome.lost_lines += u32::from(!session.answers(ANSWER_LIMIT)?);
            said += &session.watch(Duration::from_millis(self.random.below(LONGEST_PAUSE)))?;
            if loaded && outcome.component != SHELL {
                session.type_keys(&format!("touch {STOP}\r"))?;
                let rest = session.expect(ENDED, LOAD_LIMIT);
                said += &rest.context("the load did not come to its end")?;
                session.run(&format!("wait; rm -f {STOP}"))?;
            }
            outcome.rounds += synced.note(&said);
            let wrong = said.lines().filter_map(|line| Some(line.split_once(WRONG)?.1));
            // What was typed is echoed, but the load's script is never typed.
            outcome.failures.extend(wrong.map(|what| format!("kill {}: {what}", outcome.kills)));
            self.progress.step(&format!("{}: {} failures", outcome.component, outcome.failures.len()));
            if outcome.component == INIT {
                break;
            }
        }
        Ok(())
    }

    /// Destroys init, and then kills the supervisor that it once started.
    fn kill_init(&self, session: &mut Session) -> Result<()> {
        let stub = session.take_stub().context("init was destroyed already")?;
        let mut guest = Guest::new(Gdb::connect(stub)?, &KernelPlaces::read(&self.system.kernel)?)?;
        guest.stop()?;
        guest.empty_init()?;
        guest.resume()?;
        session.type_keys("kill supervisor\r")
    }
}

/// How often a component was started; for init, how often the supervisor was.
fn generation(session: &mut Session, component: &str) -> Result<u64> {
    let component = if component == INIT { "supervisor" } else { component };
    let output = session.run(&format!("services {component}"))?;
    let generation = output.text.lines().find_map(|line| line.trim().strip_prefix("generation")?.trim().parse().ok());
    generation
        .with_context(|| format!("`services {component}` does not say how often it was started:\n{}", output.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_component() {
        let outcome = Outcome { component: "fs".into(), kills: 7, rounds: 12, ..Outcome::default() };
        let table = table(&[outcome]);
        assert_eq!(table.lines().count(), 2);
        assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("fs ") && line.contains(" 12 ")), "{table}");
    }

    #[test]
    fn no_component_of_the_patient_system_is_quarantined_soon() {
        let directory = RunDirectory::create(&workspace::run_directory()).unwrap();
        let file = patient_manifest(directory.path()).unwrap();
        let manifest = manifest::read(&file, None).unwrap();
        assert!(manifest.components.iter().all(|component| component.restart.max_restarts == 1_000_000));
    }
}
