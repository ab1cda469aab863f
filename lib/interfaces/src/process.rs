//! Programs from the disk: started, watched and ended by the process server.
//!
//! A restart of the server loses nothing: programs run on, those that ended are known, and whoever waits is answered by its successor. Calls
//! that are not repeated by themselves: [`Process::spawn`], which the client sends again with the same ticket ([`SPAWN_MAGIC`]), and
//! [`Process::kill`], which is harmless to send again: a program that was ended before is then `NoSuchProcess`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::IoError;
use crate::{Cap, Wire, interface};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum ExitStatus {
    /// By itself, with this status.
    Exited(i32),
    /// By [`Process::kill`].
    Killed,
    /// By a fault; the number of its fault record.
    Faulted(u64),
}

/// What is known of a program that runs.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ProcessInfo {
    /// Its number.
    pub id: u32,
    /// Its parent's; 0 for none.
    pub parent: u32,
    /// The name of its file.
    pub name: String,
    /// `running`, `waiting`, `ended`.
    pub state: String,
    /// Bytes in use, and its limit.
    pub memory: u64,
    /// The most it may use.
    pub memory_limit: u64,
    /// Processor time in nanoseconds.
    pub cpu_ns: u64,
    /// When it was started, on the monotonic clock.
    pub started_ns: u64,
    /// Its arguments, cut if long.
    pub command: String,
}

/// Begins the request that [`Process::spawn`] finds in the attached pages. The rest follows in this order, strings as length (u32,
/// little-endian) and bytes: ticket (u64); path; working directory; memory limit (u64; 0: default); number of arguments (u32), arguments; number of variables (u32),
/// variables as `NAME=value`; number of services (u32; u32::MAX: what the caller may use), service names.
///
/// The ticket is a number that the client has not used before: a request with the same ticket is the same request, sent again because the
/// server was restarted before it answered, and starts nothing twice.
pub const SPAWN_MAGIC: u32 = 0x5057_4e02;

/// The process server. It serves `Stream::attach` too.
#[interface("process")]
pub trait Process {
    /// Starts a program from the request of `length` bytes in the attached pages, with duplicates of streams as its standard input, output and
    /// error. Returns its number. The streams are closed when it ends.
    fn spawn(&self, length: u64, input: Cap, output: Cap, error: Cap) -> Result<u32, IoError>;
    /// Waits for the end of a program that the caller started.
    #[deferred]
    #[idempotent]
    fn wait(&self, id: u32) -> Result<ExitStatus, IoError>;
    /// Signals a notification when a program that the caller started has ended, at once if it has already.
    #[idempotent]
    fn on_end(&self, id: u32, notification: Cap) -> Result<(), IoError>;
    /// Whether it has ended, and how. An end is told as often as it is asked for, until many others have followed.
    #[idempotent]
    fn try_wait(&self, id: u32) -> Result<Option<ExitStatus>, IoError>;
    /// Ends a program at once.
    fn kill(&self, id: u32) -> Result<(), IoError>;
    /// Programs whose number is at least `first`, in order, as many as fit.
    #[idempotent]
    fn list(&self, first: u32) -> Result<Vec<ProcessInfo>, IoError>;
    /// The caller's own number; 0 for a component.
    #[idempotent]
    fn own_id(&self) -> Result<u32, IoError>;
}
