//! Memory that is mapped as long as somebody holds it.

use alloc::vec::Vec;

use motte_abi::{Error, LARGE_PAGE_SIZE, PAGE_SIZE, Rights};

use super::{free_frame, large_frame, map_some, release_addresses, reserve_addresses};
use crate::arch;
use crate::kernel::{CacheMode, CapSlot, Frame, own};

/// Frames mapped one after the other at fresh addresses, until dropped.
///
/// The memory may be shared with a component that nobody trusts, so it is reached by pointer or by copies, never as a reference.
#[derive(Debug)]
pub struct Mapping {
    address: u64,
    /// Bytes of addresses.
    reserved: u64,
    page: usize,
    frames: Vec<Frame>,
    /// Whether the frames go back to the pool at the end.
    owned: bool,
}

const WRITABLE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

impl Mapping {
    /// Fresh zeroed memory of `pages` 4 KiB pages.
    pub fn new(pages: usize) -> Result<Self, Error> {
        let mut frames = Vec::with_capacity(pages);
        for _ in 0..pages {
            match super::frame() {
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    frames.into_iter().for_each(free_frame);
                    return Err(error);
                }
            }
        }
        let mut mapping = Self::map(frames, PAGE_SIZE, WRITABLE, CacheMode::Normal)?;
        mapping.owned = true;
        // SAFETY: the range was just mapped writable and nobody else knows of it.
        unsafe { core::ptr::write_bytes(mapping.as_ptr(), 0, mapping.len()) };
        Ok(mapping)
    }

    /// Fresh zeroed memory of `count` 2 MiB frames, for good: they are not used again after it is dropped.
    pub fn large(count: usize) -> Result<Self, Error> {
        let frames = (0..count).map(|_| large_frame()).collect::<Result<_, _>>()?;
        Self::map(frames, LARGE_PAGE_SIZE, WRITABLE, CacheMode::Normal)
    }

    /// Frames of 4 KiB that the caller has; they remain the caller's.
    pub fn of(frames: Vec<Frame>, rights: Rights, cache: CacheMode) -> Result<Self, Error> {
        Self::map(frames, PAGE_SIZE, rights, cache)
    }

    /// Frames of 2 MiB that the caller has.
    pub fn of_large(frames: Vec<Frame>, rights: Rights, cache: CacheMode) -> Result<Self, Error> {
        Self::map(frames, LARGE_PAGE_SIZE, rights, cache)
    }

    fn map(frames: Vec<Frame>, page: usize, rights: Rights, cache: CacheMode) -> Result<Self, Error> {
        let reserved = (frames.len() * page) as u64;
        let address = reserve_addresses(reserved, page as u64)?;
        let count = frames.len();
        let mut mapping = Self { address, reserved, page, frames: Vec::with_capacity(count), owned: false };
        while let Some(rest @ [first, ..]) = frames.get(mapping.frames.len()..) {
            let consecutive = |pair: &&[Frame]| pair[0].0.0 + 1 == pair[1].0.0;
            let run = 1 + rest.windows(2).take_while(consecutive).count();
            let at = address + mapping.len() as u64;
            // On failure the mapping is dropped, and with it what is mapped already.
            let from = (CapSlot::OWN_TABLE, first.0.0);
            let mapped = map_some(from, run as u64, own::ADDRESS_SPACE, at, rights, cache)?;
            mapping.frames.extend_from_slice(&rest[..mapped as usize]);
        }
        Ok(mapping)
    }

    /// The frames' capabilities are gone, and that unmapped them: gives the addresses back.
    pub fn revoked(mut self) {
        self.frames.clear();
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Where it is, as a pointer.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address as *mut u8
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.frames.len() * self.page
    }

    /// Whether it has no frames.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn pointer(&self, offset: usize, bytes: usize, align: usize) -> *mut u8 {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.len());
        assert!(inside && offset.is_multiple_of(align), "access of {bytes} bytes at {offset} of a mapping");
        self.as_ptr().wrapping_add(offset)
    }

    /// Copies bytes out. What a peer writes meanwhile may or may not be in them.
    #[inline]
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.pointer(offset, bytes.len(), 1);
        // SAFETY: the range lies in the mapping, which is mapped readable; the destination is this program's own memory.
        unsafe { arch::copy(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Copies bytes in. The mapping must be writable, or the component faults.
    #[inline]
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.pointer(offset, bytes.len(), 1);
        // SAFETY: as in `read`.
        unsafe { arch::copy(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Reads a 32-bit word, once.
    pub fn read_u32(&self, offset: usize) -> u32 {
        // SAFETY: inside the mapping and aligned, as `pointer` checks.
        unsafe { self.pointer(offset, 4, 4).cast::<u32>().read_volatile() }
    }

    /// Writes a 32-bit word, once.
    pub fn write_u32(&self, offset: usize, value: u32) {
        // SAFETY: inside the mapping and aligned, as `pointer` checks.
        unsafe { self.pointer(offset, 4, 4).cast::<u32>().write_volatile(value) }
    }

    /// Reads a 64-bit word, once.
    pub fn read_u64(&self, offset: usize) -> u64 {
        // SAFETY: inside the mapping and aligned, as `pointer` checks.
        unsafe { self.pointer(offset, 8, 8).cast::<u64>().read_volatile() }
    }

    /// Writes a 64-bit word, once.
    pub fn write_u64(&self, offset: usize, value: u64) {
        // SAFETY: inside the mapping and aligned, as `pointer` checks.
        unsafe { self.pointer(offset, 8, 8).cast::<u64>().write_volatile(value) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        for frame in self.frames.drain(..) {
            // SAFETY: the memory is reached through this object only, which ends here.
            let unmapped = unsafe { frame.unmap() };
            if self.owned && unmapped.is_ok() && self.page == PAGE_SIZE {
                free_frame(frame);
            }
        }
        release_addresses(self.address, self.reserved);
    }
}
