//! One machine under load, and what a fault does to it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::fault::{Fault, FaultType};
use super::gdb::Gdb;
use super::guest::{Guest, KernelPlaces};
use super::inject::{self, Injected, Program, Sites};
use super::load::{self, Files, Word};
use super::outcome::{Outcome, Symptom};
use crate::compile::System;
use crate::disk::{self, Access};
use crate::machine::{Ending, Hardware};
use crate::session::Session;

/// How long the load may stand still before the system counts as hung.
const STILL_LIMIT: Duration = Duration::from_secs(12);
/// Rounds of the load after a fault, and after the last restart, until it counts as over.
const ROUNDS: u32 = 3;
/// How long clients may see errors, one after the other, until the system counts as broken for them.
const ERRORS_LIMIT: Duration = Duration::from_secs(6);
/// When the load has stood still for so long, it is looked whether its program is still there.
const LOOK_AFTER: Duration = Duration::from_secs(3);
/// How often a person types again what was not answered.
const TYPE_AGAIN: Duration = Duration::from_secs(3);
/// A component that crashes at once, and the command that starts it.
const DEMO: &str = "crash-demo";
const START_DEMO: &str = "services start crash-demo\r";
/// The component whose programs end with it.
const SHELL: &str = "shell";
/// A look at the console.
const GLANCE: Duration = Duration::from_millis(10);
/// How long the load may take for its first round.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// How long the check of the files may take.
const CHECK_LIMIT: Duration = Duration::from_secs(120);
/// Of console and log, so many lines are kept when something was not recovered from.
const LAST_LINES: usize = 150;
/// Moments at which is looked who runs.
const MOMENTS: u32 = 10;
/// The machine's memory, in MiB.
const MEMORY: u32 = 256;
/// The load standing still for longer has shown that something is wrong, even if nothing was reported.
const NOTICEABLE: Duration = Duration::from_secs(2);

/// What a machine is made from.
#[derive(Debug)]
pub struct Setting<'a> {
    /// The system.
    pub system: &'a System,
    /// Where its kernel has what.
    pub kernel: KernelPlaces,
    /// The names of all components.
    pub components: Vec<String>,
}

/// A machine with the load in it.
#[derive(Debug)]
pub struct Subject<'a> {
    setting: &'a Setting<'a>,
    session: Session,
    guest: Guest,
    /// So much of the kernel's log was looked at.
    log_read: usize,
    probes: u32,
}

/// What happened since a fault.
#[derive(Default)]
struct Watch {
    symptoms: Vec<Symptom>,
    /// Rounds of the load without errors since the last failure.
    rounds: u32,
    /// Rounds of any kind.
    all_rounds: u32,
    /// Failures of components.
    failures: u32,
    has_error: bool,
    /// Since when no round was without errors.
    erring: Option<Instant>,
    is_answered: bool,
    /// Components that failed and did not come back yet.
    down: Vec<String>,
    is_given_up: Option<String>,
}

impl Watch {
    fn see(&mut self, symptom: Symptom) {
        if !self.symptoms.contains(&symptom) {
            self.symptoms.push(symptom);
        }
    }

    fn fail(&mut self, component: &str, cause: &str) {
        self.see(Symptom::Failure { component: component.to_owned(), cause: cause.to_owned() });
        self.failures += 1;
        // From here on all must go on for a while.
        self.rounds = 0;
        self.is_answered = false;
    }

    /// The load said something.
    fn hear(&mut self, word: Word, files: &mut Files) {
        match word {
            Word::Written(number) => files.add(number),
            Word::Error(what) => {
                self.has_error = true;
                self.erring.get_or_insert_with(Instant::now);
                self.see(Symptom::ClientError(what));
            }
            Word::Wrong(number) => self.see(Symptom::WrongData(number)),
            Word::Reached(number) => files.reach(number),
            Word::Round => {
                let has_error = std::mem::take(&mut self.has_error);
                self.rounds = if has_error { 0 } else { self.rounds + 1 };
                self.erring = self.erring.filter(|_| has_error);
                self.all_rounds += 1;
            }
        }
    }
}

impl<'a> Subject<'a> {
    /// Boots from a disk and starts the load. The files that are to be there are looked at first if the power was cut; returns also those
    /// that are not as they should be.
    pub fn boot(
        setting: &'a Setting<'a>,
        image: &Path,
        files: &mut Files,
        after_cut: bool,
    ) -> Result<(Self, Vec<u64>)> {
        let hardware = Hardware { has_stub: true, memory: MEMORY, ..Hardware::default() };
        let mut session = Session::boot(setting.system, &hardware, Some(disk::open(image, Access::Write)?))?;
        let stub = session.take_stub().context("the machine has no stub")?;
        let mut wrong = Vec::new();
        if after_cut {
            let numbers: Vec<String> = files.kept().map(|number| number.to_string()).collect();
            let command = format!("sh /bin/{} {}", load::CHECK_NAME, numbers.join(" "));
            let output = session.run_within(&command, CHECK_LIMIT)?;
            for word in load::words(&output.text) {
                match word {
                    Word::Wrong(number) => wrong.push(number),
                    Word::Reached(number) => files.reach(number),
                    _ => {}
                }
            }
        }
        session.type_keys(&start_load(files))?;
        let written = files.count;
        let mut said = String::new();
        for _ in 0..ROUNDS {
            said += &session.expect("<round", LOAD_LIMIT).context("the load does not begin")?;
            files.hear(&said);
            if files.count > written {
                break;
            }
        }
        ensure!(files.count > written, "the load cannot write: {}", said.trim().replace('\n', "; "));
        let guest = Guest::new(Gdb::connect(stub)?, &setting.kernel)?;
        let log_read = session.kernel_log().len();
        Ok((Self { setting, session, guest, log_read, probes: 0 }, wrong))
    }

    /// Whether a component is there; one that is being restarted is waited for.
    pub fn has(&mut self, component: &str, files: &mut Files) -> Result<bool> {
        let started = Instant::now();
        loop {
            self.guest.stop()?;
            let is_there = self.guest.component(component)?.is_some();
            self.guest.resume()?;
            if is_there || started.elapsed() > STILL_LIMIT {
                return Ok(is_there);
            }
            self.settle(files)?;
        }
    }

    /// Injects a fault and sees what comes of it; `None` if there was no opportunity for it.
    pub fn try_fault(
        &mut self,
        fault: &mut Fault,
        program: &Program,
        sites: Sites,
        files: &mut Files,
    ) -> Result<Option<Outcome>> {
        self.settle(files)?;
        if let Some(keys) = stimulus(&fault.component) {
            self.session.type_keys(keys)?;
        }
        let started = Instant::now();
        let injected = match inject::inject(&mut self.guest, program, fault, sites) {
            Ok(Some(injected)) => injected,
            Ok(None) => return Ok(None),
            Err(error) => match self.session.ending()? {
                // It was struck already.
                Some(_) => return self.end(&fault.clone(), started, "it struck at once").map(Some),
                None => return Err(error),
            },
        };
        self.watch(fault, &injected, files).map(Some)
    }

    /// Reads what is left of before.
    fn settle(&mut self, files: &mut Files) -> Result<()> {
        let mut watch = Watch::default();
        let _ = self.look(&mut watch, files);
        Ok(())
    }

    fn watch(&mut self, fault: &Fault, injected: &Injected, files: &mut Files) -> Result<Outcome> {
        let struck = Instant::now();
        let mut watch = Watch::default();
        let mut still = Duration::ZERO;
        let (mut progress, mut typed, mut looked) = (struck, struck, struck);
        self.probe()?;
        let cause = loop {
            let (rounds, failures) = (watch.all_rounds, watch.failures);
            if self.look(&mut watch, files).is_err() {
                return self.end(fault, struck, &injected.what);
            }
            let now = Instant::now();
            if watch.all_rounds > rounds {
                still = still.max(now - progress);
                progress = now;
            }
            if watch.failures > failures || !watch.is_answered && now - typed > TYPE_AGAIN {
                self.probe()?;
                typed = now;
            }
            if let Some(cause) = watch.is_given_up.take() {
                break Some(cause);
            } else if watch.rounds >= ROUNDS && watch.is_answered && watch.down.is_empty() {
                break None;
            } else if now - progress > STILL_LIMIT || now - struck > 4 * STILL_LIMIT {
                watch.see(Symptom::Hang);
                break Some(describe_hang(&watch));
            } else if watch.all_rounds > ROUNDS && watch.erring.is_some_and(|since| now - since > ERRORS_LIMIT) {
                break Some("clients get errors for ever".to_owned());
            } else if now - progress.max(looked) > LOOK_AFTER {
                looked = now;
                if !self.load_runs()? {
                    watch.see(Symptom::LoadEnded);
                    if fault.component != SHELL || watch.failures == 0 {
                        break Some("a program of the load was ended".to_owned());
                    }
                    // What a shell runs ends with it. Its successor is there, and a person goes on typing.
                    if watch.is_answered {
                        self.session.type_keys(&start_load(files))?;
                    }
                }
            }
        };
        if fault.kind != FaultType::ReplyLate && still > NOTICEABLE {
            watch.see(Symptom::Delay);
        }
        if watch.symptoms.is_empty() {
            injected.undo(&mut self.guest)?;
        }
        let data_errors = watch.symptoms.iter().filter(|symptom| matches!(symptom, Symptom::WrongData(_))).count();
        Ok(Outcome {
            number: fault.number,
            component: fault.component.clone(),
            kind: fault.kind,
            what: injected.what.clone(),
            symptoms: watch.symptoms,
            cause,
            still_ms: still.max(struck.elapsed().min(progress.elapsed())).as_millis() as u64,
            data_errors: data_errors as u64,
            kernel_panic: false,
        })
    }

    /// The machine is gone.
    fn end(&mut self, fault: &Fault, struck: Instant, what: &str) -> Result<Outcome> {
        let deadline = struck + STILL_LIMIT;
        let ending = loop {
            match self.session.ending()? {
                Some(ending) => break ending,
                None if Instant::now() > deadline => break Ending::Vanished("its console is closed".into()),
                None => std::thread::sleep(GLANCE),
            }
        };
        let (kernel_panic, cause) = match ending {
            Ending::Panic(text) => (true, format!("the kernel panicked: {text}")),
            Ending::Shutdown(status) => (false, format!("the machine was switched off with status {status}")),
            Ending::Quit => (false, "the machine was reset".to_owned()),
            Ending::Vanished(why) => (false, format!("QEMU ended: {why}")),
        };
        Ok(Outcome {
            number: fault.number,
            component: fault.component.clone(),
            kind: fault.kind,
            what: what.to_owned(),
            cause: Some(cause),
            still_ms: struck.elapsed().as_millis() as u64,
            data_errors: 0,
            symptoms: vec![Symptom::End],
            kernel_panic,
        })
    }

    /// Types a command to which there will be an answer.
    fn probe(&mut self) -> Result<()> {
        self.probes += 1;
        // Without quotes: a line of which a part is lost must not swallow the next.
        self.session.type_keys(&format!("echo probe-$(({})):\r", self.probes))
    }

    /// Reads console and log once. An error: the machine has ended.
    fn look(&mut self, watch: &mut Watch, files: &mut Files) -> Result<()> {
        let text = self.session.watch(GLANCE)?;
        watch.is_answered |= text.contains(&format!("probe-{}:", self.probes));
        for word in load::words(&text) {
            watch.hear(word, files);
        }
        let log = self.session.kernel_log();
        // A line may be half written.
        let end = log.rfind('\n').map_or(0, |at| at + 1).max(self.log_read);
        let new = log.get(self.log_read..end).unwrap_or_default().to_owned();
        self.log_read = end;
        let mut lines = new.lines().peekable();
        while let Some(line) = lines.next() {
            self.take_line(line, lines.peek().copied().unwrap_or_default(), watch);
        }
        Ok(())
    }

    /// What a line of the kernel's log says of components; `next` is the line after it.
    fn take_line(&self, line: &str, next: &str, watch: &mut Watch) {
        let is_component = |name: &str| self.setting.components.iter().any(|component| component == name);
        if let Some(reason) = line.strip_prefix("guardian: the supervisor failed: ") {
            watch.fail("supervisor", reason);
            watch.down.push("supervisor".into());
        } else if line.contains("a new supervisor takes over") {
            watch.down.retain(|down| down != "supervisor");
        } else if let Some(text) = line.strip_prefix("supervisor: ") {
            if let Some((_, rest)) = text.strip_prefix("fault ").and_then(|rest| rest.split_once(": ")) {
                let component = rest.split(" (generation").next().unwrap_or_default();
                let cause = next.split_once("cause: ").map_or("", |(_, cause)| cause);
                if component == DEMO {
                    return;
                }
                watch.fail(component, cause);
                if is_component(component) {
                    watch.down.push(component.to_owned());
                }
            } else if let Some((name, _)) = text.split_once(" was restarted") {
                watch.down.retain(|down| down != name);
            } else if (text.contains("is not started again") || text.contains("could not be started"))
                && text.split(' ').next().is_some_and(is_component)
            {
                watch.is_given_up = Some(text.to_owned());
            }
        }
    }

    /// Whether the load's program is still there.
    fn load_runs(&mut self) -> Result<bool> {
        self.guest.stop()?;
        let spaces = self.guest.spaces()?;
        self.guest.resume()?;
        Ok(spaces.iter().any(|space| !space.is_component() && space.name == "sh"))
    }

    /// Who runs, at some moments, and where: for who looks for the cause of something.
    fn running(&mut self) -> Result<String> {
        let mut text = String::new();
        for _ in 0..MOMENTS {
            self.guest.stop()?;
            let registers = self.guest.registers()?;
            let found = self.guest.spaces()?.into_iter().find(|space| space.root == registers.cr3);
            self.guest.resume()?;
            let name = found.map_or_else(|| "nobody".to_owned(), |space| space.name);
            text += &format!("{name} at {:#x}\n", registers.rip());
            std::thread::sleep(GLANCE);
        }
        Ok(text)
    }

    /// What console and kernel said last, and who runs: for who looks for the cause of something.
    pub fn last_lines(&mut self) -> String {
        let running = self.running().unwrap_or_else(|error| format!("{error}\n"));
        let last = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
        };
        format!(
            "---- console ----\n{}\n---- kernel's log ----\n{}\n---- who runs ----\n{running}",
            last(&self.session.transcript()),
            last(&self.session.kernel_log())
        )
    }

    /// Cuts the power, as one has to when the system does not go on.
    pub fn cut_power(self) -> Result<()> {
        self.session.cut_power()
    }

    /// Ends the load, shuts the system down, and has the file system checked from outside. Returns the numbers of files that were reported as
    /// written and are not as they should be, and what is wrong with the file system.
    pub fn finish(mut self, image: &Path, files: &mut Files) -> Result<(Vec<u64>, Option<String>)> {
        self.settle(files)?;
        // The load goes on until the end, and removes files as it does.
        let ending = self.session.shutdown_hearing(|said| files.hear(said));
        if !matches!(ending, Ok(Ending::Shutdown(0))) {
            let what = match ending {
                Ok(ending) => format!("{ending:?}"),
                Err(error) => error.root_cause().to_string().lines().next().unwrap_or_default().to_owned(),
            };
            return Ok((Vec::new(), Some(format!("the system does not shut down: {what}"))));
        }
        let damage = disk::check(image, &["-fn"]).err().map(|error| format!("{error:#}"));
        Ok((lost_on(image, files), damage))
    }
}

/// The files that were reported as written and are not on the disk as they should be, as the host sees it.
#[must_use]
pub fn lost_on(image: &Path, files: &mut Files) -> Vec<u64> {
    // After a cut some of it is in the journal. Where that cannot be replayed, there is nothing to be seen of it.
    let _ = disk::check(image, &["-p"]);
    let is_right = |&number: &u64| {
        let found = disk::read_file(image, &format!("/campaign/{number}"));
        found.is_ok_and(|found| found == load::contents(number).as_bytes())
    };
    let names = disk::list(image, "/campaign").unwrap_or_default();
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(last) = numbers.into_iter().find(is_right) {
        files.reach(last);
    }
    files.kept().filter(|number| !is_right(number)).collect()
}

/// Why nothing goes on, as far as it can be seen.
fn describe_hang(watch: &Watch) -> String {
    match (watch.down.first(), watch.rounds >= ROUNDS, watch.is_answered) {
        (Some(component), ..) => format!("{component} did not come back"),
        (None, true, _) => "the shell does not answer".to_owned(),
        (None, false, true) => "the load waits for ever".to_owned(),
        (None, false, false) => "the load and the shell wait for ever".to_owned(),
    }
}

/// The command that starts the load.
fn start_load(files: &Files) -> String {
    format!("sh /bin/{} {} &\r", load::NAME, files.next())
}

/// What makes a component work that has nothing to do of itself.
fn stimulus(component: &str) -> Option<&'static str> {
    Some(match component {
        // It works for its drivers when they start.
        "pci" => "services restart virtio-blk\r",
        // There must be something to write down.
        "fault-log" => START_DEMO,
        "log" => "log > /dev/null\r",
        "clock" => "date > /dev/null\r",
        "shell" => "true\r",
        "net" | "httpd" | "dashboard" => "wget -q -T 3 -O /dev/null http://127.0.0.1/metrics &\r",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_last_until_a_round_without_them() {
        let (mut watch, mut files) = (Watch::default(), Files::default());
        let mut hear = |word| {
            watch.hear(word, &mut files);
            (watch.rounds, watch.erring.is_some())
        };
        assert_eq!(hear(Word::Round), (1, false));
        assert_eq!(hear(Word::Error("pipe".into())), (1, true));
        assert_eq!(hear(Word::Round), (0, true));
        assert_eq!(hear(Word::Round), (1, false));
        watch.fail("health", "no heartbeat");
        assert_eq!((watch.rounds, watch.erring), (0, None), "a failure is no error of a client");
    }
}
