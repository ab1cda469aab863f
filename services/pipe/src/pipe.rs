//! One pipe: bytes, and how many hold each end.
//!
//! The bytes lie in a ring of memory that outlives the service, beside the counts of what ever went in and came out. A count is changed
//! after what it speaks of, in one store, so an end of the service at any moment leaves a pipe that is whole.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes that a pipe holds before its writer must wait, as on Linux.
pub const CAPACITY: usize = 65536;

/// Memory that outlives the service: rings of [`CAPACITY`] bytes with [`WORDS`] words beside each, and the description of who holds what.
pub trait Rings {
    /// How many there are.
    fn count(&self) -> usize;
    /// A word of a ring.
    fn word(&self, ring: usize, word: usize) -> u64;
    /// Changes a word.
    fn set_word(&mut self, ring: usize, word: usize, value: u64);
    /// Copies out of a ring.
    fn read(&self, ring: usize, at: usize, into: &mut [u8]);
    /// Copies into a ring.
    fn write(&mut self, ring: usize, at: usize, from: &[u8]);
    /// Replaces the description. False if there is no room for it.
    fn save(&mut self, description: &[u8]) -> bool;
}

/// Words of each ring.
pub const WORDS: usize = 6;
/// Bytes that ever went in, and came out.
const WRITTEN: usize = 0;
const TAKEN: usize = 1;
/// The last request that wrote, and what had been written before.
const WRITER: usize = 2;
const WRITTEN_BEFORE: usize = 3;
/// The last request that read, and what had been taken before.
const READER: usize = 4;
const TAKEN_BEFORE: usize = 5;

/// A queue of bytes with two kinds of ends.
#[derive(Debug)]
pub struct Pipe {
    ring: usize,
    written: u64,
    taken: u64,
    readers: usize,
    writers: usize,
    /// Bytes from here on stay, because the last reader of a former service may not have got them.
    held: Option<u64>,
}

/// Which end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where bytes come out.
    Reading,
    /// Where bytes go in.
    Writing,
}

impl Pipe {
    /// A pipe without bytes, which nobody holds.
    pub fn new(ring: usize, rings: &mut impl Rings) -> Self {
        (0..WORDS).for_each(|word| rings.set_word(ring, word, 0));
        Self { ring, written: 0, taken: 0, readers: 0, writers: 0, held: None }
    }

    /// The pipe that a former service left; `None` if what lies there makes no sense.
    pub fn found(ring: usize, rings: &impl Rings) -> Option<Self> {
        let (written, taken) = (rings.word(ring, WRITTEN), rings.word(ring, TAKEN));
        let fits = written.checked_sub(taken).is_some_and(|held| held <= CAPACITY as u64);
        let before = rings.word(ring, TAKEN_BEFORE);
        // Bytes that were overwritten since came after an answer.
        let held =
            (rings.word(ring, READER) != 0 && before < taken && written.saturating_sub(before) <= CAPACITY as u64)
                .then_some(before);
        fits.then_some(Self { ring, written, taken, readers: 0, writers: 0, held })
    }

    /// Its ring.
    pub fn ring(&self) -> usize {
        self.ring
    }

    /// Bytes that can be written now.
    pub fn room(&self) -> usize {
        CAPACITY - (self.written - self.held.unwrap_or(self.taken)) as usize
    }

    /// Bytes that can be read now.
    pub fn available(&self) -> usize {
        (self.written - self.taken) as usize
    }

    /// Appends as many as there is room for, for the request of this number; returns how many.
    pub fn write(&mut self, rings: &mut impl Rings, number: u64, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        let (first, second) = bytes[..count].split_at(count.min(to_end(self.written)));
        rings.write(self.ring, place(self.written), first);
        rings.write(self.ring, 0, second);
        // In this order: a number never stands beside another's position.
        rings.set_word(self.ring, WRITER, 0);
        rings.set_word(self.ring, WRITTEN_BEFORE, self.written);
        rings.set_word(self.ring, WRITER, number);
        self.written += count as u64;
        rings.set_word(self.ring, WRITTEN, self.written);
        count
    }

    /// Takes the oldest bytes, for the request of this number.
    pub fn read(&mut self, rings: &mut impl Rings, number: u64, length: usize) -> Vec<u8> {
        let bytes = self.copy(rings, self.taken, length.min(self.available()));
        rings.set_word(self.ring, READER, 0);
        rings.set_word(self.ring, TAKEN_BEFORE, self.taken);
        rings.set_word(self.ring, READER, number);
        self.taken += bytes.len() as u64;
        rings.set_word(self.ring, TAKEN, self.taken);
        self.held = None;
        bytes
    }

    fn copy(&self, rings: &impl Rings, from: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let (first, second) = bytes.split_at_mut(count.min(to_end(from)));
        rings.read(self.ring, place(from), first);
        rings.read(self.ring, 0, second);
        bytes
    }

    /// Bytes that were taken from the position on, as long as they are not overwritten.
    pub fn taken(&self, rings: &impl Rings, from: u64, count: usize) -> Option<Vec<u8>> {
        (self.written - from <= CAPACITY as u64).then(|| self.copy(rings, from, count))
    }

    /// The positions behind the last byte that was written, and taken.
    pub fn positions(&self) -> [u64; 2] {
        [self.written, self.taken]
    }

    /// What the request of this number wrote already, if it is the last that did and comes again.
    pub fn written_by(&self, rings: &impl Rings, number: u64) -> Option<usize> {
        if number == 0 || rings.word(self.ring, WRITER) != number {
            return None;
        }
        let count = self.written.checked_sub(rings.word(self.ring, WRITTEN_BEFORE))?;
        (1..=CAPACITY as u64).contains(&count).then_some(count as usize)
    }

    /// The request of this number comes again. If it is the last that took bytes before a restart, they are there to be taken again.
    pub fn repeat_read(&mut self, rings: &mut impl Rings, number: u64) {
        if let Some(before) = self.held.filter(|_| number != 0 && rings.word(self.ring, READER) == number) {
            self.taken = before;
            rings.set_word(self.ring, TAKEN, before);
            self.held = None;
        }
    }

    /// Somebody holds an end.
    pub fn hold(&mut self, end: End) {
        *self.holders(end) += 1;
    }

    /// Somebody let go of an end. Returns whether nobody holds either any more.
    pub fn release(&mut self, end: End) -> bool {
        *self.holders(end) -= 1;
        if end == End::Reading {
            // Whether it was the reader who did not get them does not matter: it does not ask any more.
            self.held = if self.readers > 0 { self.held } else { None };
        }
        self.readers == 0 && self.writers == 0
    }

    /// Whether nobody will ever write again.
    pub fn ended(&self) -> bool {
        self.writers == 0
    }

    /// Whether nobody will ever read again.
    pub fn broken(&self) -> bool {
        self.readers == 0
    }

    fn holders(&mut self, end: End) -> &mut usize {
        match end {
            End::Reading => &mut self.readers,
            End::Writing => &mut self.writers,
        }
    }
}

/// Where in the ring a position lies.
fn place(position: u64) -> usize {
    (position % CAPACITY as u64) as usize
}

/// Bytes from there to the ring's end.
fn to_end(position: u64) -> usize {
    CAPACITY - place(position)
}
