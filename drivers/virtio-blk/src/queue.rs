//! The device's queue of requests, each a chain of header, data and status (virtio 5.2.6).
//!
//! A slot owns its 16 bytes of header and its byte of status, which are described once. A request then writes its header and
//! describes its data.

use motte_virtio::{Broken, Memory, Part, QUEUE_PAGES, Queue};

/// The most requests in flight.
pub const SLOTS: u16 = 64;

/// Pages of memory for the queue; each may lie anywhere. The last holds headers and status bytes.
pub const PAGES: usize = QUEUE_PAGES + 1;

const CHAIN: u16 = 3;
const HEADER: u16 = 0;
const DATA: u16 = 1;
const STATUS: u16 = 2;

const HEADERS: usize = QUEUE_PAGES * 4096;
const HEADER_BYTES: usize = 16;
const STATUSES: usize = HEADERS + SLOTS as usize * HEADER_BYTES;

/// A request that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Its slot, free again.
    pub slot: u16,
    /// The status byte that the device left.
    pub status: u8,
}

/// The queue.
#[derive(Debug)]
pub struct Requests<M>(Queue<M, CHAIN>);

impl<M: Memory> Requests<M> {
    /// The size to give a queue that the device allows `offered` entries; `None` if not even one request fits.
    pub fn size_for(offered: u16) -> Option<u16> {
        Queue::<M, CHAIN>::size_for(offered)
    }

    /// A queue of `size` entries ([`Requests::size_for`]) in memory at `physical`. The device does not use it yet.
    pub fn new(memory: M, physical: [u64; PAGES], size: u16, event_index: bool) -> Self {
        let mut queue = Queue::new(memory, size, SLOTS, event_index);
        for slot in 0..queue.capacity() {
            let header = physical[QUEUE_PAGES] + (usize::from(slot) * HEADER_BYTES) as u64;
            let status = physical[QUEUE_PAGES] + (STATUSES - HEADERS + usize::from(slot)) as u64;
            let header = Part { address: header, length: HEADER_BYTES as u32, device_writes: false };
            queue.describe(slot, HEADER, header, Some(DATA));
            queue.describe(slot, STATUS, Part { address: status, length: 1, device_writes: true }, None);
        }
        Self(queue)
    }

    /// Physical addresses of descriptors, available ring and used ring, for the device.
    pub fn addresses([first, second, _]: [u64; PAGES]) -> [u64; 3] {
        Queue::<M, CHAIN>::addresses([first, second])
    }

    /// Ends the queue; the memory can be used for another. The device must have been reset.
    pub fn into_memory(self) -> M {
        self.0.into_memory()
    }

    /// Requests that can be in flight at a time.
    pub fn capacity(&self) -> u16 {
        self.0.capacity()
    }

    /// Whether no more requests fit now.
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Prepares a request of a kind that the device knows; it sees it after [`Requests::publish`]. `None` if the queue is full.
    pub fn submit(&mut self, kind: u32, sector: u64, data: Option<Part>) -> Option<u16> {
        let slot = self.0.reserve()?;
        let memory = self.0.memory();
        let header = HEADERS + usize::from(slot) * HEADER_BYTES;
        memory.write_u32(header, kind);
        memory.write_u32(header + 4, 0);
        memory.write_u64(header + 8, sector);
        // A status that the device never gives: one that it forgot to write is no success.
        memory.write_u8(STATUSES + usize::from(slot), 0xff);
        match data {
            Some(data) => {
                self.0.describe(slot, DATA, data, Some(STATUS));
                self.0.link(slot, HEADER, DATA);
            }
            None => self.0.link(slot, HEADER, STATUS),
        }
        self.0.submit(slot);
        Some(slot)
    }

    /// Lets the device see what was submitted. Returns whether it must be notified.
    pub fn publish(&mut self) -> bool {
        self.0.publish()
    }

    /// The next request that came back.
    pub fn complete(&mut self) -> Result<Option<Completion>, Broken> {
        let used = self.0.complete()?;
        Ok(used.map(|used| {
            let status = self.0.memory().read_u8(STATUSES + usize::from(used.slot));
            Completion { slot: used.slot, status }
        }))
    }

    /// Asks for an interrupt at the next completion. Returns whether to wait for it: if not, something has come back already.
    pub fn prepare_to_sleep(&mut self) -> bool {
        self.0.prepare_to_sleep(1)
    }
}

const _: () = assert!(STATUSES + SLOTS as usize <= PAGES * 4096);
