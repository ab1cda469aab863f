//! A word of sticky bits.
//!
//! Invariant: threads wait only while the word is zero; `bound` and that thread's `notification` name each other.

use super::Header;
use super::thread::Thread;
use crate::arch::Arch;
use crate::memory::Link;
use crate::sched::queue::Queue;
use crate::sched::timer::TimerNode;
use core::cell::Cell;

/// See the module.
#[repr(C)]
pub struct Notification<A: Arch> {
    header: Header,
    /// The deadline at which it signals itself.
    pub timer: TimerNode,
    /// The bits that the deadline signals.
    pub timer_bits: Cell<u64>,
    /// The bits.
    pub word: Cell<u64>,
    /// Threads that wait.
    pub waiters: Queue<A>,
    /// The thread whose receives wake for it too.
    pub bound: Link<Thread<A>>,
}
