//! uniq.

use alloc::string::String;
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{Input, Lines};
use crate::sys::fs::File;
use crate::sys::io::{Result, Write};

pub const UNIQ: Tool = Tool {
    name: "uniq",
    about: "drop lines equal to the one before",
    help: "Usage: uniq [OPTION]... [INPUT [OUTPUT]]
Prints lines, each run of equal ones once.
  -c  with their number   -d  only those that come several times   -u  only those that come once
  -i  upper and lower case alike   -f N  without the first N fields   -s N  without the first N characters
  -w N  only N characters count   -z  lines end with a zero byte
Example: sort names.txt | uniq -c",
    run: uniq,
};

struct Settings {
    count: bool,
    repeated: bool,
    unique: bool,
    fold: bool,
    fields: usize,
    characters: usize,
    width: usize,
    end: u8,
}

fn uniq(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('c', "count"),
        Opt::Flag('d', "repeated"),
        Opt::Flag('u', "unique"),
        Opt::Flag('i', "ignore-case"),
        Opt::Value('f', "skip-fields"),
        Opt::Value('s', "skip-chars"),
        Opt::Value('w', "check-chars"),
        Opt::Flag('z', "zero-terminated"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let number = |option: char, default: usize| match parsed.value(option) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("'{text}' is no number")),
    };
    let (fields, characters, width) = match (number('f', 0), number('s', 0), number('w', usize::MAX)) {
        (Ok(fields), Ok(characters), Ok(width)) => (fields, characters, width),
        (Err(reason), ..) | (_, Err(reason), _) | (.., Err(reason)) => {
            return Err(args::misuse(context, reason));
        }
    };
    let settings = Settings {
        count: parsed.has('c'),
        repeated: parsed.has('d'),
        unique: parsed.has('u'),
        fold: parsed.has('i'),
        fields,
        characters,
        width,
        end: if parsed.has('z') { 0 } else { b'\n' },
    };
    if parsed.operands.len() > 2 {
        return Err(args::misuse(context, "one input and one output are all there can be"));
    }
    let source = parsed.operands.first().map_or("-", String::as_str);
    let failed = |what: &str, path: &str, error: &crate::sys::io::Error| {
        Failure::new(1, format_args!("cannot {what} '{path}': {}", describe(error)))
    };
    let input = Input::open(source).map_err(|error| failed("open", source, &error))?;
    match parsed.operands.get(1) {
        Some(path) if path != "-" => {
            let mut collected = Vec::new();
            run(input, &settings, &mut |piece| collected.extend_from_slice(piece))
                .map_err(|error| failed("read", source, &error))?;
            File::create(path)
                .and_then(|mut file| file.write_all(&collected))
                .map_err(|error| failed("write", path, &error))?;
        }
        _ => run(input, &settings, &mut |piece| context.out.bytes(piece))
            .map_err(|error| failed("read", source, &error))?,
    }
    Ok(context.status)
}

fn run(input: Input, settings: &Settings, out: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut lines = Lines::new(input, settings.end);
    let mut current: Option<(Vec<u8>, u64)> = None;
    while let Some(line) = lines.next_line()? {
        match &mut current {
            Some((kept, count)) if equal(kept, line, settings) => *count += 1,
            _ => {
                if let Some((kept, count)) = current.take() {
                    print(&kept, count, settings, out);
                }
                current = Some((line.to_vec(), 1));
            }
        }
    }
    if let Some((kept, count)) = current {
        print(&kept, count, settings, out);
    }
    Ok(())
}

fn print(line: &[u8], count: u64, settings: &Settings, out: &mut dyn FnMut(&[u8])) {
    let wanted = match (settings.repeated, settings.unique) {
        (true, true) => false,
        (true, false) => count > 1,
        (false, true) => count == 1,
        _ => true,
    };
    if wanted {
        if settings.count {
            out(format!("{count:7} ").as_bytes());
        }
        out(line);
        out(&[settings.end]);
    }
}

fn equal(a: &[u8], b: &[u8], settings: &Settings) -> bool {
    let (a, b) = (part(a, settings), part(b, settings));
    if settings.fold { a.eq_ignore_ascii_case(b) } else { a == b }
}

fn part<'a>(line: &'a [u8], settings: &Settings) -> &'a [u8] {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let mut rest = line;
    for _ in 0..settings.fields {
        rest = &rest[rest.iter().take_while(blank).count()..];
        rest = &rest[rest.iter().take_while(|byte| !blank(byte)).count()..];
    }
    rest = &rest[settings.characters.min(rest.len())..];
    &rest[..settings.width.min(rest.len())]
}
