//! Free slots of the program's own capability table: one bit a slot, no lock, no heap.
//!
//! Invariant: a slot whose bit is set is in use, or beyond the table. Whoever frees a slot has emptied it first.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use motte_abi::Error;

use crate::kernel::CapSlot;

/// The most slots of a table that are managed.
pub const MAX_SLOTS: usize = 16384;

/// A bitmap of slots in use.
#[derive(Debug)]
pub struct SlotMap<const WORDS: usize> {
    used: [AtomicU64; WORDS],
    /// Where to search from: slots below this are used, but for one that was freed while another was taken.
    hint: AtomicUsize,
    /// Slots of the table.
    limit: AtomicUsize,
}

impl<const WORDS: usize> SlotMap<WORDS> {
    /// A map of a table of no slots.
    pub const fn new() -> Self {
        Self { used: [const { AtomicU64::new(0) }; WORDS], hint: AtomicUsize::new(0), limit: AtomicUsize::new(0) }
    }

    /// Sets the table's size and the first free slot. Once, at the beginning.
    pub fn initialize(&self, first_free: usize, slots: usize) {
        self.hint.store(first_free, Ordering::Relaxed);
        self.limit.store(slots.min(WORDS * 64), Ordering::Relaxed);
        for (word, mask) in masks(0..first_free.min(WORDS * 64)) {
            self.used[word].fetch_or(mask, Ordering::Relaxed);
        }
    }

    /// Takes the lowest free slot.
    pub fn allocate(&self) -> Option<usize> {
        let start = self.hint.load(Ordering::Relaxed);
        let slot = self.allocate_from(start).or_else(|| self.allocate_from(0))?;
        self.hint.store(slot + 1, Ordering::Relaxed);
        Some(slot)
    }

    fn allocate_from(&self, start: usize) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        for index in start / 64..limit.div_ceil(64) {
            let word = &self.used[index];
            let mut value = word.load(Ordering::Relaxed);
            while value != u64::MAX {
                let bit = (!value).trailing_zeros() as usize;
                let slot = index * 64 + bit;
                if slot >= limit {
                    return None;
                }
                value = word.fetch_or(1 << bit, Ordering::Acquire);
                if value & 1 << bit == 0 {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// Takes `count` free slots in a row and returns the first.
    pub fn allocate_range(&self, count: usize) -> Option<usize> {
        let start = self.hint.load(Ordering::Relaxed);
        self.allocate_range_from(start, count).or_else(|| self.allocate_range_from(0, count))
    }

    fn allocate_range_from(&self, start: usize, count: usize) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut first = start;
        while first + count <= limit {
            // The next try begins behind the last slot in use within the range, if there is one.
            match self.last_used(first..first + count) {
                Some(used) => first = used + 1,
                None if self.take(first..first + count) => return Some(first),
                None => {}
            }
        }
        None
    }

    /// The last slot in use of a range.
    fn last_used(&self, range: Range<usize>) -> Option<usize> {
        masks(range).rev().find_map(|(word, mask)| {
            let used = self.used[word].load(Ordering::Relaxed) & mask;
            (used != 0).then(|| word * 64 + 63 - used.leading_zeros() as usize)
        })
    }

    /// Takes a range of slots, if all are free.
    fn take(&self, range: Range<usize>) -> bool {
        for (word, mask) in masks(range.clone()) {
            let before = self.used[word].fetch_or(mask, Ordering::Acquire);
            if before & mask != 0 {
                // Somebody else was faster here.
                self.used[word].fetch_and(!mask | before, Ordering::Release);
                self.give_back(range.start..word * 64);
                return false;
            }
        }
        true
    }

    fn give_back(&self, range: Range<usize>) {
        for (word, mask) in masks(range) {
            self.used[word].fetch_and(!mask, Ordering::Release);
        }
    }

    /// Marks a slot as used, if it lies in the table.
    pub fn reserve(&self, slot: usize) {
        if slot < WORDS * 64 {
            self.used[slot / 64].fetch_or(1 << (slot % 64), Ordering::Acquire);
        }
    }

    /// Gives a slot back.
    pub fn free(&self, slot: usize) {
        self.free_range(slot, 1);
    }

    /// Gives `count` slots in a row back.
    pub fn free_range(&self, first: usize, count: usize) {
        if first != 0 && first + count <= WORDS * 64 {
            self.give_back(first..first + count);
            self.hint.fetch_min(first, Ordering::Relaxed);
        }
    }

    /// Slots of the table, and how many of them are in use.
    pub fn usage(&self) -> (usize, usize) {
        let limit = self.limit.load(Ordering::Relaxed);
        let used =
            masks(0..limit).map(|(word, mask)| (self.used[word].load(Ordering::Relaxed) & mask).count_ones() as usize);
        (limit, used.sum())
    }
}

/// The words of the bitmap that a range of slots touches, each with the range's bits in it.
fn masks(range: Range<usize>) -> impl DoubleEndedIterator<Item = (usize, u64)> {
    let words = if range.is_empty() { 0..0 } else { range.start / 64..(range.end - 1) / 64 + 1 };
    words.map(move |word| {
        let first = range.start.max(word * 64) % 64;
        let last = (range.end - 1).min(word * 64 + 63) % 64;
        (word, u64::MAX << first & u64::MAX >> (63 - last))
    })
}

impl<const WORDS: usize> Default for SlotMap<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

static SLOTS: SlotMap<{ MAX_SLOTS / 64 }> = SlotMap::new();

/// Whether the last slot that was asked for could not be had.
static FULL: AtomicBool = AtomicBool::new(false);

/// Once, at the beginning of the program.
pub(crate) fn initialize(first_free: u64, slots: u64) {
    SLOTS.initialize(first_free as usize, slots as usize);
}

/// Takes a free slot. `LimitReached` if the table is full.
pub fn allocate() -> Result<CapSlot, Error> {
    taken(SLOTS.allocate())
}

/// Takes `count` free slots in a row.
pub fn allocate_range(count: usize) -> Result<CapSlot, Error> {
    taken(SLOTS.allocate_range(count))
}

/// A slot that was taken, or that there is none.
fn taken(slot: Option<usize>) -> Result<CapSlot, Error> {
    FULL.store(slot.is_none(), Ordering::Relaxed);
    slot.map(|slot| CapSlot(slot as u64)).ok_or(Error::LimitReached)
}

/// Whether the last slot that was asked for could not be had.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "a panic in the system asks"))]
pub(crate) fn is_full() -> bool {
    FULL.load(Ordering::Relaxed)
}

/// Gives back a slot that is empty.
pub fn free(slot: CapSlot) {
    SLOTS.free(slot.0 as usize);
}

/// Gives back `count` slots in a row that are empty.
pub fn free_range(first: CapSlot, count: usize) {
    SLOTS.free_range(first.0 as usize, count);
}

/// Marks a slot as used.
pub fn reserve(slot: CapSlot) {
    SLOTS.reserve(slot.0 as usize);
}

/// Deletes what is in a slot and gives the slot back.
pub fn delete(slot: CapSlot) {
    if slot.delete().is_ok() {
        free(slot);
    }
}

/// Slots of the table, and how many are in use.
pub fn usage() -> (usize, usize) {
    SLOTS.usage()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(first: usize, slots: usize) -> SlotMap<4> {
        let map = SlotMap::new();
        map.initialize(first, slots);
        map
    }

    #[test]
    fn slots_are_given_out_once_in_order_until_the_table_is_full() {
        let map = map(16, 70);
        for expected in 16..70 {
            assert_eq!(map.allocate(), Some(expected));
        }
        assert_eq!(map.allocate(), None);
        map.free(20);
        assert_eq!(map.allocate(), Some(20));
    }

    #[test]
    fn a_range_skips_what_is_in_use() {
        let map = map(10, 200);
        map.reserve(14);
        assert_eq!(map.allocate_range(8), Some(15));
        assert_eq!(map.allocate_range(4), Some(10));
        assert_eq!(map.allocate_range(170), Some(23));
        assert_eq!(map.allocate_range(100), None);
        assert_eq!(map.usage(), (200, 193));
        map.free_range(23, 170);
        assert_eq!(map.usage(), (200, 23));
        assert_eq!(map.allocate_range(177), Some(23));
    }

    #[test]
    fn a_slot_below_the_hint_is_found_when_the_others_are_used() {
        let map = map(10, 100);
        assert_eq!(map.allocate_range(90), Some(10));
        map.free(20);
        map.hint.store(50, Ordering::Relaxed);
        assert_eq!(map.allocate(), Some(20));
        map.free(20);
        map.hint.store(50, Ordering::Relaxed);
        assert_eq!(map.allocate_range(1), Some(20));
        assert_eq!(map.allocate(), None);
    }

    #[test]
    fn slot_zero_is_never_free() {
        let map = map(1, 64);
        map.free(0);
        assert_eq!(map.allocate(), Some(1));
    }
}
