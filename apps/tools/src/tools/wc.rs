//! wc.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::input::{BLOCK, Input};
use crate::context::put;
use crate::sys::fs;
use crate::sys::io::Read;

pub const WC: Tool = Tool {
    name: "wc",
    about: "count lines, words and bytes",
    help: "Usage: wc [OPTION]... [FILE]...
Counts the lines, words and bytes of each file, or of standard input, and sums them up.
  -l  lines   -w  words   -c  bytes   -m  characters   -L  length of the longest line
Example: ls /bin | wc -l",
    run: wc,
};

#[derive(Clone, Copy, Default)]
struct Counts {
    lines: u64,
    words: u64,
    characters: u64,
    bytes: u64,
    longest: u64,
}

fn wc(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('l', "lines"),
        Opt::Flag('w', "words"),
        Opt::Flag('c', "bytes"),
        Opt::Flag('m', "chars"),
        Opt::Flag('L', "max-line-length"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let default = parsed.options.is_empty();
    let shown = ['l', 'w', 'm', 'c', 'L'].map(|letter| {
        parsed.has(letter) || (default && matches!(letter, 'l' | 'w' | 'c'))
    });
    let mut rows: Vec<(Counts, Option<String>)> = Vec::new();
    let mut total = Counts::default();
    let mut sizes = 0u64;
    let mut unsized_input = parsed.operands.is_empty();
    let named = !parsed.operands.is_empty();
    for path in crate::input::or_standard_input(parsed.operands.clone()) {
        if path == "-" {
            unsized_input = true;
        } else if let Ok(metadata) = fs::metadata(&path) {
            unsized_input |= !metadata.is_file();
            sizes += if metadata.is_file() { metadata.len() } else { 0 };
        }
        let opened = match Input::open(&path) {
            Err(error) => {
                context.error(format_args!("cannot open '{path}': {}", describe(&error)));
                if error.kind() == crate::sys::io::ErrorKind::IsADirectory {
                    rows.push((Counts::default(), Some(path)));
                }
                continue;
            }
            Ok(input) => input,
        };
        let counts = count(context, opened, &path, shown);
        total.lines += counts.lines;
        total.words += counts.words;
        total.characters += counts.characters;
        total.bytes += counts.bytes;
        total.longest = total.longest.max(counts.longest);
        rows.push((counts, named.then_some(path)));
    }
    // Columns are as wide as the sum of the files' lengths, and at least 7 where a length is not known before.
    let columns = shown.iter().filter(|on| **on).count();
    let width = match (columns, parsed.operands.len()) {
        (1, 0 | 1) => 1,
        _ if unsized_input => 7,
        _ => sizes.to_string().len(),
    };
    if parsed.operands.len() > 1 {
        rows.push((total, Some("total".to_string())));
    }
    for (counts, path) in rows {
        let values = [counts.lines, counts.words, counts.characters, counts.bytes, counts.longest];
        let cells: Vec<String> = values
            .iter()
            .zip(shown)
            .filter(|(_, on)| *on)
            .map(|(value, _)| format!("{value:>width$}"))
            .collect();
        put!(context, "{}", cells.join(" "));
        if let Some(path) = path {
            put!(context, " {path}");
        }
        put!(context, "\n");
    }
    Ok(context.status)
}

fn count(context: &mut Context, mut input: Input, path: &str, shown: [bool; 5]) -> Counts {
    let [lines, words, characters, _, longest] = shown;
    if !(lines || words || characters || longest)
        && let Input::File(file) = &input
        && let Ok(metadata) = file.metadata()
        && metadata.is_file()
        && metadata.len() > 0
    {
        return Counts { bytes: metadata.len(), ..Counts::default() };
    }
    let mut counts = Counts::default();
    let mut buffer = vec![0; BLOCK];
    let mut in_word = false;
    let mut column = 0;
    loop {
        let chunk = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(error) => {
                context.error(format_args!("cannot read '{path}': {}", describe(&error)));
                break;
            }
        };
        counts.bytes += chunk.len() as u64;
        counts.lines += memchr::memchr_iter(b'\n', chunk).count() as u64;
        if characters {
            // Every byte but those that continue a character.
            counts.characters += chunk.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        }
        if words {
            for &byte in chunk {
                // What is neither blank nor visible makes no word and ends none.
                if matches!(byte, b' ' | b'\t'..=b'\r') {
                    counts.words += u64::from(in_word);
                    in_word = false;
                } else {
                    in_word |= matches!(byte, 33..=126 | 0x80..=0xbf | 0xc2..=0xf4);
                }
            }
        }
        if longest {
            for &byte in chunk {
                match byte {
                    b'\n' | b'\r' | 12 => {
                        counts.longest = counts.longest.max(column);
                        column = 0;
                    }
                    b'\t' => column += 8 - column % 8,
                    0..=31 | 127 | 0x80..=0xbf => {}
                    _ => column += 1,
                }
            }
        }
    }
    counts.words += u64::from(in_word);
    counts.longest = counts.longest.max(column);
    counts
}
