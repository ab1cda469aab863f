//! Pipes. The ends are read and written through [`crate::stream`]. Reading at the end gives nothing once every writer has
//! closed; writing fails with `BrokenPipe` once every reader has.

use crate::error::IoError;
use crate::interface;

/// The pipe service.
#[interface("pipe")]
pub trait Pipes {
    /// Makes a pipe; returns the handles of its reading and its writing end.
    fn create(&self) -> Result<(u64, u64), IoError>;
}
