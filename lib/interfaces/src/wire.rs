//! How values become message words and back.
//!
//! A number takes one word; text and bytes take a length and then eight bytes to a word; a structure is its fields
//! in order. A value that arrives is checked as it is taken: a malformed message is an error, never a panic.

use alloc::string::String;
use alloc::vec::Vec;

use motte_abi::MessageInfo;
use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};

/// A capability that travels along: its slot in the table of whoever holds this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cap(pub u64);

/// Why a message could not be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It ended too early.
    Truncated,
    /// A text is not UTF-8, a flag not 0 or 1, a number too large for its type.
    Invalid,
    /// An enum's number is not known.
    UnknownVariant,
    /// A capability that belongs to it did not arrive.
    MissingCapability,
}

/// Where a message is put together.
pub struct Writer<'a> {
    words: &'a mut [u64; MAX_WORDS],
    length: usize,
    caps: [u64; MAX_CAPS],
    cap_count: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    /// An empty message whose words go into `words`. The first travel in registers ([`Writer::registers`]), and lie there as well.
    #[inline]
    pub fn new(words: &'a mut [u64; MAX_WORDS]) -> Self {
        Self { words, length: 0, caps: [0; MAX_CAPS], cap_count: 0, overflow: false }
    }

    /// Appends a word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        match self.words.get_mut(self.length) {
            Some(place) => {
                *place = word;
                self.length += 1;
            }
            None => self.overflow = true,
        }
    }

    /// Appends a capability.
    #[inline]
    pub fn cap(&mut self, cap: Cap) {
        match self.caps.get_mut(self.cap_count) {
            Some(place) => {
                *place = cap.0;
                self.cap_count += 1;
            }
            None => self.overflow = true,
        }
    }

    /// Appends a length and bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let Some(places) = self.words.get_mut(self.length..self.length + bytes.len().div_ceil(8)) else {
            self.overflow = true;
            return;
        };
        if let Some(last) = places.last_mut() {
            *last = 0;
        }
        self.length += places.len();
        bytemuck::cast_slice_mut(places)[..bytes.len()].copy_from_slice(bytes);
    }

    /// Forgets everything written.
    pub fn clear(&mut self) {
        (self.length, self.cap_count, self.overflow) = (0, 0, false);
    }

    /// Words written.
    #[inline]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The words that travel in registers; those not written are 0.
    #[inline]
    pub fn registers(&self) -> [u64; REGISTER_WORDS] {
        core::array::from_fn(|index| if index < self.length { self.words[index] } else { 0 })
    }

    /// The words written, and behind them whatever was there.
    #[inline]
    pub fn words(&self) -> &[u64; MAX_WORDS] {
        self.words
    }

    /// The message's description.
    #[inline]
    pub fn info(&self, label: u64) -> MessageInfo {
        MessageInfo::new(label, self.length, self.cap_count)
    }

    /// Capabilities written.
    #[inline]
    pub fn caps(&self) -> &[u64] {
        &self.caps[..self.cap_count]
    }

    /// Whether more was written than a message can hold.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
}

/// Where an arrived message is taken apart.
pub struct Reader<'a> {
    /// The words not yet taken.
    words: &'a [u64],
    /// The slots of the capabilities not yet taken.
    caps: &'a [u64],
}

impl<'a> Reader<'a> {
    /// A message of these words, with the slots where its capabilities arrived.
    #[inline]
    pub fn new(words: &'a [u64], arrived: &'a [u64]) -> Self {
        Self { words, caps: arrived }
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> Result<u64, WireError> {
        let (word, rest) = self.words.split_first().ok_or(WireError::Truncated)?;
        self.words = rest;
        Ok(*word)
    }

    /// The next word, which stays the next.
    #[inline]
    pub fn peek(&self) -> Option<u64> {
        self.words.first().copied()
    }

    /// The next capability.
    #[inline]
    pub fn cap(&mut self) -> Result<Cap, WireError> {
        let (slot, rest) = self.caps.split_first().ok_or(WireError::MissingCapability)?;
        self.caps = rest;
        if *slot == 0 { Err(WireError::MissingCapability) } else { Ok(Cap(*slot)) }
    }

    /// The slots of capabilities that arrived and that nobody took.
    #[inline]
    pub fn untaken_caps(&self) -> impl Iterator<Item = Cap> + use<'a> {
        self.caps.iter().filter(|slot| **slot != 0).map(|slot| Cap(*slot))
    }

    /// A length and bytes, as they lie in the message.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.word()?).map_err(|_| WireError::Invalid)?;
        let (bytes, rest) = self.words.split_at_checked(length.div_ceil(8)).ok_or(WireError::Truncated)?;
        self.words = rest;
        Ok(&bytemuck::cast_slice(bytes)[..length])
    }

    /// A text, as it lies in the message.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let words = self.words;
        let bytes = self.bytes()?;
        // Whole words are checked faster than single bytes; behind a text that is short of them lie zeros.
        let padded = words.get(1..1 + bytes.len().div_ceil(16) * 2).map(bytemuck::cast_slice);
        let text = padded.and_then(|padded| core::str::from_utf8(padded).ok()?.get(..bytes.len()));
        text.map_or_else(|| core::str::from_utf8(bytes).map_err(|_| WireError::Invalid), Ok)
    }
}

/// A value that can travel in a message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel in a message",
    label = "this type is an argument or result of an interface method",
    note = "add `#[derive(Wire)]` to it; data too large for a message lie in a shared frame, passed as `Cap`"
)]
pub trait Wire: Sized {
    /// Appends it.
    fn put(&self, writer: &mut Writer<'_>);
    /// Takes it.
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError>;
}

/// A borrowed value that travels as its owned form.
pub trait Put {
    /// Appends it.
    fn put(&self, writer: &mut Writer<'_>);
}

impl<T: Wire> Put for T {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        Wire::put(self, writer);
    }
}

impl Put for str {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.as_bytes());
    }
}

impl<T: Wire> Put for [T] {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(self.len() as u64);
        for item in self {
            item.put(writer);
        }
    }
}

macro_rules! integers {
    ($($ty:ty),*) => { $(
        impl Wire for $ty {
            #[inline]
            fn put(&self, writer: &mut Writer<'_>) {
                writer.word(*self as u64);
            }
            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                <$ty>::try_from(reader.word()?).map_err(|_| WireError::Invalid)
            }
        }
    )* };
}
integers!(u8, u16, u32, u64, usize);

impl Wire for i64 {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(self.cast_unsigned());
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(reader.word()?.cast_signed())
    }
}

impl Wire for i32 {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        Wire::put(&i64::from(*self), writer);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        i32::try_from(i64::take(reader)?).map_err(|_| WireError::Invalid)
    }
}

impl Wire for bool {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(u64::from(*self));
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Invalid),
        }
    }
}

impl Wire for () {
    #[inline]
    fn put(&self, _: &mut Writer<'_>) {}
    #[inline]
    fn take(_: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(())
    }
}

impl Wire for Cap {
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) {
        writer.cap(*self);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.cap()
    }
}

impl Wire for String {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.as_bytes());
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.text().map(String::from)
    }
}

/// Bytes, eight to a word.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Wire for Bytes {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bytes(&self.0);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Bytes(reader.bytes()?.to_vec()))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(u64::from(self.is_some()));
        if let Some(value) = self {
            value.put(writer);
        }
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if bool::take(reader)? { Ok(Some(T::take(reader)?)) } else { Ok(None) }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, writer: &mut Writer<'_>) {
        Put::put(self.as_slice(), writer);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let length = reader.word()?;
        // An element of no words cannot make a long vector from a short message.
        if length > MAX_WORDS as u64 {
            return Err(WireError::Truncated);
        }
        (0..length).map(|_| T::take(reader)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, writer: &mut Writer<'_>) {
        self.0.put(writer);
        self.1.put(writer);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok((A::take(reader)?, B::take(reader)?))
    }
}

impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn put(&self, writer: &mut Writer<'_>) {
        self.0.put(writer);
        self.1.put(writer);
        self.2.put(writer);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok((A::take(reader)?, B::take(reader)?, C::take(reader)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_checked_apart_from_what_lies_behind_it() {
        let text = "péché – ümläut, and some more";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            for behind in [0, 0x41, u64::MAX, 0xa9, 0xc3] {
                let mut words = [0; MAX_WORDS];
                let mut writer = Writer::new(&mut words);
                writer.bytes(&text.as_bytes()[..end]);
                writer.word(behind);
                let length = writer.length();
                // What fills the last word is the sender's too.
                let used = end % 8;
                if used > 0 {
                    words[length - 2] |= behind << (used * 8);
                }
                let mut reader = Reader::new(&words[..length], &[]);
                assert_eq!(reader.text(), Ok(&text[..end]));
                assert_eq!(reader.word(), Ok(behind));
            }
        }
    }

    #[test]
    fn what_is_no_text_alone_is_none_together_with_what_follows() {
        // The second byte of a character lies behind the end.
        let words = [1, u64::from_le_bytes(*b"\xc3\xa9______"), 0];
        let mut reader = Reader::new(&words, &[]);
        assert_eq!(reader.text(), Err(WireError::Invalid));
        assert_eq!(Reader::new(&[9, 0, 0xff, 7], &[]).text(), Err(WireError::Invalid));
        assert_eq!(Reader::new(&[9, 0], &[]).text(), Err(WireError::Truncated));
    }
}
