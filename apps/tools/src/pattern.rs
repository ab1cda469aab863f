//! Patterns of grep and find, turned into the regex crate's syntax.
//!
//! Basic and extended POSIX expressions differ from that syntax in what is escaped and in brackets; globs are
//! turned into an expression over the whole name. Back-references are not supported.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex::bytes::{Regex, RegexBuilder};

/// Which language a pattern is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// POSIX basic, as grep without options: `\(`, `\|`, `\+` are the operators.
    Basic,
    /// POSIX extended, as `grep -E`.
    Extended,
    /// Nothing is special.
    Fixed,
    /// The regex crate's own, as `grep -P`.
    Native,
}

/// Turns a pattern into an expression of the regex crate.
pub fn translate(pattern: &str, syntax: Syntax) -> Result<String, String> {
    match syntax {
        Syntax::Fixed => Ok(regex::escape(pattern)),
        Syntax::Native => Ok(pattern.to_string()),
        Syntax::Basic | Syntax::Extended => posix(pattern, syntax == Syntax::Extended),
    }
}

/// Compiles an expression that [`translate`] made.
pub fn compile(expression: &str, ignore_case: bool) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .case_insensitive(ignore_case)
        .multi_line(false)
        .build()
        .map_err(|error| reason(&error.to_string()))
}

/// The last line of the regex crate's explanation is the reason itself.
fn reason(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text);
    last.strip_prefix("error: ").unwrap_or(last).to_string()
}

/// The part of an expression that `*` and its like would repeat.
#[derive(Clone, Copy)]
struct Atom {
    /// Where it begins in the output.
    start: usize,
    /// Whether it is repeated already.
    repeated: bool,
}

fn posix(pattern: &str, extended: bool) -> Result<String, String> {
    let characters: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut groups: Vec<usize> = Vec::new();
    let mut atom: Option<Atom> = None;
    // Whether a branch begins here: in basic expressions `^` is an anchor nowhere else.
    let mut begins = true;
    let mut at = 0;
    while at < characters.len() {
        let character = characters[at];
        at += 1;
        let start = out.len();
        let began = core::mem::replace(&mut begins, false);
        // The same operators are written bare in one language and escaped in the other.
        let operator = match (character, characters.get(at).copied()) {
            ('\\', None) => return Err("trailing backslash".to_string()),
            ('\\', Some(escaped)) => {
                at += 1;
                if !extended && matches!(escaped, '(' | ')' | '{' | '}' | '|' | '+' | '?') {
                    escaped
                } else {
                    atom = escape(escaped, &mut out)?.then_some(Atom { start, repeated: false });
                    continue;
                }
            }
            ('(' | ')' | '{' | '}' | '|' | '+' | '?', _) if extended => character,
            ('*' | '.' | '[' | '^' | '$', _) => character,
            (literal, _) => {
                push_literal(literal, &mut out);
                atom = Some(Atom { start, repeated: false });
                continue;
            }
        };
        let mut literal = false;
        match operator {
            '(' => {
                groups.push(start);
                out.push_str("(?:");
                atom = None;
                begins = true;
                continue;
            }
            ')' => match groups.pop() {
                Some(opened) => {
                    out.push(')');
                    atom = Some(Atom { start: opened, repeated: false });
                    continue;
                }
                None if extended => literal = true,
                None => return Err(r"unmatched \)".to_string()),
            },
            '|' => {
                out.push('|');
                atom = None;
                begins = true;
                continue;
            }
            '*' | '+' | '?' => match atom {
                Some(before) => {
                    atom = Some(repeat(&mut out, before, operator.encode_utf8(&mut [0; 4])));
                    continue;
                }
                None if extended => continue,
                None => literal = true,
            },
            '{' => {
                let close = if extended { "}" } else { r"\}" };
                let rest: String = characters[at..].iter().collect();
                match (rest.find(close).map(|end| &rest[..end]), atom) {
                    (Some(bounds), Some(before)) if is_bounds(bounds) => {
                        let low = if bounds.starts_with(',') { "0" } else { "" };
                        atom = Some(repeat(&mut out, before, &format!("{{{low}{bounds}}}")));
                        at += bounds.len() + close.len();
                        continue;
                    }
                    _ if extended => literal = true,
                    _ => return Err(r"invalid content of \{\}".to_string()),
                }
            }
            '}' if extended => literal = true,
            '}' => return Err(r"unmatched \}".to_string()),
            '[' => at = bracket(&characters, at, &mut out)?,
            '^' if extended || began => {
                out.push('^');
                atom = None;
                continue;
            }
            '$' => {
                let rest = &characters[at..];
                if extended || matches!(rest, [] | ['\\', ')' | '|', ..]) {
                    out.push('$');
                    atom = None;
                    continue;
                }
                literal = true;
            }
            '.' => out.push('.'),
            _ => literal = true,
        }
        if literal {
            push_literal(operator, &mut out);
        }
        atom = Some(Atom { start, repeated: false });
    }
    match groups.is_empty() {
        true => Ok(out),
        false => Err(if extended { "unmatched (" } else { r"unmatched \(" }.to_string()),
    }
}

/// Writes what an escaped character stands for; says whether that can be repeated.
fn escape(escaped: char, out: &mut String) -> Result<bool, String> {
    let assertion = match escaped {
        'w' | 'W' | 's' | 'S' => {
            out.push('\\');
            out.push(escaped);
            return Ok(true);
        }
        '1'..='9' => return Err("back-references are not supported".to_string()),
        'b' => r"\b",
        'B' => r"\B",
        '<' => r"\b{start}",
        '>' => r"\b{end}",
        '`' => r"\A",
        '\'' => r"\z",
        other => {
            push_literal(other, out);
            return Ok(true);
        }
    };
    out.push_str(assertion);
    Ok(false)
}

fn push_literal(literal: char, out: &mut String) {
    out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
}

/// Appends a repetition. One of a repetition goes round a group, as `a*?` means something else there.
fn repeat(out: &mut String, atom: Atom, mark: &str) -> Atom {
    if atom.repeated {
        out.insert_str(atom.start, "(?:");
        out.push(')');
    }
    out.push_str(mark);
    Atom { start: atom.start, repeated: true }
}

fn is_bounds(text: &str) -> bool {
    let (low, high) = text.split_once(',').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !text.is_empty() && digits(low) && digits(high)
}

/// Copies a bracket expression, that began before `at`; returns where it ends.
fn bracket(characters: &[char], mut at: usize, out: &mut String) -> Result<usize, String> {
    let unmatched = || "unmatched [".to_string();
    out.push('[');
    if characters.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let character = *characters.get(at).ok_or_else(unmatched)?;
        match (character, characters.get(at + 1)) {
            (']', _) if at > first => {
                out.push(']');
                return Ok(at + 1);
            }
            ('[', Some(kind @ (':' | '.' | '='))) => {
                let start = at + 2;
                let length = (start..characters.len().saturating_sub(1))
                    .find(|&end| characters[end] == *kind && characters[end + 1] == ']')
                    .ok_or_else(unmatched)?
                    - start;
                let name: String = characters[start..start + length].iter().collect();
                if *kind == ':' {
                    out.push_str("[:");
                    out.push_str(&name);
                    out.push_str(":]");
                } else {
                    for member in name.chars() {
                        member_of_class(member, out);
                    }
                }
                at = start + length + 2;
            }
            ('-', Some(after)) if at > first && *after != ']' && is_range(characters, at, first) => {
                out.push('-');
                at += 1;
            }
            (member, _) => {
                member_of_class(member, out);
                at += 1;
            }
        }
    }
}

/// Whether the minus at `at` stands between two ends of a range, and not after a class or another range.
fn is_range(characters: &[char], at: usize, first: usize) -> bool {
    let after_class = at >= 2 && characters[at - 1] == ']' && matches!(characters[at - 2], ':' | '.' | '=');
    let after_range = at >= first + 3 && characters[at - 2] == '-';
    !after_class && !after_range
}

fn member_of_class(member: char, out: &mut String) {
    if matches!(member, '\\' | '[' | ']' | '^' | '-' | '&' | '~') {
        out.push('\\');
    }
    out.push(member);
}

/// Compiles a shell pattern (`*`, `?`, `[a-z]`, `[!a]`, `\x`) that must fit a whole name.
pub fn glob(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    let characters: Vec<char> = pattern.chars().collect();
    let mut out = String::from(r"(?s)\A");
    let mut at = 0;
    while at < characters.len() {
        let character = characters[at];
        at += 1;
        match character {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                let mut set = characters[at..].to_vec();
                if set.first() == Some(&'!') {
                    set[0] = '^';
                }
                let mut text = String::new();
                match bracket(&set, 0, &mut text) {
                    Ok(length) => {
                        out.push_str(&text);
                        at += length;
                    }
                    // Without its end a bracket is a character like any other.
                    Err(_) => out.push_str(r"\["),
                }
            }
            '\\' if at < characters.len() => {
                out.push_str(&regex::escape(characters[at].encode_utf8(&mut [0; 4])));
                at += 1;
            }
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(r"\z");
    compile(&out, ignore_case)
}
