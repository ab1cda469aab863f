//! What a component or program starts with, besides its capabilities: one read-only page or more at
//! [`crate::layout::START_INFO_ADDRESS`].
//!
//! Layout, little-endian: [`Header`] as words, in declaration order; then its strings and lists one after the other: name, working
//! directory, arguments, environment (`NAME=value`), capabilities. Strings and lists: see [`motte_interfaces::strings`]; a capability is
//! its name, a `u64` slot, and as a `u32` how many there are of that name, in a row from this slot on. [`Builder`] writes it, [`StartInfo`] reads it and trusts nothing of it: that everything
//! lies inside is checked at the beginning, that a string is text when it is read.

use alloc::vec::Vec;
use core::ops::Range;

use motte_interfaces::strings::{Pieces, Strings, put_number, put_string};

/// Recognises start information.
pub const START_INFO_MAGIC: u64 = u64::from_le_bytes(*b"motteSI5");

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
    /// Slot of the first scheduling context for further threads; the others follow.
    pub first_context: u64,
    /// How many of them there are.
    pub contexts: u64,
    /// Bytes of the first thread's stack.
    pub stack: u64,
    /// Priority of the first thread, and the highest that it may give to others.
    pub priority: u64,
    /// When it was started, in nanoseconds of the monotonic clock.
    pub started_ns: u64,
    /// The generation that last had the kept memory; 0 if that is fresh, or if there is none.
    pub kept_from: u64,
    /// Slots behind `slots` that outlive the component's restarts.
    pub kept_slots: u64,
}

const HEADER_WORDS: usize = 14;
/// Bytes of a capability behind its name.
const SLOTS: usize = 8 + 4;

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
            self.first_context,
            self.contexts,
            self.stack,
            self.priority,
            self.started_ns,
            self.kept_from,
            self.kept_slots,
        ]
    }

    const fn from_words(w: [u64; HEADER_WORDS]) -> Self {
        Self {
            badge: w[2],
            generation: w[3],
            memory_quota: w[4],
            slots: w[5],
            first_free_slot: w[6],
            first_context: w[7],
            contexts: w[8],
            stack: w[9],
            priority: w[10],
            started_ns: w[11],
            kept_from: w[12],
            kept_slots: w[13],
        }
    }
}

/// Writes start information.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder<'a> {
    /// The numbers.
    pub header: Header,
    /// The component's or program's name.
    pub name: &'a str,
    /// Working directory.
    pub directory: &'a str,
    /// Arguments, the program's name first.
    pub arguments: Strings<'a>,
    /// Environment, `NAME=value`.
    pub environment: Strings<'a>,
    /// Named capabilities and their slots: one each, or several in a row.
    pub capabilities: &'a [(&'a str, Range<u64>)],
}

impl Builder<'_> {
    /// The bytes to map.
    pub fn build(&self) -> Vec<u8> {
        let string = |text: &str| 4 + text.len();
        let capabilities: usize = self.capabilities.iter().map(|(name, _)| string(name) + SLOTS).sum();
        let strings = string(self.name) + string(self.directory);
        let lists = self.arguments.length() + self.environment.length() + 4 + capabilities;
        let length = HEADER_WORDS * 8 + strings + lists;
        let mut out = Vec::with_capacity(length);
        for word in self.header.to_words(length as u64) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        put_string(&mut out, self.name);
        put_string(&mut out, self.directory);
        for list in [self.arguments, self.environment] {
            list.put(&mut out);
        }
        put_number(&mut out, self.capabilities.len());
        for (name, slots) in self.capabilities {
            put_string(&mut out, name);
            out.extend_from_slice(&slots.start.to_le_bytes());
            put_number(&mut out, (slots.end - slots.start) as usize);
        }
        out
    }
}

/// Start information, read in place.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo<'a> {
    /// The numbers.
    pub header: Header,
    name: &'a str,
    directory: &'a str,
    arguments: Strings<'a>,
    environment: Strings<'a>,
    capabilities: (usize, &'a [u8]),
}

impl<'a> StartInfo<'a> {
    /// How long the start information that begins with these bytes is; `None` if it is none.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        let mut pieces = Pieces(bytes);
        (pieces.word()? == START_INFO_MAGIC).then_some(())?;
        usize::try_from(pieces.word()?).ok()
    }

    /// Checks that everything is there.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::length(bytes)?)?;
        let mut pieces = Pieces(bytes);
        let mut words = [0; HEADER_WORDS];
        for word in &mut words {
            *word = pieces.word()?;
        }
        Some(Self {
            header: Header::from_words(words),
            name: pieces.text()?,
            directory: pieces.text()?,
            arguments: pieces.strings()?,
            environment: pieces.strings()?,
            capabilities: pieces.list(SLOTS)?,
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
        self.arguments.iter()
    }

    /// Environment, `NAME=value`.
    pub fn environment(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.environment.iter()
    }

    /// Named capabilities and their slots.
    pub fn capabilities(&self) -> impl Iterator<Item = (&'a str, Range<u64>)> + use<'a> {
        let (count, bytes) = self.capabilities;
        let mut pieces = Pieces(bytes);
        (0..count).map_while(move |_| {
            let (name, first, count) = (pieces.text()?, pieces.word()?, pieces.number()?);
            Some((name, first..first.checked_add(count.into())?))
        })
    }

    /// The slots of the capabilities of that name.
    pub fn capability(&self, name: &str) -> Option<Range<u64>> {
        self.capabilities().find(|(candidate, _)| *candidate == name).map(|(_, slots)| slots)
    }
}

#[cfg(test)]
mod tests {
    use motte_interfaces::strings::StringList;

    use super::*;

    const HEADER: Header = Header {
        badge: 5,
        generation: 2,
        memory_quota: 1 << 20,
        slots: 256,
        first_free_slot: 30,
        first_context: 27,
        contexts: 3,
        stack: 1 << 16,
        priority: 9,
        started_ns: 12345,
        kept_from: 1,
        kept_slots: 2,
    };

    fn sample() -> Vec<u8> {
        let arguments: StringList = ["console", "--fast"].iter().collect();
        let environment: StringList = ["PATH=/bin"].iter().collect();
        let builder = Builder {
            header: HEADER,
            name: "console",
            directory: "/",
            arguments: arguments.strings(),
            environment: environment.strings(),
            capabilities: &[("registry", 16..17), ("kept", 17..25), ("endpoint:console", 25..26)],
        };
        builder.build()
    }

    #[test]
    fn what_is_built_is_read_back() {
        let bytes = sample();
        let info = StartInfo::parse(&bytes).unwrap();
        assert_eq!(info.header, HEADER);
        assert_eq!((info.name(), info.directory()), ("console", "/"));
        assert_eq!(info.arguments().collect::<Vec<_>>(), ["console", "--fast"]);
        assert_eq!(info.environment().collect::<Vec<_>>(), ["PATH=/bin"]);
        assert_eq!(info.capability("endpoint:console"), Some(25..26));
        assert_eq!(info.capability("kept"), Some(17..25));
        assert_eq!(info.capability("endpoint"), None);
    }

    #[test]
    fn what_follows_in_the_page_does_not_matter() {
        let mut bytes = sample();
        bytes.resize(4096, 0xaa);
        assert_eq!(StartInfo::parse(&bytes).unwrap().name(), "console");
    }

    #[test]
    fn strings_that_are_no_text_are_not_read() {
        let mut bytes = sample();
        let at = bytes.windows(6).position(|window| window == b"--fast").unwrap();
        bytes[at] = 0xff;
        let info = StartInfo::parse(&bytes).unwrap();
        assert_eq!(info.arguments().collect::<Vec<_>>(), ["console"]);
        assert_eq!(info.environment().collect::<Vec<_>>(), ["PATH=/bin"]);
    }

    #[test]
    fn cut_or_damaged_information_is_refused_without_a_panic() {
        let bytes = sample();
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
