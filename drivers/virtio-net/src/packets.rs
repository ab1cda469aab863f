//! A queue of packets, each a chain of the device's header and the packet (virtio 5.1.6).
//!
//! The headers lie in memory of the driver's own, so that a packet in the client's memory is nothing but the packet. A slot's header is
//! described once.

use motte_interfaces::netdev::Checksum;
use motte_virtio::{Broken, Memory, Part, QUEUE_PAGES, Queue};

/// The most packets in flight in a direction.
pub const SLOTS: u16 = 128;

/// Pages of memory for a queue; each may lie anywhere. The last holds the headers.
pub const PAGES: usize = QUEUE_PAGES + 1;

const CHAIN: u16 = 2;
const HEADER: u16 = 0;
const PACKET: u16 = 1;

const HEADERS: usize = QUEUE_PAGES * 4096;
/// Bytes of a header (virtio 5.1.6.1), and from one to the next.
const HEADER_BYTES: u32 = 12;
const HEADER_STEP: usize = 16;

// Fields of a header.
const FLAGS: usize = 0;
const CHECKSUM_START: usize = 6;
const CHECKSUM_AT: usize = 8;

/// The checksum is to be filled in, by the device, or by whoever wants one on a packet that never left this machine.
const NEEDS_CHECKSUM: u8 = 1;
/// The device has checked the checksum.
const CHECKSUM_VALID: u8 = 2;

/// A packet that the device wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its slot, free again.
    pub slot: u16,
    /// Bytes of the packet; the device's claim, not checked.
    pub length: u32,
    /// Its checksum need not be looked at; only where the device checks any.
    pub checksum_good: bool,
}

/// The queue.
#[derive(Debug)]
pub struct Packets<M>(Queue<M, CHAIN>);

const fn header(slot: u16) -> usize {
    HEADERS + slot as usize * HEADER_STEP
}

impl<M: Memory> Packets<M> {
    /// The size to give a queue that the device allows `offered` entries; `None` if not even one packet fits.
    pub fn size_for(offered: u16) -> Option<u16> {
        Queue::<M, CHAIN>::size_for(offered)
    }

    /// A queue of `size` entries ([`Packets::size_for`]) in memory at `physical`, for packets that the device writes, or for those that it reads. The device
    /// does not use it yet.
    pub fn new(memory: M, physical: [u64; PAGES], size: u16, event_index: bool, device_writes: bool) -> Self {
        for offset in (HEADERS..PAGES * 4096).step_by(4) {
            memory.write_u32(offset, 0);
        }
        let mut queue = Queue::new(memory, size, SLOTS, event_index);
        for slot in 0..queue.capacity() {
            let address = physical[QUEUE_PAGES] + (header(slot) - HEADERS) as u64;
            queue.describe(slot, HEADER, Part { address, length: HEADER_BYTES, device_writes }, Some(PACKET));
            queue.describe(slot, PACKET, Part { address: 0, length: 0, device_writes }, None);
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

    /// Packets that can be in flight at a time.
    pub fn capacity(&self) -> u16 {
        self.0.capacity()
    }

    /// Packets in flight.
    pub fn in_flight(&self) -> u16 {
        self.0.in_flight()
    }

    /// Whether no more packets fit now.
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Hands the device a packet to be sent, or an empty buffer, at this physical address; it sees it after [`Packets::publish`]. `None` if the queue is full.
    pub fn submit(&mut self, address: u64, length: u32) -> Option<u16> {
        let slot = self.0.reserve()?;
        self.0.place(slot, PACKET, address, length);
        self.0.submit(slot);
        Some(slot)
    }

    /// As [`Packets::submit`], and the device fills a checksum in, or does not. To be used for all packets to a device that can.
    pub fn submit_with_checksum(&mut self, address: u64, length: u32, checksum: Option<Checksum>) -> Option<u16> {
        let slot = self.0.reserve()?;
        let (flags, start, at) = checksum.map_or((0, 0, 0), |checksum| (NEEDS_CHECKSUM, checksum.start, checksum.at));
        let (memory, header) = (self.0.memory(), header(slot));
        memory.write_u8(header + FLAGS, flags);
        memory.write_u16(header + CHECKSUM_START, start);
        memory.write_u16(header + CHECKSUM_AT, at);
        self.0.place(slot, PACKET, address, length);
        self.0.submit(slot);
        Some(slot)
    }

    /// Lets the device see what was submitted. Returns whether it must be notified.
    pub fn publish(&mut self) -> bool {
        self.0.publish()
    }

    /// The slot of the next packet that was sent.
    pub fn sent(&mut self) -> Result<Option<u16>, Broken> {
        Ok(self.0.complete()?.map(|used| used.slot))
    }

    /// The next packet that came. `checks` tells whether the device says anything of checksums.
    pub fn arrived(&mut self, checks: bool) -> Result<Option<Arrived>, Broken> {
        let Some(used) = self.0.complete()? else { return Ok(None) };
        let length = used.written.checked_sub(HEADER_BYTES).ok_or(Broken)?;
        let flags = if checks { self.0.memory().read_u8(header(used.slot) + FLAGS) } else { 0 };
        let checksum_good = flags & (NEEDS_CHECKSUM | CHECKSUM_VALID) != 0;
        Ok(Some(Arrived { slot: used.slot, length, checksum_good }))
    }

    /// Asks for an interrupt when `count` more packets have come back, at least 1. Returns whether to wait for it: if not, they have come back already.
    pub fn prepare_to_sleep(&mut self, count: u16) -> bool {
        self.0.prepare_to_sleep(count)
    }

    /// Asks for no interrupt.
    pub fn prepare_to_ignore(&mut self) {
        self.0.prepare_to_ignore();
    }
}

const _: () = assert!(HEADERS + SLOTS as usize * HEADER_STEP <= PAGES * 4096);
