//! Wall time. Programs read it from the monotonic clock plus an offset that they ask for once.
//!
//! A restart of the service loses nothing: it reads the hardware clock anew. All calls are repeated by themselves.

use crate::error::IoError;
use crate::interface;

/// The clock service.
#[interface("clock")]
pub trait Clock {
    /// Nanoseconds from 1970 (UTC) to the zero of the monotonic clock.
    #[idempotent]
    fn offset(&self) -> Result<u64, IoError>;
    /// Sets the wall time, in nanoseconds since 1970, and writes it to the hardware clock.
    #[idempotent]
    fn set(&self, unix_ns: u64) -> Result<(), IoError>;
    /// Seconds since 1970 that the hardware clock shows now; `Device` if what it shows is no date.
    #[idempotent]
    fn hardware(&self) -> Result<u64, IoError>;
}
