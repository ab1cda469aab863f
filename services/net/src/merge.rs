//! Segments of one connection that come right after one another are made one, so that most of what a segment costs is paid once for many
//! (as Linux does under the name of generic receive offload).
//!
//! What a merged segment says is what the last of them says, with the data of all: nothing is lost by that which the connection would
//! act on. Where that is not so, segments are not merged: acknowledgements that repeat one another tell of a loss by their number, and
//! whatever has options or flags besides ACK and PSH says something of its own.

use alloc::vec::Vec;

use smoltcp::wire::Ipv4Packet;

use crate::frame::{ETHERNET, has_right_checksum};

/// The longest packet (RFC 791, section 3.1).
const MOST: usize = u16::MAX as usize;

const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
/// Where an IPv4 header says how long the packet is, and an IPv6 header how long its payload is.
const IPV4_LENGTH: usize = 2;
const IPV6_LENGTH: usize = 4;
/// Where an IPv4 header says whether the packet is a fragment, and what else stands there.
const IPV4_FRAGMENT: usize = 6;
const DO_NOT_FRAGMENT: u16 = 0x4000;
/// Bytes that are the same in all segments of a connection: over IPv4 addresses and ports, over IPv6 a part of the addresses.
const ENDS: core::ops::Range<usize> = ETHERNET + 12..ETHERNET + IPV4_BYTES + PORTS;
/// Where a frame says what it carries.
const ETHERTYPE: core::ops::Range<usize> = 12..14;

// Fields of a TCP header (RFC 9293, section 3.1), and flags.
/// Bytes of both ports, which are first.
const PORTS: usize = 4;
const SEQUENCE: usize = 4;
const ACKNOWLEDGEMENT: usize = 8;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// A segment that may be merged with others, in a frame that was found to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the TCP header begins.
    tcp: usize,
    /// Where the data end.
    end: usize,
    sequence: u32,
    acknowledgement: u32,
    window: u16,
}

impl Segment {
    /// The segment in a frame; `None` for what is not to be merged.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(ETHERNET..)?;
        let half = |at: usize| Some(u16::from_be_bytes(*ip.get(at..)?.first_chunk()?));
        let (header, length) = match *ip.first()? {
            // Without options, and no fragment.
            0x45 if ip.get(9) == Some(&6) && half(IPV4_FRAGMENT)? & !DO_NOT_FRAGMENT == 0 => {
                (IPV4_BYTES, usize::from(half(IPV4_LENGTH)?))
            }
            version if version >> 4 == 6 && ip.get(6) == Some(&6) => {
                (IPV6_BYTES, IPV6_BYTES + usize::from(half(IPV6_LENGTH)?))
            }
            _ => return None,
        };
        let segment: &[u8; TCP_BYTES] = ip.get(header..length)?.first_chunk()?;
        if segment[DATA_OFFSET] >> 4 != 5 || segment[FLAGS] & !PUSH != ACK {
            return None;
        }
        let word = |at: usize| segment[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        Some(Self {
            tcp: ETHERNET + header,
            end: ETHERNET + length,
            sequence: word(SEQUENCE)?,
            acknowledgement: word(ACKNOWLEDGEMENT)?,
            window: u16::from_be_bytes([segment[WINDOW], segment[WINDOW + 1]]),
        })
    }

    fn data(&self) -> usize {
        self.end - self.tcp - TCP_BYTES
    }

    /// Whether `next`, of the same connection, can be made one with this.
    fn continues_in(&self, next: &Self) -> bool {
        let acknowledged = next.acknowledgement.wrapping_sub(self.acknowledgement).cast_signed();
        let says_more = acknowledged > 0 || acknowledged == 0 && next.data() > 0;
        next.sequence == self.sequence.wrapping_add(self.data() as u32) && says_more && self.tcp == next.tcp
    }
}

/// Where the addresses of a packet begin whose TCP header is there.
const fn addresses(tcp: usize) -> usize {
    tcp - if tcp == ETHERNET + IPV4_BYTES { 8 } else { 32 }
}

/// Segments made one.
#[derive(Debug, Default)]
pub struct Run {
    /// The frame.
    bytes: Vec<u8>,
    /// The last segment.
    last: Option<Segment>,
    /// How many of the segments have data, and where the first one's begin.
    count: usize,
    sequence: u32,
}

impl Run {
    /// Whether there is something in it.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Adds a frame that came after the last one, which is `before` while nothing is in here. Returns whether it could be; else nothing is
    /// known of it. `check`: whether its checksum is to be verified.
    pub fn add(&mut self, before: &[u8], next: &[u8], check: bool) -> bool {
        // Most frames that are not of the same connection are known by this.
        if next.get(ENDS) != before.get(ENDS) {
            return false;
        }
        let Some(segment) = Segment::of(next) else { return false };
        let Some(last) = self.last.or_else(|| Segment::of(before)) else { return false };
        let length = if self.is_empty() { last.end } else { self.bytes.len() };
        if !last.continues_in(&segment) || length + segment.data() > ETHERNET + MOST {
            return false;
        }
        // Of both ends, addresses and ports.
        let (from, tcp) = (addresses(segment.tcp), segment.tcp);
        let former = if self.is_empty() { before } else { &self.bytes };
        let is_same = next[ETHERTYPE] == former[ETHERTYPE] && next[from..tcp + PORTS] == former[from..tcp + PORTS];
        if !is_same || check && !has_right_checksum(&next[from..tcp], &next[tcp..segment.end]) {
            return false;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.extend_from_slice(&before[..last.end]);
            (self.count, self.sequence) = (usize::from(last.data() > 0), last.sequence);
        }
        self.bytes.extend_from_slice(&next[segment.tcp + TCP_BYTES..segment.end]);
        let header = &mut self.bytes[segment.tcp..];
        header[ACKNOWLEDGEMENT..ACKNOWLEDGEMENT + 4].copy_from_slice(&segment.acknowledgement.to_be_bytes());
        header[WINDOW..WINDOW + 2].copy_from_slice(&segment.window.to_be_bytes());
        header[FLAGS] |= next[segment.tcp + FLAGS];
        self.last = Some(segment);
        self.count += usize::from(segment.data() > 0);
        true
    }

    /// Whether it was made of several segments with data.
    pub fn has_several(&self) -> bool {
        !self.is_empty() && self.count > 1
    }

    /// How often a frame is to be sent that answers the whole run: once, but if it says that something before the run is missing, as often as
    /// it would have been sent for the segments. The sender counts them (RFC 5681, section 3.2).
    pub fn answers(&self, answer: &[u8]) -> usize {
        let Some(last) = self.last else { return 1 };
        let Some(&header) = answer.get(last.tcp..).and_then(<[u8]>::first_chunk::<TCP_BYTES>) else { return 1 };
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = header;
        let acknowledged = u32::from_be_bytes([a, b, c, d]).wrapping_sub(self.sequence).cast_signed();
        if header[FLAGS] == ACK && acknowledged < 0 { self.count.max(1) } else { 1 }
    }

    /// Makes it one frame, once no more is added. Its TCP checksum is none.
    pub fn finish(&mut self) -> &[u8] {
        if let Some(last) = self.last {
            let packet = &mut self.bytes[ETHERNET..];
            let length = packet.len();
            if last.tcp == ETHERNET + IPV4_BYTES {
                packet[IPV4_LENGTH..IPV4_LENGTH + 2].copy_from_slice(&(length as u16).to_be_bytes());
                Ipv4Packet::new_unchecked(packet).fill_checksum();
            } else {
                let length = (length - IPV6_BYTES) as u16;
                packet[IPV6_LENGTH..IPV6_LENGTH + 2].copy_from_slice(&length.to_be_bytes());
            }
        }
        &self.bytes
    }

    /// The frame, once it is [finished](Self::finish).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.last = None;
    }
}
