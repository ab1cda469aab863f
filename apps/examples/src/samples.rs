//! The interface `samples` of `liar-demo`, which puts samples into a ring that it shares with its client, and lies; and the client's side, which
//! believes nothing.

use alloc::string::{String, ToString};
use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering};

use motte_interfaces::{CallError, Cap, Wire, interface};
use motte_ring::{Consumer, RingError};

/// Words of a sample: its channel and its value.
pub const SAMPLE_WORDS: usize = 2;
/// Channels that there are.
pub const CHANNELS: usize = 4;
/// What the first channel's value is; each further one's is twice the former.
const FIRST_VALUE: u64 = 10;

/// Where the number of entries ever put stands in a ring's page, and where the entries begin (`motte_ring` says so).
const TAIL: usize = 0;
const ENTRIES: usize = 32;

/// Why there are no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum SamplesError {
    /// The page cannot be used.
    NoRing,
    /// The service does not answer, or not what was asked.
    Unreachable,
}

impl From<CallError> for SamplesError {
    fn from(_: CallError) -> Self {
        Self::Unreachable
    }
}

impl fmt::Display for SamplesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRing => "the page for the ring cannot be used",
            Self::Unreachable => "the samples' service does not answer",
        })
    }
}

/// Puts samples into rings.
#[interface("samples")]
pub trait Samples {
    /// Puts one sample of each channel into a new ring in this page.
    fn fill(&self, page: Cap) -> Result<(), SamplesError>;
}

/// What the one who fills a ring does, one ring after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It tells the truth.
    Honest,
    /// It says that it has put a million entries, most of which would lie far behind the page.
    FalseCount,
    /// It sends a sample of a channel that there is not.
    FalseChannel,
}

impl Conduct {
    /// The conduct towards the ring of that number, from 0 on.
    pub const fn of_ring(number: u64) -> Self {
        match number % 3 {
            0 => Self::Honest,
            1 => Self::FalseCount,
            _ => Self::FalseChannel,
        }
    }

    /// Fills a ring's page. A liar needs no library: it writes what it likes.
    pub fn fill(self, page: &[AtomicU64]) {
        for channel in 0..CHANNELS {
            let named = if self == Self::FalseChannel && channel == 2 { 9999 } else { channel as u64 };
            let at = ENTRIES + channel * SAMPLE_WORDS;
            page[at].store(named, Ordering::Relaxed);
            page[at + 1].store(FIRST_VALUE << channel, Ordering::Relaxed);
        }
        let count = if self == Self::FalseCount { 1_000_000 } else { CHANNELS as u64 };
        page[TAIL].store(count, Ordering::Release);
    }
}

/// What the client makes of a ring: each channel's last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values([Option<u64>; CHANNELS]);

impl Values {
    /// Takes all samples out of a ring. What is wrong with it is said in a sentence; what was right is kept.
    pub fn take<M: Deref<Target = [AtomicU64]>>(
        &mut self,
        ring: &mut Consumer<M, SAMPLE_WORDS>,
    ) -> Result<usize, String> {
        let (mut taken, mut lies) = (0, String::new());
        loop {
            match ring.pop() {
                Ok(None) if lies.is_empty() => return Ok(taken),
                Ok(None) => return Err(alloc::format!("{lies}; {taken} others were taken")),
                // An index is checked by whoever uses it.
                Ok(Some([channel, value])) => match usize::try_from(channel).ok().and_then(|at| self.0.get_mut(at)) {
                    Some(place) => {
                        *place = Some(value);
                        taken += 1;
                    }
                    None => lies = alloc::format!("there is no channel {channel}"),
                },
                Err(error) => return Err(corrupt(error)),
            }
        }
    }
}

fn corrupt(error: RingError) -> String {
    let mut text = error.to_string();
    text.push_str("; nothing was taken from it");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn what_comes_of(conduct: Conduct) -> (Result<usize, String>, Values) {
        let page: Vec<AtomicU64> = (0..motte_ring::PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        conduct.fill(&page);
        let (mut ring, mut values) = (Consumer::new(&page[..]).unwrap(), Values::default());
        (values.take(&mut ring), values)
    }

    #[test]
    fn a_liar_hurts_its_own_samples_only() {
        assert_eq!(what_comes_of(Conduct::Honest), (Ok(4), Values([Some(10), Some(20), Some(40), Some(80)])));
        let (said, values) = what_comes_of(Conduct::FalseCount);
        assert_eq!(said.unwrap_err(), "the peer corrupted the ring; nothing was taken from it");
        assert_eq!(values, Values::default());
        let (said, values) = what_comes_of(Conduct::FalseChannel);
        assert_eq!(said.unwrap_err(), "there is no channel 9999; 3 others were taken");
        assert_eq!(values, Values([Some(10), Some(20), None, Some(80)]));
    }
}
