//! Blocks of memory: never two that overlap, and everything comes together again.

use motte_interfaces::strings::Pieces;
use motte_process::pool::{Cutter, Pool};
use proptest::prelude::*;

/// Ranges of an imagined memory; each is cut from its beginning on, as untyped memory is.
#[derive(Default)]
struct Memory {
    ranges: Vec<Range>,
}

struct Range {
    base: u64,
    bytes: u64,
    used: u64,
    children: usize,
    parent: usize,
}

impl Cutter for Memory {
    type Handle = usize;
    fn cut(&mut self, whole: usize, bytes: u64) -> Option<usize> {
        let range = &mut self.ranges[whole];
        if range.used + bytes > range.bytes {
            return None;
        }
        let base = range.base + range.used;
        range.used += bytes;
        range.children += 1;
        self.ranges.push(Range { base, bytes, used: 0, children: 0, parent: whole });
        Some(self.ranges.len() - 1)
    }
    fn join(&mut self, piece: usize) {
        assert_eq!(self.ranges[piece].children, 0);
        let parent = self.ranges[piece].parent;
        let parent = &mut self.ranges[parent];
        parent.children -= 1;
        if parent.children == 0 {
            parent.used = 0;
        }
    }
}

fn memory(pages: u64) -> (Memory, Pool<usize>) {
    let mut memory = Memory::default();
    memory.ranges.push(Range { base: 0, bytes: pages * 4096, used: 0, children: 0, parent: 0 });
    let mut pool = Pool::default();
    pool.add(&mut memory, 0, pages * 4096);
    (memory, pool)
}

proptest! {
    #[test]
    fn blocks_in_use_never_overlap_and_all_comes_back(
        pages in 1u64..500, steps in prop::collection::vec((1u64..200_000, any::<bool>(), any::<prop::sample::Index>()), 0..60),
        flip: prop::sample::Index,
    ) {
        let (mut memory, mut pool) = memory(pages);
        prop_assert_eq!(pool.free_bytes(), pages * 4096);
        let mut used: Vec<(motte_process::pool::BlockId, u64, u64)> = Vec::new();
        for (bytes, give, which) in steps {
            if give && !used.is_empty() {
                let (id, ..) = used.swap_remove(which.index(used.len()));
                pool.give_back(id);
            } else if let Some((id, handle, size)) = pool.take(&mut memory, bytes) {
                prop_assert!(size >= bytes && size == memory.ranges[handle].bytes);
                used.push((id, memory.ranges[handle].base, size));
            }
            for (index, (_, base, size)) in used.iter().enumerate() {
                for (_, other, other_size) in &used[index + 1..] {
                    prop_assert!(base + size <= *other || other + other_size <= *base);
                }
            }
        }
        // Written down and read again it is the same; changed anywhere, the same, another that is sound, or none.
        let mut written = Vec::new();
        pool.put(&mut written, |handle| handle as u64);
        let read = |bytes: &[u8]| {
            let handle = |number: u64, bytes: u64| {
                let handle = number as usize;
                (handle, memory.ranges.get(handle).is_some_and(|range| range.bytes == bytes))
            };
            Pool::read(&mut Pieces(bytes), handle)
        };
        pool = read(&written).expect("what was written");
        let at = flip.index(written.len());
        written[at] ^= 1 << (at % 8);
        let _ = read(&written);
        // What is in use is claimed again, and nothing of it given to another.
        for (id, ..) in &used {
            let (block, _) = pool.whole(id.number()).expect("a block in use");
            pool.claim(block);
        }
        let in_use: u64 = used.iter().map(|(_, _, size)| size).sum();
        prop_assert_eq!(pool.free_bytes(), pages * 4096 - in_use);
        for (id, ..) in used {
            pool.give_back(id);
        }
        prop_assert_eq!(pool.free_bytes(), pages * 4096);
        let largest = 1 << (63 - pages.leading_zeros());
        prop_assert_eq!(pool.take(&mut memory, largest * 4096).map(|(_, _, size)| size), Some(largest * 4096));
    }
}

#[test]
fn more_than_there_is_is_refused() {
    let (mut memory, mut pool) = memory(8);
    assert!(pool.take(&mut memory, 9 * 4096).is_none());
    assert!(pool.take(&mut memory, u64::MAX).is_none());
    assert_eq!(pool.take(&mut memory, 5 * 4096).map(|(_, _, size)| size), Some(8 * 4096));
    assert!(pool.take(&mut memory, 1).is_none());
}

/// A pool of eight pages that is cut down to one, and what is noted of it. The block of eight is range 1, those of four 2 and 3, and so on.
fn cut_down() -> (Memory, Vec<u8>) {
    let (mut memory, mut pool) = memory(8);
    pool.take(&mut memory, 1).unwrap();
    let mut noted = Vec::new();
    pool.put(&mut noted, |handle| handle as u64);
    (memory, noted)
}

fn read_without(missing: &[usize], noted: &[u8]) -> Pool<usize> {
    Pool::read(&mut Pieces(noted), |number, _| (number as usize, !missing.contains(&(number as usize)))).unwrap()
}

#[test]
fn blocks_whose_joining_was_not_brought_to_its_end_come_together_again() {
    let order = [6, 7, 4, 5, 2, 3];
    for count in 0..=order.len() {
        let (mut memory, noted) = cut_down();
        let missing = &order[..count];
        missing.iter().for_each(|&piece| memory.join(piece));
        let mut pool = read_without(missing, &noted);
        pool.mend(&mut memory);
        assert_eq!(pool.free_bytes(), 8 * 4096, "without {missing:?}");
        assert_eq!(pool.take(&mut memory, 8 * 4096).map(|(_, handle, _)| handle), Some(1));
    }
}

#[test]
fn a_block_in_use_stays_though_its_other_half_is_missing() {
    let (mut memory, noted) = cut_down();
    let mut pool = read_without(&[6], &noted);
    let index = (0..7).find(|&index| pool.whole(index).is_some_and(|(_, handle)| handle == 7)).unwrap();
    let (block, _) = pool.whole(index).unwrap();
    pool.claim(block);
    pool.mend(&mut memory);
    assert_eq!(pool.free_bytes(), 6 * 4096);
    pool.give_back(block);
    assert!(pool.take(&mut memory, 8 * 4096).is_none(), "what is missing is not put together");
    assert!((0..7).all(|index| pool.whole(index).is_none_or(|(_, handle)| handle != 6)));
}
