//! The machine boundary: what the kernel's logic asks of a processor, with a contract per method.
//!
//! The logic is generic over [`Arch`]. `x86_64` is the machine; `mock` runs the same logic on the host, with scripted time and
//! interrupts. All methods are called with the kernel lock held and interrupts off, on the core they
//! concern, unless they say otherwise. Addresses called `physical` are physical; the kernel reaches RAM at
//! `physical + DIRECT_MAP`.

#[cfg(not(target_os = "none"))]
pub mod mock;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod x86_64;

use motte_abi::fault::{FaultMessage, Registers};

/// What the kernel's logic needs of a machine.
pub trait Arch: Sized + 'static {
    /// A thread's saved user state; see [`Context`].
    type Context: Context;

    /// What the machine keeps for one core.
    type Core: MachineCore;

    /// What is added to a physical address to reach RAM in the kernel's address space.
    const DIRECT_MAP: u64;

    /// Levels of page tables, the root's included. The root is level `LEVELS`; tables of level 1 hold small pages.
    const LEVELS: u8 = 4;

    /// After how many steps of long work, each of at most about a thousand instructions, it is asked whether an interrupt waits.
    const PATIENCE: u32;

    /// Number of interrupt vectors for devices. The kernel names them 0 to `VECTORS` - 1.
    const VECTORS: usize;

    /// Nanoseconds of the monotonic clock: never goes back, the same on every core.
    fn now() -> u64;

    /// The raw time-stamp counter, for trace events.
    fn counter() -> u64;

    /// One-shot timer of this core: raise [`Interrupt::Timer`] when `now() >= deadline`, at once if it has passed already.
    /// Replaces the earlier deadline. `u64::MAX` disarms.
    fn set_timer(deadline: u64);

    /// Whether an interrupt waits to be taken on this core: asked at preemption points. Must be cheap.
    fn interrupt_pending() -> bool;

    /// The thread whose state is `to` is the next to run on this core, another one than before: load what belongs to a thread
    /// but not to its saved registers (thread-local base, ownership of the floating-point unit). General registers
    /// are loaded from the context when the kernel is left. Base of a thread that waited in a system call: what `set_tls` said.
    fn switch(to: &Self::Context);

    /// This state will never run again: forget it wherever the machine remembers it (owner of the floating-point unit).
    fn retire(context: &Self::Context);

    /// Use the page tables with this root on this core from now on. Entries of earlier roots need not survive.
    fn activate(root: u64);

    /// The tables with this root are about to go: nothing may use them when this returns, on any core.
    fn retire_root(root: u64);

    /// Fill a zeroed root table so that the kernel's half is mapped in it.
    fn prepare_root(root: u64);

    /// The mapping of the page at `address` in the space with this root changed or went; nothing may use the old one when this
    /// returns, on any core.
    fn flush_page(root: u64, address: u64);

    /// Any mapping of the space with this root may have changed or gone (a page table was taken out).
    fn flush_space(root: u64);

    /// The page-table entry that names a lower table. User-accessible; the pages below restrict.
    fn table_entry(physical: u64) -> u64;

    /// The page-table entry that maps a page for user space: 4 KiB, or 2 MiB when `large`. Never writable and executable together
    /// (the kernel does not ask for it).
    fn page_entry(physical: u64, large: bool, access: Access) -> u64;

    /// What an entry names: `None` if it is not present.
    fn decode_entry(entry: u64, level: u8) -> Option<Entry>;

    /// Connect an interrupt line of the machine (I/O APIC input) to a device vector, masked.
    /// `false`: no such line.
    fn connect_line(line: u64, vector: usize, level_triggered: bool, active_low: bool) -> bool;

    /// Mask or unmask a line. Called only for connected ones. An edge-triggered line, once unmasked, may go on raising its
    /// vector although it was masked again: a controller forgets an edge that comes while it is masked, and the device
    /// would wait for ever. The kernel remembers such an interrupt until it is acknowledged, as it does with messages.
    fn mask_line(line: u64, masked: bool);

    /// The address and data that a device writes to raise this vector. `None`: the machine has no message-signalled interrupts.
    fn message_for(vector: usize) -> Option<(u64, u64)>;

    /// Read a port; `width` is 1, 2 or 4. The caller has been checked.
    fn port_in(port: u16, width: u8) -> u32;

    /// Write a port; `width` is 1, 2 or 4. The caller has been checked.
    fn port_out(port: u16, width: u8, value: u32);

    /// The same value, computed here and now: keeps the compiler from holding on to what it was computed from.
    #[inline(always)]
    fn now_known(value: u64) -> u64 {
        value
    }

    /// Copy words of RAM, at physical addresses inside frames, that user space may be reading or writing at the same time. The
    /// ranges do not overlap, unless they are the same.
    fn copy_words(from: u64, to: u64, count: usize);

    /// Zero RAM that no object lies in: untyped memory, page tables, memory set aside at boot. Word granular.
    fn zero(physical: u64, bytes: u64);

    /// Write bytes to the debug console. Never waits for long.
    fn debug_write(bytes: &[u8]);
}

/// What a machine keeps for one core, at the beginning of [`crate::sched::Core`].
pub trait MachineCore {
    /// Of a core that has not started.
    const NEW: Self;
}

impl MachineCore for () {
    const NEW: Self = ();
}

/// How a page may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Not cached.
    pub uncached: bool,
}

/// What a page-table entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A lower page table at this physical address.
    Table(u64),
    /// A page at this physical address.
    Page(u64),
}

/// An interrupt, as the machine hands it to [`crate::Kernel::interrupt`]. The machine has sent (or will send, before the
/// next user instruction) the end-of-interrupt itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// This core's one-shot timer.
    Timer,
    /// A device vector, 0 to [`Arch::VECTORS`] - 1.
    Device(usize),
    /// Nothing to do but to look again at what should run (inter-processor wake-up, spurious).
    Wake,
}

/// The saved user state of a thread. Lies in zeroed memory, 64-byte aligned, at most [`CONTEXT_BYTES`] long; all
/// zeros is a valid state (user mode, all registers zero, fresh floating-point unit). Fields are cells, so `&self` is enough.
///
/// The machine saves the interrupted or calling thread's registers here before it calls the kernel, and loads them from the
/// context of the thread that the kernel names when it leaves. The kernel writes results only through these methods.
pub trait Context {
    /// Make zeroed memory a fresh state, where all zeros is not enough (default flags, selectors).
    fn reset(&self);

    /// The system call's number (`rax`).
    fn syscall_number(&self) -> u64;

    /// Argument 0 to 5: `rdi rsi rdx r8 r9 r10`.
    fn argument(&self, index: usize) -> u64;

    /// The status of the finished call (`rax`).
    fn set_status(&self, status: u64);

    /// Result 0 to 2: `rdi rsi rdx`.
    fn set_result(&self, index: usize, value: u64);

    /// Message words 0 to 5: `r12 r13 r14 r15 rbx rbp`.
    fn message_words(&self) -> [u64; 6];

    /// Set the message words.
    fn set_message_words(&self, words: [u64; 6]);

    /// What tells of a fault: where the thread is, besides the faulting address and the processor's error code.
    fn fault_message(&self, address: u64, code: u64) -> FaultMessage;

    /// All registers. For a thread that entered by a system call, `rcx` and `r11` are what the call left in them.
    fn registers(&self) -> Registers;

    /// Set all registers; from any value: what user space may not have (flags, non-canonical addresses) is made harmless. The
    /// thread then resumes with exactly these, also when it had entered by a system call.
    fn set_registers(&self, registers: &Registers);

    /// Base of thread-local storage. If the thread runs on this core the kernel calls [`Arch::switch`] before it leaves.
    fn set_tls(&self, base: u64);

    /// Set the instruction pointer back onto the system-call instruction it entered by, number and arguments unchanged: the call
    /// is made again when the thread next runs.
    fn rewind_syscall(&self);
}

/// Bytes that a [`Context`] may take of a thread's page.
pub const CONTEXT_BYTES: usize = 3328;
