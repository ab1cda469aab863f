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

use motte_abi::Error;

pub use server::{Ending, Machine, ProcessServer, Started};
pub use state::{TakenOver, memory_change};

/// Whether the kernel refused what it refuses only to a server that is wrong about its own slots or memory: there is enough of everything.
pub const fn is_own_mistake(error: Error) -> bool {
    !matches!(error, Error::OutOfMemory | Error::LimitReached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_nobodys_mistake() {
        let others = Error::ALL.iter().filter(|error| !is_own_mistake(**error));
        assert!(others.eq(&[Error::OutOfMemory, Error::LimitReached]));
    }
}
