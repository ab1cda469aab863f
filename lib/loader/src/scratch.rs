//! Slots of the loader's own table, used for a moment, and a page of addresses through which it writes others' pages.

use alloc::vec::Vec;

use motte::kernel::{CacheMode, CapSlot, Frame};
use motte::{memory, slots};
use motte_abi::{Error, PAGE_SIZE, Rights};

/// Slots that are emptied and given back at the end, whatever happened.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    slots: Vec<CapSlot>,
}

impl Scratch {
    /// A free slot.
    pub fn slot(&mut self) -> Result<CapSlot, Error> {
        let slot = slots::allocate()?;
        self.slots.push(slot);
        Ok(slot)
    }

    /// `count` free slots in a row.
    pub fn range(&mut self, count: usize) -> Result<CapSlot, Error> {
        let first = slots::allocate_range(count)?;
        self.slots.extend((0..count as u64).map(|index| CapSlot(first.0 + index)));
        Ok(first)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.slots.drain(..).for_each(slots::delete);
    }
}

/// A page of addresses at which frames are mapped one at a time, to be read or written.
#[derive(Debug)]
pub struct Window {
    slot: CapSlot,
}

impl Window {
    /// A window.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { slot: slots::allocate()? })
    }

    /// Copies from `bytes` into the frame at `offset`. The frame's own capability may be mapped elsewhere.
    pub fn write(&self, frame: Frame, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.with(frame, Rights::READ | Rights::WRITE, |mapping| mapping.write(offset, bytes))
    }

    /// Copies out of the frame.
    pub fn read(&self, frame: Frame, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        self.with(frame, Rights::READ, |mapping| mapping.read(offset, bytes))
    }

    fn with<R>(
        &self,
        frame: Frame,
        rights: Rights,
        act: impl FnOnce(&memory::Mapping) -> R,
    ) -> Result<R, Error> {
        frame.0.copy(self.slot, rights)?;
        let copy = Frame(self.slot);
        let mapped = memory::Mapping::of(alloc::vec![copy], rights, CacheMode::Normal);
        let result = mapped.map(|mapping| {
            debug_assert_eq!(mapping.len(), PAGE_SIZE);
            act(&mapping)
        });
        self.slot.delete()?;
        result
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        slots::delete(self.slot);
    }
}
