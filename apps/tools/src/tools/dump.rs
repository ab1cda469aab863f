//! hexdump.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::input::{BLOCK, Input, or_standard_input};
use crate::context::put;
use crate::sys::io::Read;
use crate::text::size;

pub const HEXDUMP: Tool = Tool {
    name: "hexdump",
    about: "print bytes as numbers",
    help: "Usage: hexdump [-C] [-n N] [-s N] [-v] [FILE]...
Prints the bytes of the files as hexadecimal words, or with -C as bytes with their characters.
  -C  bytes and characters   -x, -d, -o  words in hexadecimal, decimal, octal   -b, -c  bytes in octal, as characters
  -n N  only N bytes   -s N  without the first N   -v  do not replace equal lines by *
Example: hexdump -C -n 64 /bin/tools",
    run: hexdump,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Canonical,
    Words,
    WideWords,
    Decimal,
    Octal,
    OctalBytes,
    Characters,
}

struct Dump {
    form: Form,
    all: bool,
    offset: u64,
    before: Option<Vec<u8>>,
    starred: bool,
}

fn hexdump(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('C', "canonical"),
        Opt::Flag('x', "two-bytes-hex"),
        Opt::Flag('d', "two-bytes-decimal"),
        Opt::Flag('o', "two-bytes-octal"),
        Opt::Flag('b', "one-byte-octal"),
        Opt::Flag('c', "one-byte-char"),
        Opt::Value('n', "length"),
        Opt::Value('s', "skip"),
        Opt::Flag('v', "no-squeezing"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let number = |option: char| match parsed.value(option) {
        None => Ok(None),
        Some(text) => match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).map(Some).map_err(|_| text),
            None => size(text).map(Some).ok_or(text),
        },
    };
    let (length, skip) = match (number('n'), number('s')) {
        (Ok(length), Ok(skip)) => (length.unwrap_or(u64::MAX), skip.unwrap_or(0)),
        (Err(text), _) | (_, Err(text)) => {
            return Err(args::misuse(context, format_args!("'{text}' is no number of bytes")));
        }
    };
    let form = match parsed.options.iter().rev().find(|(option, _)| "Cxdobc".contains(*option)) {
        Some(('C', _)) => Form::Canonical,
        Some(('x', _)) => Form::WideWords,
        Some(('d', _)) => Form::Decimal,
        Some(('o', _)) => Form::Octal,
        Some(('b', _)) => Form::OctalBytes,
        Some(('c', _)) => Form::Characters,
        _ => Form::Words,
    };
    let mut dump = Dump { form, all: parsed.has('v'), offset: skip, before: None, starred: false };
    let (mut to_skip, mut left) = (skip, length);
    let mut line: Vec<u8> = Vec::with_capacity(16);
    let mut buffer = vec![0; BLOCK];
    for path in or_standard_input(parsed.operands.clone()) {
        let Some(mut input) = Input::open_or_report(context, &path) else { continue };
        while left > 0 && !context.out.is_broken() {
            let count = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    context.error(format_args!("cannot read '{path}': {}", describe(&error)));
                    break;
                }
            };
            let skipped = to_skip.min(count as u64);
            to_skip -= skipped;
            let mut rest = &buffer[usize::try_from(skipped).unwrap_or(count)..count];
            rest = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            left -= rest.len() as u64;
            while !rest.is_empty() {
                let taken = rest.len().min(16 - line.len());
                line.extend_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                if line.len() == 16 {
                    dump.line(context, &line);
                    line.clear();
                }
            }
        }
    }
    if !line.is_empty() {
        dump.line(context, &line);
    }
    if dump.offset > skip {
        dump.address(context);
        put!(context, "\n");
    }
    Ok(context.status)
}

impl Dump {
    fn address(&self, context: &mut Context) {
        match self.form {
            Form::Canonical => put!(context, "{:08x}", self.offset),
            _ => put!(context, "{:07x}", self.offset),
        }
    }

    fn line(&mut self, context: &mut Context, bytes: &[u8]) {
        if !self.all && self.before.as_deref() == Some(bytes) {
            if !self.starred {
                put!(context, "*\n");
            }
            self.starred = true;
            self.offset += bytes.len() as u64;
            return;
        }
        self.starred = false;
        self.before = Some(bytes.to_vec());
        self.address(context);
        let mut text = String::new();
        match self.form {
            Form::Canonical => {
                for position in 0..16 {
                    text.push_str(if position % 8 == 0 { "  " } else { " " });
                    let _ = match bytes.get(position) {
                        Some(byte) => write!(text, "{byte:02x}"),
                        None => write!(text, "  "),
                    };
                }
                text.push_str("  |");
                text.extend(bytes.iter().map(|byte| match byte {
                    32..=126 => char::from(*byte),
                    _ => '.',
                }));
                text.push('|');
            }
            Form::OctalBytes | Form::Characters => {
                for byte in bytes {
                    text.push_str(&format!(" {:>3}", self.one(*byte)));
                }
                text.push_str(&"    ".repeat(16 - bytes.len()));
            }
            _ => {
                let width = if self.form == Form::Words { 5 } else { 8 };
                for pair in bytes.chunks(2) {
                    let word = u16::from_le_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
                    let shown = match self.form {
                        Form::Decimal => format!("{word:05}"),
                        Form::Octal => format!("{word:06o}"),
                        _ => format!("{word:04x}"),
                    };
                    text.push_str(&format!("{shown:>width$}"));
                }
                text.push_str(&" ".repeat(width * (8 - bytes.len().div_ceil(2))));
            }
        }
        put!(context, "{text}\n");
        self.offset += bytes.len() as u64;
    }

    fn one(&self, byte: u8) -> String {
        let name = match byte {
            _ if self.form == Form::OctalBytes => return format!("{byte:03o}"),
            0 => "\\0",
            7 => "\\a",
            8 => "\\b",
            9 => "\\t",
            10 => "\\n",
            11 => "\\v",
            12 => "\\f",
            13 => "\\r",
            32..=126 => return String::from(char::from(byte)),
            _ => return format!("{byte:03o}"),
        };
        String::from(name)
    }
}
