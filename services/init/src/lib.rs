//! What init decides, apart from how it carries it out: which range of memory pays for which component. Beside it, what init and the guardian
//! have in common: starting the supervisor ([`supervisor`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "program")]
pub mod supervisor;

use alloc::vec::Vec;
use core::fmt;

/// A range of untyped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Slot of its capability.
    pub slot: u64,
    /// Bytes that are free.
    pub free: u64,
}

/// A quota that no range can pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Whose quota, by index.
    pub index: usize,
    /// Bytes it needs.
    pub quota: u64,
    /// Bytes of the largest range that is left.
    pub largest: u64,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (quota, largest) = (self.quota / 1024, self.largest / 1024);
        write!(f, "a memory quota of {quota} KiB cannot be paid: the largest range that is left has {largest} KiB")
    }
}

/// For each quota the slot of the range that pays it: the smallest that can, so that large ranges stay whole. What is taken is
/// subtracted from `ranges`.
pub fn place(quotas: &[u64], ranges: &mut [Range]) -> Result<Vec<u64>, OutOfMemory> {
    let mut order: Vec<usize> = (0..quotas.len()).collect();
    order.sort_by_key(|&index| core::cmp::Reverse(quotas[index]));
    let mut places = alloc::vec![0; quotas.len()];
    for index in order {
        let quota = quotas[index];
        let range = ranges.iter_mut().filter(|range| range.free >= quota).min_by_key(|range| range.free);
        match range {
            Some(range) => {
                range.free -= quota;
                places[index] = range.slot;
            }
            None => {
                let largest = ranges.iter().map(|range| range.free).max().unwrap_or(0);
                return Err(OutOfMemory { index, quota, largest });
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn each_quota_is_paid_by_the_smallest_range_that_can() {
        let mut ranges = [Range { slot: 1, free: 100 }, Range { slot: 2, free: 30 }];
        assert_eq!(place(&[20, 90], &mut ranges), Ok(alloc::vec![2, 1]));
        assert_eq!(ranges.map(|range| range.free), [10, 10]);
    }

    #[test]
    fn what_cannot_be_paid_is_said() {
        let mut ranges = [Range { slot: 1, free: 4096 }];
        let error = place(&[8192], &mut ranges).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a memory quota of 8 KiB cannot be paid: the largest range that is left has 4 KiB"
        );
    }
}
