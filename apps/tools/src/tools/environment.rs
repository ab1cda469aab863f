//! env and which.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use super::xargs::start_failure;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::paths::join;
use crate::context::put;
use crate::sys::process::Command;
use crate::sys::{env, fs};

pub const ENV: Tool = Tool {
    name: "env",
    about: "print or change the environment",
    help: "Usage: env [-i] [-u NAME]... [-0] [-C DIRECTORY] [NAME=VALUE]... [COMMAND [ARGUMENT]...]
Prints the environment, or runs the command in one that was changed.
  -i  start with an empty one   -u NAME  without that variable   -0  lines end with a zero byte
  -C DIRECTORY  run the command there
Example: env GREETING=hello sh -c 'echo $GREETING'",
    run: run_env,
};

pub const WHICH: Tool = Tool {
    name: "which",
    about: "print where a command is found",
    help: "Usage: which [-a] COMMAND...
Prints the path of the program that runs under each name.
  -a  all of that name in PATH
Example: which ls",
    run: which,
};

fn run_env(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('i', "ignore-environment"),
        Opt::Value('u', "unset"),
        Opt::Flag('0', "null"),
        Opt::Value('C', "chdir"),
    ];
    let parsed = args::parse_leading(context, args, &known)?;
    let mut operands = parsed.operands.as_slice();
    let mut empty = parsed.has('i');
    if let Some((first, rest)) = operands.split_first()
        && first == "-"
    {
        empty = true;
        operands = rest;
    }
    let mut variables: Vec<(String, String)> = if empty { Vec::new() } else { env::vars().collect() };
    for (_, name) in parsed.options.iter().filter(|(option, _)| *option == 'u') {
        variables.retain(|(known, _)| known != name);
    }
    while let Some((first, rest)) = operands.split_first()
        && let Some((name, value)) = first.split_once('=')
    {
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_string(),
            None => variables.push((name.to_string(), value.to_string())),
        }
        operands = rest;
    }
    let Some((program, arguments)) = operands.split_first() else {
        let end = if parsed.has('0') { '\0' } else { '\n' };
        for (name, value) in variables {
            put!(context, "{name}={value}{end}");
        }
        return Ok(0);
    };
    if let Some(directory) = parsed.value('C') {
        env::set_current_dir(directory).map_err(|error| {
            Failure::new(125, format_args!("cannot change to '{directory}': {}", describe(&error)))
        })?;
    }
    let mut command = Command::new(program);
    command.env_clear();
    for (name, value) in &variables {
        command.env(name, value);
    }
    for argument in arguments {
        command.arg(argument);
    }
    match command.status() {
        Ok(status) => Ok(status.code().unwrap_or(137)),
        Err(error) => {
            Err(Failure::new(start_failure(&error), format_args!("cannot run '{program}': {}", describe(&error))))
        }
    }
}

fn which(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[Opt::Flag('a', "all")])?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no command to look for"));
    }
    let path = env::var("PATH").unwrap_or_else(|| "/bin".to_string());
    for name in &parsed.operands {
        let is_program = |path: &String| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        };
        let candidates: Vec<String> = match name.contains('/') {
            true => vec![name.clone()],
            false => path.split(':').map(|directory| join(if directory.is_empty() { "." } else { directory }, name)).collect(),
        };
        let mut found = candidates.into_iter().filter(is_program).peekable();
        if found.peek().is_none() {
            context.status = 1;
        }
        for path in found.take(if parsed.has('a') { usize::MAX } else { 1 }) {
            put!(context, "{path}\n");
        }
    }
    Ok(context.status)
}
