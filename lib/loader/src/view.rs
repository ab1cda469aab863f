//! The pages of a program that its loader writes and reads: mapped for both.

use alloc::vec::Vec;

use motte::kernel::{CacheMode, CapSlot, CapTable, Frame};
use motte::memory::Mapping;
use motte::slots;
use motte_abi::{Error, PAGE_SIZE, Rights};

/// Where the start information begins; before it lies the page of the message buffer.
pub(crate) const START_INFO: usize = PAGE_SIZE;

/// Copies of a program's frames, mapped one after the other: message buffer and last words, start information, data.
#[derive(Debug)]
pub struct View {
    /// There until the view is given up.
    mapping: Option<Mapping>,
    first: CapSlot,
    count: usize,
}

impl View {
    /// Of `count` frames in consecutive slots of `table`.
    pub(crate) fn new(table: CapTable, from: u64, count: usize) -> Result<Self, Error> {
        let first = slots::allocate_range(count)?;
        // What is there at an error goes with the view.
        let mut view = Self { mapping: None, first, count };
        let rights = Rights::READ | Rights::WRITE;
        table.copy_range(from, CapSlot::OWN_TABLE, first.0, count as u64, rights)?;
        let frames: Vec<_> = (0..count as u64).map(|index| Frame::at(first.0 + index)).collect();
        view.mapping = Some(Mapping::of(frames, rights, CacheMode::Normal)?);
        Ok(view)
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        if let Some(mapping) = &self.mapping {
            mapping.write(offset, bytes);
        }
    }

    /// Copies out of the page of the message buffer.
    pub fn read_message_buffer(&self, offset: usize, bytes: &mut [u8]) {
        if let Some(mapping) = &self.mapping {
            mapping.read(offset, bytes);
        }
    }

    /// Gives the view up after the program's memory was revoked, and the copies with it.
    pub fn revoked(mut self) {
        if let Some(mapping) = self.mapping.take() {
            mapping.revoked();
        }
        slots::free_range(self.first, self.count);
        self.count = 0;
    }
}

impl Drop for View {
    fn drop(&mut self) {
        (0..self.count as u64).for_each(|index| slots::delete(CapSlot(self.first.0 + index)));
        if let Some(mapping) = self.mapping.take() {
            mapping.revoked();
        }
    }
}
