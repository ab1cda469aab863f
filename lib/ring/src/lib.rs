//! A ring between two components that do not trust each other: one producer, one consumer, entries of a fixed number of
//! words in one shared page.
//!
//! # Layout, in 64-bit words
//! | word | written by | meaning |
//! |---|---|---|
//! | 0 | producer | tail: entries ever put |
//! | 8 | consumer | head: entries ever taken |
//! | 16 | consumer | 1 while it sleeps and wants to be woken |
//! | 32… | producer | entries; number `n` lies at `n % capacity` |
//!
//! # Trust
//! Each side keeps its own counter in private memory and never reads it back from the page. What the peer wrote is one
//! number, checked against the capacity: a lie is [`RingError::Corrupt`]. Entries are copied out word by word through atomics before anybody looks
//! at them, so a peer that goes on writing changes nothing that was checked, and no index leaves the page.
//!
//! # The race at falling asleep
//! The consumer finds the ring empty and goes to sleep on a notification; the producer puts an entry and must know whether to
//! signal. If the consumer looked before the entry came, and the producer looked for a sleeper before the consumer lay down, the entry would lie there and nobody
//! would wake. So the consumer first announces its sleep (word 16), then looks once more; the producer first publishes, then looks for the announcement; and a
//! sequentially consistent fence stands between the two steps on both sides. At least one of them then sees the other (store buffering;
//! H.-J. Boehm and S. Adve, "Foundations of the C++ Concurrency Memory Model", 2008). `tests/loom.rs` tries every interleaving.
//!
//! [`ByteProducer`] and [`ByteConsumer`] are the same for a stream of bytes, with memory and counters wherever the two sides want them.
#![no_std]
#![deny(unsafe_code)]

#[cfg(loom)]
extern crate std;

#[cfg(loom)]
pub use loom::sync::atomic::AtomicU64;
#[cfg(loom)]
use loom::sync::atomic::fence;

#[cfg(not(loom))]
pub use core::sync::atomic::AtomicU64;
#[cfg(not(loom))]
use core::sync::atomic::fence;

mod bytes;

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

pub use bytes::{Buffer, ByteConsumer, ByteProducer};

const TAIL: usize = 0;
const HEAD: usize = 8;
const SLEEPS: usize = 16;
const ENTRIES: usize = 32;

/// Words of a page.
pub const PAGE_WORDS: usize = 512;

/// Why a ring cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No room for another entry now.
    Full,
    /// The peer's counter makes no sense: it is broken or lies. Nothing more can be done with this ring.
    Corrupt,
    /// The memory is too small for even one entry.
    TooSmall,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the ring is full",
            Self::Corrupt => "the peer corrupted the ring",
            Self::TooSmall => "the memory is too small for a ring",
        })
    }
}

/// Entries of `words` words that fit into `length` words of memory: a power of two, or 0.
const fn capacity(length: usize, words: usize) -> u64 {
    if length < ENTRIES + words || words == 0 {
        return 0;
    }
    let fit = ((length - ENTRIES) / words) as u64;
    1 << (63 - fit.leading_zeros())
}

/// The putting side. `W` words make an entry.
#[derive(Debug)]
pub struct Producer<M, const W: usize> {
    memory: M,
    capacity: u64,
    tail: u64,
    /// The consumer's counter as last seen: it only grows, so this errs on the side of "full".
    head: u64,
}

/// The taking side.
#[derive(Debug)]
pub struct Consumer<M, const W: usize> {
    memory: M,
    capacity: u64,
    head: u64,
    tail: u64,
}

impl<M: Deref<Target = [AtomicU64]>, const W: usize> Producer<M, W> {
    /// The producer of a new ring in zeroed memory.
    pub fn new(memory: M) -> Result<Self, RingError> {
        let capacity = capacity(memory.len(), W);
        if capacity == 0 { Err(RingError::TooSmall) } else { Ok(Self { memory, capacity, tail: 0, head: 0 }) }
    }

    /// Entries that the ring can hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Entries that can be put now without looking at the consumer again, after looking once.
    pub fn room(&mut self) -> Result<u64, RingError> {
        let head = self.memory[HEAD].load(Acquire);
        // The consumer can have taken no more than was put, and nothing twice.
        if self.tail.wrapping_sub(head) > self.tail.wrapping_sub(self.head) {
            return Err(RingError::Corrupt);
        }
        self.head = head;
        Ok(self.capacity - self.tail.wrapping_sub(head))
    }

    /// Puts an entry. The consumer sees it at once; whether it must be woken is for [`Producer::must_wake`] to say, once after a batch.
    pub fn push(&mut self, entry: [u64; W]) -> Result<(), RingError> {
        if self.tail.wrapping_sub(self.head) >= self.capacity && self.room()? == 0 {
            return Err(RingError::Full);
        }
        let at = ENTRIES + (self.tail & (self.capacity - 1)) as usize * W;
        for (place, word) in self.memory[at..at + W].iter().zip(entry) {
            place.store(word, Relaxed);
        }
        self.tail = self.tail.wrapping_add(1);
        self.memory[TAIL].store(self.tail, Release);
        Ok(())
    }

    /// Whether the consumer sleeps and must be signalled.
    pub fn must_wake(&self) -> bool {
        fence(SeqCst);
        self.memory[SLEEPS].load(Relaxed) != 0
    }
}

impl<M: Deref<Target = [AtomicU64]>, const W: usize> Consumer<M, W> {
    /// The consumer of a new ring in zeroed memory.
    pub fn new(memory: M) -> Result<Self, RingError> {
        let capacity = capacity(memory.len(), W);
        if capacity == 0 { Err(RingError::TooSmall) } else { Ok(Self { memory, capacity, head: 0, tail: 0 }) }
    }

    /// Takes the next entry.
    pub fn pop(&mut self) -> Result<Option<[u64; W]>, RingError> {
        if self.head == self.tail {
            let tail = self.memory[TAIL].load(Acquire);
            if tail.wrapping_sub(self.head) > self.capacity {
                return Err(RingError::Corrupt);
            }
            self.tail = tail;
            if self.head == tail {
                return Ok(None);
            }
        }
        let at = ENTRIES + (self.head & (self.capacity - 1)) as usize * W;
        let mut entry = [0; W];
        for (word, place) in entry.iter_mut().zip(&self.memory[at..at + W]) {
            *word = place.load(Relaxed);
        }
        self.head = self.head.wrapping_add(1);
        self.memory[HEAD].store(self.head, Release);
        Ok(Some(entry))
    }

    /// Announces that the consumer is about to sleep. Returns whether it may: if not, something has come.
    pub fn prepare_to_sleep(&mut self) -> Result<bool, RingError> {
        self.memory[SLEEPS].store(1, Relaxed);
        fence(SeqCst);
        let tail = self.memory[TAIL].load(Acquire);
        if tail.wrapping_sub(self.head) > self.capacity {
            return Err(RingError::Corrupt);
        }
        if tail != self.head {
            self.awake();
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes the announcement back after waking.
    pub fn awake(&mut self) {
        self.memory[SLEEPS].store(0, Relaxed);
    }
}
