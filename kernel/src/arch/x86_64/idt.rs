//! The interrupt descriptor table: one for all cores, constant after the first core has started.

use super::percore::{FaultStack, KERNEL_CODE};
use core::arch::asm;
use core::cell::UnsafeCell;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written only while the first core starts, before any other runs.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// An interrupt gate, present, for privilege level 0.
const GATE: u64 = 0x8e << 40;

fn change(vector: usize, change: impl FnOnce(&mut [u64; 2])) {
    // SAFETY: only the first core, while it starts, comes here; no other reference lives. The processor reads the table
    // only when something is raised, and interrupts are off.
    change(unsafe { &mut (&mut *TABLE.0.get())[vector] });
}

/// Sets the handler of a vector.
pub fn set(vector: usize, handler: u64) {
    change(vector, |gate| {
        gate[0] = handler & 0xffff | KERNEL_CODE << 16 | GATE | (handler >> 16 & 0xffff) << 48;
        gate[1] = handler >> 32;
    });
}

/// Handles a vector on a stack of its own.
pub fn use_stack(vector: usize, stack: FaultStack) {
    change(vector, |gate| gate[0] |= (stack as u64) << 32);
}

/// Lets user space raise a vector by an instruction.
pub fn allow_user(vector: usize) {
    change(vector, |gate| gate[0] |= 3 << 45);
}

/// Makes this core use the table.
pub fn load() {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: 4095, base: TABLE.0.get() as u64 };
    // SAFETY: the table is a static, filled by now.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
}

/// What an exception is called.
pub fn name(vector: usize) -> &'static str {
    const NAMES: &str = "divide error,debug exception,non-maskable interrupt,breakpoint,overflow,bound range exceeded,\
        invalid opcode,device not available,double fault (kernel stack overflow?),,invalid task state,segment not present,\
        stack fault,general protection fault,page fault,,x87 exception,alignment check,machine check,SIMD exception";
    NAMES.split(',').nth(vector).filter(|name| !name.is_empty()).unwrap_or("unexpected exception")
}
