//! A shell's state as text, for another shell to take over.
//!
//! The text travels in one environment variable: a line of numbers, the shell's name, and then commands
//! that make the variables, functions and parameters again. Exported variables travel as such. Aliases are
//! left out, as the commands handed over have theirs replaced already, and so are descriptors above 2.

use alloc::format;
use alloc::string::String;

use crate::print;
use crate::shell::{Options, Outcome, Shell};

/// The environment variable that holds the state.
pub const VARIABLE: &str = "MOTTE_SUBSHELL";

impl Shell {
    /// The state as text.
    pub fn packed_state(&self) -> String {
        let options = &self.state.options;
        let mut text = format!(
            "{} {} {} {} {}{}{}{}\n{}\n",
            self.process,
            self.status,
            self.last_background.unwrap_or(0),
            self.state.calls.min(1),
            u8::from(options.exit_on_error && self.state.tested == 0),
            u8::from(options.unset_is_error),
            u8::from(options.trace),
            u8::from(options.no_glob),
            self.name.replace('\n', " "),
        );
        for (name, variable) in &self.state.variables {
            match &variable.value {
                Some(_) if variable.exported && !variable.read_only => {}
                Some(value) if variable.read_only => {
                    text.push_str(&format!("readonly {name}={}\n", print::quote(value)));
                }
                Some(value) => text.push_str(&format!("{name}={}\n", print::quote(value))),
                None if variable.exported => text.push_str(&format!("export {name}\n")),
                None => {}
            }
        }
        if self.variable("IFS").is_none() {
            text.push_str("unset IFS\n");
        }
        for (name, body) in &self.state.functions {
            text.push_str(&format!("{name}() {}\n", print::command(body)));
        }
        text.push_str("set --");
        for argument in &self.state.positional {
            text.push(' ');
            text.push_str(&print::quote(argument));
        }
        text.push('\n');
        text
    }

    /// Takes over the state that another shell packed.
    pub fn unpack_state(&mut self, text: &str) -> Outcome<()> {
        let (numbers, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (name, commands) = rest.split_once('\n').unwrap_or((rest, ""));
        self.run_text(commands)?;
        let mut numbers = numbers.split(' ');
        let mut next = || numbers.next().unwrap_or_default();
        self.process = next().parse().unwrap_or(self.process);
        self.status = next().parse().unwrap_or(0);
        self.last_background = next().parse().ok().filter(|pid| *pid != 0);
        self.state.calls = next().parse().unwrap_or(0);
        let mut switches = next().chars().map(|c| c == '1');
        let mut switch = || switches.next().unwrap_or(false);
        self.state.options = Options {
            exit_on_error: switch(),
            unset_is_error: switch(),
            trace: switch(),
            no_glob: switch(),
            no_execute: false,
        };
        self.name = name.into();
        self.is_subshell = true;
        Ok(())
    }
}
