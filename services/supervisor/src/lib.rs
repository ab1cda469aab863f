//! What the supervisor decides and remembers, apart from how it carries it out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`policy`] | when a component is started again, and when not any more |
//! | [`former`] | how the supervisor before this one ended |
//! | [`record`] | fault records and their text |
//! | [`messages`] | messages in a record |
//! | `seen` | what is seen of a component that has ended |
//! | [`processor`] | who keeps the processor from whom |
//! | [`own_tasks`] | whether the supervisor's own tasks still run |
//! | [`state`] | what a supervisor leaves for its successor |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod former;
pub mod messages;
pub mod own_tasks;
pub mod policy;
pub mod processor;
pub mod record;
#[cfg(feature = "program")]
pub mod seen;
pub mod state;
