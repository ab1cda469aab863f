//! What outlives this server: words and pages in kept memory, and how an end at any moment leaves them in order.
//!
//! | bytes from | what lies there |
//! |---|---|
//! | 0 | the words of [`Word`] |
//! | 512 | the requests that were in hand, eight words each: [`crate::requests`] |
//! | 4 KiB | a page for a write of metadata that must not be cut in two |
//! | 64 KiB | two words for each page of the cache: [`crate::cache`] |
//! | 640 KiB | sizes and times of files that the disk does not know yet: [`crate::ext4`] |
//! | 704 KiB | open files: [`crate::vfs`] |
//! | 832 KiB | the clients' handles |
//! | 960 KiB | the mounts that clients made |
//!
//! A word is written whole or not at all, and words are written in the order in which the program says: that is all that an end between two
//! instructions leaves to count on. Contents are checked when they are read; what makes no sense means that everything begins anew.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::memory::Region;

/// Bytes of kept memory before the page cache.
pub const STATE_BYTES: usize = 2 << 20;

/// The single words, by number.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Word {
    /// Says that the rest is this server's, and in which form.
    Magic = 0,
    /// Pages of the cache, and sectors of the disk: checked against what is there now.
    Frames = 1,
    /// See `Frames`.
    Sectors = 2,
    /// The generation from which on handles count.
    Epoch = 3,
    /// The number of the next object that `duplicate` makes.
    NextObject = 4,
    /// How often the running transaction was put down.
    Publications = 5,
    /// Whether a new running transaction is complete and takes the place of the former (1: of those blocks, 2: of all).
    Sealed = 6,
    /// The journal's number of the running transaction.
    Sequence = 7,
    /// The same of the one that is being put down.
    NextSequence = 8,
    /// A write from the page at 4 KiB that must be done: its length and place in the frame, or 0.
    Redo = 9,
    /// The frame of that write.
    RedoFrame = 10,
    /// The frame whose page just gets its place on the disk, plus one, or 0.
    Placing = 11,
    /// The place.
    PlacingKey = 12,
    /// Where the request in hand is noted: [`crate::requests`].
    RequestPlace = 13,
    /// Whether the last server doubted itself, and nothing was committed since.
    Doubted = 14,
}

/// Bytes of a table that are looked at together.
const PIECE: usize = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"motteFS1");
/// The page of [`Kept::redo_page`].
pub const REDO: usize = 4096;
pub(crate) const REQUESTS: usize = 512;
pub(crate) const INDEX: usize = 64 << 10;
pub(crate) const NODES: usize = 640 << 10;
pub(crate) const DESCRIPTIONS: usize = 704 << 10;
pub(crate) const HANDLES: usize = 832 << 10;
/// The mounts that clients made, as snapshots.
pub const MOUNTS: usize = 960 << 10;
/// Bytes of those.
pub const MOUNTS_BYTES: usize = 64 << 10;

/// The most pages of the cache that are kept.
pub const MOST_FRAMES: usize = (NODES - INDEX) / 16;

/// The state in kept memory. Copies are the same state.
#[derive(Clone, Copy, Debug)]
pub struct Kept(Region);

impl Kept {
    /// The state in `memory`, which has [`STATE_BYTES`]; `None` if it has fewer.
    pub fn new(memory: Region) -> Option<Self> {
        (memory.len() >= STATE_BYTES).then_some(Self(memory))
    }

    /// Whether a former server's state lies here, with a page cache of so many frames over a disk of so many sectors.
    pub fn is_usable(&self, frames: usize, sectors: u64) -> bool {
        self.word(Word::Magic) == MAGIC
            && self.word(Word::Frames) == frames as u64
            && self.word(Word::Sectors) == sectors
            && self.word(Word::Epoch) > 0
    }

    /// Begins anew, but for the doubt: a server that begins anew is one that looks again, too.
    pub fn begin(&mut self, frames: usize, sectors: u64, generation: u64) {
        let doubted = self.word(Word::Doubted);
        self.set(Word::Magic, 0);
        self.0.zero(0, STATE_BYTES);
        self.set(Word::Doubted, doubted);
        self.set(Word::Frames, frames as u64);
        self.set(Word::Sectors, sectors);
        self.set(Word::Epoch, generation);
        self.set(Word::NextObject, 1);
        self.set(Word::Magic, MAGIC);
    }

    /// Has the next server begin anew: what lies here does not count any more.
    pub fn end(&mut self) {
        self.set(Word::Magic, 0);
    }

    /// Reads a word.
    #[inline]
    pub fn word(&self, word: Word) -> u64 {
        self.get(0, word as usize)
    }

    /// Writes a word.
    #[inline]
    pub fn set(&mut self, word: Word, value: u64) {
        self.put(0, word as usize, value);
    }

    /// Reads word `index` of a table.
    #[inline]
    pub(crate) fn get(&self, table: usize, index: usize) -> u64 {
        self.0.word(table + index * 8)
    }

    /// Writes word `index` of a table, after everything that was written before and before everything that is written afterwards.
    #[inline]
    pub(crate) fn put(&mut self, table: usize, index: usize, value: u64) {
        compiler_fence(Ordering::SeqCst);
        self.0.set_word(table + index * 8, value);
        compiler_fence(Ordering::SeqCst);
    }

    /// The entries of a table whose first word is not 0, in order. An entry has `words`, a power of two.
    pub(crate) fn used(&self, table: usize, count: usize, words: usize) -> Vec<usize> {
        let (mut used, mut page, bytes) = (Vec::new(), [0; PIECE], words * 8);
        for first in (0..count).step_by(PIECE / bytes) {
            self.0.read(table + first * bytes, &mut page);
            let entries = (first..count).zip(page.chunks_exact(bytes));
            used.extend(entries.filter(|(_, entry)| entry[..8] != [0; 8]).map(|(number, _)| number));
        }
        used
    }

    /// The whole state, as memory.
    pub fn memory(&self) -> Region {
        self.0
    }
}

/// A word that says whether `words` are what was written together with it; never 0.
#[inline]
pub(crate) fn seal(words: &[u64]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    words.iter().fold(FACTOR, |sum, word| (sum ^ word).wrapping_mul(FACTOR).rotate_left(31)) | 1
}

#[cfg(test)]
pub(crate) fn test_state() -> Kept {
    Kept::new(Region::leaked(STATE_BYTES)).expect("it is large enough")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_another_shape_is_not_used() {
        let mut kept = test_state();
        assert!(!kept.is_usable(16, 100));
        kept.begin(16, 100, 1);
        assert!(kept.is_usable(16, 100));
        assert!(!kept.is_usable(17, 100) && !kept.is_usable(16, 101));
        kept.end();
        assert!(!kept.is_usable(16, 100));
    }

    #[test]
    fn a_seal_depends_on_every_bit() {
        let words = [1, 2, 3];
        for bit in 0..192 {
            let mut changed = words;
            changed[bit / 64] ^= 1 << (bit % 64);
            assert_ne!(seal(&changed), seal(&words), "bit {bit}");
        }
    }
}
