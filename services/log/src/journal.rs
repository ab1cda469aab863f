//! The log in kept memory, where a successor finds it: a ring of records, the oldest overwritten.
//!
//! | where | what |
//! |---|---|
//! | word 0 | recognises the form |
//! | words 1, 2 | where the oldest record begins and the newest ends, counted since the beginning |
//! | word 3 | bytes of the kernel's log that were cut into lines |
//! | from [`NAMES`] | the names of those who write: length, check, then client and name |
//! | from [`RING`] | records: length, check, then what they hold; a record does not lie across the ring's end |
//!
//! A record is written before word 2 says that it is there, and word 1 says that one is gone before it is overwritten.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::iter;

use motte_interfaces::log::LogRecord;
use motte_interfaces::strings::{Pieces, put_string, put_word};

/// Memory that outlives the service.
pub trait JournalMemory {
    /// Bytes.
    fn size(&self) -> usize;
    /// Copies out.
    fn read(&self, offset: usize, bytes: &mut [u8]);
    /// Copies in.
    fn write(&mut self, offset: usize, bytes: &[u8]);
}

const FORM: u64 = u64::from_le_bytes(*b"motteLG1");
const OLDEST: usize = 1;
const END: usize = 2;
const KERNEL: usize = 3;
/// Where the names lie.
const NAMES: usize = 64;
/// Where the records lie.
const RING: usize = 32768;
/// Bytes before what a record holds: length and check.
const HEAD: usize = 8;

/// What lies in kept memory.
#[derive(Debug, Default)]
pub struct Found {
    /// Lines, the oldest first.
    pub records: Vec<LogRecord>,
    /// The names that senders gave themselves.
    pub names: BTreeMap<u64, String>,
    /// Bytes of the kernel's log that are among the lines.
    pub kernel_bytes: u64,
}

/// The log's kept memory.
#[derive(Debug)]
pub struct Journal<M> {
    memory: M,
}

/// A checksum against accidents (FNV-1a by words of a byte).
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl<M: JournalMemory> Journal<M> {
    /// The log in `memory`; an empty one if there is none. `None` if it is too small.
    pub fn new(memory: M) -> Option<Self> {
        let mut journal = Self { memory };
        if journal.memory.size() < 2 * RING {
            return None;
        }
        let (oldest, end) = (journal.word(OLDEST), journal.word(END));
        let fits = journal.word(0) == FORM && oldest <= end && end - oldest <= journal.ring() as u64;
        if !fits {
            [1, 2, 3].into_iter().for_each(|word| journal.set_word(word, 0));
            journal.memory.write(NAMES, &[0; HEAD]);
            journal.set_word(0, FORM);
        }
        Some(journal)
    }

    fn word(&self, index: usize) -> u64 {
        let mut word = [0; 8];
        self.memory.read(index * 8, &mut word);
        u64::from_le_bytes(word)
    }

    fn set_word(&mut self, index: usize, value: u64) {
        self.memory.write(index * 8, &value.to_le_bytes());
    }

    /// Bytes of the ring: whole words.
    fn ring(&self) -> usize {
        (self.memory.size() - RING) & !7
    }

    fn at(&self, position: u64) -> usize {
        RING + (position % self.ring() as u64) as usize
    }

    fn head(&self, offset: usize) -> (usize, u32) {
        let mut head = [0; HEAD];
        self.memory.read(offset, &mut head);
        let [length, check] = [0, 4].map(|at| u32::from_le_bytes(core::array::from_fn(|byte| head[at + byte])));
        (length as usize, check)
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.memory.write(offset + HEAD, bytes);
        let head = u64::from(check(bytes)) << 32 | bytes.len() as u64;
        self.memory.write(offset, &head.to_le_bytes());
    }

    /// What `put` wrote, if it is whole and not longer than `most`.
    fn get(&self, offset: usize, most: usize) -> Option<Vec<u8>> {
        let (length, sum) = self.head(offset);
        if length > most {
            return None;
        }
        let mut bytes = vec![0; length];
        self.memory.read(offset + HEAD, &mut bytes);
        (check(&bytes) == sum).then_some(bytes)
    }

    /// Bytes from a position to the ring's end.
    fn rest(&self, position: u64) -> usize {
        self.ring() - (position % self.ring() as u64) as usize
    }

    /// Bytes that the record at a position takes, or the gap before the ring's end.
    fn step(&self, position: u64) -> usize {
        let (rest, length) = (self.rest(position), self.head(self.at(position)).0);
        let bytes = HEAD + length.next_multiple_of(8);
        if length == 0 || bytes > rest { rest } else { bytes }
    }

    /// Appends a record.
    pub fn append(&mut self, record: &LogRecord) {
        let mut bytes = Vec::with_capacity(128);
        [record.sequence, record.time_ns, record.level].into_iter().for_each(|word| put_word(&mut bytes, word));
        [&record.source, &record.text].into_iter().for_each(|text| put_string(&mut bytes, text));
        let needed = HEAD + bytes.len().next_multiple_of(8);
        let mut end = self.word(END);
        let rest = self.rest(end);
        if needed > rest {
            self.make_room(end, rest);
            // A length of nothing says that the ring goes on at its beginning.
            let at = self.at(end);
            self.memory.write(at, &[0; HEAD]);
            end += rest as u64;
        }
        self.make_room(end, needed);
        let at = self.at(end);
        self.put(at, &bytes);
        self.set_word(END, end + needed as u64);
    }

    /// Gives up the oldest records until so many bytes behind `end` are free.
    fn make_room(&mut self, end: u64, bytes: usize) {
        let mut oldest = self.word(OLDEST);
        while oldest < self.word(END) && end + bytes as u64 - oldest > self.ring() as u64 {
            oldest += self.step(oldest) as u64;
        }
        self.set_word(OLDEST, oldest.min(end));
    }

    /// Notes how many bytes of the kernel's log are among the lines.
    pub fn set_kernel_bytes(&mut self, bytes: u64) {
        self.set_word(KERNEL, bytes);
    }

    /// Notes the names of those who write.
    pub fn set_names(&mut self, names: &BTreeMap<u64, String>) {
        let mut bytes = Vec::new();
        for (client, name) in names {
            put_word(&mut bytes, *client);
            put_string(&mut bytes, name);
        }
        if NAMES + HEAD + bytes.len() <= RING {
            self.put(NAMES, &bytes);
        }
    }

    /// Where the records begin, the oldest first.
    fn positions(&self) -> impl Iterator<Item = u64> {
        let end = self.word(END);
        iter::successors(Some(self.word(OLDEST)), |&position| Some(position + self.step(position) as u64))
            .take_while(move |&position| position < end)
            .filter(|&position| self.head(self.at(position)).0 > 0)
    }

    /// What is there and whole: of the lines no more than `most`, the newest. Short lines are many more than that, and would take more memory
    /// than the service has.
    pub fn read(&self, most: usize) -> Found {
        let count = self.positions().count();
        let mut found = Found { kernel_bytes: self.word(KERNEL), ..Found::default() };
        found.records.reserve_exact(count.min(most));
        for position in self.positions().skip(count.saturating_sub(most)) {
            let record = self.get(self.at(position), self.rest(position).saturating_sub(HEAD));
            found.records.extend(record.and_then(|bytes| read_record(&bytes)));
        }
        let names = self.get(NAMES, RING - NAMES - HEAD).unwrap_or_default();
        let mut pieces = Pieces(&names);
        let mut name = || Some((pieces.word()?, pieces.text()?.to_string()));
        found.names.extend(iter::from_fn(&mut name));
        // A record that was lost leaves the others in order.
        found.records.sort_unstable_by_key(|record| record.sequence);
        found.records.dedup_by_key(|record| record.sequence);
        found
    }
}

fn read_record(bytes: &[u8]) -> Option<LogRecord> {
    let mut pieces = Pieces(bytes);
    Some(LogRecord {
        sequence: pieces.word()?,
        time_ns: pieces.word()?,
        level: pieces.word()?,
        source: pieces.text()?.to_string(),
        text: pieces.text()?.to_string(),
    })
}
