//! What is told of many samples.

use core::fmt;

/// Smallest, middle and largest of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: usize,
    /// The smallest.
    pub min: u64,
    /// The middle one; of two in the middle, the smaller.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl Summary {
    /// Of samples each of which includes `overhead` for the measuring itself. Sorts them. `None` of none.
    pub fn of(samples: &mut [u32], overhead: u32) -> Option<Self> {
        samples.sort_unstable();
        let net = |sample: &u32| u64::from(sample.saturating_sub(overhead));
        Some(Self {
            count: samples.len(),
            min: net(samples.first()?),
            median: net(&samples[(samples.len() - 1) / 2]),
            max: net(samples.last()?),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.count, self.min, self.median, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_overhead_is_taken_off_the_smallest_middle_and_largest() {
        let summary = Summary::of(&mut [30, 10, 50, 20, 90], 10).unwrap();
        assert_eq!(summary, Summary { count: 5, min: 0, median: 20, max: 80 });
        assert_eq!(summary.to_string(), "5 0 20 80");
    }

    #[test]
    fn an_even_number_of_samples_has_the_smaller_middle() {
        assert_eq!(Summary::of(&mut [4, 1, 3, 2], 0).unwrap().median, 2);
        assert_eq!(Summary::of(&mut [7], 0).unwrap().median, 7);
    }

    #[test]
    fn no_samples_have_no_summary_and_none_is_below_zero() {
        assert_eq!(Summary::of(&mut [], 0), None);
        assert_eq!(Summary::of(&mut [3], 5).unwrap().max, 0);
    }
}
