//! Pipes. The ends are read and written through [`crate::stream`]. Reading at the end gives nothing once every writer has
//! closed; writing fails with `BrokenPipe` once every reader has.
//!
//! A restart of the service loses nothing: pipes, the bytes in them and who holds which end are kept. A request that was not answered is
//! known when it comes again: what it read or wrote, it does not read or write twice. Where several programs read the same end, that holds for
//! the one that read last.

use crate::error::IoError;
use crate::interface;

/// The pipe service.
#[interface("pipe")]
pub trait Pipes {
    /// Makes a pipe; returns the handles of its reading and its writing end.
    #[numbered]
    fn create(&self) -> Result<(u64, u64), IoError>;
}
