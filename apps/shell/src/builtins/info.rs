//! Builtins that tell about commands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Kind, TABLE, exists, find, misuse, print};
use crate::ast::{Simple, Word};
use crate::parser::RESERVED;
use crate::print as text;
use crate::shell::{Outcome, Shell};

/// `alias`
pub fn alias(shell: &mut Shell, fields: &[String]) -> Outcome {
    let line = |name: &str, value: &str| format!("{name}={}\n", text::quote(value));
    if fields.len() == 1 {
        let all: String = shell.state.aliases.iter().map(|(name, value)| line(name, value)).collect();
        return print(shell, all.as_bytes());
    }
    let mut status = 0;
    for field in &fields[1..] {
        match field.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                shell.state.aliases.insert(name.into(), value.into());
            }
            _ => match shell.state.aliases.get(field) {
                Some(value) => status = print(shell, line(field, &value.clone()).as_bytes())?.max(status),
                None => {
                    shell.complain(&format!("alias: {field} is not an alias"));
                    status = 1;
                }
            },
        }
    }
    Ok(status)
}

/// `unalias`
pub fn unalias(shell: &mut Shell, fields: &[String]) -> Outcome {
    let mut status = 0;
    for name in &fields[1..] {
        if name == "-a" {
            shell.state.aliases.clear();
        } else if shell.state.aliases.remove(name).is_none() {
            shell.complain(&format!("unalias: {name} is not an alias"));
            status = 1;
        }
    }
    Ok(status)
}

/// `builtin`
pub fn builtin(shell: &mut Shell, fields: &[String]) -> Outcome {
    match fields.get(1) {
        Some(name) if exists(name) => super::run(shell, &fields[1..]),
        Some(name) => misuse(shell, &format!("builtin: {name} is not a builtin")),
        None => Ok(0),
    }
}

/// `command`
pub fn command(shell: &mut Shell, fields: &[String]) -> Outcome {
    let Some(first) = fields.get(1) else { return Ok(0) };
    if first == "-v" || first == "-V" {
        return describe_all(shell, &fields[2..], first == "-V");
    }
    let fields = if first == "-p" || first == "--" { &fields[2..] } else { &fields[1..] };
    let Some(name) = fields.first() else { return Ok(0) };
    if exists(name) {
        return super::run(shell, fields);
    }
    let words: Vec<Word> = fields.iter().map(|field| Word::quoted(field)).collect();
    shell.run_program(&Simple { words, ..Simple::default() }, fields)
}

/// `type`
pub fn type_(shell: &mut Shell, fields: &[String]) -> Outcome {
    describe_all(shell, &fields[1..], true)
}

fn describe_all(shell: &mut Shell, names: &[String], long: bool) -> Outcome {
    let mut status = 0;
    let mut out = String::new();
    for name in names {
        match describe(shell, name, long) {
            Some(line) => {
                out.push_str(&line);
                out.push('\n');
            }
            None => {
                if long {
                    shell.complain(&format!("type: {name}: not found"));
                }
                status = if long { 1 } else { 127 };
            }
        }
    }
    Ok(print(shell, out.as_bytes())?.max(status))
}

fn describe(shell: &Shell, name: &str, long: bool) -> Option<String> {
    if let Some(value) = shell.state.aliases.get(name) {
        let value = text::quote(value);
        return Some(if long { format!("{name} is an alias for {value}") } else { format!("alias {name}={value}") });
    }
    let kind = if RESERVED.contains(&name) {
        "a shell keyword"
    } else if let Some(body) = shell.state.functions.get(name) {
        if long {
            return Some(format!("{name} is a function\n{name}() {}", text::command(body)));
        }
        ""
    } else if let Some((_, kind, ..)) = find(name) {
        if *kind == Kind::Special { "a special shell builtin" } else { "a shell builtin" }
    } else if name.contains('/') {
        let stat = crate::sys::stat(name).ok()?;
        return (!stat.is_dir && stat.mode & 0o111 != 0)
            .then(|| if long { format!("{name} is {name}") } else { name.into() });
    } else {
        let file = shell.search_path(name, None, &mut None)?;
        return Some(if long { format!("{name} is {file}") } else { file });
    };
    Some(if long { format!("{name} is {kind}") } else { name.into() })
}

/// `hash`
pub fn hash(shell: &mut Shell, fields: &[String]) -> Outcome {
    if fields.get(1).is_some_and(|field| field == "-r") {
        shell.found.clear();
        return Ok(0);
    }
    let lines: String = shell.found.values().map(|file| format!("{file}\n")).collect();
    print(shell, lines.as_bytes())
}

/// `help`
pub fn help(shell: &mut Shell, fields: &[String]) -> Outcome {
    if let Some(name) = fields.get(1) {
        return match find(name) {
            Some((.., line)) => print(shell, format!("{line}\n").as_bytes()),
            None => {
                shell.complain(&format!("help: {name} is not a builtin; try '{name} --help'"));
                Ok(1)
            }
        };
    }
    let mut out = String::from("Commands of the shell itself (programs lie in /bin; try 'ls /bin'):\n\n");
    for (.., line) in TABLE {
        match line.split_once("  ") {
            Some((usage, meaning)) => out.push_str(&format!("  {usage:<28} {meaning}\n")),
            None => out.push_str(&format!("  {line}\n")),
        }
    }
    out.push_str(
        "\nControl: if while until for case functions  && || ; & | ! ( ) { }\n\
         Files:   <file >file >>file 2>&1 &>file <<END <<<text\n\
         Keys:    Tab completes, Up and Ctrl-R look back, Ctrl-C ends the program, Ctrl-D the shell.\n\
         System:  services, log, faults, ps, top, free, shutdown.\n",
    );
    print(shell, out.as_bytes())
}

/// `history`
pub fn history(shell: &mut Shell, fields: &[String]) -> Outcome {
    if fields.get(1).is_some_and(|field| field == "-c") {
        shell.history.clear();
        return Ok(0);
    }
    let count: usize = fields.get(1).and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let skip = shell.history.len().saturating_sub(count);
    let mut out = String::new();
    for (index, line) in shell.history.iter().enumerate().skip(skip) {
        out.push_str(&format!("{:5}  {line}\n", index + 1));
    }
    print(shell, out.as_bytes())
}
