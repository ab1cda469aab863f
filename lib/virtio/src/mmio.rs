//! Registers and DMA memory, as this program has them mapped. The one module of the crate with `unsafe`.

use motte::memory::Mapping;

use crate::memory::Memory;

/// Mapped memory from some byte on, for as long as this lives.
#[derive(Debug)]
pub struct Mapped {
    mapping: Mapping,
    start: usize,
    /// Bytes from there on.
    length: usize,
}

impl Mapped {
    /// The mapping from byte `start` on.
    pub fn new(mapping: Mapping, start: usize) -> Self {
        let length = mapping.len().saturating_sub(start);
        Self { mapping, start, length }
    }

    /// Where a `T` at `offset` lies. An offset outside the mapping, or not aligned, is a mistake of this program.
    #[inline]
    fn at<T>(&self, offset: usize) -> *mut T {
        let bytes = size_of::<T>();
        let at = self.mapping.as_ptr().wrapping_add(self.start).wrapping_add(offset).cast::<T>();
        assert!(offset + bytes <= self.length && at.is_aligned(), "access at {offset}");
        at
    }

    #[inline]
    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: `at` checked that it lies in the mapping and is aligned; the mapping is readable while `self` lives. Nothing refers to
        // this memory, and every value of the integers read here is valid.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    #[inline]
    fn write<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: as in `read`; the mappings used here are writable.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

impl Memory for Mapped {
    #[inline]
    fn read_u8(&self, offset: usize) -> u8 {
        self.read(offset)
    }

    #[inline]
    fn read_u16(&self, offset: usize) -> u16 {
        self.read(offset)
    }

    #[inline]
    fn read_u32(&self, offset: usize) -> u32 {
        self.read(offset)
    }

    #[inline]
    fn write_u8(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    #[inline]
    fn write_u16(&self, offset: usize, value: u16) {
        self.write(offset, value);
    }

    #[inline]
    fn write_u32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }
}
