//! Requests to the log service.
//!
//! What survives a restart of this service: all lines that it has, and the names of those who write. They lie in kept memory
//! ([`crate::journal`]); without it only the kernel's lines that are still in its ring are there again.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::log::{Log, LogRecord};
use motte_interfaces::{Sender, badge};

use crate::journal::{Journal, JournalMemory};
use crate::kernel::KernelLines;

/// Lines that are kept.
pub const RECORDS: usize = 1024;

/// The longest line, in bytes: what fits a message beside the rest of its record.
const LONGEST: usize = 640;

/// Words of a message that the records of one answer may fill.
const ANSWER_WORDS: usize = 110;

/// Names that senders gave themselves, at the most.
const NAMES: usize = 512;

/// Where time and the kernel's text come from.
pub trait KernelText {
    /// Nanoseconds of the monotonic clock.
    fn now(&self) -> u64;
    /// Takes the kernel's new lines.
    fn take(&self, lines: &mut KernelLines) -> Vec<String>;
}

/// The service.
pub struct LogServer<K, M> {
    kernel: K,
    journal: Option<Journal<M>>,
    kernel_lines: KernelLines,
    records: VecDeque<LogRecord>,
    next: u64,
    names: BTreeMap<u64, String>,
}

impl<K: KernelText, M: JournalMemory> LogServer<K, M> {
    /// The log that lies in kept memory, or an empty one.
    pub fn new(kernel: K, journal: Option<Journal<M>>) -> Self {
        let found = journal.as_ref().map(|journal| journal.read(RECORDS)).unwrap_or_default();
        let records: VecDeque<LogRecord> = found.records.into();
        let next = records.back().map_or(0, |last| last.sequence.saturating_add(1));
        let names = found.names.into_iter().take(NAMES).collect();
        let kernel_lines = KernelLines::from(found.kernel_bytes);
        Self { kernel, journal, kernel_lines, records, next, names }
    }

    fn append(&mut self, level: u64, source: String, mut text: String) {
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(end);
        }
        if self.records.len() == RECORDS {
            self.records.pop_front();
        }
        let record =
            LogRecord { sequence: self.next, time_ns: self.kernel.now(), level: level.clamp(1, 5), source, text };
        self.next += 1;
        if let Some(journal) = &mut self.journal {
            journal.append(&record);
        }
        self.records.push_back(record);
    }

    /// Appends what the kernel said since the last time. Called before every request, so that the order is nearly right.
    fn take_kernel_lines(&mut self) {
        for line in self.kernel.take(&mut self.kernel_lines) {
            self.append(3, "kernel".to_string(), line);
        }
        if let Some(journal) = &mut self.journal {
            journal.set_kernel_bytes(self.kernel_lines.cut());
        }
    }
}

/// Message words that a record takes.
fn words(record: &LogRecord) -> usize {
    5 + record.source.len().div_ceil(8) + record.text.len().div_ceil(8)
}

impl<K: KernelText, M: JournalMemory> Log for LogServer<K, M> {
    fn introduce(&mut self, sender: &Sender, name: &str) -> Result<(), IoError> {
        let fits = !name.is_empty() && name.len() <= 48 && name != "kernel" && !name.chars().any(char::is_control);
        if !fits {
            return Err(IoError::InvalidInput);
        }
        if self.names.len() >= NAMES {
            // Programs come and go; the one with the lowest number has most likely gone.
            let oldest = self.names.keys().copied().find(|&client| client >= badge::FIRST_PROGRAM);
            self.names.remove(&oldest.unwrap_or(sender.badge));
        }
        self.names.insert(badge::client(sender.badge), name.into());
        if let Some(journal) = &mut self.journal {
            journal.set_names(&self.names);
        }
        Ok(())
    }

    fn write(&mut self, sender: &Sender, level: u64, text: &str) -> Result<(), IoError> {
        self.take_kernel_lines();
        let client = badge::client(sender.badge);
        let source = match self.names.get(&client) {
            Some(name) => name.clone(),
            None if client >= badge::FIRST_PROGRAM => format!("program {}", client - badge::FIRST_PROGRAM),
            None => format!("component {client}"),
        };
        for line in text.lines() {
            self.append(level, source.clone(), line.to_string());
        }
        Ok(())
    }

    fn read(&mut self, _: &Sender, from: u64) -> Result<Vec<LogRecord>, IoError> {
        self.take_kernel_lines();
        let mut room = ANSWER_WORDS;
        let fitting = self.records.iter().filter(|record| record.sequence >= from).take_while(|record| {
            let fits = words(record) <= room;
            room = room.saturating_sub(words(record));
            fits
        });
        Ok(fitting.cloned().collect())
    }
}
