//! The virtqueue, in its split form (virtio 2.7).
//!
//! # Fixed chains
//! A request is three descriptors: header, data, status. They are linked once, when the queue is made: request slot `n` owns
//! descriptors `3n` to `3n + 2`, its 16 bytes of header and its byte of status. A request then writes its header and the data descriptor, and nothing is
//! allocated. No indirect tables: they would save descriptors, which are not short, for one more read by the device.
//!
//! # Trust
//! What the device wrote is checked before use: a counter that claims more than is in flight, or an identifier that names nothing in
//! flight, is [`Broken`]. The device cannot make the driver reach outside the queue's memory; the driver reads back nothing it wrote.
//!
//! # Invariants
//! A slot is in `free`, or `busy`, never both; `in_flight` counts the busy ones.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use crate::memory::Memory;

/// The most requests in flight.
pub const SLOTS: u16 = 64;

/// Pages of memory for the queue; each may lie anywhere.
pub const PAGES: usize = 3;

const CHAIN: u16 = 3;
/// The largest queue that the pages hold, and that is of use.
const MAX_SIZE: u16 = 256;

// The first page holds the descriptors, the second what the device used and what is available to it, the third headers
// and status bytes.
const DESCRIPTORS: usize = 0;
const USED: usize = 4096;
const AVAILABLE: usize = 4096 + 2560;
const HEADERS: usize = 8192;
const HEADER_BYTES: usize = 16;
const STATUSES: usize = HEADERS + SLOTS as usize * HEADER_BYTES;

const DESCRIPTOR_BYTES: usize = 16;
const NEXT: u16 = 1;
const DEVICE_WRITES: u16 = 2;

/// The device's word, in the flags of the used ring, that it need not be notified.
const NO_NOTIFY: u16 = 1;

/// Where a request's data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Whether the device writes them.
    pub device_writes: bool,
}

/// A request that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Its slot, free again.
    pub slot: u16,
    /// The status byte that the device left.
    pub status: u8,
}

/// The device wrote what makes no sense: nothing it says counts until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The queue.
#[derive(Debug)]
pub struct Queue<M> {
    memory: M,
    /// Entries; a power of two.
    size: u16,
    free: Vec<u16>,
    busy: [bool; SLOTS as usize],
    in_flight: u16,
    /// Requests ever made available, and those of them that the device can see.
    available: u16,
    published: u16,
    /// Completions ever taken.
    used: u16,
    /// Both sides say at which entry they want to be told (virtio 2.7.7, 2.7.10).
    event_index: bool,
}

impl<M: Memory> Queue<M> {
    /// The size to give a queue that the device allows `offered` entries; `None` if not even one request fits.
    pub fn size_for(offered: u16) -> Option<u16> {
        (offered >= 4).then(|| 1 << offered.min(MAX_SIZE).ilog2())
    }

    /// A queue of `size` entries ([`Queue::size_for`]) in three pages of memory at `physical`. The device does not use it yet.
    pub fn new(memory: M, physical: [u64; PAGES], size: u16, event_index: bool) -> Self {
        let slots = (size / CHAIN).min(SLOTS);
        for offset in (0..PAGES * 4096).step_by(4) {
            memory.write_u32(offset, 0);
        }
        let mut queue = Self {
            memory,
            size,
            free: (0..slots).rev().collect(),
            busy: [false; SLOTS as usize],
            in_flight: 0,
            available: 0,
            published: 0,
            used: 0,
            event_index,
        };
        for slot in 0..slots {
            let header = physical[2] + (usize::from(slot) * HEADER_BYTES) as u64;
            let status = physical[2] + (STATUSES - HEADERS + usize::from(slot)) as u64;
            let head = slot * CHAIN;
            queue.describe(head, header, HEADER_BYTES as u32, NEXT, head + 1);
            queue.describe(head + 1, 0, 0, NEXT, head + 2);
            queue.describe(head + 2, status, 1, DEVICE_WRITES, 0);
        }
        queue
    }

    /// Physical addresses of descriptors, available ring and used ring, for the device.
    pub fn addresses(physical: [u64; PAGES]) -> [u64; 3] {
        [physical[0], physical[1] + (AVAILABLE - USED) as u64, physical[1]]
    }

    /// Ends the queue; the memory can be used for another. The device must have been reset.
    pub fn into_memory(self) -> M {
        self.memory
    }

    fn describe(&mut self, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + usize::from(index) * DESCRIPTOR_BYTES;
        self.memory.write_u64(at, address);
        self.memory.write_u32(at + 8, length);
        self.memory.write_u16(at + 12, flags);
        self.memory.write_u16(at + 14, next);
    }

    /// Requests that can be in flight at a time.
    pub fn capacity(&self) -> u16 {
        (self.size / CHAIN).min(SLOTS)
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Whether no more requests fit now.
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Prepares a request of a kind that the device knows; it sees it after [`Queue::publish`]. `None` if the queue is full.
    pub fn submit(&mut self, kind: u32, sector: u64, data: Option<Data>) -> Option<u16> {
        let slot = self.free.pop()?;
        let header = HEADERS + usize::from(slot) * HEADER_BYTES;
        self.memory.write_u32(header, kind);
        self.memory.write_u32(header + 4, 0);
        self.memory.write_u64(header + 8, sector);
        // A status that the device never gives: one that it forgot to write is no success.
        self.memory.write_u8(STATUSES + usize::from(slot), 0xff);
        let head = slot * CHAIN;
        let second = match data {
            Some(data) => {
                let flags = NEXT | if data.device_writes { DEVICE_WRITES } else { 0 };
                self.describe(head + 1, data.address, data.length, flags, head + 2);
                head + 1
            }
            None => head + 2,
        };
        self.memory.write_u16(DESCRIPTORS + usize::from(head) * DESCRIPTOR_BYTES + 14, second);
        let entry = self.available & (self.size - 1);
        self.memory.write_u16(AVAILABLE + 4 + usize::from(entry) * 2, head);
        self.available = self.available.wrapping_add(1);
        self.busy[usize::from(slot)] = true;
        self.in_flight += 1;
        Some(slot)
    }

    /// Lets the device see what was submitted. Returns whether it must be notified.
    pub fn publish(&mut self) -> bool {
        if self.published == self.available {
            return false;
        }
        let before = core::mem::replace(&mut self.published, self.available);
        // What the entries name is written before the counter that shows them.
        fence(Ordering::Release);
        self.memory.write_u16(AVAILABLE + 2, self.available);
        // The counter is written before the device's wish is read: either it sees the counter, or this sees the wish.
        fence(Ordering::SeqCst);
        if self.event_index {
            let wish = self.memory.read_u16(USED + 4 + usize::from(self.size) * 8);
            // Whether the counter passed the wish between `before` and now (virtio 2.7.10.2).
            self.available.wrapping_sub(wish).wrapping_sub(1) < self.available.wrapping_sub(before)
        } else {
            self.memory.read_u16(USED) & NO_NOTIFY == 0
        }
    }

    /// The next request that came back.
    pub fn complete(&mut self) -> Result<Option<Completion>, Broken> {
        let waiting = self.memory.read_u16(USED + 2).wrapping_sub(self.used);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.in_flight {
            return Err(Broken);
        }
        // The counter is read before what it shows.
        fence(Ordering::Acquire);
        let entry = self.used & (self.size - 1);
        let head = self.memory.read_u32(USED + 4 + usize::from(entry) * 8);
        let slot = head / u32::from(CHAIN);
        if !head.is_multiple_of(CHAIN.into()) || !self.busy.get(slot as usize).is_some_and(|busy| *busy) {
            return Err(Broken);
        }
        let slot = slot as u16;
        let status = self.memory.read_u8(STATUSES + usize::from(slot));
        self.used = self.used.wrapping_add(1);
        self.busy[usize::from(slot)] = false;
        self.in_flight -= 1;
        self.free.push(slot);
        Ok(Some(Completion { slot, status }))
    }

    /// Asks for an interrupt at the next completion. Returns whether to wait for it: if not, something has come back already.
    pub fn prepare_to_sleep(&mut self) -> bool {
        if self.event_index {
            self.memory.write_u16(AVAILABLE + 4 + usize::from(self.size) * 2, self.used);
        }
        // The wish is written before the counter is read: either the device sees the wish, or this sees the counter.
        fence(Ordering::SeqCst);
        self.memory.read_u16(USED + 2) == self.used
    }
}

const _: () = assert!(DESCRIPTORS + MAX_SIZE as usize * DESCRIPTOR_BYTES <= USED);
const _: () = assert!(USED + 6 + MAX_SIZE as usize * 8 <= AVAILABLE);
const _: () = assert!(AVAILABLE + 6 + MAX_SIZE as usize * 2 <= HEADERS);
const _: () = assert!(STATUSES + SLOTS as usize <= PAGES * 4096);
