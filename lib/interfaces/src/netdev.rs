//! Network cards: a driver and its one client, the network stack.
//!
//! Packets lie in memory of the client's own, 2 MiB frames that it lends once; the card reads and writes them there, and nobody copies
//! (decision 5). A **buffer** is a piece of that memory, named by where it begins. For each
//! direction ([`Direction`]) there are two rings of one page each (`motte-ring`, entries of two words):
//!
//! | direction | request | completion |
//! |---|---|---|
//! | receive | [`ReceiveRequest`]: an empty buffer | [`Received`]: the buffer with a frame |
//! | transmit | [`TransmitRequest`]: a frame to be sent | [`Transmitted`]: the buffer is the client's again |
//!
//! A frame begins with its Ethernet header and ends without checksum. The client's side of all this is `motte-netdev`.
//!
//! # Batches
//! A signal costs more than a packet. The client puts everything it has into the rings, then looks once whether the driver sleeps. The
//! driver does not wake for every empty buffer: it sleeps on the receive ring only while it has few. And it hands sent buffers back when it
//! wakes for something else, or when half of [`NetdevInfo::depth`] are sent; a client with as many transmit buffers as that never waits
//! for long.
//!
//! # When the driver is restarted
//! Its [`watch`](Netdev::watch) ends with an error. The client takes what still lies in the completion rings, attaches memory and new rings, puts
//! its empty buffers there again and, so that nothing is lost, the frames that were not reported sent: one that is sent twice
//! does no harm on an Ethernet. The device was reset before the new driver answers, so from then on the memory is the client's.

use crate::error::IoError;
use crate::{Cap, Wire, interface};

/// What is known of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct NetdevInfo {
    /// The card's address, the first byte in bits 47–40.
    pub mac: u64,
    /// The most bytes of a frame without its Ethernet header.
    pub mtu: u16,
    /// A cable is plugged in, as far as the card knows.
    pub link_up: bool,
    /// The most buffers that the card takes in each direction.
    pub depth: u16,
    /// The card fills in checksums of TCP and UDP ([`TransmitRequest::checksum`]).
    pub transmit_checksums: bool,
    /// The card may say of a frame that its checksum was checked ([`Received::checksum_good`]).
    pub receive_checksums: bool,
}

impl NetdevInfo {
    /// The card's address in the order in which it is sent.
    pub const fn mac_bytes(&self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.mac.to_be_bytes();
        [a, b, c, d, e, f]
    }
}

/// From or to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum Direction {
    /// From the network.
    Receive,
    /// To the network.
    Transmit,
}

/// Bytes of an Ethernet header, which a frame has before its [`NetdevInfo::mtu`].
pub const ETHERNET_HEADER: u64 = 14;

/// Words of every entry.
pub const ENTRY_WORDS: usize = 2;

/// An empty buffer for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// Byte offset in the attached memory.
    pub offset: u64,
    /// Bytes; at least a whole frame, and not across a 2 MiB boundary of the memory.
    pub length: u32,
}

impl ReceiveRequest {
    /// As it lies in the ring.
    pub const fn words(self) -> [u64; ENTRY_WORDS] {
        [self.offset, self.length as u64]
    }

    /// Out of the ring; `None` if it makes no sense.
    pub fn of(words: [u64; ENTRY_WORDS]) -> Option<Self> {
        Some(Self { offset: words[0], length: words[1].try_into().ok()? })
    }
}

/// A buffer that comes back with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The buffer.
    pub offset: u64,
    /// Bytes of the frame; 0 if the buffer comes back unused.
    pub length: u32,
    /// The checksum of the TCP or UDP packet in it need not be checked: the card did, or the sender is on the same machine and left it out.
    pub checksum_good: bool,
}

impl Received {
    /// As it lies in the ring.
    pub const fn words(self) -> [u64; ENTRY_WORDS] {
        [self.offset, self.length as u64 | (self.checksum_good as u64) << 32]
    }

    /// Out of the ring; `None` if it makes no sense.
    pub fn of(words: [u64; ENTRY_WORDS]) -> Option<Self> {
        let checksum_good = match words[1] >> 32 {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self { offset: words[0], length: words[1] as u32, checksum_good })
    }
}

/// A checksum that the card is to fill in: of everything from `start` to the frame's end. At its place lies the sum of the
/// pseudo-header, not complemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// From which byte of the frame on: the TCP or UDP header.
    pub start: u16,
    /// Where the checksum lies in that header: 16 for TCP, 6 for UDP.
    pub at: u16,
}

/// A frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitRequest {
    /// Byte offset in the attached memory.
    pub offset: u64,
    /// Bytes; not across a 2 MiB boundary of the memory.
    pub length: u16,
    /// What the card is to fill in; only if it can ([`NetdevInfo::transmit_checksums`]).
    pub checksum: Option<Checksum>,
}

const WANTS_CHECKSUM: u64 = 1 << 48;

impl TransmitRequest {
    /// As it lies in the ring.
    pub const fn words(self) -> [u64; ENTRY_WORDS] {
        let checksum = match self.checksum {
            Some(Checksum { start, at }) => (start as u64) << 16 | (at as u64) << 32 | WANTS_CHECKSUM,
            None => 0,
        };
        [self.offset, self.length as u64 | checksum]
    }

    /// Out of the ring; `None` if it makes no sense.
    pub const fn of(words: [u64; ENTRY_WORDS]) -> Option<Self> {
        let [offset, rest] = words;
        let checksum = match rest >> 16 {
            0 => None,
            _ if rest >> 48 == 1 => Some(Checksum { start: (rest >> 16) as u16, at: (rest >> 32) as u16 }),
            _ => return None,
        };
        Some(Self { offset, length: rest as u16, checksum })
    }
}

/// A buffer whose frame was sent, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// The buffer.
    pub offset: u64,
    /// False: the request made no sense.
    pub sent: bool,
}

impl Transmitted {
    /// As it lies in the ring.
    pub const fn words(self) -> [u64; ENTRY_WORDS] {
        [self.offset, !self.sent as u64]
    }

    /// Out of the ring; `None` if it makes no sense.
    pub const fn of(words: [u64; ENTRY_WORDS]) -> Option<Self> {
        match words[1] {
            0 => Some(Self { offset: words[0], sent: true }),
            1 => Some(Self { offset: words[0], sent: false }),
            _ => None,
        }
    }
}

/// A network card's driver. One client at a time; one that attaches replaces the former.
#[interface("netdev")]
pub trait Netdev {
    /// The card; `NotFound` if the machine has none.
    #[idempotent]
    fn info(&self) -> Result<NetdevInfo, IoError>;
    /// Lends 2 MiB frame number `index` of the client's packet memory.
    #[idempotent]
    fn attach_memory(&self, index: u64, frame: Cap) -> Result<(), IoError>;
    /// Lends the two rings of a direction, each a zeroed page, and the notification that the driver signals after completions to a
    /// client that sleeps. Returns the notification that the client signals after requests. Packets flow when both directions are attached.
    #[idempotent]
    fn attach_rings(
        &self,
        direction: Direction,
        requests: Cap,
        completions: Cap,
        wake_client: Cap,
    ) -> Result<Cap, IoError>;
    /// Takes memory and rings away. When it returns the card uses none of the client's memory.
    #[idempotent]
    fn detach(&self) -> Result<(), IoError>;
    /// Returns when the link is no longer as the client knows it, whether it is up. Ends with an error when the driver dies, or the client
    /// attaches or detaches: a client that has one thread wait here learns of a restart at once, and needs no timer for it.
    #[deferred]
    fn watch(&self, link_up: bool) -> Result<bool, IoError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_of_the_ring_as_they_were_put() {
        let received = Received { offset: 1 << 40, length: 1514, checksum_good: true };
        assert_eq!(Received::of(received.words()), Some(received));
        for checksum in [None, Some(Checksum { start: 34, at: 16 })] {
            let request = TransmitRequest { offset: 4096, length: u16::MAX, checksum };
            assert_eq!(TransmitRequest::of(request.words()), Some(request));
        }
        let request = ReceiveRequest { offset: 2048, length: 2048 };
        assert_eq!(ReceiveRequest::of(request.words()), Some(request));
        for sent in [true, false] {
            assert_eq!(Transmitted::of(Transmitted { offset: 7, sent }.words()), Some(Transmitted { offset: 7, sent }));
        }
    }

    #[test]
    fn entries_that_make_no_sense_are_refused() {
        assert_eq!(ReceiveRequest::of([0, 1 << 32]), None);
        assert_eq!(Received::of([0, 2 << 32]), None);
        assert_eq!(TransmitRequest::of([0, 1 << 16]), None);
        assert_eq!(TransmitRequest::of([0, 3 << 48]), None);
        assert_eq!(Transmitted::of([0, 2]), None);
    }

    #[test]
    fn an_address_reads_in_the_order_in_which_it_is_sent() {
        let info = NetdevInfo {
            mac: 0x5254_0012_3456,
            mtu: 1500,
            link_up: true,
            depth: 128,
            transmit_checksums: false,
            receive_checksums: false,
        };
        assert_eq!(info.mac_bytes(), [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    }
}
