//! A page of addresses through which others' pages are read and written.

use motte::kernel::{CacheMode, CapSlot, Frame};
use motte::{memory, slots};
use motte_abi::{Error, PAGE_SIZE, Rights};

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

    fn with<R>(&self, frame: Frame, rights: Rights, act: impl FnOnce(&memory::Mapping) -> R) -> Result<R, Error> {
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
