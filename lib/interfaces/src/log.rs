//! The log: what components say, and what the kernel says, in one order.
//!
//! A restart of it loses nothing: lines, their numbers and the names of those who write them are kept. All calls are repeated by themselves; a
//! line whose answer was lost may then be there twice.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::IoError;
use crate::{Wire, interface};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct LogRecord {
    /// Its number; they increase by one.
    pub sequence: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub level: u64,
    /// Who says it; `kernel` for the kernel.
    pub source: String,
    /// What.
    pub text: String,
}

/// The log service.
#[interface("log")]
pub trait Log {
    /// Says under which name the sender's lines appear.
    #[idempotent]
    fn introduce(&self, name: &str) -> Result<(), IoError>;
    /// Appends a line. Text beyond about 700 bytes is cut.
    #[idempotent]
    fn write(&self, level: u64, text: &str) -> Result<(), IoError>;
    /// The records from number `from` on, as many as fit (at least one if there is one). Old ones are gone.
    #[idempotent]
    fn read(&self, from: u64) -> Result<Vec<LogRecord>, IoError>;
}
