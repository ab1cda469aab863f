//! sort.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{Input, or_standard_input, read_all};
use crate::sys::fs::File;
use crate::sys::io::Write;

pub const SORT: Tool = Tool {
    name: "sort",
    about: "sort lines",
    help: "Usage: sort [OPTION]... [FILE]...
Prints the lines of all files, or of standard input, in order of their bytes.
  -n  by the number they begin with   -h  by sizes such as 2K, 1G   -V  by version numbers   -M  by months
  -f  upper and lower case alike   -d  only blanks, letters and digits count   -b  blanks in front do not count
  -r  the other way round   -u  equal lines once   -s  equal lines keep their order
  -k F[.C][OPTIONS][,F[.C][OPTIONS]]  by fields (from 1) and characters of them   -t C  fields end at C
  -o FILE  into a file, which may be one that is read   -c, -C  only check   -z  lines end with a zero byte
Example: du -s /* | sort -n -r
         sort -t: -k3,3n /etc/passwd",
    run: sort,
};

const KNOWN: &[Opt] = &[
    Opt::Flag('n', "numeric-sort"),
    Opt::Flag('g', "general-numeric-sort"),
    Opt::Flag('h', "human-numeric-sort"),
    Opt::Flag('V', "version-sort"),
    Opt::Flag('M', "month-sort"),
    Opt::Flag('f', "ignore-case"),
    Opt::Flag('d', "dictionary-order"),
    Opt::Flag('i', "ignore-nonprinting"),
    Opt::Flag('b', "ignore-leading-blanks"),
    Opt::Flag('r', "reverse"),
    Opt::Flag('u', "unique"),
    Opt::Flag('s', "stable"),
    Opt::Value('k', "key"),
    Opt::Value('t', "field-separator"),
    Opt::Value('o', "output"),
    Opt::Flag('c', "check"),
    Opt::Flag('C', "\u{1}"),
    Opt::Flag('m', "merge"),
    Opt::Flag('z', "zero-terminated"),
    Opt::Value('S', "buffer-size"),
    Opt::Value('T', "temporary-directory"),
];

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Bytes,
    Number,
    Human,
    Version,
    Month,
}

/// How two keys are compared.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Order {
    kind: Kind,
    fold: bool,
    dictionary: bool,
    printable: bool,
    start_blanks: bool,
    end_blanks: bool,
    reverse: bool,
}

impl Order {
    /// Takes up one letter of the options; false where it is none.
    fn set(&mut self, letter: char, at_end: bool) -> bool {
        match letter {
            'n' | 'g' => self.kind = Kind::Number,
            'h' => self.kind = Kind::Human,
            'V' => self.kind = Kind::Version,
            'M' => self.kind = Kind::Month,
            'f' => self.fold = true,
            'd' => self.dictionary = true,
            'i' => self.printable = true,
            'b' if at_end => self.end_blanks = true,
            'b' => self.start_blanks = true,
            'r' => self.reverse = true,
            _ => return false,
        }
        true
    }
}

/// A part of the line: fields and characters count from 1; an end character of 0 is the field's end.
#[derive(Clone, Copy)]
struct Key {
    start: (usize, usize),
    end: Option<(usize, usize)>,
    order: Order,
}

struct Plan {
    keys: Vec<Key>,
    order: Order,
    separator: Option<u8>,
    unique: bool,
    stable: bool,
}

fn sort(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, KNOWN)?;
    let mut order = Order::default();
    for (option, _) in &parsed.options {
        order.set(*option, false);
    }
    order.end_blanks = order.start_blanks;
    let separator = match parsed.value('t') {
        None => None,
        Some("\\0") => Some(0),
        Some("\\t") => Some(b'\t'),
        Some(text) if text.len() == 1 => Some(text.as_bytes()[0]),
        Some(text) => {
            return Err(args::misuse(context, format_args!("'{text}' is not one character to end fields")));
        }
    };
    let mut keys = Vec::new();
    for (_, text) in parsed.options.iter().filter(|(option, _)| *option == 'k') {
        match parse_key(text, order) {
            Some(key) => keys.push(key),
            None => return Err(args::misuse(context, format_args!("'{text}' is no key"))),
        }
    }
    let plan = Plan { keys, order, separator, unique: parsed.has('u'), stable: parsed.has('s') };
    let end = if parsed.has('z') { 0 } else { b'\n' };
    let mut text = Vec::new();
    for path in or_standard_input(parsed.operands.clone()) {
        let more = Input::open(&path).and_then(|mut input| read_all(&mut input));
        let mut more = more.map_err(|error| {
            Failure::new(2, format_args!("cannot read '{path}': {}", describe(&error)))
        })?;
        if more.last().is_some_and(|last| *last != end) {
            more.push(end);
        }
        if text.is_empty() {
            text = more;
        } else {
            text.extend_from_slice(&more);
        }
    }
    let mut lines = Vec::with_capacity(memchr::memchr_iter(end, &text).count());
    let mut start = 0;
    for position in memchr::memchr_iter(end, &text) {
        lines.push(&text[start..position]);
        start = position + 1;
    }
    if parsed.has('c') || parsed.has('C') {
        return Ok(check(context, &lines, &plan, !parsed.has('C')));
    }
    if plan.keys.is_empty() && plan.order == Order::default() {
        lines.sort_unstable();
    } else {
        lines.sort_by(|a, b| plan.compare(a, b));
    }
    if plan.unique {
        lines.dedup_by(|a, b| plan.compare_keys(b, a) == Ordering::Equal);
    }
    match parsed.value('o') {
        None => {
            for line in lines {
                context.out.bytes(line);
                context.out.byte(end);
            }
        }
        Some(path) => write_file(path, &lines, end).map_err(|error| {
            Failure::new(2, format_args!("cannot write '{path}': {}", describe(&error)))
        })?,
    }
    Ok(context.status)
}

fn write_file(path: &str, lines: &[&[u8]], end: u8) -> crate::sys::io::Result<()> {
    let mut file = File::create(path)?;
    let mut buffer = Vec::with_capacity(crate::input::BLOCK);
    for line in lines {
        buffer.extend_from_slice(line);
        buffer.push(end);
        if buffer.len() >= crate::input::BLOCK {
            file.write_all(&buffer)?;
            buffer.clear();
        }
    }
    file.write_all(&buffer)?;
    file.flush()
}

fn check(context: &mut Context, lines: &[&[u8]], plan: &Plan, speak: bool) -> i32 {
    for (number, pair) in lines.windows(2).enumerate() {
        let order = match plan.unique {
            true => plan.compare_keys(pair[0], pair[1]),
            false => plan.compare(pair[0], pair[1]),
        };
        if order == Ordering::Greater || (plan.unique && order == Ordering::Equal) {
            if speak {
                let text = String::from_utf8_lossy(pair[1]);
                context.note(format_args!("line {} is out of order: {text}", number + 2));
            }
            return 1;
        }
    }
    0
}

fn parse_key(text: &str, general: Order) -> Option<Key> {
    let (start, end) = match text.split_once(',') {
        Some((start, end)) => (start, Some(end)),
        None => (text, None),
    };
    let mut own = Order::default();
    let mut any = false;
    let mut position = |text: &str, at_end: bool| -> Option<(usize, usize)> {
        let letters = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
        for letter in text[letters..].chars() {
            any = true;
            if !own.set(letter, at_end) {
                return None;
            }
        }
        let (field, character) = match text[..letters].split_once('.') {
            Some((field, character)) => (field, character.parse().ok()?),
            None => (&text[..letters], usize::from(!at_end)),
        };
        let field: usize = field.parse().ok()?;
        (field > 0 && (at_end || character > 0)).then_some((field, character))
    };
    let start = position(start, false)?;
    let end = match end {
        Some(end) => Some(position(end, true)?),
        None => None,
    };
    Some(Key { start, end, order: if any { own } else { general } })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl Plan {
    /// The order of two lines; where their keys are equal, that of all their bytes.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let order = self.compare_keys(a, b);
        if order != Ordering::Equal || self.stable || self.unique {
            return order;
        }
        let bytes = a.cmp(b);
        if self.order.reverse { bytes.reverse() } else { bytes }
    }

    fn compare_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.keys.is_empty() {
            return compare_by(a, b, self.order);
        }
        for key in &self.keys {
            let order = compare_by(self.part(a, key), self.part(b, key), key.order);
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    /// The part of a line that a key names.
    fn part<'a>(&self, line: &'a [u8], key: &Key) -> &'a [u8] {
        let mut start = self.field_start(line, key.start.0);
        if key.order.start_blanks {
            start += line[start..].iter().take_while(|byte| is_blank(**byte)).count();
        }
        start = (start + key.start.1 - 1).min(line.len());
        let end = match key.end {
            None => line.len(),
            Some((field, 0)) => self.field_end(line, field),
            Some((field, character)) => {
                let mut position = self.field_start(line, field);
                if key.order.end_blanks {
                    position += line[position..].iter().take_while(|byte| is_blank(**byte)).count();
                }
                (position + character).min(line.len())
            }
        };
        &line[start..end.max(start)]
    }

    fn field_start(&self, line: &[u8], field: usize) -> usize {
        let mut position = 0;
        for _ in 1..field {
            position = self.after_field(line, position);
            if self.separator.is_some() {
                position = (position + 1).min(line.len());
            }
        }
        position
    }

    fn field_end(&self, line: &[u8], field: usize) -> usize {
        let start = self.field_start(line, field);
        self.after_field(line, start)
    }

    /// Where the field that begins at a position ends. Without a separator, the blanks before it belong to it.
    fn after_field(&self, line: &[u8], position: usize) -> usize {
        let rest = &line[position..];
        match self.separator {
            Some(separator) => memchr::memchr(separator, rest).map_or(line.len(), |found| position + found),
            None => {
                let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
                position + blanks + rest[blanks..].iter().take_while(|byte| !is_blank(**byte)).count()
            }
        }
    }
}

fn compare_by(a: &[u8], b: &[u8], order: Order) -> Ordering {
    let skip = |text: &mut &[u8]| {
        let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
        *text = &text[blanks..];
    };
    let (mut a, mut b) = (a, b);
    if order.start_blanks || order.kind != Kind::Bytes {
        skip(&mut a);
        skip(&mut b);
    }
    let result = match order.kind {
        Kind::Number => compare_numbers(a, b),
        Kind::Human => suffix(a).cmp(&suffix(b)).then_with(|| compare_numbers(a, b)),
        Kind::Version => compare_versions(a, b),
        Kind::Month => month(a).cmp(&month(b)),
        Kind::Bytes if order.fold || order.dictionary || order.printable => {
            let keep = |byte: &&u8| {
                (!order.dictionary || byte.is_ascii_alphanumeric() || is_blank(**byte))
                    && (!order.printable || (32..127).contains(*byte))
            };
            let fold = |byte: &u8| if order.fold { byte.to_ascii_uppercase() } else { *byte };
            a.iter().filter(keep).map(fold).cmp(b.iter().filter(keep).map(fold))
        }
        Kind::Bytes => a.cmp(b),
    };
    if order.reverse { result.reverse() } else { result }
}

/// A decimal number at the front of a text: sign, digits before the point without zeros in front, and those
/// after it without zeros behind.
fn decimal(text: &[u8]) -> (bool, &[u8], &[u8]) {
    let (negative, text) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        _ => (false, text),
    };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (whole, rest) = text.split_at(digits(text));
    let fraction = match rest.first() {
        Some(b'.') => &rest[1..1 + digits(&rest[1..])],
        _ => &[],
    };
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    let kept = fraction.len() - fraction.iter().rev().take_while(|byte| **byte == b'0').count();
    let (whole, fraction) = (&whole[zeros..], &fraction[..kept]);
    (negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction)
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a_negative, a_whole, a_fraction) = decimal(a);
    let (b_negative, b_whole, b_fraction) = decimal(b);
    let magnitude = || {
        a_whole.len().cmp(&b_whole.len()).then_with(|| a_whole.cmp(b_whole)).then_with(|| a_fraction.cmp(b_fraction))
    };
    match (a_negative, b_negative) {
        (false, false) => magnitude(),
        (true, true) => magnitude().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// The rank of a size's unit; negative for sizes below zero.
fn suffix(text: &[u8]) -> i32 {
    let (negative, whole, fraction) = decimal(text);
    if whole.is_empty() && fraction.is_empty() {
        return 0;
    }
    let unit = text.iter().find(|byte| !(byte.is_ascii_digit() || matches!(byte, b'-' | b'.')));
    let rank = match unit {
        Some(b'k' | b'K') => 1,
        Some(b'M') => 2,
        Some(b'G') => 3,
        Some(b'T') => 4,
        Some(b'P') => 5,
        Some(b'E') => 6,
        _ => 0,
    };
    if negative { -rank } else { rank }
}

fn month(text: &[u8]) -> usize {
    const NAMES: [&[u8; 3]; 12] =
        [b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"];
    let name: Vec<u8> = text.iter().take(3).map(u8::to_ascii_uppercase).collect();
    NAMES.iter().position(|known| known.as_slice() == name).map_or(0, |position| position + 1)
}

/// Digits by their value, everything else by letters first, then by bytes; `~` before all.
fn compare_versions(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(digit) if digit.is_ascii_digit() => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    while !a.is_empty() || !b.is_empty() {
        let digit = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_digit);
        while !digit(a.first()) || !digit(b.first()) {
            let order = rank(a.first()).cmp(&rank(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or(&[]);
            b = b.get(1..).unwrap_or(&[]);
        }
        let length = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (a_digits, a_rest) = a.split_at(length(a));
        let (b_digits, b_rest) = b.split_at(length(b));
        let order = compare_numbers(a_digits, b_digits);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}
