//! The saved user state of a thread, and where the entry code finds each register.
//!
//! The order is that in which the processor pushes an interrupt's frame and the entry code pushes the rest: the
//! processor's stack pointer for entries from user mode ([`super::percore`], TSS RSP0) is the address of `resume`, so an
//! interrupt saves straight into the thread. [`super::entry`] relies on every offset; they are checked at its end.

use super::percore;
use crate::arch::{CONTEXT_BYTES, Context};
use core::cell::{Cell, UnsafeCell};
use motte_abi::fault::{FaultMessage, Registers};
use motte_abi::{Syscall, USER_END};

/// Bytes of the floating-point area.
pub const FPU_BYTES: usize = 3072;

/// A thread's user state.
#[repr(C, align(64))]
pub struct UserContext {
    /// FS base of an interrupted thread.
    pub(super) fs_base: Cell<u64>,
    /// GS base of an interrupted thread.
    pub(super) gs_base: Cell<u64>,
    pub(super) r15: Cell<u64>,
    pub(super) r14: Cell<u64>,
    pub(super) r13: Cell<u64>,
    pub(super) r12: Cell<u64>,
    pub(super) rbp: Cell<u64>,
    pub(super) rbx: Cell<u64>,
    r11: Cell<u64>,
    pub(super) r10: Cell<u64>,
    pub(super) r9: Cell<u64>,
    pub(super) r8: Cell<u64>,
    pub(super) rdi: Cell<u64>,
    pub(super) rsi: Cell<u64>,
    pub(super) rdx: Cell<u64>,
    rcx: Cell<u64>,
    pub(super) rax: Cell<u64>,
    /// Vector of the exception or interrupt, while it is being handled.
    pub(super) vector: Cell<u64>,
    /// Its error code.
    pub(super) error: Cell<u64>,
    pub(super) rip: Cell<u64>,
    cs: Cell<u64>,
    rflags: Cell<u64>,
    pub(super) rsp: Cell<u64>,
    ss: Cell<u64>,
    /// 1: runs, or waits in a system call and resumes by `sysret`; 0: was interrupted, or is new, and resumes by `iret` with
    /// every register.
    pub(super) resume: Cell<u64>,
    /// FS base after a system call: of thread-local storage.
    pub(super) tls: Cell<u64>,
    _reserved: [Cell<u64>; 6],
    pub(super) fpu: FpuArea,
}

/// The state of the floating-point unit as `xsave` or `fxsave` writes it.
#[repr(C, align(64))]
pub struct FpuArea(pub(super) UnsafeCell<[u8; FPU_BYTES]>);

/// Offset of the end of the frame that the processor and the entry code push.
pub(super) const FRAME_END: u64 = core::mem::offset_of!(UserContext, resume) as u64;

const _: () = assert!(size_of::<UserContext>() <= CONTEXT_BYTES);

/// Length of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// Flags that a program sets as it likes: arithmetic, trap, direction, alignment check, identification.
const USER_FLAGS: u64 = 0x24_0dd5;
/// Flags that are always set in user mode: the reserved one, and interrupts. After a system call no other is.
pub(super) const FIXED_FLAGS: u64 = 0x202;

/// End of the lower half of the canonical addresses.
const CANONICAL_END: u64 = 1 << 47;

impl UserContext {
    /// Where the processor begins to push, and what the entry code knows the context by.
    #[inline(always)]
    pub(super) fn frame_end(&self) -> u64 {
        core::ptr::from_ref(self) as u64 + FRAME_END
    }

    /// Whether it resumes with every register, as it was interrupted or set.
    pub(super) fn is_interrupted(&self) -> bool {
        self.resume.get() == 0
    }

    /// Save a message call's number and arguments.
    pub(super) fn save_call(&self, call: Syscall, arguments: [u64; 3]) {
        self.rax.set(call as u64);
        for (register, value) in [&self.rdi, &self.rsi, &self.rdx].into_iter().zip(arguments) {
            register.set(value);
        }
    }

    /// An instruction pointer outside user space would make the return instruction itself fault, in kernel mode. Such a
    /// thread resumes at an address that is never mapped and faults there.
    #[inline(always)]
    pub(super) fn make_resumable(&self) {
        if self.rip.get() / CANONICAL_END != 0 {
            self.rip.set(USER_END);
        }
    }

    fn message_registers(&self) -> [&Cell<u64>; 6] {
        [&self.r12, &self.r13, &self.r14, &self.r15, &self.rbx, &self.rbp]
    }
}

/// Loads the registers that programs use as they like from a context, or stores them into one.
macro_rules! general_registers {
    ($how:ident $context:ident $registers:ident) => {
        general_registers!($how $context $registers: rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15)
    };
    (load $context:ident $registers:ident: $($name:ident)*) => { $($registers.$name = $context.$name.get();)* };
    (store $context:ident $registers:ident: $($name:ident)*) => { $($context.$name.set($registers.$name);)* };
}

impl Context for UserContext {
    fn reset(&self) {
        self.cs.set(percore::USER_CODE);
        self.ss.set(percore::USER_DATA);
        self.rflags.set(FIXED_FLAGS);
        super::fpu::reset(&self.fpu);
    }

    fn syscall_number(&self) -> u64 {
        self.rax.get()
    }

    fn argument(&self, index: usize) -> u64 {
        match index {
            0 => self.rdi.get(),
            1 => self.rsi.get(),
            2 => self.rdx.get(),
            3 => self.r8.get(),
            4 => self.r9.get(),
            _ => self.r10.get(),
        }
    }

    fn set_status(&self, status: u64) {
        self.rax.set(status);
    }

    fn set_result(&self, index: usize, value: u64) {
        match index {
            0 => self.rdi.set(value),
            1 => self.rsi.set(value),
            _ => self.rdx.set(value),
        }
    }

    fn message_words(&self) -> [u64; 6] {
        self.message_registers().map(Cell::get)
    }

    fn set_message_words(&self, words: [u64; 6]) {
        for (register, word) in self.message_registers().into_iter().zip(words) {
            register.set(word);
        }
    }

    fn fault_message(&self, address: u64, code: u64) -> FaultMessage {
        let (stack, frame, flags) = (self.rsp.get(), self.rbp.get(), self.rflags.get());
        FaultMessage { instruction: self.rip.get(), address, code, stack, frame, flags }
    }

    fn registers(&self) -> Registers {
        percore::save_bases(self);
        let mut registers = Registers {
            rip: self.rip.get(),
            rsp: self.rsp.get(),
            rflags: self.rflags.get(),
            fs_base: if self.is_interrupted() { self.fs_base.get() } else { self.tls.get() },
            ..Registers::default()
        };
        general_registers!(load self registers);
        registers
    }

    fn set_registers(&self, r: &Registers) {
        self.cs.set(percore::USER_CODE);
        self.ss.set(percore::USER_DATA);
        self.rip.set(r.rip);
        self.make_resumable();
        self.rsp.set(if r.rsp < CANONICAL_END { r.rsp } else { USER_END });
        self.rflags.set(r.rflags & USER_FLAGS | FIXED_FLAGS);
        general_registers!(store self r);
        self.resume.set(0);
        self.set_tls(r.fs_base);
    }

    fn set_tls(&self, base: u64) {
        let base = if base < CANONICAL_END { base } else { 0 };
        self.tls.set(base);
        self.fs_base.set(base);
        percore::reload_bases(self);
    }

    fn rewind_syscall(&self) {
        self.rip.set(self.rip.get().wrapping_sub(SYSCALL_BYTES));
        self.make_resumable();
    }
}
