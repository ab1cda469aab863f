//! How a shell is started: its arguments, and what becomes of its end.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::shell::{Flow, Outcome, Shell};
use crate::subshell;
use crate::sys;

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq)]
pub struct Arguments {
    /// `-c`: the commands.
    pub commands: Option<String>,
    /// `--subshell`: commands for another shell, whose state the environment holds.
    pub subshell: Option<String>,
    /// `--then-shutdown`: the system ends with the shell.
    pub then_shutdown: bool,
    /// `-i`: a person types, whatever standard input is.
    pub interactive: bool,
    /// `-l`: the first shell of a session.
    pub login: bool,
    /// `-s`: commands come from standard input although there are arguments.
    pub from_input: bool,
    /// Switches for `set`.
    pub switches: Vec<String>,
    /// What is left: a script and its arguments, or `$0` and on for `-c`.
    pub rest: Vec<String>,
}

impl Arguments {
    /// Reads the arguments behind the program's name. The error is a sentence.
    pub fn parse(arguments: &[String]) -> Result<Arguments, String> {
        let mut parsed = Arguments::default();
        let mut wants_commands = false;
        let mut index = 0;
        while let Some(argument) = arguments.get(index) {
            match argument.as_str() {
                "--then-shutdown" => parsed.then_shutdown = true,
                "--login" => parsed.login = true,
                "--subshell" => {
                    parsed.subshell = arguments.get(index + 1).cloned();
                    return Ok(parsed);
                }
                "--help" => {
                    return Err("usage: sh [-efilnsux] [-c commands] [--then-shutdown] [file] [args]".into());
                }
                "-" | "--" => {
                    index += 1;
                    break;
                }
                "-o" | "+o" => {
                    parsed.switches.push(argument.clone());
                    parsed.switches.extend(arguments.get(index + 1).cloned());
                    index += 1;
                }
                _ if argument.starts_with('-') => {
                    for letter in argument[1..].chars() {
                        match letter {
                            'c' => wants_commands = true,
                            'i' => parsed.interactive = true,
                            'l' => parsed.login = true,
                            's' => parsed.from_input = true,
                            'e' | 'f' | 'n' | 'u' | 'x' => {
                                parsed.switches.push(alloc::format!("-{letter}"));
                            }
                            _ => return Err(alloc::format!("there is no option '-{letter}'; try --help")),
                        }
                    }
                }
                _ => break,
            }
            index += 1;
        }
        parsed.rest = arguments[index.min(arguments.len())..].to_vec();
        if wants_commands {
            if parsed.rest.is_empty() {
                return Err("-c wants commands".into());
            }
            parsed.commands = Some(parsed.rest.remove(0));
            // The system's start line puts this behind the commands.
            if let Some(at) = parsed.rest.iter().position(|argument| argument == "--then-shutdown") {
                parsed.rest.remove(at);
                parsed.then_shutdown = true;
            }
        }
        Ok(parsed)
    }
}

/// Runs the shell as the arguments ask, to its end, and returns the status.
///
/// Where the system is to end with the shell, this does not return.
pub fn run() -> i32 {
    let arguments = sys::args();
    let mut shell = Shell::new("sh", sys::vars());
    let parsed = match Arguments::parse(arguments.get(1..).unwrap_or_default()) {
        Ok(parsed) => parsed,
        Err(message) => {
            shell.complain(&message);
            return 2;
        }
    };
    if let Some(program) = arguments.first().filter(|name| name.contains('/')) {
        shell.shell_program = program.clone();
    }
    let reads_input =
        parsed.commands.is_none() && parsed.subshell.is_none() && (parsed.from_input || parsed.rest.is_empty());
    shell.interactive = reads_input && (parsed.interactive || sys::is_terminal(0) && sys::is_terminal(1));
    // Only the shell at the console answers Ctrl-C; it ends what it started with all its children.
    if shell.interactive {
        shell.interrupts = Some(sys::Interrupts::new());
    }
    // The first shell of all has nobody above it.
    let first = parsed.login || (shell.interactive && shell.variable("SHLVL").is_none());
    let result = main(&mut shell, parsed, first);
    let (mut status, then_shutdown) = result;
    status = shell.run_exit_trap(status);
    if then_shutdown {
        sys::shutdown((status & 0xff) as u8);
    }
    status
}

/// Runs the commands; also says whether the system is to end.
fn main(shell: &mut Shell, parsed: Arguments, first: bool) -> (i32, bool) {
    let then_shutdown = parsed.then_shutdown || (first && shell.interactive);
    if parsed.then_shutdown && parsed.commands.is_some() {
        sys::set_batch();
    }
    if first || parsed.then_shutdown {
        prepare_session(shell);
    }
    if first && shell.interactive {
        // How long the system takes to get here is measured by this line of its log.
        sys::log("first prompt");
    }
    let level: u32 = shell.variable("SHLVL").and_then(|text| text.parse().ok()).unwrap_or(0);
    if parsed.subshell.is_none() {
        export(shell, "SHLVL", &(level + 1).to_string());
    }
    if first {
        read_profile(shell);
    }
    let result = execute(shell, parsed);
    let status = match result {
        Ok(status) | Err(Flow::Exit(status) | Flow::Failed(status) | Flow::Return(status)) => status,
        Err(Flow::Interrupted) => 130,
        Err(Flow::Break(_) | Flow::Continue(_)) => 0,
    };
    // A shell whose terminal failed is started anew, with the terminal; a person did not end it.
    (status, then_shutdown && !shell.lost_terminal)
}

fn execute(shell: &mut Shell, parsed: Arguments) -> Outcome {
    if let Some(commands) = parsed.subshell {
        let state = shell.variable(subshell::VARIABLE).unwrap_or_default().to_string();
        shell.unset_variable(subshell::VARIABLE)?;
        shell.unpack_state(&state)?;
        return shell.run_text(&commands);
    }
    crate::builtins::apply_options(shell, &parsed.switches)?;
    let mut rest = parsed.rest.into_iter();
    if let Some(commands) = parsed.commands {
        if let Some(name) = rest.next() {
            shell.name = name;
        }
        shell.state.positional = rest.collect();
        return shell.run_text(&commands);
    }
    if !parsed.from_input
        && let Some(script) = rest.next()
    {
        shell.state.positional = rest.collect();
        let bytes = match sys::read_file(&script) {
            Ok(bytes) => bytes,
            Err(error) => {
                shell.complain(&alloc::format!("cannot open {script}: {}", sys::describe(&error)));
                return Ok(127);
            }
        };
        shell.name = script;
        return shell.run_text(&String::from_utf8_lossy(&bytes));
    }
    shell.state.positional = rest.collect();
    shell.run_input()
}

fn export(shell: &mut Shell, name: &str, value: &str) {
    let variable = shell.state.variables.entry(name.into()).or_default();
    variable.value = Some(value.into());
    variable.exported = true;
}

/// Sets what every session has, as far as nobody set it before.
fn prepare_session(shell: &mut Shell) {
    for (name, value) in
        [("PATH", "/bin"), ("HOME", "/root"), ("USER", "root"), ("SHELL", "/bin/sh"), ("TERM", "vt100")]
    {
        let value = shell.variable(name).unwrap_or(value).to_string();
        export(shell, name, &value);
    }
    if shell.interactive {
        let home = shell.variable("HOME").unwrap_or("/").to_string();
        // Without a home, /, which is always there.
        if sys::set_current_dir(&home).is_ok() {
            shell.state.directory = home.clone();
            export(shell, "PWD", &home);
        }
    }
}

fn read_profile(shell: &mut Shell) {
    if let Ok(bytes) = sys::read_file("/etc/profile") {
        // What is wrong in there has been said, and must not keep anybody out.
        let _ = shell.run_top(|shell| shell.run_text(&String::from_utf8_lossy(&bytes)));
    }
}
