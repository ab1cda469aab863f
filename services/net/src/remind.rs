//! What has senders repeat at once what was lost while the driver was restarted.
//!
//! Frames that come meanwhile may be lost, and who sent them would wait a second and more before sending them again. Three copies of the
//! last acknowledgement are what a sender takes for a gap (RFC 5681, section 3.2), which it fills at once. (R. Cáceres and L. Iftode,
//! "Improving the Performance of Reliable Transport Protocols in Mobile Computing Environments", 1995, do so after a change of cells.)

use crate::frame::{ETHERNET, complement};

/// How often the acknowledgement is sent.
pub const COPIES: usize = 3;

const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
const MOST: usize = ETHERNET + IPV6_BYTES + TCP_BYTES;

const IPV4_LENGTH: usize = 2;
const IPV4_CHECKSUM: usize = 10;
const IPV6_LENGTH: usize = 4;
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// How the last frame of a connection began.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    bytes: [u8; MOST],
    /// Bytes of the frame; 0: there was none.
    length: u16,
}

impl Default for Last {
    fn default() -> Self {
        Self { bytes: [0; MOST], length: 0 }
    }
}

impl Last {
    /// Notes a frame that is sent.
    pub fn note(&mut self, frame: &[u8]) {
        let count = frame.len().min(MOST);
        self.bytes[..count].copy_from_slice(&frame[..count]);
        self.length = frame.len() as u16;
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Whether a frame was noted.
    pub fn is_some(&self) -> bool {
        self.length > 0
    }

    /// The frame without its data, all but the TCP checksum: what it acknowledged. `None` if it was of another kind.
    pub fn acknowledgement(mut self) -> Option<([u8; MOST], usize)> {
        let header = match self.bytes[ETHERNET] {
            0x45 => IPV4_BYTES,
            version if version >> 4 == 6 => IPV6_BYTES,
            _ => return None,
        };
        let length = ETHERNET + header + TCP_BYTES;
        let data = u32::from(self.length).checked_sub(length as u32)?;
        let (ip, tcp) = self.bytes[ETHERNET..].split_at_mut(header);
        if tcp[DATA_OFFSET] >> 4 != 5 || tcp[FLAGS] & !PUSH != ACK {
            return None;
        }
        if header == IPV4_BYTES {
            ip[IPV4_LENGTH..IPV4_LENGTH + 2].copy_from_slice(&((header + TCP_BYTES) as u16).to_be_bytes());
            ip[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].fill(0);
            let checksum = complement(ip);
            ip[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
        } else {
            ip[IPV6_LENGTH..IPV6_LENGTH + 2].copy_from_slice(&(TCP_BYTES as u16).to_be_bytes());
        }
        let sequence = u32::from_be_bytes(*tcp[SEQUENCE..].first_chunk()?).wrapping_add(data);
        tcp[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
        tcp[FLAGS] = ACK;
        Some((self.bytes, length))
    }
}
