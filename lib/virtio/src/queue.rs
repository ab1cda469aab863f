//! The virtqueue, in its split form (virtio 2.7).
//!
//! # Fixed chains
//! Every request of a queue is a chain of the same number of descriptors, which never change their place: slot `n` owns descriptors `n * CHAIN` to
//! `n * CHAIN + CHAIN - 1`. What does not change between requests is described once; nothing is allocated. No indirect tables: they would
//! save descriptors, which are not short, for one more read by the device.
//!
//! # Trust
//! What the device wrote is checked before use: a counter that claims more than is in flight, or an identifier that names nothing in
//! flight, is [`Broken`]. The device cannot make the driver reach outside the queue's memory; the driver reads back nothing it wrote.
//!
//! # Invariants
//! A slot is in `free`, or reserved, or busy; `in_flight` counts the busy ones.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use crate::memory::Memory;

/// Pages that a queue takes at the start of its memory; each may lie anywhere.
pub const QUEUE_PAGES: usize = 2;

/// The largest queue that the pages hold, and that is of use.
const MAX_SIZE: u16 = 256;

// The first page holds the descriptors, the second what the device used and what is available to it.
const DESCRIPTORS: usize = 0;
const USED: usize = 4096;
const AVAILABLE: usize = 4096 + 2560;

const DESCRIPTOR_BYTES: usize = 16;
const NEXT: u16 = 1;
const DEVICE_WRITES: u16 = 2;

/// The device's word, in the flags of the used ring, that it need not be notified.
const NO_NOTIFY: u16 = 1;
/// The driver's word, in the flags of the available ring, that it need not be interrupted.
const NO_INTERRUPT: u16 = 1;

/// One descriptor's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Whether the device writes them.
    pub device_writes: bool,
}

/// A request that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its slot, free again.
    pub slot: u16,
    /// Bytes that the device says it wrote; not checked.
    pub written: u32,
}

/// The device wrote what makes no sense: nothing it says counts until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A queue of requests of `CHAIN` descriptors.
#[derive(Debug)]
pub struct Queue<M, const CHAIN: u16> {
    memory: M,
    /// Entries; a power of two.
    size: u16,
    free: Vec<u16>,
    busy: Vec<bool>,
    in_flight: u16,
    /// Requests ever made available, and those of them that the device can see.
    available: u16,
    published: u16,
    /// Completions ever taken.
    used: u16,
    /// See [`crate::EVENT_INDEX`].
    event_index: bool,
}

impl<M: Memory, const CHAIN: u16> Queue<M, CHAIN> {
    /// The size to give a queue that the device allows `offered` entries; `None` if not even one request fits.
    pub fn size_for(offered: u16) -> Option<u16> {
        (offered >= CHAIN.next_power_of_two()).then(|| 1 << offered.min(MAX_SIZE).ilog2())
    }

    /// A queue of `size` entries ([`Queue::size_for`]) in the first pages of `memory`, for at most `most` requests at a time. The device does not
    /// use it yet.
    pub fn new(memory: M, size: u16, most: u16, event_index: bool) -> Self {
        let slots = (size / CHAIN).min(most);
        for offset in (0..QUEUE_PAGES * 4096).step_by(4) {
            memory.write_u32(offset, 0);
        }
        Self {
            memory,
            size,
            free: (0..slots).rev().collect(),
            busy: alloc::vec![false; slots.into()],
            in_flight: 0,
            available: 0,
            published: 0,
            used: 0,
            event_index,
        }
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Physical addresses of descriptors, available ring and used ring, for the device, when the pages have these.
    pub fn addresses(physical: [u64; QUEUE_PAGES]) -> [u64; 3] {
        [physical[0], physical[1] + (AVAILABLE - USED) as u64, physical[1]]
    }

    /// The memory, of which the pages after the first are the owner's.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Ends the queue; the memory can be used for another. The device must have been reset.
    pub fn into_memory(self) -> M {
        self.memory
    }

    fn descriptor(slot: u16, position: u16) -> usize {
        DESCRIPTORS + usize::from(slot * CHAIN + position) * DESCRIPTOR_BYTES
    }

    /// Describes the part at `position` of a slot's chain, which is followed by the part at `next`.
    pub fn describe(&mut self, slot: u16, position: u16, part: Part, next: Option<u16>) {
        let at = Self::descriptor(slot, position);
        self.memory.write_u64(at, part.address);
        self.memory.write_u32(at + 8, part.length);
        let flags = if next.is_some() { NEXT } else { 0 } | if part.device_writes { DEVICE_WRITES } else { 0 };
        self.memory.write_u16(at + 12, flags);
        self.memory.write_u16(at + 14, next.map_or(0, |next| slot * CHAIN + next));
    }

    /// Gives a part that was described another place and length.
    pub fn place(&mut self, slot: u16, position: u16, address: u64, length: u32) {
        let at = Self::descriptor(slot, position);
        self.memory.write_u64(at, address);
        self.memory.write_u32(at + 8, length);
    }

    /// Has another part follow the one at `position`, which was described with one that follows.
    pub fn link(&mut self, slot: u16, position: u16, next: u16) {
        self.memory.write_u16(Self::descriptor(slot, position) + 14, slot * CHAIN + next);
    }

    /// Requests that can be in flight at a time.
    pub fn capacity(&self) -> u16 {
        self.busy.len() as u16
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Whether no more requests fit now.
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Takes a free slot, to describe its chain and [`submit`](Queue::submit) it. `None` if the queue is full.
    pub fn reserve(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// Makes a reserved slot's chain available; the device sees it after [`Queue::publish`].
    pub fn submit(&mut self, slot: u16) {
        let entry = self.available & (self.size - 1);
        self.memory.write_u16(AVAILABLE + 4 + usize::from(entry) * 2, slot * CHAIN);
        self.available = self.available.wrapping_add(1);
        self.busy[usize::from(slot)] = true;
        self.in_flight += 1;
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
    pub fn complete(&mut self) -> Result<Option<Used>, Broken> {
        let waiting = self.waiting();
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.in_flight {
            return Err(Broken);
        }
        // The counter is read before what it shows.
        fence(Ordering::Acquire);
        let entry = USED + 4 + usize::from(self.used & (self.size - 1)) * 8;
        let head = self.memory.read_u32(entry);
        let slot = head / u32::from(CHAIN);
        if !head.is_multiple_of(CHAIN.into()) || !self.busy.get(slot as usize).is_some_and(|busy| *busy) {
            return Err(Broken);
        }
        let slot = slot as u16;
        self.used = self.used.wrapping_add(1);
        self.busy[usize::from(slot)] = false;
        self.in_flight -= 1;
        self.free.push(slot);
        Ok(Some(Used { slot, written: self.memory.read_u32(entry + 4) }))
    }

    /// Completions that were not taken, if the device can be believed.
    fn waiting(&self) -> u16 {
        self.memory.read_u16(USED + 2).wrapping_sub(self.used)
    }

    /// Asks for an interrupt when `count` more requests have come back, at least 1; the device may interrupt earlier. Returns whether to wait for it: if not, they
    /// have come back already.
    pub fn prepare_to_sleep(&mut self, count: u16) -> bool {
        if self.event_index {
            self.wish(self.used.wrapping_add(count - 1));
        } else {
            self.memory.write_u16(AVAILABLE, 0);
        }
        // The wish is written before the counter is read: either the device sees the wish, or this sees the counter.
        fence(Ordering::SeqCst);
        self.waiting() < count
    }

    /// Asks for no interrupt, whatever comes back. The device may interrupt nevertheless.
    pub fn prepare_to_ignore(&mut self) {
        if self.event_index {
            // It was passed already.
            self.wish(self.used.wrapping_sub(1));
        } else {
            self.memory.write_u16(AVAILABLE, NO_INTERRUPT);
        }
    }

    fn wish(&mut self, entry: u16) {
        self.memory.write_u16(AVAILABLE + 4 + usize::from(self.size) * 2, entry);
    }
}

const _: () = assert!(DESCRIPTORS + MAX_SIZE as usize * DESCRIPTOR_BYTES <= USED);
const _: () = assert!(USED + 6 + MAX_SIZE as usize * 8 <= AVAILABLE);
const _: () = assert!(AVAILABLE + 6 + MAX_SIZE as usize * 2 <= QUEUE_PAGES * 4096);
