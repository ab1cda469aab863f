//! Memory of one's own: kernel objects and frames out of the component's Untyped, page tables on demand, ranges of addresses.
//!
//! Frames that are given back are kept for the next who asks, because untyped memory is taken back only as a whole.
//!
//! Lock order: nothing here is called with the heap's lock held except [`make`] and `map_range`, and those use neither
//! the heap nor a lock that is held while something allocates.

mod mapping;
mod range;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use motte_abi::boot_info::slot;
use motte_abi::syscall::MAX_RANGE;
use motte_abi::{Error, LARGE_PAGE_SIZE, ObjectType, PAGE_SIZE, Rights};

use crate::kernel::{AddressSpace, CacheMode, CapSlot, CapTable, Frame, MapError, PageTable, Untyped, own};
use crate::sync::SpinLock;
use crate::{layout, slots};

pub use mapping::Mapping;
pub use range::Ranges;

/// The most objects that the kernel makes by one call.
const MAX_RETYPE: u64 = 256;

/// The Untyped that pays.
static SOURCE: AtomicU64 = AtomicU64::new(slot::UNTYPED);

/// The page of untyped memory that small objects are being made from; they would waste pages between frames.
static SMALL: SpinLock<CapSlot> = SpinLock::new(CapSlot::NULL);

/// Frames that were given back.
static FREE_FRAMES: SpinLock<Vec<Frame>> = SpinLock::new(Vec::new());

/// Addresses for mappings.
static ADDRESSES: SpinLock<Ranges> = SpinLock::new(Ranges::new(layout::MAPPINGS));

/// Once, at the beginning.
pub(crate) fn initialize(heap_address: u64) {
    crate::heap::set_address(heap_address);
}

/// Has another Untyped pay from now on.
pub fn set_source(untyped: Untyped) {
    SOURCE.store(untyped.0.0, Ordering::Relaxed);
}

/// The Untyped that pays.
pub fn source() -> Untyped {
    Untyped::at(SOURCE.load(Ordering::Relaxed))
}

/// Makes one object of the component's own memory. `size`: see [`ObjectType::bytes`].
pub fn make(ty: ObjectType, size: u64) -> Result<CapSlot, Error> {
    let bytes = ty.bytes(size).ok_or(Error::InvalidArgument)?;
    let slot = slots::allocate()?;
    let made = if bytes < PAGE_SIZE as u64 { make_small(ty, size, slot) } else { make_in(ty, size, slot) };
    match made {
        Ok(()) => Ok(slot),
        Err(error) => {
            slots::free(slot);
            Err(error)
        }
    }
}

fn make_in(ty: ObjectType, size: u64, slot: CapSlot) -> Result<(), Error> {
    source().retype(ty, size, CapSlot::OWN_TABLE, slot.0, 1)
}

fn make_small(ty: ObjectType, size: u64, slot: CapSlot) -> Result<(), Error> {
    let mut page = SMALL.lock();
    if *page != CapSlot::NULL {
        match Untyped(*page).retype(ty, size, CapSlot::OWN_TABLE, slot.0, 1) {
            Err(Error::OutOfMemory) => {}
            result => return result,
        }
    }
    let next = slots::allocate()?;
    if let Err(error) = make_in(ObjectType::Untyped, PAGE_SIZE as u64, next) {
        slots::free(next);
        return Err(error);
    }
    *page = next;
    Untyped(next).retype(ty, size, CapSlot::OWN_TABLE, slot.0, 1)
}

/// Makes `count` (1 to 256) fresh, zeroed frames of `size` bytes in consecutive slots; returns the first.
pub fn make_frames(count: usize, size: usize) -> Result<CapSlot, Error> {
    let first = if count == 1 { slots::allocate()? } else { slots::allocate_range(count)? };
    match source().retype(ObjectType::Frame, size as u64, CapSlot::OWN_TABLE, first.0, count as u64) {
        Ok(()) => Ok(first),
        Err(error) => {
            slots::free_range(first, count);
            Err(error)
        }
    }
}

/// `count` 4 KiB frames in consecutive slots; the first. Those that were used before may hold old contents of this component's own.
pub fn frames_in_a_row(count: usize) -> Result<CapSlot, Error> {
    let first = slots::allocate_range(count)?;
    let mut done = 0;
    while done < count as u64 {
        let Some(frame) = FREE_FRAMES.lock().pop() else { break };
        CapSlot::OWN_TABLE.move_to(frame.0.0, CapSlot::OWN_TABLE, first.0 + done)?;
        slots::free(frame.0);
        done += 1;
    }
    while done < count as u64 {
        let some = (count as u64 - done).min(MAX_RETYPE);
        let (kind, size, next) = (ObjectType::Frame, PAGE_SIZE as u64, first.0 + done);
        if let Err(error) = source().retype(kind, size, CapSlot::OWN_TABLE, next, some) {
            (0..done).for_each(|index| free_frame(Frame::at(first.0 + index)));
            slots::free_range(CapSlot(next), count - done as usize);
            return Err(error);
        }
        done += some;
    }
    Ok(first)
}

/// A 4 KiB frame; one that was used before may hold old contents of this component's own.
pub fn frame() -> Result<Frame, Error> {
    let free = FREE_FRAMES.lock().pop();
    match free {
        Some(frame) => Ok(frame),
        None => make_frames(1, PAGE_SIZE).map(Frame),
    }
}

/// A 2 MiB frame, zeroed.
pub fn large_frame() -> Result<Frame, Error> {
    make_frames(1, LARGE_PAGE_SIZE).map(Frame)
}

/// Gives a 4 KiB frame back: every copy of its capability is deleted, and it may be handed out again.
pub fn free_frame(frame: Frame) {
    if frame.0.revoke().is_ok() {
        FREE_FRAMES.lock().push(frame);
    }
}

/// Maps a frame at an address of `space`, with page tables from the component's own memory where they are missing.
pub fn map_at(frame: Frame, space: AddressSpace, address: u64, rights: Rights, cache: CacheMode) -> Result<(), Error> {
    map_some((CapSlot::OWN_TABLE, frame.0.0), 1, space, address, rights, cache).map(drop)
}

/// [`map_at`] for frames in consecutive slots of a table, one after the other. Returns how many of `count` it was, at least one.
fn map_some(
    (table, first): (CapTable, u64),
    count: u64,
    space: AddressSpace,
    address: u64,
    rights: Rights,
    cache: CacheMode,
) -> Result<u64, Error> {
    let count = count.min(MAX_RANGE);
    loop {
        match table.map_frames(first, count, space, address, rights, cache) {
            Ok(mapped) => return Ok(mapped),
            Err(MapError::MissingTable(level)) => {
                let slot = slots::allocate()?;
                let made = make_in(ObjectType::PageTable, 0, slot);
                if let Err(error) = made.and_then(|()| PageTable(slot).map(space, address, level)) {
                    slots::delete(slot);
                    return Err(error);
                }
            }
            Err(MapError::Kernel(error)) => return Err(error),
        }
    }
}

/// Maps `count` frames of `size` bytes that lie in consecutive slots of `table`, one after the other, readable and writable for this program.
/// What was mapped before an error stays so.
pub(crate) fn map_range(table: CapTable, first: u64, count: u64, size: usize, address: u64) -> Result<(), Error> {
    let rights = Rights::READ | Rights::WRITE;
    let mut done = 0;
    while done < count {
        let (frames, at) = ((table, first + done), address + done * size as u64);
        done += map_some(frames, count - done, own::ADDRESS_SPACE, at, rights, CacheMode::Normal)?;
    }
    Ok(())
}

/// Reserves `pages` pages of addresses, aligned to `align` bytes.
pub fn reserve_addresses(bytes: u64, align: u64) -> Result<u64, Error> {
    ADDRESSES.lock().allocate(bytes, align).ok_or(Error::LimitReached)
}

/// Gives addresses back at which nothing is mapped any more.
pub fn release_addresses(address: u64, bytes: u64) {
    ADDRESSES.lock().free(address, bytes);
}

/// Maps 4 KiB frames one after the other at fresh addresses, for good.
pub fn map_new(frames: &[Frame], rights: Rights) -> Result<u64, Error> {
    let address = reserve_addresses((frames.len() * PAGE_SIZE) as u64, PAGE_SIZE as u64)?;
    for (index, frame) in frames.iter().enumerate() {
        let page = address + (index * PAGE_SIZE) as u64;
        map_at(*frame, own::ADDRESS_SPACE, page, rights, CacheMode::Normal)?;
    }
    Ok(address)
}

/// Maps a stack of `bytes` with an unmapped page below it, for good; returns its lowest address.
pub fn map_stack(bytes: u64) -> Result<u64, Error> {
    let guard = PAGE_SIZE as u64;
    let address = reserve_addresses(bytes + guard, PAGE_SIZE as u64)? + guard;
    let pages = bytes as usize / PAGE_SIZE;
    map_range(CapSlot::OWN_TABLE, frames_in_a_row(pages)?.0, pages as u64, PAGE_SIZE, address)?;
    Ok(address)
}

/// Copies memory of which another program or a device may change either side meanwhile: a copy of what no reference may name.
///
/// # Safety
/// Both ranges are mapped, the destination writable, and they do not overlap.
#[inline]
pub unsafe fn copy_shared(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: as the caller promises.
    unsafe { crate::arch::copy(from, to, length) }
}

/// Maps the clock page, in init, to whom nobody else does it.
pub(crate) fn map_clock() {
    let clock = Frame::at(slot::CLOCK_FRAME);
    let mapped = map_at(clock, own::ADDRESS_SPACE, motte_abi::clock::CLOCK_ADDRESS, Rights::READ, CacheMode::Normal);
    if let Err(error) = mapped
        && error != Error::AlreadyMapped
    {
        panic!("cannot map the clock page: {error}");
    }
}

/// How much memory the component has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its own Untyped.
    pub budget: u64,
    /// Bytes of them that became objects (given back ones included: they are kept for use here).
    pub used: u64,
    /// Bytes of heap, and the most of them that were in use at a time.
    pub heap: u64,
    /// The most bytes of heap that were in use at a time.
    pub heap_peak: u64,
}

/// How much memory the component has used up.
pub fn usage() -> Usage {
    let (_, budget, used) = source().info().unwrap_or((0, 0, 0));
    let (heap, heap_peak) = crate::heap::usage();
    Usage { budget, used, heap, heap_peak }
}
