//! Messages: what travels in registers, and the buffer that carries the rest.
//!
//! The first [`REGISTER_WORDS`] words travel in registers and touch no memory. Words beyond them, and
//! capabilities, travel through the [`MessageBuffer`] that sender and receiver each own.

/// Message words that travel in registers.
pub const REGISTER_WORDS: usize = 6;

/// The most words that one message can carry.
pub const MAX_WORDS: usize = 112;

/// The most capabilities that one message can carry.
pub const MAX_CAPS: usize = 4;

/// The description of a message, in one register.
///
/// | bits | meaning |
/// |---|---|
/// | 0–6 | length in words (0 to [`MAX_WORDS`]) |
/// | 7–9 | number of capabilities (0 to [`MAX_CAPS`]) |
/// | 10 | set by the kernel on receive: not a message but the bound notification; its bits are in word 0 |
/// | 11 | set by the kernel on receive: the sender waits for a reply, which the Reply object now answers |
/// | 12–15 | zero |
/// | 16–63 | label: the sender's to choose; the kernel's for faults ([`crate::fault`]) |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct MessageInfo(pub u64);

impl MessageInfo {
    const LENGTH_MASK: u64 = 0x7f;
    const CAPS_SHIFT: u32 = 7;
    const CAPS_MASK: u64 = 7;
    /// The bit that says "this is the bound notification".
    pub const NOTIFICATION: u64 = 1 << 10;
    /// The bit that says "the sender waits for a reply".
    pub const CALL: u64 = 1 << 11;
    const LABEL_SHIFT: u32 = 16;

    /// A message of `length` words and `caps` capabilities.
    pub const fn new(label: u64, length: usize, caps: usize) -> Self {
        Self(
            label << Self::LABEL_SHIFT
                | (caps as u64 & Self::CAPS_MASK) << Self::CAPS_SHIFT
                | length as u64 & Self::LENGTH_MASK,
        )
    }

    /// Length in words. A value read from a user's register may exceed [`MAX_WORDS`].
    pub const fn length(self) -> usize {
        (self.0 & Self::LENGTH_MASK) as usize
    }

    /// Number of capabilities. A value read from a user's register may exceed [`MAX_CAPS`].
    pub const fn caps(self) -> usize {
        (self.0 >> Self::CAPS_SHIFT & Self::CAPS_MASK) as usize
    }

    /// The sender's label.
    pub const fn label(self) -> u64 {
        self.0 >> Self::LABEL_SHIFT
    }

    /// Whether this is the bound notification rather than a message.
    pub const fn is_notification(self) -> bool {
        self.0 & Self::NOTIFICATION != 0
    }

    /// Whether the sender waits for a reply.
    pub const fn is_call(self) -> bool {
        self.0 & Self::CALL != 0
    }

    /// Whether length and capability count lie within their limits and the reserved bits are clear.
    pub const fn is_valid(self) -> bool {
        self.length() <= MAX_WORDS && self.caps() <= MAX_CAPS && self.0 & 0xfc00 == 0
    }

    /// Whether everything travels in registers.
    pub const fn is_short(self) -> bool {
        self.length() <= REGISTER_WORDS && self.caps() == 0
    }
}

/// The memory through which long messages and capabilities travel: 1,024 bytes at the start of a frame
/// that the thread was configured with.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct MessageBuffer {
    /// Message words; those below [`REGISTER_WORDS`] travel in registers and are neither read nor written here.
    pub words: [u64; MAX_WORDS],
    /// Sender: the slots of the capabilities to send. Receiver: the slots where they arrived, in order; 0 for one
    /// that could not be delivered (no receive slot named, or occupied).
    pub caps: [u64; MAX_CAPS],
    /// Receiver: free slots in its own table for arriving capabilities; 0 takes none.
    pub receive_slots: [u64; MAX_CAPS],
    /// Zero.
    pub reserved: [u64; 8],
}

impl MessageBuffer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { words: [0; MAX_WORDS], caps: [0; MAX_CAPS], receive_slots: [0; MAX_CAPS], reserved: [0; 8] }
    }
}

impl Default for MessageBuffer {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<MessageBuffer>() == 1024);
