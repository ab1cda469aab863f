//! The heap: talc, growing out of the component's own Untyped in steps of 64 KiB or more, 2 MiB frames where it gets large.
//!
//! Nothing here allocates or takes another lock than the heap's own.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use motte_abi::syscall::MAX_RANGE;
use motte_abi::{Error, LARGE_PAGE_SIZE, ObjectType, PAGE_SIZE};
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::kernel::CapTable;
use crate::{layout, memory};

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: counting::Counting = counting::Counting::new();

static ADDRESS: AtomicU64 = AtomicU64::new(layout::HEAP_ADDRESS);
static CHUNK: AtomicU64 = AtomicU64::new(64 * 1024);
/// Bytes mapped.
static SIZE: AtomicU64 = AtomicU64::new(0);
/// Bytes in use.
#[cfg(target_os = "none")]
static IN_USE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static EXHAUSTED: AtomicBool = AtomicBool::new(false);

/// Where the heap begins. Before anything allocates.
pub(crate) fn set_address(address: u64) {
    ADDRESS.store(address, Ordering::Relaxed);
}

/// By how much the heap grows at least, a multiple of a page.
pub fn set_chunk(bytes: u64) {
    CHUNK.store(bytes, Ordering::Relaxed);
}

/// Bytes of heap, and the most that were in use at a time.
pub fn usage() -> (u64, u64) {
    (SIZE.load(Ordering::Relaxed), PEAK.load(Ordering::Relaxed))
}

/// Whether an allocation failed because the memory quota is used up.
pub fn is_exhausted() -> bool {
    EXHAUSTED.load(Ordering::Relaxed)
}

/// Where talc's memory comes from.
#[derive(Debug)]
pub struct Growing {
    end: Option<NonNull<u8>>,
    frames: Frames,
}

// SAFETY: the end of the heap is a place, used under the heap's lock.
unsafe impl Send for Growing {}

impl Growing {
    /// A heap of nothing yet.
    pub const fn new() -> Self {
        Self { end: None, frames: Frames::new() }
    }
}

impl Default for Growing {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `acquire` allocates nothing and reaches the heap through its argument only.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, wanted: Layout) -> Result<(), ()> {
        let size = SIZE.load(Ordering::Relaxed);
        let start = ADDRESS.load(Ordering::Relaxed);
        // Room for the value, its alignment, and what the allocator adds.
        let needed = (wanted.size() as u64 + wanted.align() as u64 + 4096).next_multiple_of(PAGE_SIZE as u64);
        // A heap that grew large grows in larger steps, an eighth of itself.
        let step = (size / 8).next_multiple_of(PAGE_SIZE as u64);
        let generous = needed.max(CHUNK.load(Ordering::Relaxed)).max(step);
        let mut grown = grow(&mut talc.source.frames, start + size, generous);
        if grown < needed {
            grown += grow(&mut talc.source.frames, start + size + grown, needed - grown);
        }
        if grown == 0 {
            EXHAUSTED.store(true, Ordering::Relaxed);
            return Err(());
        }
        SIZE.fetch_add(grown, Ordering::Relaxed);
        let new_end = (start + size + grown) as *mut u8;
        // SAFETY: the memory up to the new end was just mapped, for good, and is used for nothing else.
        let end = unsafe {
            match talc.source.end {
                Some(end) => Some(talc.extend(end, new_end)),
                None => talc.claim(start as *mut u8, grown as usize),
            }
        };
        talc.source.end = end;
        if grown < needed {
            EXHAUSTED.store(true, Ordering::Relaxed);
            return Err(());
        }
        end.map(drop).ok_or(())
    }
}

/// Maps up to `bytes` from `address` on; returns how many it was.
fn grow(frames: &mut Frames, address: u64, bytes: u64) -> u64 {
    let end = (address + bytes).min(layout::HEAP_END);
    let mut at = address;
    while at < end {
        let rest = end - at;
        if at.is_multiple_of(LARGE_PAGE_SIZE as u64)
            && rest >= LARGE_PAGE_SIZE as u64
            && frames.map(at, 1, LARGE_PAGE_SIZE).is_ok()
        {
            at += LARGE_PAGE_SIZE as u64;
            continue;
        }
        let mut map = |pages| frames.map(at, pages, PAGE_SIZE);
        let Ok(mapped) = map(rest / PAGE_SIZE as u64).or_else(|_| map(1)) else { break };
        at += mapped * PAGE_SIZE as u64;
    }
    at - address
}

/// Where the capabilities of the heap's frames lie: in tables of their own, so that a large heap does not use up the program's.
#[derive(Debug)]
struct Frames {
    /// The newest table; the earlier ones are full.
    table: CapTable,
    slots: u64,
    /// Its next slot; the first is never valid.
    next: u64,
}

impl Frames {
    /// Slots of the first table. Every further one is twice as large.
    const FIRST: u64 = 64;
    const LARGEST: u64 = 4096;

    const fn new() -> Self {
        Self { table: CapTable::at(0), slots: 0, next: 0 }
    }

    /// Maps up to `count` fresh frames of `size` bytes from `address` on; returns how many it was.
    fn map(&mut self, address: u64, count: u64, size: usize) -> Result<u64, Error> {
        if self.next == self.slots {
            let slots = (self.slots * 2).clamp(Self::FIRST, Self::LARGEST);
            let table = CapTable(memory::make(ObjectType::CapTable, slots)?);
            *self = Self { table, slots, next: 1 };
        }
        let count = count.min(self.slots - self.next).min(MAX_RANGE);
        memory::source().retype(ObjectType::Frame, size as u64, self.table, self.next, count)?;
        memory::map_range(self.table, self.next, count, size, address).inspect_err(|_| {
            // Nothing uses these pages yet.
            for slot in self.next..self.next + count {
                let _ = self.table.delete(slot);
            }
        })?;
        self.next += count;
        Ok(count)
    }
}

#[cfg(target_os = "none")]
mod counting {
    //! The heap with a count of what is in use.

    use core::alloc::{GlobalAlloc, Layout};
    use core::sync::atomic::Ordering;

    use talc::TalcLock;

    use super::{Growing, IN_USE, PEAK};
    use crate::sync::RawLock;

    pub struct Counting(TalcLock<RawLock, Growing>);

    impl Counting {
        pub const fn new() -> Self {
            Self(TalcLock::new(Growing::new()))
        }
    }

    fn more(bytes: usize) {
        let used = IN_USE.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if used > PEAK.load(Ordering::Relaxed) {
            PEAK.store(used, Ordering::Relaxed);
        }
    }

    fn less(bytes: usize) {
        IN_USE.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    // SAFETY: all is passed on to talc.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promises are talc's.
            let place = unsafe { self.0.alloc(layout) };
            if !place.is_null() {
                more(layout.size());
            }
            place
        }

        unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
            // SAFETY: the caller's promises are talc's.
            unsafe { self.0.dealloc(place, layout) };
            less(layout.size());
        }

        unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: the caller's promises are talc's.
            let new = unsafe { self.0.realloc(place, layout, size) };
            if !new.is_null() {
                more(size);
                less(layout.size());
            }
            new
        }
    }
}
