//! The right to processor time: a budget in every period.
//!
//! Invariants: `thread` and that thread's `own` name each other. `runner` is who may run on it now: the thread that it is lent to,
//! else its own. `top` is the Reply through which it was lent last; following `below` leads down to the first
//! lender's. All Replies of this stack, and no other, have `lent` set to this context; there are at most [`MAX_LENDING`].
//! `timer` is armed while the budget is used up.

use super::Header;
use super::reply::Reply;
use super::thread::Thread;
use crate::arch::Arch;
use crate::memory::Link;
use crate::sched::timer::TimerNode;
use core::cell::Cell;

/// How deep calls may nest with one scheduling context lent along. Below that, servers run on their own.
pub const MAX_LENDING: u8 = 64;

/// See the module. Times in nanoseconds.
#[repr(C)]
pub struct SchedContext<A: Arch> {
    header: Header,
    /// When the budget is filled again.
    pub timer: TimerNode,
    /// Time it may be used in a period.
    pub budget: Cell<u64>,
    /// The period. Equal to the budget: no limit; the budget is the slice of round-robin.
    pub period: Cell<u64>,
    /// What is left of the budget.
    pub remaining: Cell<u64>,
    /// Start of the next period, once it is reached by use; without limit: never.
    pub refill_at: Cell<u64>,
    /// Time used ever.
    pub consumed: Cell<u64>,
    /// Whose it is.
    pub thread: Link<Thread<A>>,
    /// Who runs on it.
    pub runner: Link<Thread<A>>,
    /// The Reply through which it was lent last.
    pub top: Link<Reply<A>>,
    /// Length of the stack of Replies.
    pub depth: Cell<u8>,
    /// Whether to tell the fault endpoint when the budget is used up.
    pub tell: Cell<bool>,
}

impl<A: Arch> SchedContext<A> {
    /// Whether use is not limited.
    pub fn is_unlimited(&self) -> bool {
        self.budget.get() == self.period.get()
    }

    /// A period begins: the whole budget is there.
    pub(crate) fn fill(&self, now: u64) {
        self.remaining.set(self.budget.get());
        let period = if self.is_unlimited() { u64::MAX } else { self.period.get() };
        self.refill_at.set(now.saturating_add(period));
    }
}
