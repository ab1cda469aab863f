//! Shell patterns: `*`, `?` and `[…]`, where every character may be quoted on its own.
//!
//! A pattern comes out of word expansion, in which each character knows whether it was quoted; no crate for
//! globbing takes patterns in that form, and turning them into an escaped string and back costs more than
//! the matcher itself.

use alloc::vec::Vec;

/// A character of an expanded word, and whether it was quoted.
pub type Char = (char, bool);

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    Exactly(char),
    Any,
    Run,
    Class { negated: bool, members: Vec<Member> },
}

#[derive(Clone, Debug)]
enum Member {
    Range(char, char),
    Named(fn(char) -> bool),
}

impl Pattern {
    /// Compiles a pattern; a `[` without its `]` stands for itself.
    pub fn new(text: &[Char]) -> Pattern {
        let mut items = Vec::new();
        let mut index = 0;
        while index < text.len() {
            let (c, quoted) = text[index];
            index += 1;
            let item = match c {
                _ if quoted => Item::Exactly(c),
                '*' if matches!(items.last(), Some(Item::Run)) => continue,
                '*' => Item::Run,
                '?' => Item::Any,
                '[' => match class(text, index) {
                    Some((item, next)) => {
                        index = next;
                        item
                    }
                    None => Item::Exactly(c),
                },
                _ => Item::Exactly(c),
            };
            items.push(item);
        }
        Pattern { items }
    }

    /// Whether the pattern can match anything but itself.
    pub fn is_active(text: &[Char]) -> bool {
        text.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &[char]) -> bool {
        // On a mismatch only the last `*` needs to take one character more.
        let (mut item, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let advanced = match self.items.get(item) {
                Some(Item::Run) => {
                    retry = Some((item + 1, at));
                    item += 1;
                    continue;
                }
                Some(one) => text.get(at).is_some_and(|c| one.accepts(*c)),
                None if at == text.len() => return true,
                None => false,
            };
            if advanced {
                item += 1;
                at += 1;
            } else {
                match retry {
                    Some((after, from)) if from < text.len() => {
                        retry = Some((after, from + 1));
                        item = after;
                        at = from + 1;
                    }
                    _ => return false,
                }
            }
        }
    }

    /// Whether the pattern begins with a literal `.`, which alone matches hidden files.
    pub fn begins_with_dot(&self) -> bool {
        matches!(self.items.first(), Some(Item::Exactly('.')))
    }

    /// What is left of `text` when the shortest or longest match at its front or back is taken away.
    pub fn trim<'a>(&self, text: &'a [char], prefix: bool, longest: bool) -> &'a [char] {
        let length = text.len();
        for step in 0..=length {
            let taken = if longest { length - step } else { step };
            let (candidate, rest) = if prefix {
                (&text[..taken], &text[taken..])
            } else {
                (&text[length - taken..], &text[..length - taken])
            };
            if self.matches(candidate) {
                return rest;
            }
        }
        text
    }
}

impl Item {
    fn accepts(&self, c: char) -> bool {
        match self {
            Item::Exactly(own) => *own == c,
            Item::Any => true,
            Item::Run => false,
            Item::Class { negated, members } => {
                let found = members.iter().any(|member| match member {
                    Member::Range(from, to) => (*from..=*to).contains(&c),
                    Member::Named(test) => test(c),
                });
                found != *negated
            }
        }
    }
}

/// Compiles the class whose text begins at `index`; also says where it ends.
fn class(text: &[Char], mut index: usize) -> Option<(Item, usize)> {
    let at = |index: usize| text.get(index).copied();
    let negated = matches!(at(index), Some(('!' | '^', false)));
    if negated {
        index += 1;
    }
    let start = index;
    let mut members = Vec::new();
    loop {
        let (c, quoted) = at(index)?;
        match c {
            ']' if !quoted && index > start => {
                return Some((Item::Class { negated, members }, index + 1));
            }
            '/' => return None,
            '[' if !quoted && at(index + 1) == Some((':', false)) => {
                if let Some((member, next)) = named_class(text, index + 2) {
                    members.push(member);
                    index = next;
                    continue;
                }
            }
            _ => {}
        }
        let range_end = match (at(index + 1), at(index + 2)) {
            (Some(('-', false)), Some((end, end_quoted))) if end != ']' || end_quoted => Some(end),
            _ => None,
        };
        match range_end {
            Some(end) => {
                members.push(Member::Range(c, end));
                index += 3;
            }
            None => {
                members.push(Member::Range(c, c));
                index += 1;
            }
        }
    }
}

fn named_class(text: &[Char], from: usize) -> Option<(Member, usize)> {
    let end = (from..text.len()).find(|i| text[*i].0 == ':')?;
    if text.get(end + 1)?.0 != ']' {
        return None;
    }
    let name: alloc::string::String = text[from..end].iter().map(|(c, _)| *c).collect();
    let test: fn(char) -> bool = match name.as_str() {
        "alpha" => char::is_alphabetic,
        "digit" => |c| c.is_ascii_digit(),
        "alnum" => char::is_alphanumeric,
        "upper" => char::is_uppercase,
        "lower" => char::is_lowercase,
        "space" => char::is_whitespace,
        "blank" => |c| c == ' ' || c == '\t',
        "punct" => |c| c.is_ascii_punctuation(),
        "cntrl" => char::is_control,
        "xdigit" => |c| c.is_ascii_hexdigit(),
        "print" => |c| !c.is_control(),
        "graph" => |c| !c.is_control() && !c.is_whitespace(),
        _ => return None,
    };
    Some((Member::Named(test), end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(&text.chars().map(|c| (c, false)).collect::<Vec<_>>())
    }

    fn matches(pattern_: &str, text: &str) -> bool {
        pattern(pattern_).matches(&text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (p, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.rs", "main.rs", true),
            ("?", "ä", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("[[:digit:]]*", "7up", true),
            ("*a*b*", "xxaxxbxx", true),
            ("a**b", "ab", true),
            ("[a-]", "-", true),
        ] {
            assert_eq!(matches(p, text), expected, "{p} against {text}");
        }
    }

    #[test]
    fn a_quoted_star_stands_for_itself() {
        let pattern = Pattern::new(&[('*', true)]);
        assert!(pattern.matches(&['*']));
        assert!(!pattern.matches(&['x']));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let text: Vec<char> = core::iter::repeat_n('a', 2000).collect();
        assert!(!pattern("a*a*a*a*a*a*a*a*a*a*b").matches(&text));
    }

    #[test]
    fn trimming_takes_shortest_or_longest() {
        let text: Vec<char> = "a.b.c".chars().collect();
        let get = |p: &str, prefix, longest| {
            pattern(p).trim(&text, prefix, longest).iter().collect::<alloc::string::String>()
        };
        assert_eq!(get("*.", true, false), "b.c");
        assert_eq!(get("*.", true, true), "c");
        assert_eq!(get(".*", false, false), "a.b");
        assert_eq!(get(".*", false, true), "a");
        assert_eq!(get("x", false, true), "a.b.c");
    }
}
