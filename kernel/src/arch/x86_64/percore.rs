//! What belongs to one core: its segments and task state, where its entries save to, and what is loaded on it.
//!
//! In the kernel, GS points to the core's [`Core`], which begins with [`PerCore`]; `swapgs` at entry and exit exchanges it with the user's. The
//! entry code relies on the first fields' offsets.

use super::context::FRAME_END;
use super::context::UserContext;
use super::cpu::{self, Features, msr};
use super::{X86, kernel};
use crate::arch::MachineCore;
use crate::sched::{Core, FPU_IN_USE, MACHINE};
use core::arch::asm;
use core::cell::Cell;
use core::ptr;

/// Selector of the kernel's code.
pub const KERNEL_CODE: u64 = 0x08;
/// Selector of the kernel's data.
pub const KERNEL_DATA: u64 = 0x10;
/// Selector of user data, privilege level 3. `sysret` wants it just below the code.
pub const USER_DATA: u64 = 0x18 | 3;
/// Selector of user code, privilege level 3.
pub const USER_CODE: u64 = 0x20 | 3;
const TASK_STATE: u16 = 0x28;

/// Interrupt stacks of the task state: those for a broken kernel stack.
#[derive(Clone, Copy, Debug)]
pub enum FaultStack {
    /// Double faults.
    DoubleFault = 1,
    /// Non-maskable interrupts.
    NonMaskable = 2,
    /// Machine checks.
    MachineCheck = 3,
}

/// The task state segment (Intel SDM 3A, 8.7), as 32-bit words because its addresses are not aligned.
#[repr(C, align(16))]
struct TaskState {
    words: [Cell<u32>; 26],
}

impl TaskState {
    const RSP0: usize = 1;
    const IST1: usize = 9;
    const IO_MAP: usize = 25;

    const fn new() -> Self {
        Self { words: [const { Cell::new(0) }; 26] }
    }

    #[inline(always)]
    fn set_address(&self, word: usize, address: u64) {
        self.words[word].set(address as u32);
        self.words[word + 1].set((address >> 32) as u32);
    }

    fn address(&self, word: usize) -> u64 {
        u64::from(self.words[word + 1].get()) << 32 | u64::from(self.words[word].get())
    }
}

/// The machine's part of one core's state. A core touches only its own.
#[repr(C, align(64))]
pub struct PerCore {
    /// Address of this structure.
    own: Cell<u64>,
    /// Top of the kernel stack.
    stack_top: Cell<u64>,
    /// The user's stack pointer, for a moment.
    scratch: Cell<u64>,
    /// 1 where SMAP is on: the entry code then clears the AC flag.
    has_smap: Cell<u64>,
    fsgsbase: Cell<bool>,
    /// The context whose floating-point state is in the processor.
    pub(super) fpu_owner: Cell<*const UserContext>,
    /// Whether floating-point instructions are let through.
    fpu_usable: Cell<bool>,
    /// Root of the page tables in the processor.
    pub(super) root: Cell<u64>,
    /// When the kernel wants the timer, in nanoseconds.
    pub(super) deadline: Cell<u64>,
    /// Number of the local APIC.
    pub(super) apic_id: Cell<u32>,
    /// Its RSP0 is the end of the frame of the context that entries from user mode save to, and whose FS and GS base are in the
    /// processor; 0: there is none.
    task_state: TaskState,
    segments: [Cell<u64>; 7],
}

/// Offsets that the entry code uses.
pub(super) mod offset {
    use super::PerCore;
    pub const FRAME_END: usize = core::mem::offset_of!(PerCore, task_state) + 4 * super::TaskState::RSP0;
    pub const STACK_TOP: usize = core::mem::offset_of!(PerCore, stack_top);
    pub const SCRATCH: usize = core::mem::offset_of!(PerCore, scratch);
    pub const HAS_SMAP: usize = core::mem::offset_of!(PerCore, has_smap);
}

impl MachineCore for PerCore {
    const NEW: Self = Self {
        own: Cell::new(0),
        stack_top: Cell::new(0),
        scratch: Cell::new(0),
        has_smap: Cell::new(0),
        fsgsbase: Cell::new(false),
        fpu_owner: Cell::new(ptr::null()),
        fpu_usable: Cell::new(false),
        root: Cell::new(0),
        deadline: Cell::new(u64::MAX),
        apic_id: Cell::new(0),
        task_state: TaskState::new(),
        segments: [const { Cell::new(0) }; 7],
    };
}

impl PerCore {
    /// Makes entries from user mode save to this context.
    #[inline(always)]
    pub(super) fn set_current(&self, context: &UserContext) {
        self.task_state.set_address(TaskState::RSP0, context.frame_end());
    }

    /// Whether entries from user mode save to this context, and its bases are in the processor.
    pub(super) fn is_current(&self, context: &UserContext) -> bool {
        self.task_state.address(TaskState::RSP0) == context.frame_end()
    }

    /// Whether there is any such context.
    pub(super) fn has_current(&self) -> bool {
        self.task_state.address(TaskState::RSP0) != 0
    }

    /// Lets floating-point instructions through, or not: then the first one traps, and `fpu::give` sees whose state is loaded.
    pub(super) fn let_fpu(&self, usable: bool) {
        if self.fpu_usable.get() != usable {
            self.fpu_usable.set(usable);
            core().hinder_short(FPU_IN_USE, usable);
            cpu::set_fpu_usable(usable);
        }
    }
}

/// This core's state.
#[inline(always)]
pub fn current() -> &'static PerCore {
    let address: *const PerCore;
    // SAFETY: GS has pointed to this core's entry of a static since `initialise`, before which nothing asks. The fields
    // are cells, reached by this core alone.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) address, options(nostack, preserves_flags, readonly, pure));
        &*address
    }
}

/// The kernel's state of this core, of which the machine's part is the beginning.
#[inline(always)]
pub fn core() -> &'static Core<X86> {
    // SAFETY: that part is nowhere else.
    unsafe { &*ptr::from_ref(current()).cast() }
}

const _: () = assert!(core::mem::offset_of!(Core<X86>, machine) == 0);

/// The stacks of one core: the address above each.
#[derive(Clone, Copy, Debug)]
pub struct Stacks {
    /// The kernel's.
    pub kernel: u64,
    /// Those of [`FaultStack`], in order.
    pub fault: [u64; 3],
}

/// Sets up this core: segments, task state, GS. Once per core, before anything else of this module.
pub fn initialise(index: usize, stacks: &Stacks, features: &Features) {
    let core = &kernel().cores[index];
    let own = ptr::from_ref(core) as u64;
    // Writing FS and GS base through model-specific registers would cost more than a short path saves.
    core.hinder_short(MACHINE, !features.fsgsbase);
    let core = &core.machine;
    core.own.set(own);
    core.stack_top.set(stacks.kernel);
    core.has_smap.set(u64::from(features.smap));
    core.fsgsbase.set(features.fsgsbase);
    for (number, stack) in stacks.fault.into_iter().enumerate() {
        core.task_state.set_address(TaskState::IST1 + 2 * number, stack);
    }
    // The I/O permission map lies beyond the segment's limit: user space has no ports.
    core.task_state.words[TaskState::IO_MAP].set((size_of::<TaskState>() as u32) << 16);
    let (base, limit) = (ptr::from_ref(&core.task_state) as u64, 26 * 4 - 1_u64);
    let descriptors = [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56,
        base >> 32,
    ];
    for (cell, descriptor) in core.segments.iter().zip(descriptors) {
        cell.set(descriptor);
    }
    load_segments(core);
    // SAFETY: GS base takes the address of this core's entry; the user's starts at 0.
    unsafe {
        cpu::write_msr(msr::GS_BASE, core.own.get());
        cpu::write_msr(msr::KERNEL_GS_BASE, 0);
        cpu::write_msr(msr::FS_BASE, 0);
    }
}

fn load_segments(core: &PerCore) {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: size_of_val(&core.segments) as u16 - 1, base: core.segments.as_ptr() as u64 };
    // SAFETY: the table is in a static and complete; the code selector that is loaded describes the same flat 64-bit
    // code as the present one. Data selectors are null: 64-bit mode does not use them.
    unsafe {
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "mov ds, {null:e}",
            "mov es, {null:e}",
            "mov fs, {null:e}",
            "mov gs, {null:e}",
            "ltr {task:x}",
            pointer = in(reg) &raw const pointer,
            code = const KERNEL_CODE,
            data = in(reg) KERNEL_DATA,
            null = in(reg) 0_u64,
            task = in(reg) TASK_STATE,
            scratch = out(reg) _,
        );
    }
}

/// Brings the thread-local bases of `to` into the processor, before it becomes current. Those of an interrupted thread are kept:
/// user space can change them by itself where it has instructions for it. A system call gives them up.
pub fn switch_bases(to: &UserContext) {
    let core = current();
    if core.is_current(to) {
        return;
    }
    let end = core.task_state.address(TaskState::RSP0);
    // SAFETY: the end of the frame of a context that is alive: `forget` is called before its memory is reused.
    let from = unsafe { (end.saturating_sub(FRAME_END) as *const UserContext).as_ref() };
    if let Some(from) = from {
        save_bases(from);
    }
    load_bases(core, to);
}

/// Makes the context of an interrupted thread hold the bases that it has, if they are in the processor.
pub fn save_bases(context: &UserContext) {
    let core = current();
    if !core.is_current(context) || !core.fsgsbase.get() || !context.is_interrupted() {
        return;
    }
    let (fs, gs): (u64, u64);
    // SAFETY: the instructions exist (checked). Between the two swaps nothing uses GS: interrupts are off, and the
    // handler of the non-maskable one does not.
    unsafe {
        asm!("rdfsbase {}", "swapgs", "rdgsbase {}", "swapgs", out(reg) fs, out(reg) gs,
             options(nomem, nostack, preserves_flags));
    }
    context.fs_base.set(fs);
    context.gs_base.set(gs);
}

/// Brings the bases of `context` into the processor if its thread is the one they belong to.
pub fn reload_bases(context: &UserContext) {
    let core = current();
    if core.is_current(context) {
        load_bases(core, context);
    }
}

/// Forgets a context whose memory is about to be used for something else.
pub fn forget(context: &UserContext) {
    let core = current();
    if core.is_current(context) {
        core.task_state.set_address(TaskState::RSP0, 0);
    }
}

/// Brings the bases of `context` into the processor.
pub fn load_bases(core: &PerCore, context: &UserContext) {
    let (fs, gs) = match context.is_interrupted() {
        true => (context.fs_base.get(), context.gs_base.get()),
        false => (context.tls.get(), 0),
    };
    // SAFETY: the bases are user space's own and canonical (from the processor, or checked by `set_tls`). GS as in
    // `save_bases`.
    unsafe {
        if core.fsgsbase.get() {
            asm!("wrfsbase {}", "swapgs", "wrgsbase {}", "swapgs", in(reg) fs, in(reg) gs,
                 options(nomem, nostack, preserves_flags));
        } else {
            cpu::write_msr(msr::FS_BASE, fs);
        }
    }
}
