//! Large TCP segments are cut into frames as they leave, so that most of what a segment costs is paid once for many (as Linux does under
//! the name of generic segmentation offload).
//!
//! smoltcp makes them as if the card could cut, over IPv4 only.

use crate::frame::{ETHERNET, complement};

/// Data that segments of the usual size carry.
const USUAL: usize = 1460;
/// Segments of the usual size that are made at once.
const SEGMENTS: usize = 16;
/// The largest frame: it has no options.
pub const LARGEST: usize = ETHERNET + 40 + SEGMENTS * USUAL;
/// Buffers that are free before anything is sent: enough for a large segment to a peer that takes the least that one must (536 bytes,
/// RFC 9293, section 3.7.1). What is for others, and has no buffer, is sent again.
pub const BURST: usize = 48;

const IPV4_LENGTH: usize = 2;
const IPV4_CHECKSUM: usize = 10;
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
/// FIN and PSH: they are of the last byte.
const LAST: u8 = 1 | 8;

/// A large frame, to be cut.
pub struct Large<'a> {
    headers: &'a [u8],
    data: &'a [u8],
    tcp: usize,
    sequence: u32,
}

impl<'a> Large<'a> {
    /// A frame that carries a TCP segment over IPv4; `None` if it is another.
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let first = *frame.get(ETHERNET)?;
        if first >> 4 != 4 {
            return None;
        }
        let tcp = ETHERNET + usize::from(first & 15) * 4;
        let data = tcp + usize::from(frame.get(tcp + DATA_OFFSET)? >> 4) * 4;
        let sequence = u32::from_be_bytes(*frame.get(tcp + SEQUENCE..)?.first_chunk()?);
        let (headers, data) = frame.split_at_checked(data)?;
        Some(Self { headers, data, tcp, sequence })
    }

    /// The data of the frames to be made, each with its place.
    pub fn pieces(&self, most: usize) -> impl Iterator<Item = (usize, &'a [u8])> {
        let most = most.max(1);
        self.data.chunks(most).enumerate().map(move |(index, data)| (index * most, data))
    }

    /// Bytes of the frame with such data.
    pub fn length(&self, data: &[u8]) -> usize {
        self.headers.len() + data.len()
    }

    /// Makes the frame with the data from `place` on, all but the TCP checksum. `frame` has the [length](Self::length) of it.
    pub fn write(&self, place: usize, data: &[u8], frame: &mut [u8]) {
        let (headers, rest) = frame.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        rest.copy_from_slice(data);
        let (ip, tcp) = headers[ETHERNET..].split_at_mut(self.tcp - ETHERNET);
        let length = (ip.len() + tcp.len() + data.len()) as u16;
        ip[IPV4_LENGTH..IPV4_LENGTH + 2].copy_from_slice(&length.to_be_bytes());
        ip[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].fill(0);
        let checksum = complement(ip);
        ip[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
        let sequence = self.sequence.wrapping_add(place as u32);
        tcp[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
        if place + data.len() < self.data.len() {
            tcp[FLAGS] &= !LAST;
        }
    }
}
