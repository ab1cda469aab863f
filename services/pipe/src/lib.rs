//! The pipe service: bounded queues of bytes with a reading and a writing end.
//!
//! Its logic, apart from the machine: [`PipeServer`] keeps the pipes and the callers who wait; the program adds the endpoint, the shared
//! pages ([`motte_interfaces::stream::SharedPages`]) and the capabilities.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod pipe;
mod server;

pub use pipe::{CAPACITY, Pipe, Rings, WORDS};
pub use server::PipeServer;
