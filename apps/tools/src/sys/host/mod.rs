//! The host's form of the system: std under the names of lib/motte, and sample data where the host has no
//! counterpart.

pub mod env;
pub mod fs;
pub mod io;
pub mod net;
pub mod process;
pub mod system;

/// Terminals.
pub mod terminal {
    /// Columns and rows of the terminal; on the host always unknown.
    pub fn size() -> Option<(u16, u16)> {
        None
    }
}

/// Threads.
pub mod thread {
    pub use std::thread::{sleep, spawn};
}

/// Time.
pub mod time {
    pub use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
}
