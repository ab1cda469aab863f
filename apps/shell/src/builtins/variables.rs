//! Builtins about variables, parameters and switches.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{misuse, print};
use crate::ast::is_name;
use crate::print::quote;
use crate::shell::{Outcome, Shell};
use crate::sys;

/// Splits `name=value`, complaining about what cannot be a name.
fn declaration<'a>(shell: &mut Shell, command: &str, field: &'a str) -> Outcome<Option<(&'a str, Option<&'a str>)>> {
    let (name, value) = match field.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (field, None),
    };
    if is_name(name) {
        return Ok(Some((name, value)));
    }
    shell.complain(&format!("{command}: '{name}' cannot name a variable"));
    Ok(None)
}

fn declare(shell: &mut Shell, fields: &[String], letter: &str) -> Outcome {
    let exporting = letter == "export";
    let arguments: Vec<&String> = fields[1..].iter().filter(|field| *field != "-p" && *field != "--").collect();
    if arguments.is_empty() {
        let mut text = String::new();
        for (name, variable) in &shell.state.variables {
            if if exporting { variable.exported } else { variable.read_only } {
                match &variable.value {
                    Some(value) => text.push_str(&format!("{letter} {name}={}\n", quote(value))),
                    None => text.push_str(&format!("{letter} {name}\n")),
                }
            }
        }
        return print(shell, text.as_bytes());
    }
    let mut status = 0;
    for field in arguments {
        let Some((name, value)) = declaration(shell, &fields[0], field)? else {
            status = 1;
            continue;
        };
        if let Some(value) = value {
            shell.set_variable(name, value)?;
        }
        let variable = shell.state.variables.entry(name.into()).or_default();
        if exporting {
            variable.exported = true;
        } else {
            variable.read_only = true;
        }
    }
    Ok(status)
}

/// `export`
pub fn export(shell: &mut Shell, fields: &[String]) -> Outcome {
    if fields.get(1).is_some_and(|field| field == "-n") {
        for name in &fields[2..] {
            if let Some(variable) = shell.state.variables.get_mut(name) {
                variable.exported = false;
            }
        }
        return Ok(0);
    }
    declare(shell, fields, "export")
}

/// `readonly`
pub fn readonly(shell: &mut Shell, fields: &[String]) -> Outcome {
    declare(shell, fields, "readonly")
}

/// `local`
pub fn local(shell: &mut Shell, fields: &[String]) -> Outcome {
    if shell.state.locals.is_empty() {
        return misuse(shell, "local: can only be used in a function");
    }
    for field in &fields[1..] {
        let Some((name, value)) = declaration(shell, "local", field)? else { return Ok(1) };
        let before = shell.state.variables.get(name).cloned();
        if before.as_ref().is_some_and(|variable| variable.read_only) {
            return misuse(shell, &format!("local: {name} is read-only"));
        }
        if let Some(hidden) = shell.state.locals.last_mut() {
            hidden.entry(name.into()).or_insert(before);
        }
        if let Some(value) = value {
            shell.set_variable(name, value)?;
        } else if let Some(variable) = shell.state.variables.get_mut(name) {
            variable.value = None;
        }
    }
    Ok(0)
}

/// `unset`
pub fn unset(shell: &mut Shell, fields: &[String]) -> Outcome {
    let mut functions = false;
    for name in &fields[1..] {
        match name.as_str() {
            "-f" => functions = true,
            "-v" => functions = false,
            _ if functions => {
                shell.state.functions.remove(name);
            }
            _ => shell.unset_variable(name)?,
        }
    }
    Ok(0)
}

/// `shift`
pub fn shift(shell: &mut Shell, fields: &[String]) -> Outcome {
    let count = match fields.get(1).map(|text| text.parse::<usize>()) {
        None => 1,
        Some(Ok(count)) => count,
        Some(Err(_)) => return shell.fail(&format!("shift: '{}' is not a number", fields[1])),
    };
    if count > shell.state.positional.len() {
        return shell.fail("shift: there are not that many parameters");
    }
    shell.state.positional.drain(..count);
    Ok(0)
}

/// `set`
pub fn set(shell: &mut Shell, fields: &[String]) -> Outcome {
    if fields.len() == 1 {
        let mut text = String::new();
        for (name, variable) in &shell.state.variables {
            if let Some(value) = &variable.value {
                text.push_str(&format!("{name}={}\n", quote(value)));
            }
        }
        return print(shell, text.as_bytes());
    }
    match apply_options(shell, &fields[1..])? {
        Some(parameters) => shell.state.positional = parameters.to_vec(),
        None => return Ok(0),
    }
    Ok(0)
}

/// Takes switches from the front of `arguments`; what is left are parameters, `None` if nothing says so.
pub fn apply_options<'a>(shell: &mut Shell, arguments: &'a [String]) -> Outcome<Option<&'a [String]>> {
    let mut index = 0;
    while let Some(argument) = arguments.get(index) {
        if argument == "--" {
            return Ok(Some(&arguments[index + 1..]));
        }
        let (on, letters) = match (argument.strip_prefix('-'), argument.strip_prefix('+')) {
            (Some(letters), _) if !letters.is_empty() => (true, letters),
            (_, Some(letters)) if !letters.is_empty() => (false, letters),
            _ => return Ok(Some(&arguments[index..])),
        };
        index += 1;
        for letter in letters.chars() {
            let letter = match letter {
                'o' => {
                    let name = arguments.get(index).cloned().unwrap_or_default();
                    index += 1;
                    match name.as_str() {
                        "errexit" => 'e',
                        "nounset" => 'u',
                        "xtrace" => 'x',
                        "noglob" => 'f',
                        "noexec" => 'n',
                        _ => return shell.fail(&format!("set: there is no option '{name}'")),
                    }
                }
                letter => letter,
            };
            let options = &mut shell.state.options;
            match letter {
                'e' => options.exit_on_error = on,
                'u' => options.unset_is_error = on,
                'x' => options.trace = on,
                'f' => options.no_glob = on,
                'n' => options.no_execute = on && !shell.interactive,
                _ => return shell.fail(&format!("set: there is no option '{letter}' (known: e f n u x)")),
            }
        }
    }
    Ok(None)
}

/// `read`
pub fn read(shell: &mut Shell, fields: &[String]) -> Outcome {
    let mut raw = false;
    let mut index = 1;
    while let Some(letters) = fields.get(index).and_then(|field| field.strip_prefix('-')) {
        index += 1;
        for letter in letters.chars() {
            match letter {
                'r' => raw = true,
                'p' => {
                    let prompt = fields.get(index).cloned().unwrap_or_default();
                    index += 1;
                    shell.complain_raw(&prompt);
                }
                '-' => {}
                _ => return misuse(shell, &format!("read: there is no option '-{letter}'")),
            }
        }
    }
    let names = if index < fields.len() { &fields[index..] } else { &[String::from("REPLY")] };
    let Some(stream) = shell.state.streams.get(0).cloned() else {
        return misuse(shell, "read: standard input is closed");
    };
    // Each character, and whether a backslash protects it from being a separator.
    let mut text: Vec<(char, bool)> = Vec::new();
    let mut complete = false;
    while !complete {
        let line = match stream.read_line() {
            Ok(line) => line,
            Err(error) => return misuse(shell, &format!("read: cannot read: {}", sys::describe(&error))),
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        complete = line.ends_with('\n');
        let mut joined = false;
        let mut chars = line.trim_end_matches('\n').chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if !raw => match chars.next() {
                    Some(c) => text.push((c, true)),
                    None => joined = true,
                },
                c => text.push((c, false)),
            }
        }
        if !complete {
            break;
        }
        complete = !joined;
    }
    let ifs = shell.variable("IFS").unwrap_or(" \t\n").to_string();
    for (name, value) in names.iter().zip(split_line(&text, &ifs, names.len())) {
        if !is_name(name) {
            return misuse(shell, &format!("read: '{name}' cannot name a variable"));
        }
        shell.set_variable(name, &value)?;
    }
    Ok(i32::from(!complete))
}

/// Splits a line for `count` variables: the last gets all the rest.
fn split_line(text: &[(char, bool)], ifs: &str, count: usize) -> Vec<String> {
    let separator = |(c, protected): &(char, bool)| !protected && ifs.contains(*c);
    let blank = |item: &(char, bool)| separator(item) && item.0.is_whitespace();
    let mut fields = Vec::new();
    let mut at = 0;
    let skip_blanks = |mut at: usize| {
        while text.get(at).is_some_and(blank) {
            at += 1;
        }
        at
    };
    at = skip_blanks(at);
    let collect = |range: &[(char, bool)]| range.iter().map(|(c, _)| *c).collect::<String>();
    for index in 0..count {
        let end = (at..text.len()).find(|i| separator(&text[*i])).unwrap_or(text.len());
        let mut next = skip_blanks(end);
        if next < text.len() && separator(&text[next]) && (next > end || !blank(&text[end])) {
            next = skip_blanks(next + 1);
        }
        if index + 1 < count {
            fields.push(collect(&text[at..end]));
            at = next;
        } else if next >= text.len() {
            // One field is left, so a separator behind it goes.
            fields.push(collect(&text[at..end]));
        } else {
            let mut stop = text.len();
            while stop > at && blank(&text[stop - 1]) {
                stop -= 1;
            }
            fields.push(collect(&text[at..stop]));
        }
    }
    fields
}

/// `getopts`
pub fn getopts(shell: &mut Shell, fields: &[String]) -> Outcome {
    let (Some(letters), Some(name)) = (fields.get(1), fields.get(2)) else {
        return misuse(shell, "getopts: wants the letters and a variable's name");
    };
    let arguments = if fields.len() > 3 { fields[3..].to_vec() } else { shell.state.positional.clone() };
    let mut index: usize = shell.variable("OPTIND").and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    let mut column = shell.state.getopts_column;
    let silent = letters.starts_with(':');
    let current = arguments.get(index - 1).map(|text| text.chars().collect::<Vec<_>>()).unwrap_or_default();
    if column == 0 {
        let is_option = current.len() > 1 && current[0] == '-';
        if !is_option || current == ['-', '-'] {
            if is_option {
                index += 1;
            }
            shell.set_variable("OPTIND", &index.to_string())?;
            shell.set_variable(name, "?")?;
            return Ok(1);
        }
        column = 1;
    }
    let Some(letter) = current.get(column).copied() else { return Ok(1) };
    column += 1;
    let known = letters.trim_start_matches(':').find(letter).filter(|_| letter != ':');
    let wants_value = known.is_some_and(|at| letters.trim_start_matches(':')[at..].chars().nth(1) == Some(':'));
    let mut value = None;
    let mut found = letter.to_string();
    if known.is_none() {
        found = "?".into();
        if silent {
            value = Some(letter.to_string());
        } else {
            shell.complain(&format!("there is no option '-{letter}'"));
        }
    } else if wants_value {
        let rest: String = current[column..].iter().collect();
        column = current.len();
        if !rest.is_empty() {
            value = Some(rest);
        } else if let Some(next) = arguments.get(index) {
            value = Some(next.clone());
            index += 1;
        } else if silent {
            found = ":".into();
            value = Some(letter.to_string());
        } else {
            found = "?".into();
            shell.complain(&format!("option '-{letter}' wants a value"));
        }
    }
    if column >= current.len() {
        index += 1;
        column = 0;
    }
    shell.set_variable("OPTIND", &index.to_string())?;
    shell.state.getopts_column = column;
    match value {
        Some(value) => shell.set_variable("OPTARG", &value)?,
        None => shell.unset_variable("OPTARG")?,
    }
    shell.set_variable(name, &found)?;
    Ok(0)
}
