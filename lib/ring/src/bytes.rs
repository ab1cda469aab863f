//! A ring of bytes: one producer, one consumer, the bytes in memory that both have mapped, the two counters wherever the two agreed.
//!
//! The same trust as for entries: each side keeps its own counter in private memory, and checks the other's against the capacity. Bytes
//! are copied; nobody looks at them where they lie.

use core::sync::atomic::Ordering::{Acquire, Release};

use crate::{AtomicU64, RingError};

/// Memory that holds a ring's bytes. Both sides may write it at any time.
pub trait Buffer {
    /// Copies bytes out, from `at` on.
    fn read(&self, at: usize, into: &mut [u8]);
    /// Copies bytes in, from `at` on.
    fn write(&self, at: usize, from: &[u8]);
}

/// Where `count` bytes lie from counter value `counter` on: the first piece, and how long it is.
fn piece(base: usize, capacity: u64, counter: u64, count: usize) -> (usize, usize) {
    let within = (counter % capacity) as usize;
    (base + within, count.min(capacity as usize - within))
}

/// The putting side.
#[derive(Debug)]
pub struct ByteProducer {
    base: usize,
    capacity: u64,
    tail: u64,
    /// The consumer's counter as last seen.
    head: u64,
}

impl ByteProducer {
    /// The producer of an empty ring of `capacity` bytes (one at least), `base` bytes behind the beginning of the memory. Both
    /// counters are zero.
    pub const fn new(base: usize, capacity: usize) -> Self {
        Self { base, capacity: if capacity == 0 { 1 } else { capacity as u64 }, tail: 0, head: 0 }
    }

    /// Bytes that there is room for, by the consumer's counter.
    pub fn room(&mut self, head: &AtomicU64) -> Result<usize, RingError> {
        let head = head.load(Acquire);
        // The consumer can have taken no more than was put, and nothing twice.
        if self.tail.wrapping_sub(head) > self.tail.wrapping_sub(self.head) {
            return Err(RingError::Corrupt);
        }
        self.head = head;
        Ok((self.capacity - self.tail.wrapping_sub(head)) as usize)
    }

    /// Puts as many bytes as there was room for when [`ByteProducer::room`] was last asked; returns how many. The consumer sees them once
    /// they are [published](ByteProducer::publish).
    pub fn put(&mut self, memory: &impl Buffer, bytes: &[u8]) -> usize {
        let room = (self.capacity - self.tail.wrapping_sub(self.head)) as usize;
        let count = bytes.len().min(room);
        let (at, first) = piece(self.base, self.capacity, self.tail, count);
        memory.write(at, &bytes[..first]);
        if first < count {
            memory.write(self.base, &bytes[first..count]);
        }
        self.tail = self.tail.wrapping_add(count as u64);
        count
    }

    /// Shows the consumer all that was put.
    pub fn publish(&self, tail: &AtomicU64) {
        tail.store(self.tail, Release);
    }
}

/// The taking side.
#[derive(Debug)]
pub struct ByteConsumer {
    base: usize,
    capacity: u64,
    head: u64,
    /// The producer's counter as last seen.
    tail: u64,
}

impl ByteConsumer {
    /// The consumer of an empty ring; see [`ByteProducer::new`].
    pub const fn new(base: usize, capacity: usize) -> Self {
        Self { base, capacity: if capacity == 0 { 1 } else { capacity as u64 }, head: 0, tail: 0 }
    }

    /// Bytes that lie in the ring, by the producer's counter.
    pub fn available(&mut self, tail: &AtomicU64) -> Result<usize, RingError> {
        let tail = tail.load(Acquire);
        let available = tail.wrapping_sub(self.head);
        if available > self.capacity || available < self.tail.wrapping_sub(self.head) {
            return Err(RingError::Corrupt);
        }
        self.tail = tail;
        Ok(available as usize)
    }

    /// Copies the bytes from `skip` on, as many as were seen there when [`ByteConsumer::available`] was last asked; returns how many. They
    /// stay in the ring.
    pub fn peek(&self, memory: &impl Buffer, skip: usize, into: &mut [u8]) -> usize {
        let seen = self.tail.wrapping_sub(self.head) as usize;
        let count = into.len().min(seen.saturating_sub(skip));
        let (at, first) = piece(self.base, self.capacity, self.head.wrapping_add(skip as u64), count);
        memory.read(at, &mut into[..first]);
        if first < count {
            memory.read(self.base, &mut into[first..count]);
        }
        count
    }

    /// Leaves out as many bytes, of those that were seen. The producer may use their place once that is
    /// [published](ByteConsumer::publish).
    pub fn skip(&mut self, count: usize) {
        let seen = self.tail.wrapping_sub(self.head);
        self.head = self.head.wrapping_add(seen.min(count as u64));
    }

    /// Takes bytes: [`ByteConsumer::peek`] at the first, then [`ByteConsumer::skip`].
    pub fn take(&mut self, memory: &impl Buffer, into: &mut [u8]) -> usize {
        let count = self.peek(memory, 0, into);
        self.skip(count);
        count
    }

    /// Shows the producer what was taken.
    pub fn publish(&self, head: &AtomicU64) {
        head.store(self.head, Release);
    }
}
