//! Memory that outlives a restart: as much as `keep` says in the manifest, the same frames for every generation.
//!
//! What lies there was written by a generation that failed, perhaps because of a mistake that wrote to the wrong place. So it is input that may be
//! broken: it is told from broken input by checksums and versions, and what makes no sense is left aside. A component that fails soon
//! after two starts in a row gets fresh memory, so that no content can keep it down.
//!
//! [`Kept`] is the memory, [`Snapshots`] the simple way to use it: some bytes, replaced as a whole.

use alloc::vec::Vec;
use core::ops::Range;

use motte_abi::{Error, LARGE_PAGE_SIZE, Rights};

use crate::kernel::{CacheMode, Frame};
use crate::memory::Mapping;
use crate::start;

/// The component's kept memory.
#[derive(Debug)]
pub struct Kept {
    /// The memory, mapped for reading and writing.
    pub memory: Mapping,
    /// The generation that had it last; `None` if it is fresh, which means zero.
    pub from: Option<u64>,
}

/// Maps the component's kept memory; `None` if the manifest gives it none. To be called once.
pub fn map() -> Result<Option<Kept>, Error> {
    let frames: Vec<Frame> = start::row("kept").map(Frame).collect();
    let Some(first) = frames.first() else { return Ok(None) };
    let rights = Rights::READ | Rights::WRITE;
    let memory = match first.info()? {
        (_, size, _) if size == LARGE_PAGE_SIZE as u64 => Mapping::of_large(frames, rights, CacheMode::Normal),
        _ => Mapping::of(frames, rights, CacheMode::Normal),
    };
    let from = start::header().kept_from;
    Ok(Some(Kept { memory: memory?, from: (from > 0).then_some(from) }))
}

/// The slots of the component's table that outlive its restarts, with the capabilities in them. All others begin empty. Nobody else hands
/// them out: the component notes in its kept memory what they hold, and empties what it did not note.
pub fn slots() -> Range<u64> {
    let header = start::header();
    header.slots..header.slots + header.kept_slots
}

/// Words before a snapshot's bytes: magic, number, length, checksum.
const HEAD: usize = 32;
/// Words before an addition's bytes: length, checksum.
const ADDITION_HEAD: usize = 16;
const MAGIC: u64 = u64::from_le_bytes(*b"motteKS1");

/// Memory that snapshots lie in.
pub trait SnapshotMemory {
    /// Bytes.
    fn size(&self) -> usize;
    /// Copies out.
    fn read(&self, offset: usize, bytes: &mut [u8]);
    /// Copies in.
    fn write(&mut self, offset: usize, bytes: &[u8]);
}

impl SnapshotMemory for Mapping {
    fn size(&self) -> usize {
        Mapping::len(self)
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        Mapping::read(self, offset, bytes);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        Mapping::write(self, offset, bytes);
    }
}

/// Bytes in kept memory that are replaced as a whole: two places, the newer one counts. An end in the middle of
/// [`Snapshots::save`] leaves the older. [`Snapshots::add`] writes only what is new, behind what was saved; an end in the middle of it leaves
/// what was there before.
#[derive(Debug)]
pub struct Snapshots<M> {
    memory: M,
    /// The number of the newest, and the half that it lies in.
    newest: Option<(u64, usize)>,
    /// Where the next addition goes; `None` while something is missing that was to be added.
    end: Option<End>,
}

/// The end of what lies in a half.
#[derive(Clone, Copy, Debug)]
struct End {
    offset: usize,
    /// The last checksum. That of the next addition begins with it, so that what an earlier use of the half left there does not count.
    sum: u64,
}

impl<M: SnapshotMemory> Snapshots<M> {
    /// Looks what lies in `memory`.
    pub fn new(memory: M) -> Self {
        let mut snapshots = Self { memory, newest: None, end: None };
        let found =
            [0, 1].into_iter().filter_map(|half| snapshots.bytes(half).map(|(number, _, end)| (number, half, end)));
        if let Some((number, half, end)) = found.max_by_key(|(number, ..)| *number) {
            (snapshots.newest, snapshots.end) = (Some((number, half)), Some(end));
        }
        snapshots
    }

    /// The most bytes of a snapshot.
    pub fn capacity(&self) -> usize {
        self.half_bytes().saturating_sub(HEAD)
    }

    fn half_bytes(&self) -> usize {
        (self.memory.size() / 2) & !7
    }

    fn base(&self, half: usize) -> usize {
        half * self.half_bytes()
    }

    fn words<const N: usize>(&self, offset: usize) -> [u64; N] {
        core::array::from_fn(|word| {
            let mut bytes = [0; 8];
            self.memory.read(offset + word * 8, &mut bytes);
            u64::from_le_bytes(bytes)
        })
    }

    /// What lies in a half: its number, the bytes with all additions, and where they end.
    fn bytes(&self, half: usize) -> Option<(u64, Vec<u8>, End)> {
        let [magic, number, length, sum] = self.words(self.base(half));
        if magic != MAGIC || length > self.capacity() as u64 {
            return None;
        }
        let mut bytes = alloc::vec![0; length as usize];
        self.memory.read(self.base(half) + HEAD, &mut bytes);
        if checksum(number, &bytes) != sum {
            return None;
        }
        let mut end = End { offset: HEAD + bytes.len().next_multiple_of(8), sum };
        while let Some((addition, next)) = self.addition(half, end) {
            bytes.extend_from_slice(&addition);
            end = next;
        }
        Some((number, bytes, end))
    }

    /// The addition at `end`, and the end after it.
    fn addition(&self, half: usize, end: End) -> Option<(Vec<u8>, End)> {
        let room = self.half_bytes().checked_sub(end.offset + ADDITION_HEAD)?;
        let at = self.base(half) + end.offset;
        let [length, sum] = self.words(at);
        if length == 0 || length > room as u64 {
            return None;
        }
        let mut bytes = alloc::vec![0; length as usize];
        self.memory.read(at + ADDITION_HEAD, &mut bytes);
        (checksum(end.sum, &bytes) == sum).then(|| {
            let offset = end.offset + ADDITION_HEAD + bytes.len().next_multiple_of(8);
            (bytes, End { offset, sum })
        })
    }

    /// What was last saved and what was added to it, by this generation or an earlier one; `None` if there is nothing, or nothing whole.
    pub fn load(&self) -> Option<Vec<u8>> {
        self.bytes(self.newest?.1).map(|(_, bytes, _)| bytes)
    }

    /// Replaces what was saved. False, and nothing changed, if that is more than [`Snapshots::capacity`].
    pub fn save(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.capacity() {
            return false;
        }
        let (number, half) = self.newest.map_or((1, 0), |(number, half)| (number.wrapping_add(1), 1 - half));
        let base = self.base(half);
        let sum = checksum(number, bytes);
        // Whatever happens from here on, this half is whole or does not count.
        self.memory.write(base, &[0; 8]);
        self.memory.write(base + HEAD, bytes);
        for (word, value) in [(1, number), (2, bytes.len() as u64), (3, sum), (0, MAGIC)] {
            self.memory.write(base + word * 8, &value.to_le_bytes());
        }
        self.newest = Some((number, half));
        self.end = Some(End { offset: HEAD + bytes.len().next_multiple_of(8), sum });
        true
    }

    /// Adds to what was saved: [`Snapshots::load`] gives both, one after the other. False if there is no room. Then nothing can be added before
    /// everything is saved anew, because what follows something that is missing would be misunderstood.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let half_bytes = self.half_bytes();
        let (Some((_, half)), Some(end)) = (self.newest, self.end.take()) else { return false };
        let offset = end.offset + ADDITION_HEAD + bytes.len().next_multiple_of(8);
        if offset > half_bytes {
            return false;
        }
        let at = self.base(half) + end.offset;
        let sum = checksum(end.sum, bytes);
        let mut head = [0; ADDITION_HEAD];
        head[..8].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        head[8..].copy_from_slice(&sum.to_le_bytes());
        // Until its last byte is written the sum does not fit.
        self.memory.write(at, &head);
        self.memory.write(at + ADDITION_HEAD, bytes);
        self.end = Some(End { offset, sum });
        true
    }
}

/// A checksum against accidents: every bit of `bytes` and of `seed` changes it.
pub fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = seed ^ FACTOR.wrapping_mul(bytes.len() as u64 + 1);
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(u64::from_le_bytes(last));
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Vec<u8>);

    impl SnapshotMemory for Fake {
        fn size(&self) -> usize {
            self.0.len()
        }
        fn read(&self, offset: usize, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0[offset..offset + bytes.len()]);
        }
        fn write(&mut self, offset: usize, bytes: &[u8]) {
            self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn fresh() -> Snapshots<Fake> {
        Snapshots::new(Fake(alloc::vec![0; 256]))
    }

    #[test]
    fn what_was_saved_last_is_found_again() {
        let mut snapshots = fresh();
        assert_eq!(snapshots.load(), None);
        for text in ["one", "two", "three"] {
            assert!(snapshots.save(text.as_bytes()));
        }
        let again = Snapshots::new(snapshots.memory);
        assert_eq!(again.load().as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn what_was_added_follows_what_was_saved() {
        let mut snapshots = fresh();
        assert!(!snapshots.add(b"to nothing"));
        // The second half is used twice: what was added the first time does not come back.
        for text in ["a", "bb", "c", "dd"] {
            assert!(snapshots.save(text.as_bytes()));
            if text != "dd" {
                assert!(snapshots.add(b"first") && snapshots.add(b"second"));
            }
        }
        let mut again = Snapshots::new(snapshots.memory);
        assert_eq!(again.load().as_deref(), Some(&b"dd"[..]));
        assert!(again.add(b"more"));
        assert_eq!(Snapshots::new(again.memory).load().as_deref(), Some(&b"ddmore"[..]));
    }

    #[test]
    fn nothing_is_added_behind_something_that_had_no_room() {
        let mut snapshots = fresh();
        assert!(snapshots.save(b"saved"));
        assert!(snapshots.add(&[1; 64]));
        assert!(!snapshots.add(b"no room"));
        assert!(!snapshots.add(b""));
        assert!(snapshots.save(b"anew") && snapshots.add(b"!"));
        assert_eq!(snapshots.load().as_deref(), Some(&b"anew!"[..]));
    }

    #[test]
    fn a_broken_addition_leaves_what_was_before_it() {
        let mut snapshots = fresh();
        snapshots.save(b"saved");
        snapshots.add(b"first");
        snapshots.add(b"second");
        let memory = snapshots.memory.0;
        let first = HEAD + 8;
        for bit in first * 8..(first + ADDITION_HEAD + 5) * 8 {
            let mut broken = memory.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let mut found = Snapshots::new(Fake(broken));
            assert_eq!(found.load().as_deref(), Some(&b"saved"[..]), "bit {bit}");
            // What is added now takes the place of all that came after.
            assert!(found.add(b"other"));
            assert_eq!(Snapshots::new(found.memory).load().as_deref(), Some(&b"savedother"[..]));
        }
    }

    #[test]
    fn what_is_too_much_changes_nothing() {
        let mut snapshots = fresh();
        assert!(snapshots.save(b"small"));
        assert!(!snapshots.save(&[7; 97]));
        assert!(snapshots.save(&[7; 96]));
        assert_eq!(snapshots.load(), Some(alloc::vec![7; 96]));
    }

    #[test]
    fn a_broken_snapshot_leaves_the_one_before() {
        let mut snapshots = fresh();
        snapshots.save(b"before");
        snapshots.save(b"after!");
        let memory = snapshots.memory.0;
        for bit in 128 * 8..(128 + HEAD + 6) * 8 {
            let mut broken = memory.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Snapshots::new(Fake(broken)).load().as_deref(), Some(&b"before"[..]), "bit {bit}");
        }
    }

    /// Memory that takes so many stores of a byte, and no more.
    struct Ends(Fake, usize);

    impl SnapshotMemory for Ends {
        fn size(&self) -> usize {
            self.0.size()
        }
        fn read(&self, offset: usize, bytes: &mut [u8]) {
            self.0.read(offset, bytes);
        }
        fn write(&mut self, offset: usize, bytes: &[u8]) {
            for (at, byte) in bytes.iter().enumerate() {
                if self.1 > 0 {
                    self.1 -= 1;
                    self.0.write(offset + at, &[*byte]);
                }
            }
        }
    }

    #[test]
    fn an_end_at_any_store_leaves_one_of_the_two() {
        for stores in 0..80 {
            let mut before = fresh();
            before.save(b"oldest");
            before.save(b"before");
            let mut snapshots = Snapshots::new(Ends(before.memory, stores));
            snapshots.save(b"after!");
            let found = Snapshots::new(snapshots.memory.0).load().unwrap();
            assert!(found == b"before" || found == b"after!", "after {stores} stores");
        }
    }

    #[test]
    fn an_end_at_any_store_leaves_all_of_an_addition_or_nothing() {
        for stores in 0..40 {
            let mut before = fresh();
            for text in [b"oldest", b"former", b"saved."] {
                before.save(text);
                before.add(b"0123456789");
            }
            let mut snapshots = Snapshots::new(Ends(before.memory, stores));
            snapshots.add(b"abcdefghij");
            let found = Snapshots::new(snapshots.memory.0).load().unwrap();
            let expected: [&[u8]; 2] = [b"saved.0123456789", b"saved.0123456789abcdefghij"];
            assert!(expected.contains(&found.as_slice()), "after {stores} stores");
        }
    }
}
