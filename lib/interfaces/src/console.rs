//! The console: a serial line with a line discipline. Reading and writing go through [`crate::stream`] with handle [`CONSOLE`].
//!
//! A restart of the driver loses nothing: the line being typed, what was typed ahead, output that waits, the modes, the size and the
//! notification for Ctrl-C are kept. A read or write that was not answered is known when it comes again. Up to 16 bytes that were on their way to
//! the line may be shown twice.

use crate::error::IoError;
use crate::{Cap, interface};

/// Handle of the console itself, open in every session.
pub const CONSOLE: u64 = 1;
/// Handle of the second line, where error output goes when a command runs without a terminal.
pub const CONSOLE_ERROR: u64 = 2;

/// Mode bits.
pub mod mode {
    /// Input is edited and delivered by lines; without it, byte by byte as it comes.
    pub const LINES: u64 = 1;
    /// Input is echoed.
    pub const ECHO: u64 = 1 << 1;
    /// Ctrl-C signals the interrupt notification instead of being input.
    pub const INTERRUPT: u64 = 1 << 2;
    /// A line feed is written as carriage return and line feed.
    pub const NEWLINES: u64 = 1 << 3;
    /// There is no input: reading gives the end at once.
    pub const NO_INPUT: u64 = 1 << 4;
    /// Error output goes to the second line.
    pub const SPLIT_ERROR: u64 = 1 << 5;
    /// As at start.
    pub const COOKED: u64 = LINES | ECHO | INTERRUPT | NEWLINES;
}

/// The console service.
#[interface("console")]
pub trait Console {
    /// Sets the mode bits.
    #[idempotent]
    fn set_mode(&self, mode: u64) -> Result<(), IoError>;
    /// The mode bits.
    #[idempotent]
    fn mode(&self) -> Result<u64, IoError>;
    /// Columns and rows.
    #[idempotent]
    fn size(&self) -> Result<(u64, u64), IoError>;
    /// Sets columns and rows, as the shell found them out.
    #[idempotent]
    fn set_size(&self, columns: u64, rows: u64) -> Result<(), IoError>;
    /// The notification to signal at Ctrl-C.
    #[idempotent]
    fn on_interrupt(&self, notification: Cap) -> Result<(), IoError>;
    /// Returns when everything written has left.
    #[deferred]
    #[idempotent]
    fn drain(&self) -> Result<(), IoError>;
}
