//! Bytes from a terminal to keys.

use alloc::vec::Vec;

/// A key, or a combination of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Ctrl with a letter, given in lower case.
    Ctrl(char),
    /// Alt with a letter, or Escape and then the letter.
    Alt(char),
    /// Return.
    Enter,
    /// Takes the character before the cursor.
    Backspace,
    /// Takes the character at the cursor.
    Delete,
    /// Completes.
    Tab,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// To the line's beginning.
    Home,
    /// To the line's end.
    End,
    /// Ctrl and the left arrow.
    WordLeft,
    /// Ctrl and the right arrow.
    WordRight,
    /// A sequence without a meaning here.
    Unknown,
}

/// Collects bytes until they are a key.
#[derive(Default)]
pub struct Keys {
    pending: Vec<u8>,
}

impl Keys {
    /// Takes one byte; gives a key when it is the last of one.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        self.pending.push(byte);
        let key = decode(&self.pending);
        if key.is_some() {
            self.pending.clear();
        }
        key
    }
}

fn decode(bytes: &[u8]) -> Option<Key> {
    match *bytes {
        [b'\r' | b'\n'] => Some(Key::Enter),
        [b'\t'] => Some(Key::Tab),
        [8 | 127] => Some(Key::Backspace),
        [27] => None,
        [code @ 0..32] => Some(Key::Ctrl((code | 0x60) as char)),
        [code @ 32..127] => Some(Key::Char(code as char)),
        [27, 27] => Some(Key::Unknown),
        [27, b'[' | b'O'] => None,
        [27, 8 | 127] => Some(Key::Alt('\u{8}')),
        [27, letter] => Some(Key::Alt(letter as char)),
        [27, b'[' | b'O', ref rest @ ..] => sequence(rest),
        _ => match core::str::from_utf8(bytes) {
            Ok(text) => Some(text.chars().next().map_or(Key::Unknown, Key::Char)),
            Err(error) if error.error_len().is_none() => None,
            Err(_) => Some(Key::Unknown),
        },
    }
}

/// What follows `ESC [`.
fn sequence(bytes: &[u8]) -> Option<Key> {
    let (last, parameters) = bytes.split_last()?;
    if !(0x40..=0x7e).contains(last) {
        // More is to come, but nothing this long has a meaning.
        return (bytes.len() > 16).then_some(Key::Unknown);
    }
    let modified = parameters.windows(2).any(|pair| pair[0] == b';' && matches!(pair[1], b'3' | b'5'));
    Some(match (last, parameters.first()) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if modified => Key::WordRight,
        (b'C', _) => Key::Right,
        (b'D', _) if modified => Key::WordLeft,
        (b'D', _) => Key::Left,
        (b'H', _) => Key::Home,
        (b'F', _) => Key::End,
        (b'~', Some(b'1' | b'7')) => Key::Home,
        (b'~', Some(b'4' | b'8')) => Key::End,
        (b'~', Some(b'3')) => Key::Delete,
        _ => Key::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.feed(*byte)).collect()
    }

    #[test]
    fn bytes_become_keys() {
        assert_eq!(keys(b"a\x01\r"), [Key::Char('a'), Key::Ctrl('a'), Key::Enter]);
        assert_eq!(keys("äß€".as_bytes()), [Key::Char('ä'), Key::Char('ß'), Key::Char('€')]);
        assert_eq!(keys(b"\x1b[A\x1b[1;5C\x1b[3~\x1bOH"), [Key::Up, Key::WordRight, Key::Delete, Key::Home]);
        assert_eq!(keys(b"\x1bb\x7f"), [Key::Alt('b'), Key::Backspace]);
        assert_eq!(keys(b"\xffx"), [Key::Unknown, Key::Char('x')]);
    }
}
