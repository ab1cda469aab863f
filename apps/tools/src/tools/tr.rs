//! tr.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::{BLOCK, Input};
use crate::sys::io::Read;
use crate::text::{Unescaped, unescape};

pub const TR: Tool = Tool {
    name: "tr",
    about: "replace or delete characters",
    help: "Usage: tr [-c] [-d] [-s] [-t] SET1 [SET2]
Copies standard input and replaces each character of SET1 by the one of SET2 in the same place.
Sets are written as abc, a-z, [:upper:], [=a=], [x*5], \\n.
  -d  delete those of SET1   -s  runs of one character of the last set become one
  -c, -C  all that is not in SET1   -t  cut SET1 to the length of SET2
Example: echo hello | tr a-z A-Z",
    run: tr,
};

fn tr(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('c', "complement"),
        Opt::Flag('C', "\u{1}"),
        Opt::Flag('d', "delete"),
        Opt::Flag('s', "squeeze-repeats"),
        Opt::Flag('t', "truncate-set1"),
    ];
    let parsed = args::parse_leading(context, args, &known)?;
    let (delete, squeeze) = (parsed.has('d'), parsed.has('s'));
    let needed = match (delete, squeeze) {
        (true, false) => 1..=1,
        (true, true) => 2..=2,
        (false, true) => 1..=2,
        (false, false) => 2..=2,
    };
    if !needed.contains(&parsed.operands.len()) {
        let sets = if *needed.end() == 1 { "one set is" } else { "two sets are" };
        return Err(args::misuse(context, format_args!("{sets} needed")));
    }
    let failed = |reason: String| Failure::new(1, reason);
    let mut first = expand(&parsed.operands[0], None).map_err(failed)?;
    if parsed.has('c') || parsed.has('C') {
        first = (0..=255).filter(|byte| !first.contains(byte)).collect();
    }
    let second = match parsed.operands.get(1) {
        Some(text) => Some(expand(text, Some(first.len())).map_err(failed)?),
        None => None,
    };
    let mut map: [u8; 256] = core::array::from_fn(|byte| u8::try_from(byte).unwrap_or(0));
    let mut deleted = [false; 256];
    let mut squeezed = [false; 256];
    if delete {
        first.iter().for_each(|byte| deleted[usize::from(*byte)] = true);
    } else if let Some(second) = &second {
        if parsed.has('t') {
            first.truncate(second.len());
        }
        let Some(last) = second.last() else {
            return Err(failed("the second set is empty".to_string()));
        };
        for (position, byte) in first.iter().enumerate() {
            map[usize::from(*byte)] = *second.get(position).unwrap_or(last);
        }
    }
    if squeeze {
        second.as_ref().unwrap_or(&first).iter().for_each(|byte| squeezed[usize::from(*byte)] = true);
    }
    let mut input = Input::open("-").map_err(|error| Failure::new(1, describe(&error)))?;
    let mut buffer = vec![0; BLOCK];
    let mut before = None;
    while !context.out.is_broken() {
        let count = input
            .read(&mut buffer)
            .map_err(|error| Failure::new(1, format_args!("cannot read standard input: {}", describe(&error))))?;
        if count == 0 {
            break;
        }
        let mut kept = 0;
        for position in 0..count {
            let byte = buffer[position];
            if deleted[usize::from(byte)] {
                continue;
            }
            let byte = map[usize::from(byte)];
            if before == Some(byte) && squeezed[usize::from(byte)] {
                continue;
            }
            before = Some(byte);
            buffer[kept] = byte;
            kept += 1;
        }
        context.out.bytes(&buffer[..kept]);
    }
    Ok(context.status)
}

/// A set's bytes. The second set may be filled up by `[x*]` to the length of the first.
fn expand(text: &str, fill: Option<usize>) -> Result<Vec<u8>, String> {
    // Characters with the mark whether they were escaped, and so never operators.
    let bytes = text.as_bytes();
    let mut items: Vec<(u8, bool)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        if byte != b'\\' {
            items.push((byte, false));
            continue;
        }
        match unescape(&bytes[at..]) {
            Unescaped::Byte(value, length) if bytes[at] != b'x' && bytes[at] != b'e' => {
                items.push((value, true));
                at += length;
            }
            _ if at < bytes.len() => {
                items.push((bytes[at], true));
                at += 1;
            }
            _ => items.push((b'\\', true)),
        }
    }
    let mut set = Vec::new();
    // Where an open-ended repetition is to be filled in.
    let mut open: Option<(usize, u8)> = None;
    let mut at = 0;
    while at < items.len() {
        if let Some((length, found)) = bracketed(&items[at..])? {
            match found {
                Bracketed::Bytes(bytes) => set.extend(bytes),
                Bracketed::Repeat(byte, Some(count)) => set.extend(vec![byte; count]),
                Bracketed::Repeat(byte, None) => open = Some((set.len(), byte)),
            }
            at += length;
            continue;
        }
        match (items.get(at + 1), items.get(at + 2)) {
            (Some((b'-', false)), Some((to, _))) => {
                let from = items[at].0;
                if from > *to {
                    let (from, to) = (char::from(from), char::from(*to));
                    return Err(format!("the range '{from}-{to}' runs backwards"));
                }
                set.extend(from..=*to);
                at += 3;
            }
            _ => {
                set.push(items[at].0);
                at += 1;
            }
        }
    }
    if let Some((position, byte)) = open {
        let missing = fill.unwrap_or(0).saturating_sub(set.len());
        set.splice(position..position, vec![byte; missing]);
    }
    Ok(set)
}

enum Bracketed {
    Bytes(Vec<u8>),
    Repeat(u8, Option<usize>),
}

/// `[:class:]`, `[=x=]` or `[x*n]` at the front, with its length.
fn bracketed(items: &[(u8, bool)]) -> Result<Option<(usize, Bracketed)>, String> {
    let plain = |position: usize, byte: u8| items.get(position) == Some(&(byte, false));
    if !plain(0, b'[') {
        return Ok(None);
    }
    if plain(1, b':')
        && let Some(end) = (3..items.len()).find(|end| plain(*end, b']') && plain(*end - 1, b':'))
    {
        let name: String = items[2..end - 1].iter().map(|(byte, _)| char::from(*byte)).collect();
        let Some(member) = class(&name) else {
            return Err(format!("there is no class '[:{name}:]'"));
        };
        return Ok(Some((end + 1, Bracketed::Bytes((0..=255).filter(member).collect()))));
    }
    if plain(1, b'=') && plain(3, b'=') && plain(4, b']') {
        return Ok(Some((5, Bracketed::Bytes(vec![items[2].0]))));
    }
    if plain(2, b'*') && let Some(end) = (3..items.len()).find(|end| plain(*end, b']')) {
        let digits: String = items[3..end].iter().map(|(byte, _)| char::from(*byte)).collect();
        let radix = if digits.starts_with('0') { 8 } else { 10 };
        let count = match digits.as_str() {
            "" => None,
            digits => match usize::from_str_radix(digits, radix) {
                Ok(0) => None,
                Ok(count) => Some(count),
                Err(_) => return Ok(None),
            },
        };
        return Ok(Some((end + 1, Bracketed::Repeat(items[1].0, count))));
    }
    Ok(None)
}

fn class(name: &str) -> Option<fn(&u8) -> bool> {
    Some(match name {
        "alnum" => u8::is_ascii_alphanumeric,
        "alpha" => u8::is_ascii_alphabetic,
        "blank" => |byte| matches!(byte, b' ' | b'\t'),
        "cntrl" => u8::is_ascii_control,
        "digit" => u8::is_ascii_digit,
        "graph" => u8::is_ascii_graphic,
        "lower" => u8::is_ascii_lowercase,
        "print" => |byte| (32..127).contains(byte),
        "punct" => u8::is_ascii_punctuation,
        "space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        "upper" => u8::is_ascii_uppercase,
        "xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}
