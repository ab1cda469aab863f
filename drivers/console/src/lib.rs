//! The console driver: two serial lines (16550A) and the line discipline on the first.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod discipline;
mod kept;
mod server;
mod uart;

pub use discipline::{Discipline, Typed};
pub use kept::{Description, Memory};
pub use server::ConsoleServer;
pub use uart::{Ports, Uart};
