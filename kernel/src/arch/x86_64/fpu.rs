//! The floating-point and vector unit, given to a thread when it first uses it.
//!
//! CR0.TS makes the first floating-point instruction of a thread that does not own the unit raise an exception; the owner
//! before is saved then. Threads that never use the unit cost nothing.

use super::context::{FpuArea, UserContext};
use super::cpu::Features;
use super::percore;
use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Components that `xsave` saves; 0: the processor has only `fxsave`.
static COMPONENTS: AtomicU64 = AtomicU64::new(0);

/// Remembers how state is saved here.
pub fn initialise(features: &Features) {
    COMPONENTS.store(features.xsave_mask, Relaxed);
}

/// The state of a new thread: control words at their defaults, everything else zero already.
pub fn reset(area: &FpuArea) {
    const CONTROL_WORD: u16 = 0x37f;
    const VECTOR_CONTROL: u32 = 0x1f80;
    let bytes = area.0.get().cast::<u8>();
    // SAFETY: both lie within the area (FXSAVE layout, offsets 0 and 24), which is at least 512 bytes, aligned, and used
    // by nobody else: its thread is not running.
    unsafe {
        bytes.cast::<u16>().write(CONTROL_WORD);
        bytes.add(24).cast::<u32>().write(VECTOR_CONTROL);
    }
}

/// The thread with this context runs next on this core.
pub fn switch(to: &UserContext) {
    let core = percore::current();
    core.let_fpu(ptr::eq(core.fpu_owner.get(), to));
}

/// The current thread of this core wants the unit.
pub fn give(to: &UserContext) {
    let core = percore::current();
    core.let_fpu(true);
    let owner = core.fpu_owner.get();
    if ptr::eq(owner, to) {
        return;
    }
    // SAFETY: an owner is alive: `forget` is called before its memory is reused.
    if let Some(owner) = unsafe { owner.as_ref() } {
        save(&owner.fpu);
    }
    load(&to.fpu);
    core.fpu_owner.set(to);
}

/// Forgets a context whose memory is about to be used for something else.
pub fn forget(context: &UserContext) {
    let core = percore::current();
    if ptr::eq(core.fpu_owner.get(), context) {
        core.fpu_owner.set(ptr::null());
        core.let_fpu(false);
    }
}

fn save(area: &FpuArea) {
    let (components, area) = (COMPONENTS.load(Relaxed), area.0.get());
    // SAFETY: the area is 64-byte aligned and large enough for every component that is switched on; only the kernel
    // touches it, under its lock. The unit may be used: CR0.TS is clear.
    unsafe {
        if components != 0 {
            asm!("xsave64 [{}]", in(reg) area, in("eax") components as u32, in("edx") (components >> 32) as u32,
                 options(nostack, preserves_flags));
        } else {
            asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags));
        }
    }
}

fn load(area: &FpuArea) {
    let (components, area) = (COMPONENTS.load(Relaxed), area.0.get());
    // SAFETY: as for `save`. The contents come from `save` or `reset` and nowhere else, so they are a valid state.
    unsafe {
        if components != 0 {
            asm!("xrstor64 [{}]", in(reg) area, in("eax") components as u32, in("edx") (components >> 32) as u32,
                 options(nostack, preserves_flags, readonly));
        } else {
            asm!("fxrstor64 [{}]", in(reg) area, options(nostack, preserves_flags, readonly));
        }
    }
}
