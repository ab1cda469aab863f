//! What the supervisor decides and remembers, apart from how it carries it out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`policy`] | when a component is started again, and when not any more |
//! | [`record`] | fault records and their text |
//! | [`messages`] | messages in a record |
//! | [`state`] | what a supervisor leaves for its successor |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod messages;
pub mod policy;
pub mod record;
pub mod state;
