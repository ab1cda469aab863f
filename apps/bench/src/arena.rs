//! Memory and slots of one measurement: made from one Untyped, and gone together.

use alloc::vec::Vec;

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, Rights};
use motte::kernel::{AddressSpace, CacheMode, CapSlot, Frame, MapError, PageTable, Thread, Untyped};
use motte::memory::{self, Mapping};
use motte::slots;

use crate::machine;

/// Where the objects of a measurement come from.
pub struct Arena {
    /// The memory.
    pub untyped: Untyped,
    slots: Vec<CapSlot>,
    threads: Vec<Thread>,
    /// The program's code, for other address spaces.
    code: Mapping,
}

impl Arena {
    /// With `bytes` of memory.
    pub fn new(bytes: u64) -> Result<Self, Error> {
        let code = Mapping::large(1)?;
        let bytes_of_code = machine::code();
        if bytes_of_code.len() > LARGE_PAGE_SIZE {
            return Err(Error::OutOfMemory);
        }
        code.write(0, bytes_of_code);
        Ok(Self {
            untyped: Untyped(memory::make(ObjectType::Untyped, bytes)?),
            slots: Vec::new(),
            threads: Vec::new(),
            code,
        })
    }

    /// A frame of 2 MiB with the program's constants and code.
    pub fn code(&self) -> Frame {
        self.code.frames()[0]
    }

    /// An empty slot.
    pub fn slot(&mut self) -> Result<CapSlot, Error> {
        let slot = slots::allocate()?;
        self.slots.push(slot);
        Ok(slot)
    }

    /// `count` empty slots in a row; the first.
    pub fn slots(&mut self, count: usize) -> Result<CapSlot, Error> {
        let first = slots::allocate_range(count)?;
        self.slots.extend((0..count as u64).map(|index| CapSlot(first.0 + index)));
        Ok(first)
    }

    /// Makes an object.
    pub fn make(&mut self, kind: ObjectType, size: u64) -> Result<CapSlot, Error> {
        let slot = self.slot()?;
        self.untyped.retype(kind, size, CapSlot::OWN_TABLE, slot.0, 1)?;
        if kind == ObjectType::Thread {
            self.threads.push(Thread(slot));
        }
        Ok(slot)
    }

    /// A copy of a capability.
    pub fn copy(&mut self, of: CapSlot, rights: Rights) -> Result<CapSlot, Error> {
        let slot = self.slot()?;
        of.copy(slot, rights)?;
        Ok(slot)
    }

    /// Maps a frame, with the page tables that it takes.
    pub fn map(&mut self, frame: Frame, space: AddressSpace, address: u64, rights: Rights) -> Result<(), Error> {
        loop {
            match frame.map(space, address, rights, CacheMode::Normal) {
                Ok(()) => return Ok(()),
                Err(MapError::Kernel(error)) => return Err(error),
                Err(MapError::MissingTable(level)) => {
                    PageTable(self.make(ObjectType::PageTable, 0)?).map(space, address, level)?;
                }
            }
        }
    }

    /// Takes everything back, the threads first: one that is preferred to this one would see the rest go, and fail.
    pub fn clear(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.suspend();
        }
        let _ = self.untyped.0.revoke();
        self.slots.drain(..).for_each(slots::delete);
    }
}
