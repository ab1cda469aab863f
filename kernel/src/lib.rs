//! The Motte kernel: threads and scheduling, address spaces, messages, interrupts, capabilities.
//!
//! The logic is generic over [`arch::Arch`]. A machine enters it through [`Kernel::syscall`], [`Kernel::exception`] and
//! [`Kernel::interrupt`], each of which does one bounded piece of work and says what runs next ([`Next`]).
//!
//! All state is reached through `&Kernel`, which only the holder of the kernel lock has: the reference is the lock's token.
#![no_std]
#![deny(unsafe_code)]

pub mod arch;
pub mod boot;

use arch::{Arch, Interrupt};
use core::marker::PhantomData;
use motte_abi::fault::FaultKind;

/// The most processors that the kernel can use.
pub const MAX_CORES: usize = 8;

/// All of the kernel's state. Not `Sync`: a machine keeps it in a static behind the one kernel lock.
pub struct Kernel<A: Arch> {
    _a: PhantomData<*mut A>,
}

/// What runs when the kernel is left.
pub enum Next<'k, A: Arch> {
    /// A thread with this context: load its registers and leave. Its address lies at a fixed offset in the thread's page and
    /// is where the next entry of this core must save user registers.
    Run(&'k A::Context),
    /// Nothing: enable interrupts and halt until one comes.
    Idle,
}

impl<A: Arch> Kernel<A> {
    /// A kernel with nothing in it, for a static.
    pub const fn new() -> Self {
        Self { _a: PhantomData }
    }

    /// The current thread of this core made a system call; its context holds the registers.
    pub fn syscall(&self, core: usize) -> Next<'_, A> {
        let _ = core;
        Next::Idle
    }

    /// The current thread of this core raised an exception in user mode; its context holds the registers.
    /// `address`: faulting address (page fault) or the vector ([`FaultKind::Other`]); `code`: the processor's error code.
    pub fn exception(&self, core: usize, kind: FaultKind, address: u64, code: u64) -> Next<'_, A> {
        let _ = (core, kind, address, code);
        Next::Idle
    }

    /// An interrupt came, out of user mode (the current thread's context holds its registers) or out of idling.
    pub fn interrupt(&self, core: usize, interrupt: Interrupt) -> Next<'_, A> {
        let _ = (core, interrupt);
        Next::Idle
    }

    /// What this core should run now: for the first entry, after [`boot::start_init`].
    pub fn start(&self, core: usize) -> Next<'_, A> {
        let _ = core;
        Next::Idle
    }

    /// A line of text into the kernel log and on the debug console.
    pub fn log(&self, text: ::core::fmt::Arguments<'_>) {
        let _ = text;
    }
}

impl<A: Arch> Default for Kernel<A> {
    fn default() -> Self {
        Self::new()
    }
}
