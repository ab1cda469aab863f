//! cat and tee: bytes from here to there.

use alloc::string::String;
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::input::{BLOCK, Input, or_standard_input};
use crate::context::put;
use crate::sys::fs::{File, OpenOptions};
use crate::sys::io::{Read, Write};

pub const CAT: Tool = Tool {
    name: "cat",
    about: "print files one after another",
    help: "Usage: cat [OPTION]... [FILE]...
Prints files, or standard input where there is none or it is '-'.
  -n  number all lines        -b  number lines that are not empty
  -s  several empty lines become one
  -E  show ends of lines as $ -T  show tabs as ^I
  -v  show control characters as ^X, others as M-X
  -A  the same as -vET        -e, -t  the same as -vE, -vT
Example: cat -n /etc/profile",
    run: cat,
};

pub const TEE: Tool = Tool {
    name: "tee",
    about: "copy standard input to files and to standard output",
    help: "Usage: tee [-a] [FILE]...
Copies standard input to standard output and to every file.
  -a  append instead of overwriting
Example: ls -l / | tee listing.txt",
    run: tee,
};

#[derive(Default)]
struct Style {
    number: bool,
    number_filled: bool,
    squeeze: bool,
    ends: bool,
    tabs: bool,
    controls: bool,
}

/// What goes over from one file to the next.
struct Progress {
    line: u64,
    at_start: bool,
    empty_lines: usize,
}

fn cat(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('n', "number"),
        Opt::Flag('b', "number-nonblank"),
        Opt::Flag('s', "squeeze-blank"),
        Opt::Flag('E', "show-ends"),
        Opt::Flag('T', "show-tabs"),
        Opt::Flag('v', "show-nonprinting"),
        Opt::Flag('A', "show-all"),
        Opt::Flag('e', "\u{1}"),
        Opt::Flag('t', "\u{1}"),
        Opt::Flag('u', "\u{1}"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let all = parsed.has('A');
    let style = Style {
        number: parsed.has('n') && !parsed.has('b'),
        number_filled: parsed.has('b'),
        squeeze: parsed.has('s'),
        ends: all || parsed.has('E') || parsed.has('e'),
        tabs: all || parsed.has('T') || parsed.has('t'),
        controls: all || parsed.has('v') || parsed.has('e') || parsed.has('t'),
    };
    let plain =
        !(style.number || style.number_filled || style.squeeze || style.ends || style.tabs || style.controls);
    let mut buffer = vec![0; BLOCK];
    let mut progress = Progress { line: 0, at_start: true, empty_lines: 0 };
    for path in or_standard_input(parsed.operands) {
        let Some(mut input) = Input::open_or_report(context, &path) else { continue };
        let interactive = matches!(&input, Input::Standard(stream) if stream.is_terminal());
        while !context.out.is_broken() {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) if plain => context.out.bytes(&buffer[..count]),
                Ok(count) => styled(context, &buffer[..count], &style, &mut progress),
                Err(error) => {
                    context.error(format_args!("cannot read '{path}': {}", describe(&error)));
                    break;
                }
            }
            if interactive || matches!(input, Input::Standard(_)) {
                context.out.flush();
            }
        }
    }
    Ok(context.status)
}

fn styled(context: &mut Context, bytes: &[u8], style: &Style, progress: &mut Progress) {
    for &byte in bytes {
        if progress.at_start {
            let empty = byte == b'\n';
            progress.empty_lines = if empty { progress.empty_lines + 1 } else { 0 };
            if style.squeeze && progress.empty_lines > 1 {
                continue;
            }
            if style.number || (style.number_filled && !empty) {
                progress.line += 1;
                put!(context, "{:6}\t", progress.line);
            }
        }
        progress.at_start = byte == b'\n';
        match byte {
            b'\n' => {
                if style.ends {
                    context.out.byte(b'$');
                }
                context.out.byte(b'\n');
            }
            b'\t' => context.out.bytes(if style.tabs { b"^I" } else { b"\t" }),
            other if style.controls => {
                let (prefix, low) = if other >= 128 { (&b"M-"[..], other - 128) } else { (&b""[..], other) };
                context.out.bytes(prefix);
                match low {
                    0..=31 => context.out.bytes(&[b'^', low + 64]),
                    127 => context.out.bytes(b"^?"),
                    plain => context.out.byte(plain),
                }
            }
            other => context.out.byte(other),
        }
    }
}

fn tee(context: &mut Context, args: &[String]) -> Outcome {
    let parsed =
        args::parse(context, args, &[Opt::Flag('a', "append"), Opt::Flag('i', "ignore-interrupts")])?;
    let append = parsed.has('a');
    let mut files: Vec<(String, File)> = Vec::new();
    for path in parsed.operands {
        let opened =
            OpenOptions::new().write(true).create(true).append(append).truncate(!append).open(&path);
        match opened {
            Ok(file) => files.push((path, file)),
            Err(error) => context.error(format_args!("cannot open '{path}': {}", describe(&error))),
        }
    }
    let mut input = match Input::open("-") {
        Ok(input) => input,
        Err(error) => return Err(crate::context::Failure::new(1, describe(&error))),
    };
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(context.status),
            Ok(count) => count,
            Err(error) => {
                context.error(format_args!("cannot read standard input: {}", describe(&error)));
                return Ok(context.status);
            }
        };
        context.out.bytes(&buffer[..count]);
        context.out.flush();
        files.retain_mut(|(path, file)| match file.write_all(&buffer[..count]) {
            Ok(()) => true,
            Err(error) => {
                context.error(format_args!("cannot write '{path}': {}", describe(&error)));
                false
            }
        });
        if context.out.is_broken() && files.is_empty() {
            return Ok(context.status);
        }
    }
}
