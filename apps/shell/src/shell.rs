//! The shell's state: what a subshell copies and what all copies share.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ast::Command;
use crate::jobs::Jobs;
use crate::lexer::Aliases;
use crate::stream::Streams;
use crate::sys;

/// Why a command did not simply end with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// `break N`
    Break(u32),
    /// `continue N`
    Continue(u32),
    /// `return`
    Return(i32),
    /// `exit`: the (sub)shell ends.
    Exit(i32),
    /// A mistake that ends a script but not an interactive shell.
    Failed(i32),
    /// Ctrl-C.
    Interrupted,
}

/// The outcome of a command: its status, or what interrupts the commands around it.
pub type Outcome<T = i32> = Result<T, Flow>;

/// A variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// Its value; `None` for one that was only exported or made read-only.
    pub value: Option<String>,
    /// Whether programs get it.
    pub exported: bool,
    /// Whether it may not change.
    pub read_only: bool,
}

/// The switches of `set`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// `-e`: a failing command ends the shell.
    pub exit_on_error: bool,
    /// `-u`: an unset variable is a mistake.
    pub unset_is_error: bool,
    /// `-x`: commands are shown before they run.
    pub trace: bool,
    /// `-f`: no pattern matching of file names.
    pub no_glob: bool,
    /// `-n`: commands are read, not run.
    pub no_execute: bool,
}

/// What a subshell has a copy of.
#[derive(Clone)]
pub struct State {
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// What `local` hid, one map for each running function.
    pub locals: Vec<BTreeMap<String, Option<Variable>>>,
    /// Functions by name.
    pub functions: BTreeMap<String, Rc<Command>>,
    /// `$1`, `$2`, …
    pub positional: Vec<String>,
    /// The switches.
    pub options: Options,
    /// Aliases by name.
    pub aliases: Aliases,
    /// Commands by the event that runs them: `EXIT`, `INT`.
    pub traps: BTreeMap<String, String>,
    /// The descriptors.
    pub streams: Streams,
    /// How many loops run around this point.
    pub loops: u32,
    /// How many functions and sourced files run around this point.
    pub calls: u32,
    /// Above 0 where a failing command is being tested, so that `set -e` leaves it alone.
    pub tested: u32,
    /// How far `getopts` is inside an argument.
    pub getopts_column: usize,
    /// The working directory.
    pub directory: String,
}

/// A shell.
pub struct Shell {
    /// What subshells copy.
    pub state: State,
    /// `$?`
    pub status: i32,
    /// `$0`
    pub name: String,
    /// `$$`
    pub process: u32,
    /// `$!`
    pub last_background: Option<u32>,
    /// Background jobs.
    pub jobs: Jobs,
    /// Whether a person types the commands.
    pub interactive: bool,
    /// Whether its terminal failed.
    pub lost_terminal: bool,
    /// Whether this process is a subshell of another.
    pub is_subshell: bool,
    /// Watches for Ctrl-C where this shell answers it.
    pub interrupts: Option<sys::Interrupts>,
    /// Lines typed so far, oldest first.
    pub history: Vec<String>,
    /// Where programs were found.
    pub found: BTreeMap<String, String>,
    /// The status of the last command substitution, for `x=$(false)`.
    pub substitution_status: Option<i32>,
    /// The program that runs pipeline stages which are not programs.
    pub shell_program: String,
    /// How much stack is left for commands inside commands.
    pub stack: StackGauge,
}

/// Measures the stack that nested commands use, so that endless recursion is an error and not a fault.
#[derive(Clone, Copy, Debug)]
pub struct StackGauge {
    base: usize,
    most: usize,
}

/// What the parser, expansions and builtins need below the innermost command.
const STACK_RESERVE: usize = 96 * 1024;

impl StackGauge {
    /// Measures from the caller's place on.
    #[inline(never)]
    pub fn new() -> StackGauge {
        let size = sys::stack_size();
        StackGauge { base: here(), most: size - STACK_RESERVE.min(size / 2) }
    }

    /// Whether no further command may be nested.
    pub fn is_exhausted(&self) -> bool {
        self.base.abs_diff(here()) > self.most
    }
}

impl Default for StackGauge {
    fn default() -> StackGauge {
        StackGauge::new()
    }
}

/// About where the stack ends at this moment.
#[inline(never)]
fn here() -> usize {
    let marker = 0u8;
    core::ptr::from_ref(core::hint::black_box(&marker)).addr()
}

impl Shell {
    /// A shell with the environment's variables.
    pub fn new(name: &str, environment: Vec<(String, String)>) -> Shell {
        let mut variables = BTreeMap::new();
        for (name, value) in environment {
            if crate::ast::is_name(&name) {
                variables.insert(name, Variable { value: Some(value), exported: true, read_only: false });
            }
        }
        let mut shell = Shell {
            state: State {
                variables,
                locals: Vec::new(),
                functions: BTreeMap::new(),
                positional: Vec::new(),
                options: Options::default(),
                aliases: Aliases::new(),
                traps: BTreeMap::new(),
                streams: Streams::own(),
                loops: 0,
                calls: 0,
                tested: 0,
                getopts_column: 0,
                directory: "/".into(),
            },
            status: 0,
            name: name.into(),
            process: sys::process_id(),
            last_background: None,
            jobs: Jobs::default(),
            interactive: false,
            lost_terminal: false,
            is_subshell: false,
            interrupts: None,
            history: Vec::new(),
            found: BTreeMap::new(),
            substitution_status: None,
            shell_program: "/bin/sh".into(),
            stack: StackGauge::new(),
        };
        for (name, value) in [("IFS", " \t\n"), ("PS1", "\\w \\$ "), ("PS2", "> "), ("PS4", "+ "), ("OPTIND", "1")] {
            // Field splitting never comes from outside.
            if name == "IFS" || shell.variable(name).is_none() {
                shell.state.variables.entry(name.into()).or_default().value = Some(value.into());
            }
        }
        if shell.variable("PATH").is_none() {
            shell.state.variables.entry("PATH".into()).or_default().value = Some("/bin".into());
        }
        if let Ok(directory) = sys::current_dir() {
            let entry = shell.state.variables.entry("PWD".into()).or_default();
            entry.value = Some(directory.clone());
            shell.state.directory = directory;
        }
        shell
    }

    /// A variable's value.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.state.variables.get(name)?.value.as_deref()
    }

    /// Changes a variable; one that is read-only is a mistake.
    pub fn set_variable(&mut self, name: &str, value: &str) -> Outcome<()> {
        if self.state.variables.get(name).is_some_and(|variable| variable.read_only) {
            return self.fail(&format!("{name} is read-only"));
        }
        if name == "PATH" {
            self.found.clear();
        }
        if name == "OPTIND" {
            self.state.getopts_column = 0;
        }
        self.state.variables.entry(name.into()).or_default().value = Some(value.into());
        Ok(())
    }

    /// Removes a variable.
    pub fn unset_variable(&mut self, name: &str) -> Outcome<()> {
        if self.state.variables.get(name).is_some_and(|variable| variable.read_only) {
            return self.fail(&format!("{name} is read-only"));
        }
        self.state.variables.remove(name);
        Ok(())
    }

    /// What programs get as their environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let exported = self.state.variables.iter().filter(|(_, variable)| variable.exported);
        exported.filter_map(|(name, variable)| Some((name.clone(), variable.value.clone()?))).collect()
    }

    /// Says something on standard error, as a sentence that begins with the shell's name.
    pub fn complain(&self, message: &str) {
        self.complain_raw(&format!("sh: {message}\n"));
    }

    /// Writes to standard error.
    pub fn complain_raw(&self, text: &str) {
        // When not even this can be written there is nobody left to tell.
        let _ = self.state.streams.write(2, text.as_bytes());
    }

    /// Complains, and ends what a mistake ends.
    pub fn fail<T>(&self, message: &str) -> Outcome<T> {
        self.complain(message);
        Err(Flow::Failed(2))
    }

    /// The letters of the switches that are on: `$-`.
    pub fn option_letters(&self) -> String {
        let options = &self.state.options;
        let mut letters = String::new();
        for (on, letter) in [
            (options.exit_on_error, 'e'),
            (options.no_glob, 'f'),
            (self.interactive, 'i'),
            (options.unset_is_error, 'u'),
            (options.trace, 'x'),
        ] {
            if on {
                letters.push(letter);
            }
        }
        letters
    }

    /// A special parameter's or variable's value; `None` when unset. `@` and `*` are joined by blanks.
    pub fn parameter(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some(self.process.to_string()),
            "!" => self.last_background.map(|pid| pid.to_string()),
            "#" => Some(self.state.positional.len().to_string()),
            "-" => Some(self.option_letters()),
            "0" => Some(self.name.clone()),
            "@" | "*" if self.state.positional.is_empty() => None,
            "@" | "*" => Some(self.state.positional.join(" ")),
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let index: usize = name.parse().ok()?;
                self.state.positional.get(index.checked_sub(1)?).cloned()
            }
            _ => self.variable(name).map(String::from),
        }
    }

    /// Answers Ctrl-C if it was typed at this shell.
    pub fn check_interrupt(&mut self) -> Outcome<()> {
        let typed = self.interrupts.as_mut().is_some_and(|interrupts| interrupts.poll());
        if typed { self.interrupted() } else { Ok(()) }
    }

    /// Runs the trap for Ctrl-C, or without one abandons the commands that run.
    pub fn interrupted(&mut self) -> Outcome<()> {
        match self.state.traps.get("INT").cloned() {
            Some(action) => {
                let status = self.status;
                self.run_text(&action)?;
                self.status = status;
                Ok(())
            }
            None => Err(Flow::Interrupted),
        }
    }
}
