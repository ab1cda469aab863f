//! Builtins that steer: loops, functions, files of commands, the working directory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{misuse, print};
use crate::shell::{Flow, Outcome, Shell};
use crate::sys;

/// `:` and `true`
pub fn succeed(_: &mut Shell, _: &[String]) -> Outcome {
    Ok(0)
}

/// `false`
pub fn fail(_: &mut Shell, _: &[String]) -> Outcome {
    Ok(1)
}

/// A number argument; the mistake has been said when there is none.
fn number(shell: &mut Shell, fields: &[String], default: i64) -> Outcome<i64> {
    match fields.get(1) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => shell.fail(&format!("{}: '{text}' is not a number", fields[0])),
        },
    }
}

/// `break`
pub fn break_(shell: &mut Shell, fields: &[String]) -> Outcome {
    let levels = number(shell, fields, 1)?.clamp(1, i64::from(u32::MAX)) as u32;
    match shell.state.loops {
        0 => Ok(0),
        loops => Err(Flow::Break(levels.min(loops))),
    }
}

/// `continue`
pub fn continue_(shell: &mut Shell, fields: &[String]) -> Outcome {
    let levels = number(shell, fields, 1)?.clamp(1, i64::from(u32::MAX)) as u32;
    match shell.state.loops {
        0 => Ok(0),
        loops => Err(Flow::Continue(levels.min(loops))),
    }
}

/// `return`
pub fn return_(shell: &mut Shell, fields: &[String]) -> Outcome {
    let status = number(shell, fields, shell.status.into())? as i32 & 0xff;
    if shell.state.calls == 0 {
        // Outside of a function POSIX leaves this open; ending the script is what others do.
        return Err(Flow::Exit(status));
    }
    Err(Flow::Return(status))
}

/// `exit`
pub fn exit(shell: &mut Shell, fields: &[String]) -> Outcome {
    let status = number(shell, fields, shell.status.into())? as i32 & 0xff;
    Err(Flow::Exit(status))
}

/// `eval`
pub fn eval(shell: &mut Shell, fields: &[String]) -> Outcome {
    shell.run_text(&fields[1..].join(" "))
}

/// `.` and `source`
pub fn source(shell: &mut Shell, fields: &[String]) -> Outcome {
    let Some(name) = fields.get(1) else {
        return misuse(shell, &format!("{}: which file?", fields[0]));
    };
    let mut path = name.clone();
    if !name.contains('/') && sys::stat(name).is_err() {
        let mut unreadable = None;
        path = shell.search_path(name, None, &mut unreadable).or(unreadable).unwrap_or(path);
    }
    let bytes = match sys::read_file(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return shell.fail(&format!("{}: cannot read {name}: {}", fields[0], sys::describe(&error)));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let saved = (fields.len() > 2).then(|| core::mem::replace(&mut shell.state.positional, fields[2..].to_vec()));
    shell.state.calls += 1;
    let result = shell.run_text(&text);
    shell.state.calls -= 1;
    if let Some(saved) = saved {
        shell.state.positional = saved;
    }
    match result {
        Err(Flow::Return(status)) => Ok(status),
        other => other,
    }
}

/// `cd`
pub fn cd(shell: &mut Shell, fields: &[String]) -> Outcome {
    let arguments: Vec<&String> =
        fields[1..].iter().filter(|field| !matches!(field.as_str(), "-L" | "-P" | "--")).collect();
    let target = match arguments.first().map(|field| field.as_str()) {
        None => shell.variable("HOME").unwrap_or("/").to_string(),
        Some("-") => match shell.variable("OLDPWD") {
            Some(directory) => directory.to_string(),
            None => return misuse(shell, "cd: there is no directory to go back to"),
        },
        Some(target) => target.to_string(),
    };
    if arguments.len() > 1 {
        return misuse(shell, "cd: too many arguments");
    }
    let before = shell.state.directory.clone();
    let full = join(&before, &target);
    // A path through a link: what it names is the system's to say, `..` behind it the reader's.
    if let Err(error) = sys::set_current_dir(&full).or_else(|_| sys::set_current_dir(&target)) {
        shell.complain(&format!("cd: cannot go to {target}: {}", sys::describe(&error)));
        return Ok(1);
    }
    shell.state.directory = full.clone();
    shell.set_variable("OLDPWD", &before)?;
    shell.set_variable("PWD", &full)?;
    if arguments.first().is_some_and(|field| *field == "-") {
        return print(shell, format!("{full}\n").as_bytes());
    }
    Ok(0)
}

/// `pwd`
pub fn pwd(shell: &mut Shell, _: &[String]) -> Outcome {
    let directory = shell.state.directory.clone();
    print(shell, format!("{directory}\n").as_bytes())
}

/// `path` seen from `base`, with `.` and `..` resolved by name.
pub fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
