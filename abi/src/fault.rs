//! Faults as messages, and the registers of a thread.
//!
//! A thread that faults calls its fault endpoint: label [`FAULT_LABEL`] + kind, six words ([`FaultMessage`]). The
//! endpoint capability's badge says which thread. An answer of any kind resumes it, with the registers that the handler may have
//! written meanwhile; an answer whose label is [`RESUME_STOPPED`] leaves it stopped.

use core::fmt;

/// Labels from here on are faults; services use smaller ones.
pub const FAULT_LABEL: u64 = 0xfa00;

/// Label of an answer to a fault that leaves the thread stopped.
pub const RESUME_STOPPED: u64 = 1;

/// Why a thread cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum FaultKind {
    /// Word 1: address; word 2: the processor's error code (bit 0 present, 1 write, 2 user, 4 fetch).
    PageFault = 0,
    /// An instruction that the processor does not know or allow.
    IllegalInstruction = 1,
    /// Division by zero or overflow.
    DivideError = 2,
    /// General protection, stack or segment fault. Word 2: error code.
    GeneralProtection = 3,
    /// A breakpoint instruction.
    Breakpoint = 4,
    /// Alignment check.
    Alignment = 5,
    /// A system call number that the kernel does not know. Word 1: the number.
    UnknownSyscall = 6,
    /// The budget is used up and its owner asked to be told.
    BudgetExhausted = 7,
    /// Single step.
    Debug = 8,
    /// A floating-point or vector exception.
    FloatingPoint = 9,
    /// Any other processor exception. Word 1: its vector; word 2: error code.
    Other = 10,
}

impl FaultKind {
    /// The kind with this number.
    pub const fn from_raw(raw: u64) -> Option<Self> {
        use FaultKind::*;
        Some(match raw {
            0 => PageFault,
            1 => IllegalInstruction,
            2 => DivideError,
            3 => GeneralProtection,
            4 => Breakpoint,
            5 => Alignment,
            6 => UnknownSyscall,
            7 => BudgetExhausted,
            8 => Debug,
            9 => FloatingPoint,
            10 => Other,
            _ => return None,
        })
    }

    /// The kind that a message's label names.
    pub const fn from_label(label: u64) -> Option<Self> {
        if label < FAULT_LABEL { None } else { Self::from_raw(label - FAULT_LABEL) }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageFault => "page fault",
            Self::IllegalInstruction => "illegal instruction",
            Self::DivideError => "divide error",
            Self::GeneralProtection => "general protection fault",
            Self::Breakpoint => "breakpoint",
            Self::Alignment => "alignment fault",
            Self::UnknownSyscall => "unknown system call",
            Self::BudgetExhausted => "budget exhausted",
            Self::Debug => "single step",
            Self::FloatingPoint => "floating-point exception",
            Self::Other => "processor exception",
        })
    }
}

/// The six words of a fault message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FaultMessage {
    /// Where: the instruction pointer.
    pub instruction: u64,
    /// What: the faulting address, system call number or vector.
    pub address: u64,
    /// The processor's error code.
    pub code: u64,
    /// The stack pointer.
    pub stack: u64,
    /// The frame pointer.
    pub frame: u64,
    /// The flags register.
    pub flags: u64,
}

impl FaultMessage {
    /// As message words.
    pub const fn to_words(self) -> [u64; 6] {
        [self.instruction, self.address, self.code, self.stack, self.frame, self.flags]
    }

    /// From message words.
    pub const fn from_words(w: [u64; 6]) -> Self {
        Self { instruction: w[0], address: w[1], code: w[2], stack: w[3], frame: w[4], flags: w[5] }
    }
}

/// A thread's registers as `ThreadReadRegisters` and `ThreadWriteRegisters` pass them, in this order, as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Registers {
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Flags; only the bits that user space may set count.
    pub rflags: u64,
    /// General registers.
    pub rax: u64,
    /// General register.
    pub rbx: u64,
    /// General register.
    pub rcx: u64,
    /// General register.
    pub rdx: u64,
    /// General register.
    pub rsi: u64,
    /// General register.
    pub rdi: u64,
    /// General register.
    pub rbp: u64,
    /// General register.
    pub r8: u64,
    /// General register.
    pub r9: u64,
    /// General register.
    pub r10: u64,
    /// General register.
    pub r11: u64,
    /// General register.
    pub r12: u64,
    /// General register.
    pub r13: u64,
    /// General register.
    pub r14: u64,
    /// General register.
    pub r15: u64,
    /// Base of thread-local storage.
    pub fs_base: u64,
}

impl Registers {
    /// Number of words.
    pub const WORDS: usize = 19;

    /// As words, in declaration order.
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        [
            self.rip,
            self.rsp,
            self.rflags,
            self.rax,
            self.rbx,
            self.rcx,
            self.rdx,
            self.rsi,
            self.rdi,
            self.rbp,
            self.r8,
            self.r9,
            self.r10,
            self.r11,
            self.r12,
            self.r13,
            self.r14,
            self.r15,
            self.fs_base,
        ]
    }

    /// From words, in declaration order.
    pub const fn from_words(w: &[u64; Self::WORDS]) -> Self {
        Self {
            rip: w[0],
            rsp: w[1],
            rflags: w[2],
            rax: w[3],
            rbx: w[4],
            rcx: w[5],
            rdx: w[6],
            rsi: w[7],
            rdi: w[8],
            rbp: w[9],
            r8: w[10],
            r9: w[11],
            r10: w[12],
            r11: w[13],
            r12: w[14],
            r13: w[15],
            r14: w[16],
            r15: w[17],
            fs_base: w[18],
        }
    }
}
