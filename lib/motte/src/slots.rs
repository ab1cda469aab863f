//! Free slots of the program's own capability table: one bit a slot, no lock, no heap.
//!
//! Invariant: a slot whose bit is set is in use, or beyond the table. Whoever frees a slot has emptied it first.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use motte_abi::Error;

use crate::kernel::CapSlot;

/// The most slots of a table that are managed.
pub const MAX_SLOTS: usize = 16384;

/// A bitmap of slots in use.
#[derive(Debug)]
pub struct SlotMap<const WORDS: usize> {
    used: [AtomicU64; WORDS],
    /// Slots below this are certainly used; where to search from.
    hint: AtomicUsize,
    /// Slots of the table.
    limit: AtomicUsize,
}

impl<const WORDS: usize> SlotMap<WORDS> {
    /// A map of a table of no slots.
    pub const fn new() -> Self {
        Self {
            used: [const { AtomicU64::new(0) }; WORDS],
            hint: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
        }
    }

    /// Sets the table's size and the first free slot. Once, at the beginning.
    pub fn initialize(&self, first_free: usize, slots: usize) {
        self.hint.store(first_free, Ordering::Relaxed);
        self.limit.store(slots.min(WORDS * 64), Ordering::Relaxed);
        for slot in 0..first_free.min(WORDS * 64) {
            self.used[slot / 64].fetch_or(1 << (slot % 64), Ordering::Relaxed);
        }
    }

    /// Takes the lowest free slot.
    pub fn allocate(&self) -> Option<usize> {
        let (start, limit) = (self.hint.load(Ordering::Relaxed), self.limit.load(Ordering::Relaxed));
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
                    self.hint.fetch_max(slot.min(start), Ordering::Relaxed);
                    return Some(slot);
                }
            }
        }
        None
    }

    /// Takes `count` free slots in a row and returns the first.
    pub fn allocate_range(&self, count: usize) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut first = self.hint.load(Ordering::Relaxed);
        while first + count <= limit {
            // The last slot in use within the range, if any: the next try begins behind it.
            match (first..first + count).rev().find(|&slot| self.is_used(slot)) {
                Some(used) => first = used + 1,
                None => match (first..first + count).find(|&slot| !self.take(slot)) {
                    None => return Some(first),
                    Some(lost) => {
                        (first..lost).for_each(|slot| self.free(slot));
                        first = lost + 1;
                    }
                },
            }
        }
        None
    }

    fn is_used(&self, slot: usize) -> bool {
        self.used[slot / 64].load(Ordering::Relaxed) & 1 << (slot % 64) != 0
    }

    fn take(&self, slot: usize) -> bool {
        let bit = 1 << (slot % 64);
        self.used[slot / 64].fetch_or(bit, Ordering::Acquire) & bit == 0
    }

    /// Marks a slot as used, if it lies in the table.
    pub fn reserve(&self, slot: usize) {
        if slot < WORDS * 64 {
            self.take(slot);
        }
    }

    /// Gives a slot back.
    pub fn free(&self, slot: usize) {
        if slot != 0 && slot < WORDS * 64 {
            self.used[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::Release);
            self.hint.fetch_min(slot, Ordering::Relaxed);
        }
    }

    /// Slots of the table, and how many of them are in use.
    pub fn usage(&self) -> (usize, usize) {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit, (0..limit).filter(|&slot| self.is_used(slot)).count())
    }
}

impl<const WORDS: usize> Default for SlotMap<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

static SLOTS: SlotMap<{ MAX_SLOTS / 64 }> = SlotMap::new();

/// Once, at the beginning of the program.
pub(crate) fn initialize(first_free: u64, slots: u64) {
    SLOTS.initialize(first_free as usize, slots as usize);
}

/// Takes a free slot. `LimitReached` if the table is full.
pub fn allocate() -> Result<CapSlot, Error> {
    SLOTS.allocate().map(|slot| CapSlot(slot as u64)).ok_or(Error::LimitReached)
}

/// Takes `count` free slots in a row.
pub fn allocate_range(count: usize) -> Result<CapSlot, Error> {
    SLOTS.allocate_range(count).map(|slot| CapSlot(slot as u64)).ok_or(Error::LimitReached)
}

/// Gives back a slot that is empty.
pub fn free(slot: CapSlot) {
    SLOTS.free(slot.0 as usize);
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
    }

    #[test]
    fn slot_zero_is_never_free() {
        let map = map(1, 64);
        map.free(0);
        assert_eq!(map.allocate(), Some(1));
    }
}
