//! What a component or program starts with, besides its capabilities: one read-only page or more at
//! [`crate::layout::START_INFO_ADDRESS`].
//!
//! Layout, little-endian: [`Header`] as words, in declaration order; then its strings and lists one after the other: name, working
//! directory, arguments, environment (`NAME=value`), capabilities. A string is a `u32` length and bytes; a list a `u32` count and
//! its members; a capability its name and a `u64` slot. [`Builder`] writes it, [`StartInfo`] reads it and trusts nothing of it.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Recognises start information.
pub const START_INFO_MAGIC: u64 = u64::from_le_bytes(*b"motteSI1");

/// The numbers at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Badge under which services know the component or program (`motte_interfaces::badge`).
    pub badge: u64,
    /// How often it was started, this time included.
    pub generation: u64,
    /// Memory quota in bytes.
    pub memory_quota: u64,
    /// Slots of the capability table.
    pub slots: u64,
    /// First slot that is free.
    pub first_free_slot: u64,
    /// Bytes of the first thread's stack.
    pub stack: u64,
    /// Priority of the first thread, and the highest that it may give to others.
    pub priority: u64,
    /// When it was started, in nanoseconds of the monotonic clock.
    pub started_ns: u64,
}

const HEADER_WORDS: usize = 10;

impl Header {
    const fn to_words(self, length: u64) -> [u64; HEADER_WORDS] {
        [
            START_INFO_MAGIC,
            length,
            self.badge,
            self.generation,
            self.memory_quota,
            self.slots,
            self.first_free_slot,
            self.stack,
            self.priority,
            self.started_ns,
        ]
    }

    const fn from_words(w: [u64; HEADER_WORDS]) -> Self {
        Self {
            badge: w[2],
            generation: w[3],
            memory_quota: w[4],
            slots: w[5],
            first_free_slot: w[6],
            stack: w[7],
            priority: w[8],
            started_ns: w[9],
        }
    }
}

/// Writes start information.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// The numbers.
    pub header: Header,
    /// The component's or program's name.
    pub name: String,
    /// Working directory.
    pub directory: String,
    /// Arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Named capabilities and their slots.
    pub capabilities: Vec<(String, u64)>,
}

impl Builder {
    /// The bytes to map.
    pub fn build(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_WORDS * 8];
        put_string(&mut out, &self.name);
        put_string(&mut out, &self.directory);
        for list in [&self.arguments, &self.environment] {
            put_number(&mut out, list.len());
            for text in list {
                put_string(&mut out, text);
            }
        }
        put_number(&mut out, self.capabilities.len());
        for (name, slot) in &self.capabilities {
            put_string(&mut out, name);
            out.extend_from_slice(&slot.to_le_bytes());
        }
        let words = self.header.to_words(out.len() as u64);
        for (place, word) in out.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Reads pieces off the front; `None` when there is too little.
#[derive(Clone, Copy, Debug)]
struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    fn number(&mut self) -> Option<usize> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes) as usize)
    }

    fn word(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        core::str::from_utf8(bytes).ok()
    }

    /// Skips a list; returns it.
    fn list(&mut self, with_slot: bool) -> Option<List<'a>> {
        let count = self.number()?;
        let list = List { count, pieces: *self };
        for _ in 0..count {
            self.string()?;
            if with_slot {
                self.word()?;
            }
        }
        Some(list)
    }
}

#[derive(Clone, Copy, Debug)]
struct List<'a> {
    count: usize,
    pieces: Pieces<'a>,
}

/// Start information, read in place.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo<'a> {
    /// The numbers.
    pub header: Header,
    name: &'a str,
    directory: &'a str,
    arguments: List<'a>,
    environment: List<'a>,
    capabilities: List<'a>,
}

impl<'a> StartInfo<'a> {
    /// How long the start information that begins with these bytes is; `None` if it is none.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        let mut pieces = Pieces(bytes);
        (pieces.word()? == START_INFO_MAGIC).then_some(())?;
        usize::try_from(pieces.word()?).ok()
    }

    /// Checks everything and reads it.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::length(bytes)?)?;
        let mut pieces = Pieces(bytes);
        let mut words = [0; HEADER_WORDS];
        for word in &mut words {
            *word = pieces.word()?;
        }
        Some(Self {
            header: Header::from_words(words),
            name: pieces.string()?,
            directory: pieces.string()?,
            arguments: pieces.list(false)?,
            environment: pieces.list(false)?,
            capabilities: pieces.list(true)?,
        })
    }

    /// The component's or program's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Working directory.
    pub fn directory(&self) -> &'a str {
        self.directory
    }

    /// Arguments, the program's name first.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        strings(self.arguments)
    }

    /// Environment, `NAME=value`.
    pub fn environment(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        strings(self.environment)
    }

    /// Named capabilities and their slots.
    pub fn capabilities(&self) -> impl Iterator<Item = (&'a str, u64)> + use<'a> {
        let mut pieces = self.capabilities.pieces;
        (0..self.capabilities.count).map_while(move |_| Some((pieces.string()?, pieces.word()?)))
    }

    /// The slot of the capability of that name.
    pub fn capability(&self, name: &str) -> Option<u64> {
        self.capabilities().find(|(candidate, _)| *candidate == name).map(|(_, slot)| slot)
    }
}

fn strings<'a>(list: List<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let mut pieces = list.pieces;
    (0..list.count).map_while(move |_| pieces.string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Builder {
        Builder {
            header: Header {
                badge: 5,
                generation: 2,
                memory_quota: 1 << 20,
                slots: 256,
                ..Header::default()
            },
            name: "console".into(),
            directory: "/".into(),
            arguments: vec!["console".into(), "--fast".into()],
            environment: vec!["PATH=/bin".into()],
            capabilities: vec![("registry".into(), 16), ("endpoint:console".into(), 17)],
        }
    }

    #[test]
    fn what_is_built_is_read_back() {
        let built = sample();
        let bytes = built.build();
        let info = StartInfo::parse(&bytes).unwrap();
        assert_eq!(info.header, built.header);
        assert_eq!((info.name(), info.directory()), ("console", "/"));
        assert_eq!(info.arguments().collect::<Vec<_>>(), ["console", "--fast"]);
        assert_eq!(info.environment().collect::<Vec<_>>(), ["PATH=/bin"]);
        assert_eq!(info.capability("endpoint:console"), Some(17));
        assert_eq!(info.capability("endpoint"), None);
    }

    #[test]
    fn what_follows_in_the_page_does_not_matter() {
        let mut bytes = sample().build();
        bytes.resize(4096, 0xaa);
        assert_eq!(StartInfo::parse(&bytes).unwrap().name(), "console");
    }

    #[test]
    fn cut_or_damaged_information_is_refused_without_a_panic() {
        let bytes = sample().build();
        for length in 0..bytes.len() {
            assert!(StartInfo::parse(&bytes[..length]).is_none());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Some(info) = StartInfo::parse(&damaged) {
                let _ = (info.arguments().count(), info.environment().count(), info.capabilities().count());
            }
        }
    }
}
