//! Sessions at the console, kept as text: what is typed, and what the system answers.
//!
//! ```text
//! A file can be written, read and removed.
//!
//! disk: 64M
//! ---
//! $ echo hello > /tmp/greeting
//! $ cat /tmp/greeting
//! hello
//! $ cat /tmp/nothing
//! cat: ...
//! => 1
//! @ shutdown
//! @ host e2fsck -fn $DISK
//! ```
//!
//! Before the line `---` stand a sentence that says what is shown, and the machine's parts: `disk:` (a size, a size and
//! options of mkfs.ext4, `none`, or `zeros SIZE` for a disk without a file system; default 64M), `memory:` in MiB, `processors:`,
//! `read-only: yes`. After it:
//!
//! | line | meaning |
//! |---|---|
//! | `$ COMMAND` | typed at the shell; the lines up to the next step are what it prints |
//! | `$ COMMAND ^C` | the same, with Ctrl-C pressed one second later |
//! | `=> STATUS` | its exit status when that is not 0; `=> ?` for any |
//! | `@ shutdown` | a clean shutdown |
//! | `@ cut` | the power is cut |
//! | `@ boot` | the machine boots again |
//! | `@ wait N` | N seconds pass |
//! | `@ host COMMAND` | a command of the host; `$DISK` is the disk image. It must succeed |
//! | `# …` | a remark |
//!
//! In what is printed, `...` stands for any text within a line; on a line of its own, for any number of lines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xtask::machine::{Ending, Hardware};
use xtask::prepare;
use xtask::process::Guarded;
use xtask::session::{Output, Session};

use crate::Bench;

/// How long after a command's start Ctrl-C is pressed.
const INTERRUPT_AFTER: Duration = Duration::from_secs(1);
/// How long one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);

/// A disk to make.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Disk {
    None,
    Ext4 { size: String, options: Vec<String> },
    Zeros { size: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Command { text: String, interrupted: bool, output: Vec<String>, status: Option<u8> },
    Shutdown,
    Cut,
    Boot,
    Wait(Duration),
    Host(String),
}

/// A session to play.
#[derive(Clone, Debug)]
pub struct Scenario {
    disk: Disk,
    hardware: Hardware,
    /// Each step with the number of its line.
    steps: Vec<(usize, Step)>,
}

impl Scenario {
    /// Reads one from its text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut disk = Disk::Ext4 { size: "64M".to_owned(), options: Vec::new() };
        let mut hardware = Hardware::default();
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        loop {
            let Some((number, line)) = lines.next() else { bail!("the line `---` is missing") };
            if line == "---" {
                break;
            }
            let Some((key, value)) = line.split_once(": ") else { continue };
            let value = value.trim();
            let number_of = || value.parse::<u32>().with_context(|| format!("line {number}: `{value}` is no number"));
            match key {
                "disk" => disk = parse_disk(value),
                "memory" => hardware.memory = number_of()?,
                "processors" => hardware.processors = number_of()?,
                "read-only" => hardware.read_only = value == "yes",
                _ => {}
            }
        }
        let mut steps = Vec::new();
        for (number, line) in lines {
            if let Some(step) = parse_step(line).with_context(|| format!("line {number}"))? {
                steps.push((number, step));
            } else if !line.starts_with('#') {
                let Some((_, Step::Command { output, status, .. })) = steps.last_mut() else {
                    if line.is_empty() {
                        continue;
                    }
                    bail!("line {number}: output without a command: `{line}`");
                };
                match line.strip_prefix("=> ") {
                    Some("?") => *status = None,
                    Some(value) => {
                        *status =
                            Some(value.parse().with_context(|| format!("line {number}: `{value}` is no status"))?);
                    }
                    None => output.push(line.to_owned()),
                }
            }
        }
        // Empty lines before the next step are for the reader.
        for (_, step) in &mut steps {
            if let Step::Command { output, .. } = step {
                while output.last().is_some_and(String::is_empty) {
                    output.pop();
                }
            }
        }
        Ok(Self { disk, hardware, steps })
    }

    /// Boots a machine and plays the session.
    pub fn play(&self) -> Result<()> {
        let bench = Bench::new()?;
        let disk = self.make_disk(&bench)?;
        let mut session = Some(bench.boot_on(&self.hardware, disk.as_deref())?);
        for (number, step) in &self.steps {
            let context = || format!("line {number}");
            match step {
                Step::Command { text, interrupted, output, status } => {
                    let session = session.as_mut().with_context(context).context("the machine is off")?;
                    let got = type_command(session, text, *interrupted).with_context(context)?;
                    compare(text, &got, output, *status).with_context(context)?;
                }
                Step::Shutdown => {
                    let session = session.take().with_context(context).context("the machine is off")?;
                    let ending = session.shutdown().with_context(context)?;
                    if ending != Ending::Shutdown(0) {
                        bail!("line {number}: the system did not shut down cleanly: {ending:?}");
                    }
                }
                Step::Cut => session.take().with_context(context)?.cut_power().with_context(context)?,
                Step::Boot => {
                    drop(session.take());
                    session = Some(bench.boot_on(&self.hardware, disk.as_deref()).with_context(context)?);
                }
                Step::Wait(time) => std::thread::sleep(*time),
                Step::Host(command) => run_on_host(command, disk.as_deref(), &bench).with_context(context)?,
            }
        }
        Ok(())
    }

    fn make_disk(&self, bench: &Bench) -> Result<Option<PathBuf>> {
        match &self.disk {
            Disk::None => Ok(None),
            Disk::Ext4 { size, options } => {
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                bench.disk(size, &options).map(Some)
            }
            Disk::Zeros { size } => {
                let size = xtask::disk::parse_size(size).map_err(|error| anyhow::anyhow!(error))?;
                let path = bench.directory().join("disk.img");
                std::fs::File::create(&path)?.set_len(size)?;
                Ok(Some(path))
            }
        }
    }
}

fn parse_disk(value: &str) -> Disk {
    let mut words = value.split_whitespace().map(str::to_owned);
    match words.next().as_deref() {
        None | Some("none") => Disk::None,
        Some("zeros") => Disk::Zeros { size: words.next().unwrap_or_else(|| "16M".to_owned()) },
        Some(size) => Disk::Ext4 { size: size.to_owned(), options: words.collect() },
    }
}

/// The step a line begins; `None` when it begins none.
fn parse_step(line: &str) -> Result<Option<Step>> {
    if let Some(command) = line.strip_prefix("$ ") {
        let (text, interrupted) = match command.strip_suffix(" ^C") {
            Some(text) => (text, true),
            None => (command, false),
        };
        let step = Step::Command { text: text.to_owned(), interrupted, output: Vec::new(), status: Some(0) };
        return Ok(Some(step));
    }
    let Some(action) = line.strip_prefix("@ ") else { return Ok(None) };
    let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
    Ok(Some(match word {
        "shutdown" => Step::Shutdown,
        "cut" => Step::Cut,
        "boot" => Step::Boot,
        "wait" => Step::Wait(Duration::from_secs(rest.parse().context("after `wait` stands a number of seconds")?)),
        "host" => Step::Host(rest.to_owned()),
        _ => bail!("`@ {word}` is no step; there are shutdown, cut, boot, wait and host"),
    }))
}

fn type_command(session: &mut Session, text: &str, interrupted: bool) -> Result<Output> {
    session.start(text)?;
    if interrupted {
        std::thread::sleep(INTERRUPT_AFTER);
        session.interrupt()?;
    }
    session.finish(COMMAND_LIMIT)
}

fn run_on_host(command: &str, disk: Option<&Path>, bench: &Bench) -> Result<()> {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(bench.directory());
    if let Some(disk) = disk {
        shell.env("DISK", disk);
    }
    if let (Some(path), Some(tool)) = (std::env::var_os("PATH"), prepare::find("e2fsck")) {
        // A user's path often lacks the directory of the file-system tools.
        let directory = tool.parent().map(Path::to_owned);
        let path = std::env::join_paths(std::env::split_paths(&path).chain(directory))?;
        shell.env("PATH", path);
    }
    let errors = std::fs::File::create(bench.directory().join("host.log"))?;
    shell.stdout(errors.try_clone()?).stderr(errors);
    if !Guarded::spawn(&mut shell)?.wait()?.success() {
        let said = std::fs::read_to_string(bench.directory().join("host.log")).unwrap_or_default();
        bail!("on the host, `{command}` failed:\n{said}");
    }
    Ok(())
}

/// Fails with a readable difference when a command did not answer as it should.
fn compare(command: &str, got: &Output, expected: &[String], status: Option<u8>) -> Result<()> {
    let lines: Vec<&str> = got.text.lines().collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    if !lines_match(&expected, &lines) {
        bail!("`{command}` printed\n{}\nand should have printed\n{}", indented(&lines), indented(&expected));
    }
    if let Some(status) = status
        && got.status != status
    {
        bail!("`{command}` ended with status {} and not {status}; it printed\n{}", got.status, indented(&lines));
    }
    Ok(())
}

fn indented(lines: &[&str]) -> String {
    if lines.is_empty() {
        return "    (nothing)".to_owned();
    }
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Whether lines fit; a pattern `...` of its own stands for any number of lines.
fn lines_match(patterns: &[&str], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| lines_match(rest, &lines[skipped..])),
        Some((pattern, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| line_matches(pattern, line) && lines_match(rest, lines))
        }
    }
}

/// Whether a line fits; `...` in the pattern stands for any text.
fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once("...") else { return pattern == line.trim_end() };
    let Some(mut line) = line.strip_prefix(head) else { return false };
    while let Some((middle, after)) = rest.split_once("...") {
        let Some(at) = line.find(middle) else { return false };
        line = &line[at + middle.len()..];
        rest = after;
    }
    line.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_is_written() {
        let text = "Files work.\n\ndisk: 32M -O ^has_journal\nmemory: 256\n---\n# first\n$ ls /\nbin\netc\n\n\
                    $ sleep 9 ^C\n=> 130\n@ cut\n@ boot\n@ host e2fsck -fn $DISK\n";
        let scenario = Scenario::parse(text).unwrap();
        let options = vec!["-O".to_owned(), "^has_journal".to_owned()];
        assert_eq!(scenario.disk, Disk::Ext4 { size: "32M".to_owned(), options });
        assert_eq!(scenario.hardware.memory, 256);
        let steps: Vec<_> = scenario.steps.iter().map(|(_, step)| step.clone()).collect();
        let command = |text: &str, interrupted, output: &[&str], status| Step::Command {
            text: text.to_owned(),
            interrupted,
            output: output.iter().map(|line| (*line).to_owned()).collect(),
            status,
        };
        assert_eq!(
            steps,
            [
                command("ls /", false, &["bin", "etc"], Some(0)),
                command("sleep 9", true, &[], Some(130)),
                Step::Cut,
                Step::Boot,
                Step::Host("e2fsck -fn $DISK".to_owned()),
            ]
        );
        assert_eq!(scenario.steps[0].0, 7);
    }

    #[test]
    fn wrong_lines_are_named() {
        let error = |text: &str| format!("{:#}", Scenario::parse(text).unwrap_err());
        assert_eq!(error("no line"), "the line `---` is missing");
        assert_eq!(error("---\n@ fly\n"), "line 2: `@ fly` is no step; there are shutdown, cut, boot, wait and host");
        assert_eq!(error("---\nhello\n"), "line 2: output without a command: `hello`");
    }

    #[test]
    fn dots_stand_for_text_and_for_lines() {
        assert!(line_matches("cat: ...: not found", "cat: /x: not found"));
        assert!(line_matches("a...c...e", "abcde"));
        assert!(!line_matches("a...c...e", "abde"));
        assert!(!line_matches("exact", "exactly"));
        assert!(lines_match(&["a", "...", "z"], &["a", "b", "c", "z"]));
        assert!(lines_match(&["...", "z"], &["z"]));
        assert!(!lines_match(&["a", "z"], &["a", "b", "z"]));
        assert!(lines_match(&[], &[]));
    }
}
