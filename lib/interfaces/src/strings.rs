//! Strings in bytes, as start information and requests to start a program have them: a string is its length (`u32`, little-endian) and its
//! bytes, a list is a count (`u32`) and its members.

use alloc::vec::Vec;

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

/// Appends a `u64`.
pub fn put_word(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}

/// Appends a string.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// A list of strings, put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringList {
    count: usize,
    bytes: Vec<u8>,
}

impl StringList {
    /// Appends a string.
    pub fn push(&mut self, text: &str) {
        put_string(&mut self.bytes, text);
        self.count += 1;
    }

    /// The strings.
    pub fn strings(&self) -> Strings<'_> {
        Strings { count: self.count, bytes: &self.bytes }
    }
}

impl<S: AsRef<str>> FromIterator<S> for StringList {
    fn from_iter<T: IntoIterator<Item = S>>(texts: T) -> Self {
        let mut list = Self::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
    }
}

/// A list of strings where it lies: all of them are there, but not yet known to be text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strings<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Strings<'a> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the list.
    pub fn length(&self) -> usize {
        4 + self.bytes.len()
    }

    /// Appends the list.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.count);
        out.extend_from_slice(self.bytes);
    }

    /// The strings, up to the first that is no text.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut pieces = Pieces(self.bytes);
        (0..self.count).map_while(move |_| pieces.text())
    }
}

/// Reads pieces off the front of bytes; `None` when there is too little.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a>(pub &'a [u8]);

impl<'a> Pieces<'a> {
    /// A `u32`.
    pub fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    /// A `u64`.
    pub fn word(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The bytes of a string.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A string that is text.
    pub fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.string()?).ok()
    }

    /// A list of strings.
    pub fn strings(&mut self) -> Option<Strings<'a>> {
        let (count, bytes) = self.list(0)?;
        Some(Strings { count, bytes })
    }

    /// How many members a list of strings has, with so many further bytes behind each, and its bytes without the count.
    pub fn list(&mut self, further: usize) -> Option<(usize, &'a [u8])> {
        let count = self.number()? as usize;
        let before = self.0;
        for _ in 0..count {
            self.string()?;
            self.0 = self.0.get(further..)?;
        }
        Some((count, &before[..before.len() - self.0.len()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_put() {
        let list: StringList = ["one", "", "three"].iter().collect();
        let mut bytes = Vec::new();
        list.strings().put(&mut bytes);
        assert_eq!(bytes.len(), list.strings().length());
        bytes.push(7);
        let mut pieces = Pieces(&bytes);
        assert_eq!(pieces.strings(), Some(list.strings()));
        assert_eq!(pieces.0, [7]);
        assert_eq!(list.strings().iter().collect::<Vec<_>>(), ["one", "", "three"]);
    }

    #[test]
    fn a_list_that_is_cut_is_none_and_ends_at_what_is_no_text() {
        let list: StringList = ["one", "two"].iter().collect();
        let mut bytes = Vec::new();
        list.strings().put(&mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(Pieces(&bytes[..length]).strings(), None);
        }
        let last = bytes.len() - 1;
        bytes[last] = 0xff;
        let strings = Pieces(&bytes).strings().unwrap_or_default();
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["one"]);
    }
}
