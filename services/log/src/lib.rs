//! The log service: keeps the last lines that components said, and the kernel's, in one order.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod journal;
mod kernel;
mod server;

pub use journal::{Journal, JournalMemory};
pub use kernel::KernelLines;
pub use server::{KernelText, LogServer, RECORDS};
