//! The one-shot right to answer one caller.
//!
//! Invariants: `caller` and that thread's `reply` name each other, and it awaits a reply; `receiver` and that thread's `reply` name
//! each other, and it is receiving. At most one of the two is set. `lent` is set while the caller's scheduling context
//! runs the server; then this Reply is in that context's stack ([`super::sched_context`]).

use super::Header;
use super::sched_context::SchedContext;
use super::thread::Thread;
use crate::arch::Arch;
use crate::memory::Link;

/// See the module.
#[repr(C)]
pub struct Reply<A: Arch> {
    header: Header,
    /// Who awaits the answer.
    pub caller: Link<Thread<A>>,
    /// Who waits to receive with it.
    pub receiver: Link<Thread<A>>,
    /// The scheduling context that came with the call.
    pub lent: Link<SchedContext<A>>,
    /// The Reply below in the stack of `lent`; without that it means nothing and must not be followed.
    pub below: Link<Reply<A>>,
}
