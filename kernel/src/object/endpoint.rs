//! Where synchronous messages meet.
//!
//! Invariant: when a thread waits in `receivers`, both `callers` and `senders` are empty; when one waits in
//! `plain_receivers`, `senders` is empty. A closed endpoint has neither senders nor callers.

use super::Header;
use crate::arch::Arch;
use crate::sched::queue::Queue;
use core::cell::Cell;

/// Bit of `waiting`: senders are turned away.
const CLOSED: u32 = 1 << 31;

/// See the module.
#[repr(C)]
pub struct Endpoint<A: Arch> {
    header: Header,
    /// Threads with a one-way message.
    pub senders: Queue<A>,
    /// Threads that call, or that faulted.
    pub callers: Queue<A>,
    /// Threads that can take any message. Empty while it is closed: so the short path need not ask.
    pub receivers: Queue<A>,
    /// The same threads while it is closed.
    shut: Queue<A>,
    /// Threads that take one-way messages only.
    pub plain_receivers: Queue<A>,
    /// How many threads are in the first two; its highest bit while it is closed. 0: a receiver will wait.
    pub waiting: Cell<u32>,
}

impl<A: Arch> Endpoint<A> {
    /// Whether senders are turned away.
    #[inline(always)]
    pub fn is_closed(&self) -> bool {
        self.waiting.get() & CLOSED != 0
    }

    /// Opens or closes it.
    pub fn set_closed(&self, closed: bool) {
        if self.is_closed() != closed {
            self.waiting.set(self.waiting.get() ^ CLOSED);
            let (from, to) = if closed { (&self.receivers, &self.shut) } else { (&self.shut, &self.receivers) };
            to.take_over(from);
        }
    }

    /// Where threads wait that can take any message.
    pub fn any_receivers(&self) -> &Queue<A> {
        if self.is_closed() { &self.shut } else { &self.receivers }
    }
}
