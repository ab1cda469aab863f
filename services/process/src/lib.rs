//! The process server: runs programs from the disk, each in its own address space with its own memory limit and only the
//! services granted to it.
//!
//! Its logic, apart from the machine: [`request`] reads what a client asks for, [`ProcessServer`] keeps the table of programs and those
//! who wait for them; the program adds loading, faults and memory through [`Machine`].
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod pool;
pub mod remains;
pub mod request;
mod server;
mod state;

pub use server::{Ending, Machine, ProcessServer, Started};
pub use state::{TakenOver, memory_change};
