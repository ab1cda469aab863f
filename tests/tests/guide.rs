//! Does what guides under `docs/guide` say, in a copy of the project where they change something, and compares what the system answers.
//!
//! The guide's fenced blocks are its steps, by their info string:
//!
//! | block | step |
//! |---|---|
//! | ```` ```sh run ```` | run the command |
//! | ```` ```LANGUAGE file=PATH ```` | write the file |
//! | ```` ```LANGUAGE append=PATH ```` | append to the file |
//! | ```` ```LANGUAGE contains=PATH ```` | the file holds this already |
//! | ```` ```diff file=PATH ```` | replace the text of the `-` lines by that of the `+` lines |
//! | ```` ```console ```` | a session: what follows `$` is typed, the rest is the answer; `...` stands for any text within a line |
//!
//! Blocks with any other info string are for the reader only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use motte_tests::Bench;
use motte_tests::command::motte;
use xtask::workspace;

/// One step of a guide.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Run(String),
    Write { file: String, text: String },
    Append { file: String, text: String },
    Contains { file: String, text: String },
    Replace { file: String, old: String, new: String },
    Session(Vec<Exchange>),
}

/// One command of a session and the lines that answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exchange {
    command: String,
    answer: Vec<String>,
}

/// Reads the steps out of a guide's text.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        steps.extend(step(info, &block));
    }
    steps
}

fn step(info: &str, block: &[&str]) -> Option<Step> {
    let (language, what) = info.split_once(' ').unwrap_or((info, ""));
    let text = || block.iter().map(|line| format!("{line}\n")).collect::<String>();
    match (language, what.split_once('=')) {
        ("sh", None) if what == "run" => Some(Step::Run(block.join("\n"))),
        ("console", None) => Some(Step::Session(exchanges(block))),
        ("diff", Some(("file", file))) => {
            let side = |sign| block.iter().filter_map(|line| line.strip_prefix(sign)).collect::<Vec<_>>().join("\n");
            Some(Step::Replace { file: file.into(), old: side('-'), new: side('+') })
        }
        (_, Some(("file", file))) => Some(Step::Write { file: file.into(), text: text() }),
        (_, Some(("append", file))) => Some(Step::Append { file: file.into(), text: text() }),
        (_, Some(("contains", file))) => Some(Step::Contains { file: file.into(), text: text() }),
        _ => None,
    }
}

fn exchanges(block: &[&str]) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), exchanges.last_mut()) {
            (Some(command), _) => exchanges.push(Exchange { command: command.into(), answer: Vec::new() }),
            (None, Some(last)) => last.answer.push((*line).into()),
            (None, None) => {}
        }
    }
    exchanges
}

/// A copy of the project to work in.
struct Copy(PathBuf);

impl Copy {
    /// Copies everything but what was built and what git keeps. Times of change are kept, so that cargo builds again only what a step changed.
    fn new() -> Result<Self> {
        let root = workspace::target_directory().join("guide/project");
        if root.exists() {
            fs::remove_dir_all(&root).context("the former copy could not be removed")?;
        }
        copy(workspace::root(), &root)?;
        Ok(Self(root))
    }

    fn cargo(&self, arguments: &[&str]) -> Result<String> {
        let mut cargo = workspace::cargo();
        cargo.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        cargo.env("CARGO_TARGET_DIR", workspace::target_directory().join("guide/target"));
        let output = cargo.output().context("cargo could not be started")?;
        ensure!(
            output.status.success(),
            "`cargo {}` failed:\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.0.join(file)).with_context(|| format!("{file} could not be read"))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.0.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text).with_context(|| format!("{file} could not be written"))
    }

    /// Does one step. What sessions should answer is left in `sessions`.
    fn follow(&self, step: &Step, sessions: &mut Vec<Exchange>) -> Result<()> {
        match step {
            Step::Run(command) => {
                let words: Vec<&str> = command.split_whitespace().collect();
                let Some(("cargo", arguments)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
                    bail!("`{command}`: only cargo is run");
                };
                self.cargo(arguments).map(drop)
            }
            Step::Write { file, text } => self.write(file, text),
            Step::Append { file, text } => self.write(file, &(self.read(file)? + text)),
            Step::Contains { file, text } => {
                ensure!(self.read(file)?.contains(text.as_str()), "{file} does not hold\n{text}");
                Ok(())
            }
            Step::Replace { file, old, new } => {
                let before = self.read(file)?;
                ensure!(before.contains(old.as_str()), "{file} does not hold\n{old}");
                self.write(file, &before.replacen(old.as_str(), new, 1))
            }
            Step::Session(exchanges) => {
                sessions.extend(exchanges.iter().cloned());
                Ok(())
            }
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} could not be read", from.display()))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let target = to.join(&name);
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            fs::File::options().write(true).open(&target)?.set_modified(entry.metadata()?.modified()?)?;
        } else if kind.is_dir() && name != "target" && name != ".git" {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Stands between the answers of two commands.
const MARK: &str = "--- answered ---";

/// Types the commands of all sessions at one shell and compares the answers.
fn play(sessions: &[Exchange], run: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let script: String = sessions.iter().map(|exchange| format!("{}\necho '{MARK}'\n", exchange.command)).collect();
    let printed = run(&script)?;
    let mark = format!("{MARK}\n");
    let mut answers = printed.split(&mark);
    for exchange in sessions {
        let answer = answers.next().unwrap_or_default();
        let lines: Vec<&str> = answer.lines().collect();
        let matches = lines.len() == exchange.answer.len()
            && lines.iter().zip(&exchange.answer).all(|(line, pattern)| fits(pattern, line));
        ensure!(
            matches,
            "`{}` answered\n{answer}\nand should have answered\n{}",
            exchange.command,
            exchange.answer.join("\n")
        );
    }
    Ok(())
}

/// Whether a line fits a pattern in which `...` stands for any text.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((head, mut pattern)) = pattern.split_once("...") else { return pattern == line };
    let Some(mut line) = line.strip_prefix(head) else { return false };
    while let Some((middle, after)) = pattern.split_once("...") {
        let Some((_, rest)) = line.split_once(middle) else { return false };
        (line, pattern) = (rest, after);
    }
    line.ends_with(pattern)
}

#[test]
fn the_guide_to_a_first_service_works_as_it_is_written() {
    let guide = fs::read_to_string(workspace::root().join("docs/guide/first-service.md")).unwrap();
    let (steps, copy, mut sessions) = (steps(&guide), Copy::new().unwrap(), Vec::new());
    for step in &steps {
        if let Err(error) = copy.follow(step, &mut sessions) {
            panic!("{error:#}");
        }
    }
    assert!(sessions.len() >= 4, "the guide shows no session");
    let run = |script: &str| copy.cargo(&["xtask", "run", "--timeout", "300", "-c", script]);
    if let Err(error) = play(&sessions, run) {
        panic!("{error:#}");
    }
}

#[test]
fn the_guide_to_containment_works_as_it_is_written() {
    let guide = fs::read_to_string(workspace::root().join("docs/guide/containment.md")).unwrap();
    let mut sessions = Vec::new();
    for step in steps(&guide) {
        let Step::Session(exchanges) = step else { panic!("the guide changes the project: {step:?}") };
        sessions.extend(exchanges);
    }
    assert!(sessions.len() >= 10, "the guide shows too few sessions");
    let run = |script: &str| {
        let bench = Bench::new()?;
        let disk = bench.disk("64M", &[])?;
        let output = motte(&["--disk".as_ref(), disk.as_os_str()], script)?;
        ensure!(output.status == 0, "the session ended with status {}:\n{}", output.status, output.stderr);
        Ok(output.stdout)
    };
    if let Err(error) = play(&sessions, run) {
        panic!("{error:#}");
    }
}

#[test]
fn blocks_become_steps_and_others_are_left_to_the_reader() {
    let text = "Text.\n```sh run\ncargo build\n```\n```rust file=a/b.rs\nfn a() {}\n```\n```sh\nls\n```\n\
                ```diff file=c\n-old\n+new\n```\n```console\n$ echo hi\nhi\n$ true\n```\n";
    let exchange = |command: &str, answer: &[&str]| Exchange {
        command: command.into(),
        answer: answer.iter().map(|line| (*line).into()).collect(),
    };
    let expected = [
        Step::Run("cargo build".into()),
        Step::Write { file: "a/b.rs".into(), text: "fn a() {}\n".into() },
        Step::Replace { file: "c".into(), old: "old".into(), new: "new".into() },
        Step::Session(vec![exchange("echo hi", &["hi"]), exchange("true", &[])]),
    ];
    assert_eq!(steps(text), expected);
}

#[test]
fn dots_stand_for_any_text_within_a_line() {
    assert!(fits("a...c", "abc") && fits("a...", "abc") && fits("abc", "abc") && fits("a...b...c", "a-b-c"));
    assert!(!fits("a...c", "ab") && !fits("abc", "abcd") && !fits("a...b...c", "a-c"));
}
