//! xargs, and starting other programs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{Input, read_all};
use crate::sys::io::{self, ErrorKind};
use crate::sys::process::{Child, Command, Stdio};

pub const XARGS: Tool = Tool {
    name: "xargs",
    about: "run a command with arguments from standard input",
    help: "Usage: xargs [OPTION]... [COMMAND [ARGUMENT]...]
Reads words from standard input and runs the command (echo) with as many as fit after its own arguments.
  -n N  at most N words each time   -L N  the words of N lines   -I TEXT  once a line, in place of TEXT
  -0  words end with a zero byte   -d C  words end with C   -a FILE  words from a file
  -P N  up to N at once   -r  not at all without words   -t  say what is run
Example: find /srv -name '*.html' -print0 | xargs -0 wc -l",
    run: xargs,
};

/// So many bytes of arguments go to one command.
const LIMIT: usize = 32 * 1024;

/// Runs a program and waits for it; its exit status. One that cannot be started is an error.
pub fn run_and_wait(words: &[String], quiet_input: bool) -> io::Result<i32> {
    let status = spawn(words, quiet_input)?.wait()?;
    // A program that was killed has no status of its own.
    Ok(status.code().unwrap_or(137))
}

fn spawn(words: &[String], quiet_input: bool) -> io::Result<Child> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    for argument in arguments {
        command.arg(argument);
    }
    if quiet_input {
        command.stdin(Stdio::null());
    }
    command.spawn()
}

/// The status of a program that could not be started: 127 where there is none, 126 otherwise.
pub fn start_failure(error: &io::Error) -> i32 {
    if error.kind() == ErrorKind::NotFound { 127 } else { 126 }
}

fn xargs(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Value('n', "max-args"),
        Opt::Value('L', "max-lines"),
        Opt::Value('I', "\u{1}"),
        Opt::Flag('0', "null"),
        Opt::Value('d', "delimiter"),
        Opt::Value('a', "arg-file"),
        Opt::Value('P', "max-procs"),
        Opt::Flag('r', "no-run-if-empty"),
        Opt::Flag('t', "verbose"),
        Opt::Value('s', "max-chars"),
    ];
    let parsed = args::parse_leading(context, args, &known)?;
    let number = |option: char| match parsed.value(option) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if number > 0 || option == 'P' => Ok(Some(number)),
            _ => Err(format!("'{text}' is no number for '-{option}'")),
        },
    };
    let (words_each, lines_each, limit, parallel) = match (number('n'), number('L'), number('s'), number('P')) {
        (Ok(n), Ok(l), Ok(s), Ok(p)) => (n, l, s.unwrap_or(LIMIT), p.unwrap_or(1)),
        (Err(reason), ..) | (_, Err(reason), ..) | (_, _, Err(reason), _) | (.., Err(reason)) => {
            return Err(args::misuse(context, reason));
        }
    };
    let path = parsed.value('a').unwrap_or("-").to_string();
    let text = Input::open(&path).and_then(|mut input| read_all(&mut input)).map_err(|error| {
        Failure::new(1, format_args!("cannot read '{path}': {}", describe(&error)))
    })?;
    let text = String::from_utf8_lossy(&text).to_string();
    let place = parsed.value('I').map(ToString::to_string);
    let delimiter = match parsed.value('d') {
        _ if parsed.has('0') => Some('\0'),
        Some("\\n") => Some('\n'),
        Some("\\t") => Some('\t'),
        Some("\\0") => Some('\0'),
        Some(text) => text.chars().next(),
        None => None,
    };
    let groups: Vec<Vec<String>> = match (delimiter, &place, lines_each) {
        (Some(delimiter), ..) => text
            .strip_suffix(delimiter)
            .unwrap_or(&text)
            .split(delimiter)
            .filter(|_| !text.is_empty())
            .map(|word| vec![word.to_string()])
            .collect(),
        (None, Some(_), _) => text
            .lines()
            .map(|line| line.trim_start_matches([' ', '\t']))
            .filter(|line| !line.is_empty())
            .map(|line| split_words(line).map(|words| vec![words.join(" ")]))
            .collect::<Result<_, _>>()
            .map_err(|reason| Failure::new(1, reason))?,
        (None, None, Some(lines)) => {
            let filled: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            filled
                .chunks(lines)
                .map(|chunk| split_words(&chunk.join("\n")))
                .collect::<Result<_, _>>()
                .map_err(|reason| Failure::new(1, reason))?
        }
        (None, None, None) => split_words(&text)
            .map_err(|reason| Failure::new(1, reason))?
            .into_iter()
            .map(|word| vec![word])
            .collect(),
    };
    let command = if parsed.operands.is_empty() { vec!["echo".to_string()] } else { parsed.operands.clone() };
    let mut calls: Vec<Vec<String>> = Vec::new();
    if let Some(place) = &place {
        for word in groups.iter().flatten() {
            calls.push(command.iter().map(|part| part.replace(place.as_str(), word)).collect());
        }
    } else {
        let own: usize = command.iter().map(|word| word.len() + 1).sum();
        let (mut call, mut length, mut count) = (command.clone(), own, 0);
        let fresh = groups.is_empty() && !parsed.has('r');
        for group in groups {
            let size: usize = group.iter().map(|word| word.len() + 1).sum();
            let full = words_each.is_some_and(|limit| count >= limit) || lines_each.is_some();
            if count > 0 && (full || length + size > limit) {
                calls.push(core::mem::replace(&mut call, command.clone()));
                (length, count) = (own, 0);
            }
            length += size;
            count += group.len();
            call.extend(group);
        }
        if count > 0 || fresh {
            calls.push(call);
        }
    }
    run_calls(context, &calls, parallel.max(1), parsed.has('t'))
}

fn run_calls(context: &mut Context, calls: &[Vec<String>], parallel: usize, speak: bool) -> Outcome {
    let mut status = 0;
    let mut running: Vec<Child> = Vec::new();
    let wait = |running: &mut Vec<Child>, status: &mut i32| {
        let ended = running.remove(0).wait();
        match ended.map(|ended| ended.code()) {
            Ok(Some(0)) => Ok(()),
            Ok(Some(255)) => Err(Failure::new(124, "the command asked to stop with status 255")),
            Ok(Some(_)) => {
                *status = 123;
                Ok(())
            }
            _ => Err(Failure::new(125, "the command was killed")),
        }
    };
    for call in calls {
        if speak {
            let line = format!("{}\n", call.join(" "));
            context.diagnose(&line);
        }
        if running.len() >= parallel {
            wait(&mut running, &mut status)?;
        }
        match spawn(call, true) {
            Ok(child) => running.push(child),
            Err(error) => {
                let message = format!("cannot run '{}': {}", call[0], describe(&error));
                return Err(Failure::new(start_failure(&error), message));
            }
        }
    }
    while !running.is_empty() {
        wait(&mut running, &mut status)?;
    }
    Ok(status)
}

/// Words between blanks; quotes and backslashes keep blanks in a word.
fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some(end) if end == quote => break,
                        Some('\n') | None => return Err(format!("a quote {quote} is not closed")),
                        Some(inside) => word.push(inside),
                    }
                }
            }
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}
