//! grep.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex::bytes::Regex;

use super::Tool;
use crate::args::{self, Opt, Parsed};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{Input, Lines};
use crate::paths::{basename, join};
use crate::pattern::{self, Syntax};
use crate::context::put;
use crate::sys::fs;
use crate::sys::io;

pub const GREP: Tool = Tool {
    name: "grep",
    about: "find lines that match a pattern",
    help: "Usage: grep [OPTION]... PATTERN [FILE]...
       grep [OPTION]... -e PATTERN... -f FILE... [FILE]...
Prints the lines of files, or of standard input, that match. Status 0: some did, 1: none, 2: an error.
  -E  extended expressions   -F  plain text   -P  expressions as in Perl   -i  upper and lower case alike
  -w  whole words   -x  whole lines   -v  lines that do not match   -e PATTERN   -f FILE  patterns from a file
  -c  only their number   -l  only names of files with one   -L  without one   -o  only what matched
  -q  only the status   -n  with line numbers   -b  with positions   -H, -h  with, without file names
  -m N  at most N lines   -s  no word about files that cannot be read   -r, -R  directories with all below
  -A N, -B N, -C N  with N lines after, before, around   -a  binary files as text   -z  lines end with a zero byte
  --include=GLOB, --exclude=GLOB, --exclude-dir=GLOB  which files of a directory   --color[=WHEN]
Example: grep -rin 'hello' /srv",
    run: grep,
};

const KNOWN: &[Opt] = &[
    Opt::Flag('E', "extended-regexp"),
    Opt::Flag('F', "fixed-strings"),
    Opt::Flag('G', "basic-regexp"),
    Opt::Flag('P', "perl-regexp"),
    Opt::Flag('i', "ignore-case"),
    Opt::Flag('y', "\u{1}"),
    Opt::Flag('w', "word-regexp"),
    Opt::Flag('x', "line-regexp"),
    Opt::Flag('v', "invert-match"),
    Opt::Value('e', "regexp"),
    Opt::Value('f', "file"),
    Opt::Flag('c', "count"),
    Opt::Flag('l', "files-with-matches"),
    Opt::Flag('L', "files-without-match"),
    Opt::Flag('o', "only-matching"),
    Opt::Flag('q', "quiet"),
    Opt::Flag('1', "silent"),
    Opt::Flag('n', "line-number"),
    Opt::Flag('b', "byte-offset"),
    Opt::Flag('H', "with-filename"),
    Opt::Flag('h', "no-filename"),
    Opt::Value('m', "max-count"),
    Opt::Flag('s', "no-messages"),
    Opt::Flag('r', "recursive"),
    Opt::Flag('R', "dereference-recursive"),
    Opt::Value('A', "after-context"),
    Opt::Value('B', "before-context"),
    Opt::Value('C', "context"),
    Opt::Flag('a', "text"),
    Opt::Flag('I', "\u{1}"),
    Opt::Flag('z', "null-data"),
    Opt::Flag('Z', "null"),
    Opt::Value('2', "include"),
    Opt::Value('3', "exclude"),
    Opt::Value('4', "exclude-dir"),
    Opt::Attached('5', "color"),
    Opt::Attached('5', "colour"),
    Opt::Flag('6', "line-buffered"),
    Opt::Value('d', "directories"),
];

struct Search {
    regex: Regex,
    invert: bool,
    count: bool,
    names: Option<bool>,
    only: bool,
    quiet: bool,
    numbers: bool,
    offsets: bool,
    file_names: bool,
    limit: u64,
    silent: bool,
    after: u64,
    before: usize,
    text: bool,
    skip_binary: bool,
    separator: u8,
    zero_names: bool,
    color: bool,
    line_buffered: bool,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    exclude_directories: Vec<Regex>,
    follow_links: bool,
    skip_directories: bool,
}

/// What the search has come to.
#[derive(Default)]
struct State {
    matched: bool,
    failed: bool,
    /// Whether a group of lines was printed, so that the next is set off from it.
    printed_group: bool,
}

fn grep(context: &mut Context, args: &[String]) -> Outcome {
    let args: Vec<String> = args.iter().map(|argument| old_context(argument)).collect();
    let parsed = args::parse(context, &args, KNOWN)?;
    let mut operands = parsed.operands.clone();
    let patterns = patterns(context, &parsed, &mut operands)?;
    let regex = build(&patterns, &parsed).map_err(|reason| Failure::new(2, reason))?;
    let recursive = parsed.has('r') || parsed.has('R') || parsed.value('d') == Some("recurse");
    let search = search(context, &parsed, regex, recursive || operands.len() > 1)?;
    if operands.is_empty() {
        operands.push(if recursive { "." } else { "-" }.to_string());
    }
    let mut state = State::default();
    let from_here = parsed.operands.len() <= usize::from(!parsed.has('e') && !parsed.has('f'));
    for path in &operands {
        if recursive && path != "-" {
            // Names under the working directory, where none was given, are shown without "./".
            let shown = if from_here { "" } else { path };
            walk(context, path, shown, &search, &mut state, true);
        } else {
            search_file(context, path, path, &search, &mut state);
        }
        if (search.quiet && state.matched) || context.out.is_broken() {
            break;
        }
    }
    Ok(match state {
        State { matched: true, .. } if search.quiet => 0,
        State { failed: true, .. } => 2,
        State { matched: true, .. } => 0,
        _ => 1,
    })
}

/// `-3` as `-C3`.
fn old_context(argument: &str) -> String {
    match argument.strip_prefix('-') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("-C{digits}")
        }
        _ => argument.to_string(),
    }
}

fn patterns(
    context: &mut Context,
    parsed: &Parsed,
    operands: &mut Vec<String>,
) -> Result<Vec<String>, Failure> {
    let mut patterns: Vec<String> = Vec::new();
    for (option, value) in &parsed.options {
        match option {
            'e' => patterns.extend(value.split('\n').map(ToString::to_string)),
            'f' => {
                let bytes = Input::open(value).and_then(|mut input| crate::input::read_all(&mut input));
                let bytes = bytes.map_err(|error| {
                    Failure::new(2, format_args!("cannot read '{value}': {}", describe(&error)))
                })?;
                patterns.extend(String::from_utf8_lossy(&bytes).lines().map(ToString::to_string));
            }
            _ => {}
        }
    }
    if !parsed.has('e') && !parsed.has('f') {
        if operands.is_empty() {
            return Err(args::misuse(context, "there is no pattern"));
        }
        patterns.extend(operands.remove(0).split('\n').map(ToString::to_string));
    }
    Ok(patterns)
}

fn build(patterns: &[String], parsed: &Parsed) -> Result<Regex, String> {
    let syntax = parsed.options.iter().rev().find_map(|(option, _)| match option {
        'E' => Some(Syntax::Extended),
        'F' => Some(Syntax::Fixed),
        'G' => Some(Syntax::Basic),
        'P' => Some(Syntax::Native),
        _ => None,
    });
    let syntax = syntax.unwrap_or(Syntax::Basic);
    if patterns.is_empty() {
        // An empty file of patterns matches nothing.
        return pattern::compile(r"[^\s\S]", false);
    }
    let mut branches = Vec::new();
    for text in patterns {
        let expression = pattern::translate(text, syntax)
            .map_err(|reason| format!("the pattern '{text}' is not valid: {reason}"))?;
        branches.push(format!("(?:{expression})"));
    }
    let mut expression = branches.join("|");
    if parsed.has('x') {
        expression = format!("^(?:{expression})$");
    } else if parsed.has('w') {
        expression = format!(r"\b{{start-half}}(?:{expression})\b{{end-half}}");
    }
    pattern::compile(&expression, parsed.has('i') || parsed.has('y'))
        .map_err(|reason| format!("the pattern '{}' is not valid: {reason}", patterns.join("', '")))
}

fn search(context: &mut Context, parsed: &Parsed, regex: Regex, several: bool) -> Result<Search, Failure> {
    let number = |option: char| match parsed.value(option) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("'{text}' is no number of lines")),
        },
    };
    let numbers = (number('A'), number('B'), number('C'), number('m'));
    let (after, before, around, limit) = match numbers {
        (Ok(after), Ok(before), Ok(around), Ok(limit)) => (after, before, around.unwrap_or(0), limit),
        (Err(reason), ..) | (_, Err(reason), ..) | (_, _, Err(reason), _) | (.., Err(reason)) => {
            return Err(args::misuse(context, reason));
        }
    };
    let globs = |option: char| -> Result<Vec<Regex>, Failure> {
        let given = parsed.options.iter().filter(|(found, _)| *found == option);
        given
            .map(|(_, text)| pattern::glob(text, false).map_err(|reason| Failure::new(2, reason)))
            .collect()
    };
    let last = |options: &[char]| {
        parsed.options.iter().rev().find(|(found, _)| options.contains(found)).map(|(found, _)| *found)
    };
    let color = match parsed.value('5') {
        None => context.out.is_terminal(),
        Some("" | "always") => true,
        Some("auto") => context.out.is_terminal(),
        Some(_) => false,
    };
    let quiet = parsed.has('q') || parsed.has('1');
    Ok(Search {
        regex,
        invert: parsed.has('v'),
        count: parsed.has('c'),
        names: last(&['l', 'L']).map(|option| option == 'l'),
        only: parsed.has('o'),
        quiet,
        numbers: parsed.has('n'),
        offsets: parsed.has('b'),
        file_names: last(&['H', 'h']).map_or(several, |option| option == 'H'),
        limit: limit.unwrap_or(u64::MAX),
        silent: parsed.has('s'),
        after: after.unwrap_or(around),
        before: usize::try_from(before.unwrap_or(around)).unwrap_or(usize::MAX),
        text: parsed.has('a') || parsed.has('z'),
        skip_binary: parsed.has('I'),
        separator: if parsed.has('z') { 0 } else { b'\n' },
        zero_names: parsed.has('Z'),
        color,
        line_buffered: parsed.has('6') || context.out.is_terminal(),
        include: globs('2')?,
        exclude: globs('3')?,
        exclude_directories: globs('4')?,
        follow_links: parsed.has('R'),
        skip_directories: parsed.value('d') == Some("skip"),
    })
}

fn fits(globs: &[Regex], name: &str) -> bool {
    globs.iter().any(|glob| glob.is_match(name.as_bytes()))
}

fn walk(context: &mut Context, path: &str, shown: &str, search: &Search, state: &mut State, named: bool) {
    if (search.quiet && state.matched) || context.out.is_broken() {
        return;
    }
    let follow = named || search.follow_links;
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let metadata = match found {
        Ok(metadata) => metadata,
        Err(error) => return report(context, path, &error, search, state),
    };
    if !metadata.is_dir() {
        let name = basename(path);
        let wanted = search.include.is_empty() || fits(&search.include, name);
        if (named || metadata.is_file()) && wanted && !fits(&search.exclude, name) {
            search_file(context, path, shown, search, state);
        }
        return;
    }
    if !named && fits(&search.exclude_directories, basename(path)) {
        return;
    }
    let names: io::Result<Vec<String>> =
        fs::read_dir(path).and_then(|reader| reader.map(|entry| Ok(entry?.file_name())).collect());
    match names {
        Ok(mut names) => {
            names.sort();
            for name in names.iter().filter(|name| *name != "." && *name != "..") {
                walk(context, &join(path, name), &join(shown, name), search, state, false);
            }
        }
        Err(error) => report(context, path, &error, search, state),
    }
}

fn report(context: &mut Context, path: &str, error: &io::Error, search: &Search, state: &mut State) {
    state.failed = true;
    if !search.silent {
        context.error(format_args!("cannot read '{path}': {}", describe(error)));
    }
}

impl Search {
    /// The first match from a position on.
    fn find(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        self.regex.find_at(line, from).map(|found| (found.start(), found.end()))
    }

    fn matches(&self, line: &[u8]) -> bool {
        self.regex.is_match(line) != self.invert
    }

    fn prefix(&self, context: &mut Context, shown: &str, number: u64, offset: u64, mark: char) {
        let (name, digit, plain) =
            if self.color { ("\x1b[35m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        if self.file_names {
            put!(context, "{name}{}{plain}", if shown == "-" { "(standard input)" } else { shown });
            if self.zero_names {
                context.out.byte(0);
            } else {
                put!(context, "{mark}");
            }
        }
        if self.numbers {
            put!(context, "{digit}{number}{plain}{mark}");
        }
        if self.offsets {
            put!(context, "{digit}{offset}{plain}{mark}");
        }
    }

    fn print_line(&self, context: &mut Context, shown: &str, line: &[u8], at: (u64, u64), mark: char) {
        let (number, offset) = at;
        if self.only && mark == ':' {
            let mut from = 0;
            while !self.invert && from <= line.len() {
                let Some((start, end)) = self.find(line, from) else { break };
                if end > start {
                    self.prefix(context, shown, number, offset + start as u64, mark);
                    self.print_match(context, &line[start..end]);
                    context.out.byte(self.separator);
                }
                from = if end > start { end } else { end + 1 };
            }
            return;
        }
        if self.only {
            return;
        }
        self.prefix(context, shown, number, offset, mark);
        let mut from = 0;
        if self.color && mark == ':' && !self.invert {
            while let Some((start, end)) = self.find(line, from) {
                if end == start {
                    break;
                }
                context.out.bytes(&line[from..start]);
                self.print_match(context, &line[start..end]);
                from = end;
            }
        }
        context.out.bytes(&line[from..]);
        context.out.byte(self.separator);
    }

    fn print_match(&self, context: &mut Context, text: &[u8]) {
        if self.color {
            put!(context, "\x1b[1;31m");
        }
        context.out.bytes(text);
        if self.color {
            put!(context, "\x1b[0m");
        }
    }
}

fn search_file(context: &mut Context, path: &str, shown: &str, search: &Search, state: &mut State) {
    let input = match Input::open(path) {
        Ok(input) => input,
        Err(error) if search.skip_directories && error.kind() == io::ErrorKind::IsADirectory => return,
        Err(error) => return report(context, path, &error, search, state),
    };
    if let Err(error) = search_input(context, input, shown, search, state) {
        report(context, path, &error, search, state);
    }
}

fn search_input(
    context: &mut Context,
    input: Input,
    shown: &str,
    search: &Search,
    state: &mut State,
) -> io::Result<()> {
    let silent = search.quiet || search.count || search.names.is_some();
    let mut lines = Lines::new(input, search.separator);
    let (mut number, mut offset, mut selected) = (0u64, 0u64, 0u64);
    let mut binary = false;
    // Lines kept for the context before a match, and how many are still to come after one.
    let mut waiting: alloc::collections::VecDeque<(Vec<u8>, u64, u64)> = Default::default();
    let mut trailing = 0u64;
    let mut last_printed = 0u64;
    while selected < search.limit || trailing > 0 {
        let Some(line) = lines.next_line()? else { break };
        number += 1;
        let position = offset;
        offset += line.len() as u64 + 1;
        binary = binary || (!search.text && memchr::memchr(0, line).is_some());
        if selected < search.limit && search.matches(line) {
            if binary && search.skip_binary {
                break;
            }
            selected += 1;
            state.matched = true;
            if search.quiet {
                return Ok(());
            }
            if search.names.is_some() {
                break;
            }
            if silent {
                continue;
            }
            if binary {
                let name = if shown == "-" { "(standard input)" } else { shown };
                context.note(format_args!("{name}: binary file matches"));
                return Ok(());
            }
            let with_context = search.after > 0 || search.before > 0;
            let first = waiting.front().map_or(number, |(_, number, _)| *number);
            if with_context && state.printed_group && (last_printed == 0 || first > last_printed + 1) {
                context.out.bytes(b"--\n");
            }
            for (line, number, offset) in waiting.drain(..) {
                search.print_line(context, shown, &line, (number, offset), '-');
            }
            search.print_line(context, shown, line, (number, position), ':');
            state.printed_group = true;
            last_printed = number;
            trailing = search.after;
        } else if trailing > 0 && !silent {
            trailing -= 1;
            last_printed = number;
            search.print_line(context, shown, line, (number, position), '-');
        } else if search.before > 0 && !silent {
            if waiting.len() == search.before {
                waiting.pop_front();
            }
            waiting.push_back((line.to_vec(), number, position));
        }
        if search.line_buffered {
            context.out.flush();
        }
        if context.out.is_broken() {
            break;
        }
    }
    let name = if shown == "-" { "(standard input)" } else { shown };
    let end = if search.zero_names { '\0' } else { '\n' };
    match search.names {
        Some(with) if (selected > 0) == with => put!(context, "{name}{end}"),
        None if search.count && !search.quiet => {
            if search.file_names {
                put!(context, "{name}{}", if search.zero_names { '\0' } else { ':' });
            }
            put!(context, "{selected}\n");
        }
        _ => {}
    }
    Ok(())
}
