//! The kernel's log: a ring of bytes that holders of its frames read ([`motte_abi::trace`]), copied to the debug
//! console.

use crate::arch::Arch;
use crate::memory::{read_word, write_word};
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use motte_abi::trace::{KERNEL_LOG_BYTES, KERNEL_LOG_RING};

/// See the module.
pub struct Log<A: Arch> {
    /// Physical address of its memory; 0 before there is any.
    memory: Cell<u64>,
    written: Cell<u64>,
    machine: PhantomData<*const A>,
}

impl<A: Arch> Log<A> {
    pub(crate) const fn new() -> Self {
        Self { memory: Cell::new(0), written: Cell::new(0), machine: PhantomData }
    }

    /// Keep the log in this zeroed memory of [`KERNEL_LOG_BYTES`] from now on.
    pub(crate) fn attach(&self, memory: u64) {
        self.memory.set(memory);
    }

    /// Where its memory is, and how much.
    pub fn memory(&self) -> (u64, u64) {
        (self.memory.get(), KERNEL_LOG_BYTES as u64)
    }

    /// Write bytes to log and debug console.
    pub fn write(&self, bytes: &[u8]) {
        A::debug_write(bytes);
        let memory = self.memory.get();
        if memory == 0 {
            return;
        }
        for &byte in bytes {
            let position = self.written.get();
            let at = position % KERNEL_LOG_RING as u64;
            let place = memory + 64 + at / 8 * 8;
            let shift = at % 8 * 8;
            let word = read_word::<A>(place) & !(0xff << shift) | u64::from(byte) << shift;
            write_word::<A>(place, word);
            self.written.set(position + 1);
        }
        write_word::<A>(memory, self.written.get());
    }
}

impl<A: Arch> fmt::Write for &Log<A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
