//! Packet memory: mapped frames of this program's own that the card writes to as well. The one module of the crate with `unsafe`.

use core::sync::atomic::{Ordering, fence};

use motte::abi::{Error, LARGE_PAGE_SIZE};
use motte::memory::Mapping;

use crate::port::{Buffer, Layout, Memory};

/// Packet memory, in 2 MiB frames. It is the program's until its end: a card may know it.
#[derive(Debug)]
pub struct PacketMemory(&'static Mapping);

impl PacketMemory {
    /// Fresh memory for the buffers of one port.
    pub fn new(layout: Layout) -> Result<Self, Error> {
        let frames = layout.bytes().div_ceil(LARGE_PAGE_SIZE);
        Ok(Self(alloc::boxed::Box::leak(alloc::boxed::Box::new(Mapping::large(frames)?))))
    }

    /// The mapping, whose frames are to be lent.
    pub(crate) fn mapping(&self) -> &'static Mapping {
        self.0
    }
}

impl Memory for PacketMemory {
    fn with<R>(&self, buffer: &mut Buffer, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let (offset, length) = (buffer.offset(), buffer.len());
        assert!(offset + length <= self.0.len(), "a buffer of another port");
        // What the driver said of the buffer was read before what lies in it.
        fence(Ordering::Acquire);
        // SAFETY: the range lies in the mapping, which is readable and writable for the rest of the program. A `Buffer` exists once and is
        // borrowed exclusively here, so this program has no other reference to these bytes; while it exists the buffer is not lent, so the
        // card does not write there (a driver that has it do so could have it write anywhere).
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr().add(offset), length) };
        work(bytes)
    }
}
