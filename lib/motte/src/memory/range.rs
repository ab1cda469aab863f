//! Ranges of addresses: which are free.
//!
//! Invariant: free ranges are sorted, do not overlap, and do not touch (touching ones are joined).

use alloc::vec::Vec;
use core::ops::Range;

/// Free ranges of addresses.
#[derive(Debug)]
pub struct Ranges {
    /// Never given out so far.
    fresh: Range<u64>,
    /// Given back.
    free: Vec<Range<u64>>,
}

impl Ranges {
    /// All of `range` is free.
    pub const fn new(range: Range<u64>) -> Self {
        Self { fresh: range, free: Vec::new() }
    }

    /// Takes `bytes`, aligned to `align` (a power of two).
    pub fn allocate(&mut self, bytes: u64, align: u64) -> Option<u64> {
        for index in 0..self.free.len() {
            let range = self.free[index].clone();
            let Some(start) = range.start.checked_next_multiple_of(align) else { continue };
            let Some(end) = start.checked_add(bytes) else { continue };
            if end <= range.end {
                self.free.remove(index);
                self.free(range.start, start - range.start);
                self.free(end, range.end - end);
                return Some(start);
            }
        }
        let start = self.fresh.start.checked_next_multiple_of(align)?;
        let end = start.checked_add(bytes)?;
        if end > self.fresh.end {
            return None;
        }
        let gap = self.fresh.start;
        self.fresh.start = end;
        self.free(gap, start - gap);
        Some(start)
    }

    /// Gives `bytes` from `start` back.
    pub fn free(&mut self, start: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let end = start + bytes;
        let index = self.free.partition_point(|range| range.start < start);
        self.free.insert(index, start..end);
        if index + 1 < self.free.len() && self.free[index + 1].start == end {
            self.free[index].end = self.free.remove(index + 1).end;
        }
        if index > 0 && self.free[index - 1].end == start {
            self.free[index - 1].end = self.free.remove(index).end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_aligned_distinct_and_used_again() {
        let mut ranges = Ranges::new(0x1000..0x10000);
        assert_eq!(ranges.allocate(0x1000, 0x1000), Some(0x1000));
        assert_eq!(ranges.allocate(0x2000, 0x4000), Some(0x4000));
        assert_eq!(ranges.allocate(0x2000, 0x1000), Some(0x2000));
        assert_eq!(ranges.allocate(0x10000, 0x1000), None);
        ranges.free(0x1000, 0x1000);
        ranges.free(0x4000, 0x2000);
        ranges.free(0x2000, 0x2000);
        assert_eq!(ranges.allocate(0x5000, 0x1000), Some(0x1000));
    }
}
