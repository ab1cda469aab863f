//! help, man, clear.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{TOOLS, Tool, find};
use crate::args;
use crate::context::{Context, Outcome};
use crate::paths::join;
use crate::context::put;
use crate::sys::fs;

pub const HELP: Tool = Tool {
    name: "help",
    about: "list the commands, or explain one",
    help: "Usage: help [COMMAND]...
Lists all commands in a line each, or prints the help of those named. The shell explains its own commands too.
Example: help grep",
    run: help,
};

pub const MAN: Tool = Tool {
    name: "man",
    about: "print the manual page of a command",
    help: "Usage: man [COMMAND]...
       man -k WORD
Prints the manual page of a command, or of a topic in /usr/share/help.
  -k WORD  list the pages that mention the word in their heading
Example: man find",
    run: man,
};

pub const CLEAR: Tool = Tool {
    name: "clear",
    about: "clear the screen",
    help: "Usage: clear
Clears the screen and puts the cursor in its upper left corner.
Example: clear",
    run: |context, args| {
        args::parse(context, args, &[])?;
        put!(context, "\x1b[H\x1b[2J\x1b[3J");
        Ok(0)
    },
};

/// Where pages lie that are not of the tools.
const PAGES: &str = "/usr/share/help";

fn topics() -> Vec<String> {
    let mut names: Vec<String> = match fs::read_dir(PAGES) {
        Ok(reader) => reader.flatten().map(|entry| entry.file_name()).collect(),
        Err(_) => Vec::new(),
    };
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn page(name: &str) -> Option<String> {
    if name.contains('/') {
        return None;
    }
    let bytes = fs::read(join(PAGES, name).as_str()).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_string())
}

fn help(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    if parsed.operands.is_empty() {
        put!(context, "Commands, beside those of the shell itself (cd, exit, export, history, jobs and so on):\n");
        for tool in TOOLS {
            put!(context, "  {:<10} {}\n", tool.name, tool.about);
        }
        put!(context, "'help COMMAND' or 'COMMAND --help' explains one.\n");
        let topics = topics();
        if !topics.is_empty() {
            put!(context, "Pages to read with 'man': {}\n", topics.join(", "));
        }
        return Ok(0);
    }
    for (position, name) in parsed.operands.iter().enumerate() {
        if position > 0 {
            put!(context, "\n");
        }
        match (find(name), page(name)) {
            (Some(tool), _) => put!(context, "{}\n", tool.help),
            (None, Some(text)) => put!(context, "{text}\n"),
            (None, None) => {
                context.error(format_args!("there is no command or page '{name}'; 'help' lists them all"));
            }
        }
    }
    Ok(context.status)
}

fn man(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[args::Opt::Value('k', "apropos")])?;
    if let Some(word) = parsed.value('k') {
        let word = word.to_lowercase();
        let mut found = false;
        for tool in TOOLS.iter().filter(|tool| tool.name.contains(&word) || tool.about.contains(&word)) {
            put!(context, "{:<10} - {}\n", tool.name, tool.about);
            found = true;
        }
        return Ok(i32::from(!found));
    }
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "which page is wanted?"));
    }
    for name in &parsed.operands {
        match (find(name), page(name)) {
            (Some(tool), _) => {
                put!(context, "NAME\n  {} - {}\n\n", tool.name, tool.about);
                for line in tool.help.lines() {
                    put!(context, "  {line}\n");
                }
            }
            (None, Some(text)) => put!(context, "{text}\n"),
            (None, None) => context.error(format_args!("there is no manual page '{name}'")),
        }
    }
    Ok(context.status)
}
