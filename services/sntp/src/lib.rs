//! Time from the network: the messages of SNTP (RFC 5905, sections 7.3 and 14), and what the clock is to be set to.
//!
//! An answer counts only if it is to the request that was sent: it must bring back the number that stood there, which was
//! not to be guessed. It does not help against somebody who sees the request; time from the network is as true as the network.
#![no_std]
#![deny(unsafe_code)]

use core::fmt;

/// The server's port.
pub const PORT: u16 = 123;

/// Bytes of a message.
pub const BYTES: usize = 48;

/// Seconds from 1900, where NTP counts from, to 1970.
const TO_1970: u64 = 2_208_988_800;
/// Seconds of an era of NTP.
const ERA: u64 = 1 << 32;
const SECOND: u64 = 1_000_000_000;

/// No leap second, version 4, client.
const REQUEST: u8 = 4 << 3 | 3;
const SERVER: u8 = 4;
const UNSYNCHRONIZED: u8 = 3;
const MOST_STRATUM: u8 = 15;

// Where the fields of a message lie.
const STRATUM: usize = 1;
const ORIGINATE: usize = 24;
const RECEIVE: usize = 32;
const TRANSMIT: usize = 40;

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too short, or no answer of a server's.
    Malformed,
    /// Not to the request that was sent.
    Foreign,
    /// The server does not know the time itself, or does not want to be asked.
    Unsynchronized,
    /// The server's times make no sense.
    Senseless,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the answer is no message of a time server's",
            Self::Foreign => "the answer is not to the question that was asked",
            Self::Unsynchronized => "the server does not know the time, or does not want to be asked",
            Self::Senseless => "the times in the answer make no sense",
        })
    }
}

/// A request that carries `nonce`, which comes back with the answer.
pub fn request(nonce: u64) -> [u8; BYTES] {
    let mut message = [0; BYTES];
    message[0] = REQUEST;
    message[TRANSMIT..].copy_from_slice(&nonce.to_be_bytes());
    message
}

fn word(message: &[u8; BYTES], at: usize) -> u64 {
    message[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Nanoseconds since 1970 of a time stamp; of the eras that it may be of, the one that begins in 2036 if it would lie before 1970.
fn since_1970(stamp: u64) -> u64 {
    let (seconds, fraction) = (stamp >> 32, stamp & 0xffff_ffff);
    let seconds = if seconds < TO_1970 { seconds + ERA } else { seconds } - TO_1970;
    seconds * SECOND + ((fraction * SECOND) >> 32)
}

/// What time it is, in nanoseconds since 1970, when an answer arrives `round_trip` nanoseconds after the request with `nonce` was sent.
pub fn time(answer: &[u8], nonce: u64, round_trip: u64) -> Result<u64, Refusal> {
    let answer: &[u8; BYTES] = answer.first_chunk().ok_or(Refusal::Malformed)?;
    if answer[0] & 7 != SERVER {
        return Err(Refusal::Malformed);
    }
    if word(answer, ORIGINATE) != nonce {
        return Err(Refusal::Foreign);
    }
    if answer[0] >> 6 == UNSYNCHRONIZED || !(1..=MOST_STRATUM).contains(&answer[STRATUM]) {
        return Err(Refusal::Unsynchronized);
    }
    let (received, sent) = (word(answer, RECEIVE), word(answer, TRANSMIT));
    if received == 0 || sent == 0 {
        return Err(Refusal::Senseless);
    }
    let (received, sent) = (since_1970(received), since_1970(sent));
    // What the server took does not count as being on the way.
    let served = sent.checked_sub(received).filter(|served| *served <= round_trip).ok_or(Refusal::Senseless)?;
    Ok(sent + (round_trip - served) / 2)
}
