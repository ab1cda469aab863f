//! The interface `file` of the example `file-service`, and what answers it: notes by name, kept in memory.
//!
//! What survives a restart of the service: nothing. A note that is gone is [`FileError::NotFound`], so a client notices.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

use motte_interfaces::{CallError, Sender, Wire, interface};

/// Why the file service did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum FileError {
    /// There is no note of that name.
    NotFound,
    /// The service keeps as many notes as it can.
    Full,
    /// The service does not answer, or not what was asked.
    Unreachable,
}

impl From<CallError> for FileError {
    fn from(_: CallError) -> Self {
        Self::Unreachable
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no note of that name",
            Self::Full => "there is no room for another note",
            Self::Unreachable => "the file service does not answer",
        })
    }
}

/// Keeps notes.
#[interface("file")]
pub trait File {
    /// Keeps a note under a name, in place of the one that was there. Returns how many bytes it has.
    #[idempotent]
    fn store(&self, name: &str, text: &str) -> Result<u64, FileError>;
    /// The note of that name.
    #[idempotent]
    fn load(&self, name: &str) -> Result<String, FileError>;
}

/// The most notes that are kept.
pub const MOST_NOTES: usize = 64;

/// Notes by name.
#[derive(Debug, Default)]
pub struct Notes(BTreeMap<String, String>);

impl File for Notes {
    fn store(&mut self, _: &Sender, name: &str, text: &str) -> Result<u64, FileError> {
        if self.0.len() >= MOST_NOTES && !self.0.contains_key(name) {
            return Err(FileError::Full);
        }
        let length = text.len() as u64;
        self.0.insert(name.into(), text.into());
        Ok(length)
    }

    fn load(&mut self, _: &Sender, name: &str) -> Result<String, FileError> {
        self.0.get(name).cloned().ok_or(FileError::NotFound)
    }
}
