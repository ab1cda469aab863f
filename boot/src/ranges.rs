//! Sets of physical addresses: a few sorted, disjoint, half-open ranges, without a heap.

/// Addresses from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// First address beyond.
    pub end: u64,
}

impl Range {
    /// From start and end.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// From start and length; cut at the end of the address space.
    pub const fn sized(start: u64, length: u64) -> Self {
        Self { start, end: start.saturating_add(length) }
    }

    /// Bytes.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The largest range of whole blocks inside. `align` is a power of two.
    pub const fn inward(self, align: u64) -> Self {
        let start = match self.start.checked_add(align - 1) {
            Some(start) => start & !(align - 1),
            None => !(align - 1),
        };
        Self { start, end: self.end & !(align - 1) }
    }

    /// The smallest range of whole blocks around it. `align` is a power of two.
    pub const fn outward(self, align: u64) -> Self {
        let end = match self.end.checked_add(align - 1) {
            Some(end) => end & !(align - 1),
            None => !(align - 1),
        };
        Self { start: self.start & !(align - 1), end }
    }

    /// Whether the two have an address in common.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The most ranges that a set can hold.
pub const MAX_RANGES: usize = 64;

/// A set of addresses. Invariant: the first `count` ranges are non-empty, ascending, and do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet {
    ranges: [Range; MAX_RANGES],
    count: usize,
}

/// The set would need more than [`MAX_RANGES`] ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Default for RangeSet {
    fn default() -> Self {
        Self::new()
    }
}

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: [Range::new(0, 0); MAX_RANGES], count: 0 }
    }

    /// Its ranges, ascending.
    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.as_slice().iter().map(|range| range.len()).sum()
    }

    /// Whether all of `range` is in the set.
    pub fn contains(&self, range: Range) -> bool {
        range.is_empty() || self.as_slice().iter().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// Whether anything of `range` is in the set.
    pub fn overlaps(&self, range: Range) -> bool {
        !range.is_empty() && self.as_slice().iter().any(|r| r.overlaps(range))
    }

    /// Adds a range.
    pub fn insert(&mut self, range: Range) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        let first = self.as_slice().partition_point(|r| r.end < range.start);
        let after = self.as_slice().partition_point(|r| r.start <= range.end);
        let mut merged = range;
        for touching in &self.ranges[first..after] {
            merged = Range::new(merged.start.min(touching.start), merged.end.max(touching.end));
        }
        self.replace(first, after, &[merged])
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: Range) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        let first = self.as_slice().partition_point(|r| r.end <= range.start);
        let after = self.as_slice().partition_point(|r| r.start < range.end);
        if first >= after {
            return Ok(());
        }
        let left = Range::new(self.ranges[first].start, range.start);
        let right = Range::new(range.end, self.ranges[after - 1].end);
        match (left.is_empty(), right.is_empty()) {
            (true, true) => self.replace(first, after, &[]),
            (false, true) => self.replace(first, after, &[left]),
            (true, false) => self.replace(first, after, &[right]),
            (false, false) => self.replace(first, after, &[left, right]),
        }
    }

    /// Puts `new` in the place of the ranges `first..after`.
    fn replace(&mut self, first: usize, after: usize, new: &[Range]) -> Result<(), Full> {
        let count = self.count - (after - first) + new.len();
        if count > MAX_RANGES {
            return Err(Full);
        }
        self.ranges.copy_within(after..self.count, first + new.len());
        self.ranges[first..first + new.len()].copy_from_slice(new);
        self.count = count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        let mut set = RangeSet::new();
        for &(start, end) in ranges {
            set.insert(Range::new(start, end)).unwrap();
        }
        set
    }

    #[test]
    fn touching_ranges_become_one() {
        assert_eq!(set(&[(10, 20), (30, 40), (20, 30)]).as_slice(), [Range::new(10, 40)]);
        assert_eq!(set(&[(30, 40), (10, 20)]).as_slice(), [Range::new(10, 20), Range::new(30, 40)]);
        assert_eq!(set(&[(10, 20), (0, 50), (60, 60)]).as_slice(), [Range::new(0, 50)]);
    }

    #[test]
    fn removal_cuts_and_splits() {
        let mut s = set(&[(0, 100), (200, 300)]);
        s.remove(Range::new(50, 60)).unwrap();
        s.remove(Range::new(90, 210)).unwrap();
        assert_eq!(s.as_slice(), [Range::new(0, 50), Range::new(60, 90), Range::new(210, 300)]);
        s.remove(Range::new(0, 1000)).unwrap();
        assert!(s.as_slice().is_empty());
    }

    #[test]
    fn a_set_behaves_like_a_bitmap() {
        let mut state = 0x1234_5678_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let (mut s, mut bits) = (RangeSet::new(), [false; 100]);
            for _ in 0..40 {
                let (a, b, add) = (random(100), random(100), random(2) == 0);
                let range = Range::new(a.min(b), a.max(b));
                if add {
                    s.insert(range).unwrap()
                } else {
                    s.remove(range).unwrap()
                }
                bits[range.start as usize..range.end as usize].fill(add);
            }
            let seen: Vec<bool> = (0..100).map(|at| s.overlaps(Range::new(at, at + 1))).collect();
            assert_eq!(seen, bits);
            assert!(s.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn a_full_set_says_so_and_stays_whole() {
        let mut s = RangeSet::new();
        for index in 0..MAX_RANGES as u64 {
            s.insert(Range::new(index * 10, index * 10 + 5)).unwrap();
        }
        let before = s.clone();
        assert_eq!(s.insert(Range::new(5000, 5001)), Err(Full));
        assert_eq!(s.remove(Range::new(1, 2)), Err(Full));
        assert_eq!(s, before);
    }

    #[test]
    fn rounding_goes_the_right_way() {
        let range = Range::new(0x1001, 0x4fff);
        assert_eq!(range.inward(0x1000), Range::new(0x2000, 0x4000));
        assert_eq!(range.outward(0x1000), Range::new(0x1000, 0x5000));
        assert!(Range::new(0x1001, 0x1fff).inward(0x1000).is_empty());
    }
}
