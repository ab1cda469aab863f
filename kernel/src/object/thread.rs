//! A thread of control: one page with its saved registers, its place in queues, and four capability slots.
//!
//! Invariants:
//! - On the ready queue exactly if its state is `Ready`, it has a scheduling context with budget, and it is not
//!   its core's current thread (`sched::refresh` restores this after every change).
//! - `queue` says which queue `link` is in; a thread is in at most one.
//! - `lent` names a context whose `runner` is this thread, or in whose stack of Replies it is a caller; `own` and the context's `thread`
//!   name each other.
//! - `table`, `table_slots`, `space_*`, `buffer` mirror the slots, for short access.

use super::Header;
use super::endpoint::Endpoint;
use super::notification::Notification;
use super::reply::Reply;
use super::sched_context::SchedContext;
use crate::arch::{Arch, CONTEXT_BYTES, Context};
use crate::cap::slot::{INTERNAL, Slot};
use crate::memory::Link;
use core::cell::Cell;
use motte_abi::fault::FaultKind;
use motte_abi::syscall::ThreadState;

/// Which queue a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum QueueKind {
    /// None.
    None,
    /// Its core's ready queue of its priority.
    Ready,
    /// An endpoint's one-way senders.
    Senders,
    /// An endpoint's callers, faulting threads among them.
    Callers,
    /// An endpoint's receivers that named a Reply object.
    Receivers,
    /// An endpoint's receivers that take no calls.
    PlainReceivers,
    /// A notification's waiters.
    Waiters,
}

/// What a thread that is sending or awaits a reply sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outgoing {
    /// A one-way message.
    Send,
    /// A call.
    Call,
    /// A fault: a call by the kernel in its name.
    Fault,
}

/// Neighbours in a queue of threads.
#[repr(C)]
pub struct QueueLink<A: Arch> {
    pub(crate) prev: Link<Thread<A>>,
    pub(crate) next: Link<Thread<A>>,
}

/// Index of a thread's own capability slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// Its capability table.
    Table = 0,
    /// Its address space.
    Space = 1,
    /// The endpoint for its faults.
    FaultEndpoint = 2,
    /// The frame of its message buffer.
    Buffer = 3,
}

/// Contexts begin at a cache line.
#[repr(C, align(64))]
pub struct Aligned<T>(pub T);

/// See the module.
#[repr(C, align(4096))]
pub struct Thread<A: Arch> {
    header: Header,
    /// Address and length of the table in slot `Table`; 0 without one.
    pub table: Cell<u64>,
    /// Its length in slots.
    pub table_slots: Cell<u64>,
    /// Physical address of the root table of the space in slot `Space`; 0 without one.
    pub space_root: Cell<u64>,
    /// Physical address of the message buffer; 0 without one.
    pub buffer: Cell<u64>,
    /// While sending or awaiting a reply: what.
    pub outgoing: Cell<Outgoing>,
    /// What it is doing.
    pub state: Cell<ThreadState>,
    /// Which queue it is in.
    pub queue: Cell<QueueKind>,
    /// While sending: whether the capability it sends through may pass capabilities on.
    pub grant: Cell<bool>,
    /// Priority, 0 (lowest) to 255. Beside `core`, because the short path compares both at once ([`Thread::place`]).
    pub priority: Cell<u8>,
    /// The core it runs on.
    pub core: Cell<u8>,
    /// The highest priority that it may give.
    pub max_priority: Cell<u8>,
    fault_kind: Cell<u8>,
    /// The scheduling context bound to it.
    pub own: Link<SchedContext<A>>,
    /// The one lent to it by a caller. It may run on it while that context's `runner` is this thread; while it calls on, it only waits
    /// to get it back.
    pub lent: Link<SchedContext<A>>,
    /// Neighbours in `queue`.
    pub link: QueueLink<A>,
    /// While in an endpoint's queue: which endpoint. At other times it means nothing and must not be followed.
    pub endpoint: Link<Endpoint<A>>,
    /// While waiting: on which notification.
    pub waits_on: Link<Notification<A>>,
    /// While awaiting a reply: from what. While receiving: the Reply object that takes a caller, if any. At other times it means nothing
    /// and must not be followed.
    pub reply: Link<Reply<A>>,
    /// The notification bound to it.
    pub notification: Link<Notification<A>>,
    /// Whether bits wait in that notification.
    pub signalled: Cell<bool>,
    /// While sending: the badge.
    pub badge: Cell<u64>,
    /// While in an endpoint's queue: when it came, as a running number.
    pub ticket: Cell<u64>,
    /// Names it in the trace; never reused.
    pub number: Cell<u64>,
    /// Badge of the last request that it took.
    pub last_badge: Cell<u64>,
    /// Description of that request, or of the last call that it made: whichever is later.
    pub last_info: Cell<u64>,
    fault_address: Cell<u64>,
    fault_code: Cell<u64>,
    context: Aligned<A::Context>,
    slots: [Slot; 4],
}

/// A fault that a thread has raised.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// Faulting address (page fault), call number, or the vector ([`FaultKind::Other`]).
    pub address: u64,
    /// The processor's error code.
    pub code: u64,
}

impl<A: Arch> Thread<A> {
    /// Where its saved registers lie.
    pub const CONTEXT_OFFSET: usize = core::mem::offset_of!(Self, context);

    /// Where the badge of its last request lies.
    pub const BADGE_OFFSET: usize = core::mem::offset_of!(Self, last_badge);

    const FITS: () = {
        assert!(size_of::<Self>() == 4096);
        assert!(size_of::<A::Context>() <= CONTEXT_BYTES);
    };

    /// Make a zeroed page a stopped thread.
    pub(crate) fn begin(&self, number: u64) {
        let () = Self::FITS;
        self.number.set(number);
        self.context().reset();
        self.slots.iter().for_each(|slot| slot.set_flag(INTERNAL, true));
    }

    /// Its saved registers.
    #[inline(always)]
    pub fn context(&self) -> &A::Context {
        &self.context.0
    }

    /// One of its own capability slots.
    pub fn slot(&self, which: Inner) -> &Slot {
        &self.slots[which as usize]
    }

    /// Which of its slots this is.
    pub(crate) fn which(&self, slot: &Slot) -> Option<Inner> {
        [Inner::Table, Inner::Space, Inner::FaultEndpoint, Inner::Buffer]
            .into_iter()
            .find(|&which| core::ptr::eq(self.slot(which), slot))
    }

    /// Whether it waits in a message call of its own; not if it has faulted.
    pub(crate) fn waits_in_call(&self) -> bool {
        match self.state.get() {
            ThreadState::Receiving | ThreadState::Waiting => true,
            ThreadState::Sending | ThreadState::AwaitingReply => self.outgoing.get() != Outgoing::Fault,
            ThreadState::Stopped | ThreadState::Ready | ThreadState::Faulted => false,
        }
    }

    /// Core and priority in one number.
    #[inline(always)]
    pub fn place(&self) -> u16 {
        u16::from_le_bytes([self.priority.get(), self.core.get()])
    }

    /// The fault it raised last.
    pub fn fault(&self) -> Fault {
        Fault {
            kind: FaultKind::from_raw(self.fault_kind.get().into()).unwrap_or(FaultKind::Other),
            address: self.fault_address.get(),
            code: self.fault_code.get(),
        }
    }

    /// Remember the fault it raised.
    pub(crate) fn set_fault(&self, fault: Fault) {
        self.fault_kind.set(fault.kind as u8);
        self.fault_address.set(fault.address);
        self.fault_code.set(fault.code);
    }
}
