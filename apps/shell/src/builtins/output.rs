//! `echo` and `printf`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{misuse, print};
use crate::shell::{Outcome, Shell};

/// `echo [-n] [-e]`
pub fn echo(shell: &mut Shell, fields: &[String]) -> Outcome {
    let (mut newline, mut escapes) = (true, false);
    let mut arguments = &fields[1..];
    while let Some(first) = arguments.first() {
        let letters = match first.strip_prefix('-') {
            Some(letters) if !letters.is_empty() && letters.chars().all(|c| "neE".contains(c)) => letters,
            _ => break,
        };
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                other => escapes = other == 'e',
            }
        }
        arguments = &arguments[1..];
    }
    let mut text = arguments.join(" ").into_bytes();
    if escapes {
        let (expanded, stop) = unescape(&String::from_utf8_lossy(&text), true);
        text = expanded;
        newline &= !stop;
    }
    if newline {
        text.push(b'\n');
    }
    print(shell, &text)
}

/// Replaces `\n` and its kin; also says whether `\c` asked to stop. Octal codes begin with `\0` when
/// `zero` says so (`echo`, `%b`), else with any digit (a `printf` format).
fn unescape(text: &str, zero: bool) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut out, c);
            continue;
        }
        match chars.next() {
            None => out.push(b'\\'),
            Some('a') => out.push(7),
            Some('b') => out.push(8),
            Some('c') => return (out, true),
            Some('e') => out.push(27),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('v') => out.push(11),
            Some('\\') => out.push(b'\\'),
            Some('"') if !zero => out.push(b'"'),
            Some('x') => {
                let mut value = 0;
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) else { break };
                    chars.next();
                    value = value * 16 + digit;
                }
                out.push(value as u8);
            }
            Some(digit @ '0'..='7') if !zero || digit == '0' => {
                let mut value = digit as u32 - '0' as u32;
                for _ in 0..if zero { 3 } else { 2 } {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    chars.next();
                    value = value * 8 + digit;
                }
                out.push(value as u8);
            }
            Some(other) => {
                out.push(b'\\');
                push(&mut out, other);
            }
        }
    }
    (out, false)
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `printf format [args]`
pub fn printf(shell: &mut Shell, fields: &[String]) -> Outcome {
    let rest = match fields.get(1).map(String::as_str) {
        Some("--") => &fields[2..],
        _ => &fields[1..],
    };
    let Some(template) = rest.first() else {
        return misuse(shell, "printf: wants a format");
    };
    let mut state = Printf { shell, out: Vec::new(), arguments: &rest[1..], status: 0, stop: false };
    let pieces = match pieces(template) {
        Ok(pieces) => pieces,
        Err(message) => return misuse(state.shell, &message),
    };
    loop {
        let left = state.arguments.len();
        for piece in &pieces {
            state.piece(piece);
            if state.stop {
                break;
            }
        }
        if state.stop || state.arguments.is_empty() || state.arguments.len() == left {
            break;
        }
    }
    let (out, status) = (state.out, state.status);
    Ok(print(shell, &out)?.max(status))
}

enum Piece {
    Text(Vec<u8>, bool),
    Conversion { flags: String, width: Option<Count>, precision: Option<Count>, letter: char },
}

#[derive(Clone, Copy)]
enum Count {
    Fixed(usize),
    Argument,
}

fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            text.push(c);
            text.extend(chars.next());
            continue;
        }
        if c != '%' {
            text.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            text.push('%');
            continue;
        }
        if !text.is_empty() {
            let (bytes, stop) = unescape(&core::mem::take(&mut text), false);
            pieces.push(Piece::Text(bytes, stop));
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| "-+ #0".contains(*c)) {
            flags.push(flag);
        }
        let count = |chars: &mut core::iter::Peekable<core::str::Chars<'_>>| {
            if chars.next_if_eq(&'*').is_some() {
                return Some(Count::Argument);
            }
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            // A width beyond this is a mistake that would fill the memory.
            digits.parse().ok().map(|number: usize| Count::Fixed(number.min(10_000)))
        };
        let width = count(&mut chars);
        let dot = chars.next_if_eq(&'.');
        let precision = dot.map(|_| count(&mut chars).unwrap_or(Count::Fixed(0)));
        while chars.next_if(|c| "hlLjzt".contains(*c)).is_some() {}
        match chars.next() {
            Some(letter) if "diouxXcsb".contains(letter) => {
                pieces.push(Piece::Conversion { flags, width, precision, letter });
            }
            Some(letter) => return Err(format!("printf: unknown conversion '%{letter}'")),
            None => return Err("printf: the format ends inside a conversion".into()),
        }
    }
    if !text.is_empty() {
        let (bytes, stop) = unescape(&text, false);
        pieces.push(Piece::Text(bytes, stop));
    }
    Ok(pieces)
}

struct Printf<'a> {
    shell: &'a mut Shell,
    out: Vec<u8>,
    arguments: &'a [String],
    status: i32,
    stop: bool,
}

impl Printf<'_> {
    fn next(&mut self) -> Option<String> {
        let (first, rest) = self.arguments.split_first()?;
        self.arguments = rest;
        Some(first.clone())
    }

    fn number(&mut self) -> i64 {
        let Some(text) = self.next() else { return 0 };
        let trimmed = text.trim_start();
        if let Some(quoted) = trimmed.strip_prefix(['\'', '"']) {
            return quoted.chars().next().map_or(0, |c| c as i64);
        }
        let (negative, digits) = match trimmed.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let (digits, base) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
            None => (digits, 10),
        };
        let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
        let value = u64::from_str_radix(&digits[..end], base);
        if end < digits.len() || value.is_err() {
            self.shell.complain(&format!("printf: '{text}' is not a number"));
            self.status = 1;
        }
        let value = value.unwrap_or(0) as i64;
        if negative { value.wrapping_neg() } else { value }
    }

    fn count(&mut self, count: Option<Count>) -> Option<i64> {
        match count? {
            Count::Fixed(number) => Some(number as i64),
            Count::Argument => Some(self.number().clamp(-10_000, 10_000)),
        }
    }

    fn piece(&mut self, piece: &Piece) {
        let (flags, width, precision, letter) = match piece {
            Piece::Text(text, stop) => {
                self.out.extend_from_slice(text);
                self.stop |= *stop;
                return;
            }
            Piece::Conversion { flags, width, precision, letter } => (flags, *width, *precision, *letter),
        };
        let width = self.count(width).unwrap_or(0);
        let left = flags.contains('-') || width < 0;
        let width = width.unsigned_abs() as usize;
        let precision = self.count(precision).filter(|count| *count >= 0).map(|count| count as usize);
        let (sign, body): (String, Vec<u8>) = match letter {
            's' => (String::new(), cut(self.next().unwrap_or_default().as_bytes(), precision)),
            'b' => {
                let (bytes, stop) = unescape(&self.next().unwrap_or_default(), true);
                self.stop |= stop;
                (String::new(), cut(&bytes, precision))
            }
            'c' => {
                let first = self.next().and_then(|text| text.chars().next());
                (String::new(), first.map(|c| c.to_string().into_bytes()).unwrap_or_default())
            }
            _ => {
                let value = self.number();
                let (sign, digits) = integer(value, letter, flags);
                let fill = precision.unwrap_or(0).saturating_sub(digits.len());
                (sign, (core::iter::repeat_n('0', fill).collect::<String>() + &digits).into_bytes())
            }
        };
        let length = sign.chars().count() + String::from_utf8_lossy(&body).chars().count();
        let fill = width.saturating_sub(length);
        let zeros = flags.contains('0') && !left && precision.is_none() && "diouxX".contains(letter);
        if !left && !zeros {
            self.out.resize(self.out.len() + fill, b' ');
        }
        self.out.extend_from_slice(sign.as_bytes());
        if zeros {
            self.out.resize(self.out.len() + fill, b'0');
        }
        self.out.extend_from_slice(&body);
        if left {
            self.out.resize(self.out.len() + fill, b' ');
        }
    }
}

fn cut(bytes: &[u8], precision: Option<usize>) -> Vec<u8> {
    bytes[..precision.unwrap_or(bytes.len()).min(bytes.len())].to_vec()
}

/// A number's sign or prefix, and its digits.
fn integer(value: i64, letter: char, flags: &str) -> (String, String) {
    match letter {
        'd' | 'i' => {
            let sign = match value {
                ..0 => "-",
                _ if flags.contains('+') => "+",
                _ if flags.contains(' ') => " ",
                _ => "",
            };
            (sign.into(), value.unsigned_abs().to_string())
        }
        'o' => (if flags.contains('#') { "0" } else { "" }.into(), format!("{:o}", value as u64)),
        'x' => (if flags.contains('#') { "0x" } else { "" }.into(), format!("{:x}", value as u64)),
        'X' => (if flags.contains('#') { "0X" } else { "" }.into(), format!("{:X}", value as u64)),
        _ => (String::new(), (value as u64).to_string()),
    }
}
