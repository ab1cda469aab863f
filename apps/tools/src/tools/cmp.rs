//! cmp.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{BLOCK, Input};
use crate::context::put;
use crate::sys::io::{self, Read};
use crate::text::size;

pub const CMP: Tool = Tool {
    name: "cmp",
    about: "compare two files byte by byte",
    help: "Usage: cmp [-s] [-l] [-b] [-n N] [-i N] FILE1 [FILE2]
Says where two files first differ. Status 0: equal, 1: different, 2: an error.
  -s  only the status   -l  every byte that differs   -b  with the bytes
  -n N  only N bytes   -i N  without the first N
Example: cmp a.bin b.bin && echo equal",
    run: cmp,
};

/// A file that is read block by block.
struct Source {
    input: Input,
    buffer: alloc::vec::Vec<u8>,
    start: usize,
    end: usize,
}

impl Source {
    fn open(path: &str) -> io::Result<Source> {
        Ok(Source { input: Input::open(path)?, buffer: vec![0; BLOCK], start: 0, end: 0 })
    }

    /// The length of a regular file; of others that it is not known.
    fn length(&self) -> u64 {
        match &self.input {
            Input::File(file) => file.metadata().map_or(u64::MAX, |metadata| metadata.len()),
            Input::Standard(_) => u64::MAX,
        }
    }

    /// What is read and not yet used; empty at the file's end.
    fn ready(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.input.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn skip(&mut self, mut left: u64) -> io::Result<()> {
        while left > 0 {
            let ready = self.ready()?.len();
            if ready == 0 {
                break;
            }
            let used = ready.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.start += used;
            left -= used as u64;
        }
        Ok(())
    }
}

fn cmp(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('s', "silent"),
        Opt::Flag('q', "quiet"),
        Opt::Flag('l', "verbose"),
        Opt::Flag('b', "print-bytes"),
        Opt::Value('n', "bytes"),
        Opt::Value('i', "ignore-initial"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let (first, second) = match parsed.operands.as_slice() {
        [first] => (first.as_str(), "-"),
        [first, second] => (first.as_str(), second.as_str()),
        _ => return Err(args::misuse(context, "two files are needed")),
    };
    let number = |option: char, default: u64| match parsed.value(option) {
        None => Ok(default),
        Some(text) => size(text).ok_or_else(|| format!("'{text}' is no number of bytes")),
    };
    let (limit, ignored) = match (number('n', u64::MAX), number('i', 0)) {
        (Ok(limit), Ok(ignored)) => (limit, ignored),
        (Err(reason), _) | (_, Err(reason)) => return Err(args::misuse(context, reason)),
    };
    let silent = parsed.has('s') || parsed.has('q');
    let failed = |path: &str, error: &io::Error| match silent {
        true => Failure::silent(2),
        false => Failure::new(2, format_args!("cannot read '{path}': {}", describe(error))),
    };
    let mut a = Source::open(first).map_err(|error| failed(first, &error))?;
    let mut b = Source::open(second).map_err(|error| failed(second, &error))?;
    a.skip(ignored).map_err(|error| failed(first, &error))?;
    b.skip(ignored).map_err(|error| failed(second, &error))?;
    let unit = if parsed.has('b') { "byte" } else { "char" };
    let width = a.length().min(b.length()).saturating_sub(ignored).min(limit).to_string().len();
    let (mut position, mut line, mut status) = (0u64, 1u64, 0);
    let mut before = b'\n';
    while position < limit {
        let left = a.ready().map_err(|error| failed(first, &error))?;
        let right = b.ready().map_err(|error| failed(second, &error))?;
        if left.is_empty() || right.is_empty() {
            if left.len() != right.len() {
                status = 1;
                if !silent {
                    let shorter = if left.is_empty() { first } else { second };
                    ended(context, shorter, position, line, before, parsed.has('l'));
                }
            }
            break;
        }
        let length = left.len().min(right.len()).min(usize::try_from(limit - position).unwrap_or(usize::MAX));
        let (left, right) = (&left[..length], &right[..length]);
        if left != right {
            status = 1;
            if silent {
                return Ok(1);
            }
        }
        for (x, y) in left.iter().zip(right).filter(|_| status == 1 || !silent) {
            position += 1;
            if x != y {
                if !parsed.has('l') {
                    put!(context, "{first} {second} differ: {unit} {position}, line {line}");
                    if parsed.has('b') {
                        put!(context, " is {x:3o} {} {y:3o} {}", shown(*x), shown(*y));
                    }
                    put!(context, "\n");
                    return Ok(1);
                }
                put!(context, "{position:>width$} {x:3o} {y:3o}\n");
            }
            line += u64::from(*x == b'\n');
            before = *x;
        }
        if silent && status == 0 {
            position += length as u64;
        }
        a.start += length;
        b.start += length;
    }
    Ok(status)
}

fn ended(context: &mut Context, path: &str, position: u64, line: u64, before: u8, verbose: bool) {
    let message = match position {
        0 => format!("EOF on {path} which is empty"),
        _ if verbose => format!("EOF on {path} after byte {position}"),
        _ if before == b'\n' => format!("EOF on {path} after byte {position}, line {}", line - 1),
        _ => format!("EOF on {path} after byte {position}, in line {line}"),
    };
    context.note(message);
}

fn shown(byte: u8) -> String {
    let (prefix, low) = if byte >= 128 { ("M-", byte - 128) } else { ("", byte) };
    match low {
        0..=31 => format!("{prefix}^{}", char::from(low + 64)),
        127 => format!("{prefix}^?"),
        _ => format!("{prefix}{}", char::from(low)),
    }
}
