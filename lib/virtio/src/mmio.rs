//! Registers and DMA memory, as this program has them mapped. The one module of the crate with `unsafe`.

use motte::memory::Mapping;

use crate::memory::Memory;

/// Mapped memory from some byte on, for as long as this lives.
#[derive(Debug)]
pub struct Mapped {
    mapping: Mapping,
    start: usize,
}

impl Mapped {
    /// The mapping from byte `start` on.
    pub fn new(mapping: Mapping, start: usize) -> Self {
        Self { mapping, start }
    }

    /// Where a `T` at `offset` lies. An offset outside the mapping, or not aligned, is a mistake of this program.
    fn at<T>(&self, offset: usize) -> *mut T {
        let offset = self.start + offset;
        let bytes = size_of::<T>();
        assert!(offset + bytes <= self.mapping.len() && offset.is_multiple_of(bytes), "access at {offset}");
        self.mapping.as_ptr().wrapping_add(offset).cast()
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: `at` checked that it lies in the mapping and is aligned; the mapping is readable while `self` lives. Nothing refers to
        // this memory, and every value of the integers read here is valid.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    fn write<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: as in `read`; the mappings used here are writable.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

impl Memory for Mapped {
    fn read_u8(&self, offset: usize) -> u8 {
        self.read(offset)
    }

    fn read_u16(&self, offset: usize) -> u16 {
        self.read(offset)
    }

    fn read_u32(&self, offset: usize) -> u32 {
        self.read(offset)
    }

    fn write_u8(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    fn write_u16(&self, offset: usize, value: u16) {
        self.write(offset, value);
    }

    fn write_u32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }
}
