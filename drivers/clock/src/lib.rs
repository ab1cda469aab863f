//! The clock driver: wall time from the PC's real-time clock.
#![no_std]
#![deny(unsafe_code)]

mod date;
mod rtc;
mod server;

pub use date::{from_civil, to_civil};
pub use rtc::{Registers, read, write};
pub use server::{ClockServer, Machine};
