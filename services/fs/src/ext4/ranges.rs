//! A set of page numbers, kept as sorted, disjoint, non-adjacent ranges.

use alloc::vec::Vec;

/// The pages of a file that wait for a place on the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pages in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(start, end)| (end - start) as usize).sum()
    }

    /// Index of the first range that ends behind `page`.
    fn position(&self, page: u32) -> usize {
        match self.0.last() {
            Some(last) if last.1 <= page => self.0.len(),
            _ => self.0.partition_point(|range| range.1 <= page),
        }
    }

    /// Whether `page` is in the set.
    pub fn contains(&self, page: u32) -> bool {
        self.0.get(self.position(page)).is_some_and(|range| range.0 <= page)
    }

    /// Adds `page`.
    pub fn insert(&mut self, page: u32) {
        let at = self.position(page);
        if self.0.get(at).is_some_and(|range| range.0 <= page) {
            return;
        }
        let joins_previous = at > 0 && self.0[at - 1].1 == page;
        let joins_next = self.0.get(at).is_some_and(|range| range.0 == page + 1);
        match (joins_previous, joins_next) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = page + 1,
            (false, true) => self.0[at].0 = page,
            (false, false) => self.0.insert(at, (page, page + 1)),
        }
    }

    /// The first range.
    pub fn first(&self) -> Option<(u32, u32)> {
        self.0.first().copied()
    }

    /// Takes away the first `count` pages of the first range.
    pub fn remove_first(&mut self, count: u32) {
        if let Some(first) = self.0.first_mut() {
            first.0 += count.min(first.1 - first.0);
            if first.0 == first.1 {
                self.0.remove(0);
            }
        }
    }

    /// Takes away all pages from `page` on, and returns them.
    pub fn split_off(&mut self, page: u32) -> Vec<(u32, u32)> {
        let at = self.position(page);
        let mut tail = self.0.split_off(at);
        if let Some(first) = tail.first_mut()
            && first.0 < page
        {
            self.0.push((first.0, page));
            first.0 = page;
        }
        tail
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_behave_as_a_set(steps in proptest::collection::vec((0u8..4, 0u32..40), 0..80)) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for (step, page) in steps {
                match step {
                    0 | 1 => {
                        ranges.insert(page);
                        model.insert(page);
                    }
                    2 => {
                        let tail: Vec<u32> = ranges.split_off(page).into_iter().flat_map(|(a, b)| a..b).collect();
                        prop_assert_eq!(tail, model.split_off(&page).into_iter().collect::<Vec<_>>());
                    }
                    _ => if let Some((start, _)) = ranges.first() {
                        prop_assert_eq!(model.pop_first(), Some(start));
                        ranges.remove_first(1);
                    }
                }
                prop_assert_eq!(ranges.len(), model.len());
                prop_assert!((0..42).all(|page| ranges.contains(page) == model.contains(&page)));
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
