//! The Motte kernel: threads and scheduling, address spaces, messages, interrupts, capabilities.
//!
//! The logic is generic over [`arch::Arch`]. A machine enters it through [`Kernel::syscall`], [`Kernel::exception`] and
//! [`Kernel::interrupt`], each of which does one bounded piece of work and says what runs next ([`Next`]).
//!
//! All state is reached through `&Kernel`, which only the holder of the kernel lock has: the reference is the lock's token.
//! Objects lie in untyped memory and are reached as `&T` for as long as that reference lives
//! ([`memory::Link::get`]). Everything that changes is a cell.
#![no_std]
#![deny(unsafe_code)]

#[cfg(not(target_os = "none"))]
extern crate std;

pub mod arch;
pub mod boot;
pub mod cap;
pub mod ipc;
pub mod irq;
pub mod log;
pub mod mem;
pub mod memory;
pub mod object;
pub mod port;
pub mod sched;
pub mod syscall;
pub mod trace;

#[cfg(test)]
mod tests;

use arch::{Arch, Interrupt};
use core::cell::Cell;
use core::fmt::{self, Write};
use core::ops::Deref;
use irq::{IrqSource, MAX_SOURCES};
use log::Log;
use mem::space::SpaceTable;
use memory::{Link, Lock};
use motte_abi::trace::TraceKind;
use object::Header;
use object::thread::{Fault, Thread};
use sched::Core;

/// The most processors that the kernel can use.
pub const MAX_CORES: usize = 8;

/// All of the kernel's state. Not `Sync`: a machine keeps it in a static behind the one kernel lock. Must not move once it
/// has been entered.
pub struct Kernel<A: Arch> {
    lock: Lock,
    /// State of each core.
    pub cores: [Core<A>; MAX_CORES],
    /// Objects that are being destroyed.
    dying: Link<Header>,
    /// The address spaces that exist.
    pub spaces: SpaceTable,
    irqs: [IrqSource<A>; MAX_SOURCES],
    threads_made: Cell<u64>,
    tickets: Cell<u64>,
    /// The log.
    pub log: Log<A>,
}

/// What runs when the kernel is left.
pub enum Next<'k, A: Arch> {
    /// A thread with this context: load its registers and leave. Its address lies at a fixed offset in the thread's page and
    /// is where the next entry of this core must save user registers.
    Run(&'k A::Context),
    /// Nothing: enable interrupts and halt until one comes.
    Idle,
}

impl<A: Arch> Deref for Kernel<A> {
    type Target = Lock;
    #[inline(always)]
    fn deref(&self) -> &Lock {
        &self.lock
    }
}

impl<A: Arch> Kernel<A> {
    /// A kernel with nothing in it, for a static.
    #[expect(clippy::new_without_default, reason = "there is one, in a static")]
    pub const fn new() -> Self {
        Self {
            lock: Lock::new(),
            cores: [const { Core::new() }; MAX_CORES],
            dying: Link::null(),
            spaces: SpaceTable::new(),
            irqs: [const { IrqSource::new() }; MAX_SOURCES],
            threads_made: Cell::new(0),
            tickets: Cell::new(0),
            log: Log::new(),
        }
    }

    /// The running thread of this core made a system call; its context holds the registers.
    pub fn syscall(&self, core: &Core<A>, thread: &Thread<A>) -> Next<'_, A> {
        core.enter(thread);
        self.dispatch(thread);
        self.leave(core)
    }

    /// The running thread of this core raised an exception in user mode; its context holds the registers.
    pub fn exception(&self, core: &Core<A>, thread: &Thread<A>, fault: Fault) -> Next<'_, A> {
        core.enter(thread);
        self.raise(thread, fault);
        self.leave(core)
    }

    /// An interrupt came, out of the running thread (its context holds the registers) or out of idling.
    pub fn interrupt(&self, core: &Core<A>, thread: Option<&Thread<A>>, interrupt: Interrupt) -> Next<'_, A> {
        if let Some(thread) = thread {
            core.enter(thread);
        }
        match interrupt {
            Interrupt::Timer => self.timer_interrupt(core),
            Interrupt::Device(vector) => {
                core.trace.record::<A>(TraceKind::Interrupt, 0, vector as u64, 0);
                self.device_interrupt(vector);
            }
            Interrupt::Wake => {}
        }
        self.leave(core)
    }

    /// What this core should run now: for the first entry, after [`boot::start_init`].
    pub fn start(&self, index: usize) -> Next<'_, A> {
        let core = &self.cores[index];
        core.ready.set_core(index);
        self.leave(core)
    }

    /// A line of text into the kernel log and on the debug console.
    pub fn log(&self, text: fmt::Arguments<'_>) {
        let mut log = &self.log;
        // The log takes everything.
        let _ = log.write_fmt(text);
        let _ = log.write_str("\n");
    }

    fn next_thread_number(&self) -> u64 {
        self.threads_made.set(self.threads_made.get() + 1);
        self.threads_made.get()
    }

    fn next_ticket(&self) -> u64 {
        self.tickets.set(self.tickets.get() + 1);
        self.tickets.get()
    }
}
