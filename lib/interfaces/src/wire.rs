//! How values become message words and back.
//!
//! A number takes one word; text and bytes take a length and then eight bytes to a word; a structure is its fields
//! in order. A value that arrives is checked as it is taken: a malformed message is an error, never a panic.

use alloc::string::String;
use alloc::vec::Vec;

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

/// Where a message is put together: the first words in registers, the rest in the message buffer.
pub struct Writer<'a> {
    registers: [u64; REGISTER_WORDS],
    buffer: &'a mut [u64; MAX_WORDS],
    length: usize,
    caps: [u64; MAX_CAPS],
    cap_count: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    /// An empty message whose words from the seventh on go into `buffer`, at their own index.
    pub fn new(buffer: &'a mut [u64; MAX_WORDS]) -> Self {
        Self {
            registers: [0; REGISTER_WORDS],
            buffer,
            length: 0,
            caps: [0; MAX_CAPS],
            cap_count: 0,
            overflow: false,
        }
    }

    /// Appends a word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        if let Some(place) = self.registers.get_mut(self.length) {
            *place = word;
        } else if let Some(place) = self.buffer.get_mut(self.length) {
            *place = word;
        } else {
            self.overflow = true;
            return;
        }
        self.length += 1;
    }

    /// Appends a capability.
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
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (whole, rest) = bytes.as_chunks::<8>();
        for chunk in whole {
            self.word(u64::from_le_bytes(*chunk));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    /// Forgets everything written.
    pub fn clear(&mut self) {
        (self.length, self.cap_count, self.overflow) = (0, 0, false);
        self.registers = [0; REGISTER_WORDS];
    }

    /// Words written.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The words that travel in registers; those not written are 0.
    pub fn registers(&self) -> [u64; REGISTER_WORDS] {
        self.registers
    }

    /// Capabilities written.
    pub fn caps(&self) -> &[u64] {
        &self.caps[..self.cap_count]
    }

    /// Whether more was written than a message can hold.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
}

/// Where an arrived message is taken apart.
pub struct Reader<'a> {
    registers: [u64; REGISTER_WORDS],
    buffer: &'a [u64; MAX_WORDS],
    length: usize,
    position: usize,
    caps: [u64; MAX_CAPS],
    cap_count: usize,
    cap_position: usize,
}

impl<'a> Reader<'a> {
    /// A message of `length` words whose first lie in `registers` and the others in `buffer`, with the slots
    /// where its capabilities arrived.
    pub fn new(
        registers: [u64; REGISTER_WORDS],
        buffer: &'a [u64; MAX_WORDS],
        length: usize,
        arrived: &[u64],
    ) -> Self {
        let mut caps = [0; MAX_CAPS];
        let cap_count = arrived.len().min(MAX_CAPS);
        caps[..cap_count].copy_from_slice(&arrived[..cap_count]);
        Self {
            registers,
            buffer,
            length: length.min(MAX_WORDS),
            position: 0,
            caps,
            cap_count,
            cap_position: 0,
        }
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> Result<u64, WireError> {
        if self.position >= self.length {
            return Err(WireError::Truncated);
        }
        let word = self.registers.get(self.position).copied().unwrap_or_else(|| self.buffer[self.position]);
        self.position += 1;
        Ok(word)
    }

    /// The next capability.
    pub fn cap(&mut self) -> Result<Cap, WireError> {
        let slot = *self.caps[..self.cap_count].get(self.cap_position).ok_or(WireError::MissingCapability)?;
        self.cap_position += 1;
        if slot == 0 { Err(WireError::MissingCapability) } else { Ok(Cap(slot)) }
    }

    /// The slots of capabilities that arrived and that nobody took.
    pub fn untaken_caps(&self) -> impl Iterator<Item = Cap> + use<> {
        let (caps, range) = (self.caps, self.cap_position..self.cap_count);
        range.map(move |index| Cap(caps[index])).filter(|cap| cap.0 != 0)
    }

    /// A length and bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, WireError> {
        let length = usize::try_from(self.word()?).map_err(|_| WireError::Invalid)?;
        if length.div_ceil(8) > self.length - self.position {
            return Err(WireError::Truncated);
        }
        let mut out = Vec::with_capacity(length.next_multiple_of(8));
        for _ in 0..length.div_ceil(8) {
            out.extend_from_slice(&self.word()?.to_le_bytes());
        }
        out.truncate(length);
        Ok(out)
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
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(self.cast_unsigned());
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(reader.word()?.cast_signed())
    }
}

impl Wire for i32 {
    fn put(&self, writer: &mut Writer<'_>) {
        Wire::put(&i64::from(*self), writer);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        i32::try_from(i64::take(reader)?).map_err(|_| WireError::Invalid)
    }
}

impl Wire for bool {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.word(u64::from(*self));
    }
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
    fn put(&self, writer: &mut Writer<'_>) {
        writer.cap(*self);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.cap()
    }
}

impl Wire for String {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.as_bytes());
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        String::from_utf8(reader.bytes()?).map_err(|_| WireError::Invalid)
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
        Ok(Bytes(reader.bytes()?))
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
