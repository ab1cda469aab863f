//! cut.

use alloc::string::String;
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::input::{Input, Lines, or_standard_input};

pub const CUT: Tool = Tool {
    name: "cut",
    about: "print parts of lines",
    help: "Usage: cut -f LIST [-d C] [-s] [FILE]...
       cut -c LIST [FILE]...
       cut -b LIST [FILE]...
Prints fields (-f), characters (-c) or bytes (-b) of each line. LIST is N, N-M, N- or -M, with commas between.
  -d C  fields end at C instead of a tab   -s  no lines without that   --output-delimiter=TEXT
  --complement  all but those   -z  lines end with a zero byte
Example: cut -d: -f1,7 /etc/passwd",
    run: cut,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Characters,
    Fields,
}

struct Plan {
    unit: Unit,
    ranges: Vec<(usize, usize)>,
    complement: bool,
    delimiter: u8,
    only_delimited: bool,
    joiner: Option<String>,
    end: u8,
}

fn cut(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Value('b', "bytes"),
        Opt::Value('c', "characters"),
        Opt::Value('f', "fields"),
        Opt::Value('d', "delimiter"),
        Opt::Flag('s', "only-delimited"),
        Opt::Flag('n', "\u{1}"),
        Opt::Value('O', "output-delimiter"),
        Opt::Flag('K', "complement"),
        Opt::Flag('z', "zero-terminated"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let mut lists = parsed.options.iter().filter(|(option, _)| matches!(option, 'b' | 'c' | 'f'));
    let (unit, list) = match (lists.next(), lists.next()) {
        (Some((option, list)), None) => {
            (if *option == 'f' { Unit::Fields } else if *option == 'b' { Unit::Bytes } else { Unit::Characters }, list)
        }
        _ => return Err(args::misuse(context, "one of -f, -c and -b is needed")),
    };
    let delimiter = match parsed.value('d') {
        None => b'\t',
        Some("") => 0,
        Some(text) if text.len() == 1 => text.as_bytes()[0],
        Some(text) => {
            return Err(args::misuse(context, format_args!("'{text}' is not one character to end fields")));
        }
    };
    let Some(ranges) = ranges(list) else {
        return Err(args::misuse(context, format_args!("'{list}' is no list such as 1,3-5")));
    };
    let plan = Plan {
        unit,
        ranges,
        complement: parsed.has('K'),
        delimiter,
        only_delimited: parsed.has('s'),
        joiner: parsed.value('O').map(String::from),
        end: if parsed.has('z') { 0 } else { b'\n' },
    };
    for path in or_standard_input(parsed.operands.clone()) {
        let Some(input) = Input::open_or_report(context, &path) else { continue };
        let mut lines = Lines::new(input, plan.end);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => plan.line(context, line),
                Ok(None) => break,
                Err(error) => {
                    context.error(format_args!("cannot read '{path}': {}", describe(&error)));
                    break;
                }
            }
            if context.out.is_broken() {
                return Ok(context.status);
            }
        }
    }
    Ok(context.status)
}

/// Reads a list into ranges from 1, both ends included, in order and without overlap.
fn ranges(list: &str) -> Option<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    for part in list.split([',', ' ']) {
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
        let range = match part.split_once('-') {
            None => (number(part)?, number(part)?),
            Some(("", "")) => return None,
            Some(("", to)) => (1, number(to)?),
            Some((from, "")) => (number(from)?, usize::MAX),
            Some((from, to)) => (number(from)?, number(to)?),
        };
        if range.0 > range.1 {
            return None;
        }
        found.push(range);
    }
    found.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (from, to) in found {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    Some(merged)
}

impl Plan {
    fn wants(&self, position: usize) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&position)) != self.complement
    }

    fn line(&self, context: &mut Context, line: &[u8]) {
        match self.unit {
            Unit::Fields => {
                if memchr::memchr(self.delimiter, line).is_none() {
                    if self.only_delimited {
                        return;
                    }
                    context.out.bytes(line);
                } else {
                    let mut first = true;
                    for (position, field) in line.split(|byte| *byte == self.delimiter).enumerate() {
                        if self.wants(position + 1) {
                            match &self.joiner {
                                _ if first => {}
                                Some(text) => context.out.bytes(text.as_bytes()),
                                None => context.out.byte(self.delimiter),
                            }
                            context.out.bytes(field);
                            first = false;
                        }
                    }
                }
            }
            Unit::Bytes | Unit::Characters => {
                let mut before = None;
                for (position, byte) in line.iter().enumerate() {
                    if !self.wants(position + 1) {
                        continue;
                    }
                    let starts_range = match self.complement {
                        false => self.ranges.iter().any(|(from, _)| *from == position + 1),
                        true => before != Some(position),
                    };
                    if let Some(text) = &self.joiner
                        && before.is_some()
                        && starts_range
                    {
                        context.out.bytes(text.as_bytes());
                    }
                    context.out.byte(*byte);
                    before = Some(position + 1);
                }
            }
        }
        context.out.byte(self.end);
    }
}
