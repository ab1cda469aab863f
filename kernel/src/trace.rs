//! The trace: a ring of events per core, in memory that holders of its frames read ([`motte_abi::trace`]).

use crate::Kernel;
use crate::arch::Arch;
use crate::memory::write_word;
use crate::object::thread::Thread;
use crate::sched::TRACED;
use core::cell::Cell;
use motte_abi::trace::{TRACE_BYTES, TRACE_EVENTS, TraceKind};

/// One core's ring.
pub struct TraceRing {
    /// Physical address of its memory; 0 before there is any.
    memory: Cell<u64>,
    written: Cell<u64>,
}

impl TraceRing {
    pub(crate) const fn new() -> Self {
        Self { memory: Cell::new(0), written: Cell::new(0) }
    }

    /// Record into this zeroed memory of [`TRACE_BYTES`] from now on.
    pub(crate) fn attach<A: Arch>(&self, memory: u64, core: usize) {
        self.memory.set(memory);
        write_word::<A>(memory + 8, core as u64);
    }

    /// Where its memory is, and how much.
    pub fn memory(&self) -> (u64, u64) {
        (self.memory.get(), TRACE_BYTES as u64)
    }

    /// Write an event.
    #[inline]
    pub fn record<A: Arch>(&self, kind: TraceKind, datum: u64, a: u64, b: u64) {
        let memory = self.memory.get();
        if memory == 0 {
            return;
        }
        let count = self.written.get();
        let event = memory + 64 + count % TRACE_EVENTS as u64 * 32;
        write_word::<A>(event, A::counter());
        write_word::<A>(event + 8, kind as u64 | datum << 8);
        write_word::<A>(event + 16, a);
        write_word::<A>(event + 24, b);
        self.written.set(count + 1);
        write_word::<A>(memory, count + 1);
    }
}

impl<A: Arch> Kernel<A> {
    /// Records an event that concerns a thread, on its core.
    #[inline]
    pub(crate) fn record(&self, thread: &Thread<A>, kind: TraceKind, datum: u64, a: u64, b: u64) {
        self.core_of(thread).trace.record::<A>(kind, datum, a, b);
    }

    /// The same for messages, signals and switches, of which there are so many that they are recorded on demand only.
    #[inline]
    pub(crate) fn record_traffic(&self, thread: &Thread<A>, kind: TraceKind, datum: u64, a: u64, b: u64) {
        if self.core_of(thread).hindrances.get() & TRACED != 0 {
            self.record(thread, kind, datum, a, b);
        }
    }
}
