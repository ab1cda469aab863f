//! head and tail.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{BLOCK, Input, or_standard_input};
use crate::context::put;
use crate::sys::fs::{self, File};
use crate::sys::io::{self, Read, Seek, SeekFrom};
use crate::sys::thread::sleep;
use crate::sys::time::Duration;
use crate::text::{nanoseconds, size};

pub const HEAD: Tool = Tool {
    name: "head",
    about: "print the beginning of files",
    help: "Usage: head [OPTION]... [FILE]...
Prints the first 10 lines of each file, or of standard input.
  -n N  the first N lines; -N: all but the last N   -c N  bytes instead of lines
  -q  no file names   -v  always file names   -z  lines end with a zero byte
Example: head -n 3 /etc/profile",
    run: head,
};

pub const TAIL: Tool = Tool {
    name: "tail",
    about: "print the end of files",
    help: "Usage: tail [OPTION]... [FILE]...
Prints the last 10 lines of each file, or of standard input.
  -n N  the last N lines; +N: from line N on   -c N  bytes instead of lines
  -f  go on with what is added to the file   -s SECONDS  with -f: look so often
  -q  no file names   -v  always file names   -z  lines end with a zero byte
Example: tail -f /var/log/messages",
    run: tail,
};

/// How much is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// So many from the end that counts (the first for head, the last for tail).
    Count(u64),
    /// head: all but the last so many; tail: from that one on.
    Except(u64),
}

struct Wanted {
    amount: Amount,
    bytes: bool,
    separator: u8,
}

const KNOWN: &[Opt] = &[
    Opt::Value('n', "lines"),
    Opt::Value('c', "bytes"),
    Opt::Flag('q', "quiet"),
    Opt::Flag('Q', "silent"),
    Opt::Flag('v', "verbose"),
    Opt::Flag('z', "zero-terminated"),
    Opt::Flag('f', "follow"),
    Opt::Flag('F', "\u{1}"),
    Opt::Value('s', "sleep-interval"),
];

/// The old form `-5` as `-n5`.
fn modern(args: &[String]) -> Vec<String> {
    let is_count = |text: &str| text.len() > 1 && text.starts_with('-') && text[1..].bytes().all(|b| b.is_ascii_digit());
    let mut value_follows = false;
    let convert = |argument: &String| {
        let convert = !value_follows && is_count(argument);
        value_follows = matches!(argument.as_str(), "-n" | "-c" | "--lines" | "--bytes");
        if convert { format!("-n{}", &argument[1..]) } else { argument.clone() }
    };
    args.iter().map(convert).collect()
}

fn wanted(context: &Context, parsed: &args::Parsed, marker: char) -> Result<Wanted, Failure> {
    let last = parsed.options.iter().rev().find(|(option, _)| matches!(option, 'n' | 'c'));
    let (bytes, text) = last.map_or((false, "10"), |(option, value)| (*option == 'c', value.as_str()));
    let (except, digits) = match text.strip_prefix(marker) {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix(['-', '+']).unwrap_or(text)),
    };
    let Some(count) = size(digits) else {
        return Err(args::misuse(context, format_args!("'{text}' is no number")));
    };
    let amount = if except { Amount::Except(count) } else { Amount::Count(count) };
    Ok(Wanted { amount, bytes, separator: if parsed.has('z') { 0 } else { b'\n' } })
}

fn title(context: &mut Context, path: &str, first: bool) {
    let name = if path == "-" { "standard input" } else { path };
    put!(context, "{}==> {name} <==\n", if first { "" } else { "\n" });
}

fn titles(parsed: &args::Parsed, count: usize) -> bool {
    parsed.has('v') || (count > 1 && !parsed.has('q') && !parsed.has('Q'))
}

fn head(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, &modern(args), KNOWN)?;
    let wanted = wanted(context, &parsed, '-')?;
    let paths = or_standard_input(parsed.operands.clone());
    let titled = titles(&parsed, paths.len());
    let mut first = true;
    for path in &paths {
        let Some(mut input) = Input::open_or_report(context, path) else { continue };
        if titled {
            title(context, path, first);
        }
        first = false;
        let result = match (wanted.amount, wanted.bytes) {
            (Amount::Count(count), true) => first_bytes(context, &mut input, count),
            (Amount::Count(count), false) => first_lines(context, &mut input, count, wanted.separator),
            (Amount::Except(count), true) => all_but_bytes(context, &mut input, count),
            (Amount::Except(count), false) => all_but_lines(context, &mut input, count, wanted.separator),
        };
        if let Err(error) = result {
            context.error(format_args!("cannot read '{path}': {}", describe(&error)));
        }
        if context.out.is_broken() {
            break;
        }
    }
    Ok(context.status)
}

fn first_bytes(context: &mut Context, input: &mut Input, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    while left > 0 {
        let limit = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match input.read(&mut buffer[..limit])? {
            0 => break,
            count => {
                context.out.bytes(&buffer[..count]);
                left -= count as u64;
            }
        }
    }
    Ok(())
}

fn first_lines(context: &mut Context, input: &mut Input, mut left: u64, separator: u8) -> io::Result<()> {
    // A small piece first: ten lines seldom need more.
    let mut buffer = vec![0; 8 * 1024];
    while left > 0 && !context.out.is_broken() {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let mut end = count;
        for position in memchr::memchr_iter(separator, &buffer[..count]) {
            left -= 1;
            if left == 0 {
                end = position + 1;
                break;
            }
        }
        context.out.bytes(&buffer[..end]);
        if left == 0 && let Input::File(file) = input {
            // What was read too much is left to the next reader of the same file.
            file.seek(SeekFrom::Current(end as i64 - count as i64))?;
        }
    }
    Ok(())
}

fn all_but_bytes(context: &mut Context, input: &mut Input, kept: u64) -> io::Result<()> {
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    let mut held: Vec<u8> = Vec::new();
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        held.extend_from_slice(&buffer[..count]);
        let ready = held.len().saturating_sub(kept);
        context.out.bytes(&held[..ready]);
        held.drain(..ready);
    }
}

fn all_but_lines(context: &mut Context, input: &mut Input, kept: u64, separator: u8) -> io::Result<()> {
    let mut lines = crate::input::Lines::new(input, separator);
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    while let Some(line) = lines.next_line()? {
        let mut line = line.to_vec();
        if lines.was_terminated() {
            line.push(separator);
        }
        held.push_back(line);
        if held.len() as u64 > kept && let Some(line) = held.pop_front() {
            context.out.bytes(&line);
        }
    }
    Ok(())
}

fn tail(context: &mut Context, args: &[String]) -> Outcome {
    let args: Vec<String> = modern(args)
        .into_iter()
        .map(|argument| match argument.strip_prefix('+') {
            Some(count) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("-n+{count}")
            }
            _ => argument,
        })
        .collect();
    // The value of -n may be +N, which is then no operand of its own.
    let args = joined_values(args);
    let parsed = args::parse(context, &args, KNOWN)?;
    let wanted = wanted(context, &parsed, '+')?;
    let follow = parsed.has('f') || parsed.has('F');
    let interval = match parsed.value('s').map(|text| (text, nanoseconds(text))) {
        None => 250_000_000,
        Some((_, Some(nanos))) => nanos,
        Some((text, None)) => return Err(args::misuse(context, format_args!("'{text}' is no time"))),
    };
    let paths = or_standard_input(parsed.operands.clone());
    let titled = titles(&parsed, paths.len());
    let mut first = true;
    let mut followed = Vec::new();
    for path in &paths {
        let Some(mut input) = Input::open_or_report(context, path) else { continue };
        if titled {
            title(context, path, first);
        }
        first = false;
        if let Err(error) = last_part(context, &mut input, &wanted) {
            context.error(format_args!("cannot read '{path}': {}", describe(&error)));
        }
        if follow && let Input::File(mut file) = input {
            let position = file.stream_position().unwrap_or(0);
            followed.push((path.clone(), file, position));
        }
    }
    if follow && !followed.is_empty() {
        follow_files(context, followed, titled, Duration::from_nanos(interval));
    }
    Ok(context.status)
}

/// `-n +5` as `-n+5`, that the rewriting of old forms does not take apart.
fn joined_values(args: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for argument in args {
        match (joined.last_mut(), argument.strip_prefix("-n+")) {
            (Some(option), Some(count)) if option == "-n" || option == "-c" => {
                option.push('+');
                option.push_str(count);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn last_part(context: &mut Context, input: &mut Input, wanted: &Wanted) -> io::Result<()> {
    if let Input::File(file) = input
        && file.metadata()?.is_file()
        && let Some(start) = start_in_file(file, wanted)?
    {
        file.seek(SeekFrom::Start(start))?;
        return copy_rest(context, input);
    }
    match (wanted.amount, wanted.bytes) {
        (Amount::Except(from), true) => {
            skip_bytes(input, from.saturating_sub(1))?;
            copy_rest(context, input)
        }
        (Amount::Except(from), false) => {
            let mut lines = crate::input::Lines::new(input, wanted.separator);
            let mut number = 0;
            while let Some(line) = lines.next_line()? {
                number += 1;
                if number >= from {
                    context.out.bytes(line);
                    if lines.was_terminated() {
                        context.out.byte(wanted.separator);
                    }
                }
            }
            Ok(())
        }
        (Amount::Count(count), bytes) => last_of_stream(context, input, count, bytes, wanted.separator),
    }
}

/// Where in a regular file the wanted part begins; none where it must be read through from the front.
fn start_in_file(file: &mut File, wanted: &Wanted) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let count = match (wanted.amount, wanted.bytes) {
        (Amount::Count(count), true) => return Ok(Some(length.saturating_sub(count))),
        (Amount::Except(from), true) => return Ok(Some(from.saturating_sub(1).min(length))),
        (Amount::Except(_), false) => return Ok(None),
        (Amount::Count(0), false) => return Ok(Some(length)),
        (Amount::Count(count), false) => count,
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut end = length;
    let mut found = 0;
    while end > 0 {
        let piece = end.min(buffer.len() as u64);
        let start = end - piece;
        let piece = &mut buffer[..usize::try_from(piece).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        fill(file, piece)?;
        for position in memchr::memrchr_iter(wanted.separator, piece) {
            let after = start + position as u64 + 1;
            // The separator at the very end closes the last line and begins none.
            if after == length {
                continue;
            }
            found += 1;
            if found == count {
                return Ok(Some(after));
            }
        }
        end = start;
    }
    Ok(Some(0))
}

fn fill(file: &mut File, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read(buffer)? {
            0 => break,
            count => buffer = &mut buffer[count..],
        }
    }
    Ok(())
}

fn skip_bytes(input: &mut Input, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    while left > 0 {
        let limit = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match input.read(&mut buffer[..limit])? {
            0 => break,
            count => left -= count as u64,
        }
    }
    Ok(())
}

fn copy_rest(context: &mut Context, input: &mut Input) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    while !context.out.is_broken() {
        match input.read(&mut buffer)? {
            0 => break,
            count => context.out.bytes(&buffer[..count]),
        }
    }
    Ok(())
}

/// The end of what has no positions: pieces are kept while they may still be wanted.
fn last_of_stream(
    context: &mut Context,
    input: &mut Input,
    count: u64,
    bytes: bool,
    separator: u8,
) -> io::Result<()> {
    let mut pieces: VecDeque<(Vec<u8>, u64)> = VecDeque::new();
    let mut total = 0;
    let mut buffer = vec![0; BLOCK];
    let weigh = |piece: &[u8]| match bytes {
        true => piece.len() as u64,
        false => memchr::memchr_iter(separator, piece).count() as u64,
    };
    loop {
        let length = input.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let weight = weigh(&buffer[..length]);
        pieces.push_back((buffer[..length].to_vec(), weight));
        total += weight;
        // One more line than wanted is kept: the last may lack its end.
        while let Some((_, weight)) = pieces.front()
            && total - weight > count
            && pieces.len() > 1
        {
            total -= weight;
            pieces.pop_front();
        }
    }
    let all: Vec<u8> = pieces.into_iter().flat_map(|(piece, _)| piece).collect();
    let start = match bytes {
        true => all.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)),
        false if count == 0 => all.len(),
        false => {
            let body = all.strip_suffix(&[separator]).unwrap_or(&all);
            let nth = usize::try_from(count - 1).unwrap_or(usize::MAX);
            memchr::memrchr_iter(separator, body).nth(nth).map_or(0, |position| position + 1)
        }
    };
    context.out.bytes(&all[start..]);
    Ok(())
}

fn follow_files(
    context: &mut Context,
    mut files: Vec<(String, File, u64)>,
    titled: bool,
    interval: Duration,
) {
    let mut current = files.last().map(|(path, ..)| path.to_string());
    let mut buffer = vec![0; BLOCK];
    while !context.out.is_broken() {
        context.out.flush();
        sleep(interval);
        for (path, file, position) in &mut files {
            if let Ok(metadata) = file.metadata()
                && metadata.len() < *position
            {
                context.note(format_args!("'{path}' was cut short; starting from its beginning"));
                *position = 0;
                let _ = file.seek(SeekFrom::Start(0));
            }
            // A file that took over the name is read instead.
            if let (Ok(named), Ok(open)) = (fs::metadata(path), file.metadata())
                && (named.ino(), named.dev()) != (open.ino(), open.dev())
                && let Ok(fresh) = File::open(path)
            {
                (*file, *position) = (fresh, 0);
            }
            while let Ok(count @ 1..) = file.read(&mut buffer) {
                if titled && current.as_deref() != Some(path.as_str()) {
                    title(context, path, false);
                    current = Some(path.clone());
                }
                *position += count as u64;
                context.out.bytes(&buffer[..count]);
            }
        }
    }
}
