//! Where synchronous messages meet.
//!
//! Invariant: when a thread waits in `receivers`, both `callers` and `senders` are empty; when one waits in
//! `plain_receivers`, `senders` is empty. A closed endpoint has neither senders nor callers.

use super::{Header, Object};
use crate::arch::Arch;
use crate::sched::queue::Queue;
use core::cell::Cell;
use motte_abi::ObjectType;

/// See the module.
#[repr(C)]
pub struct Endpoint<A: Arch> {
    header: Header,
    /// Threads with a one-way message.
    pub senders: Queue<A>,
    /// Threads that call, or that faulted.
    pub callers: Queue<A>,
    /// Threads that can take any message.
    pub receivers: Queue<A>,
    /// Threads that take one-way messages only.
    pub plain_receivers: Queue<A>,
    /// How many threads are in the first two.
    pub waiting: Cell<u32>,
    /// Whether senders are turned away.
    pub closed: Cell<bool>,
}

impl<A: Arch> Object for Endpoint<A> {
    const KIND: ObjectType = ObjectType::Endpoint;
}
