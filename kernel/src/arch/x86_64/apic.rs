//! The local interrupt controller of each core: end of interrupt, what is pending, and the one-shot timer.
//!
//! Registers lie in a page of memory, or (x2APIC) in model-specific registers; numbers below are offsets in the page.

use super::cpu::{self, Features, msr};
use super::{clock, entry, percore};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const REQUESTED: u32 = 0x200;
const TIMER: u32 = 0x320;
const LINT0: u32 = 0x350;
const LINT1: u32 = 0x360;
const ERROR: u32 = 0x370;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

const MASKED: u32 = 1 << 16;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;

/// Address of the registers' page; 0 with x2APIC.
static REGISTERS: AtomicU64 = AtomicU64::new(0);
/// Whether the timer compares with the time-stamp counter.
static TSC_DEADLINE: AtomicBool = AtomicBool::new(false);
/// Timer ticks per nanosecond, times 2³².
static TICKS_PER_NS: AtomicU64 = AtomicU64::new(0);

fn read(register: u32) -> u32 {
    match REGISTERS.load(Relaxed) {
        // SAFETY: x2APIC is on (`initialise`), and has a register for each of the offsets above.
        0 => unsafe { cpu::read_msr(0x800 + register / 16) as u32 },
        // SAFETY: the page is mapped, uncached, for good, and holds the registers.
        page => unsafe { ((page + u64::from(register)) as *const u32).read_volatile() },
    }
}

fn write(register: u32, value: u32) {
    match REGISTERS.load(Relaxed) {
        // SAFETY: as for `read`; the values written leave the kernel in control of its own interrupts.
        0 => unsafe { cpu::write_msr(0x800 + register / 16, u64::from(value)) },
        // SAFETY: as for `read`.
        page => unsafe { ((page + u64::from(register)) as *mut u32).write_volatile(value) },
    }
}

/// Switches this core's controller on. `registers` is the address where its page is mapped. After
/// `percore::initialise`.
pub fn initialise(registers: u64, features: &Features) {
    const ENABLE: u64 = 1 << 11;
    const X2APIC: u64 = 1 << 10;
    // SAFETY: the register exists wherever there is a local APIC; x2APIC mode is chosen only where CPUID offers it.
    unsafe {
        let base = cpu::read_msr(msr::APIC_BASE) | ENABLE;
        cpu::write_msr(msr::APIC_BASE, base | if features.x2apic { X2APIC } else { 0 });
    }
    REGISTERS.store(if features.x2apic { 0 } else { registers }, Relaxed);
    TSC_DEADLINE.store(features.tsc_deadline, Relaxed);
    let id = if features.x2apic { read(ID) } else { read(ID) >> 24 };
    percore::current().apic_id.set(id);
    write(TASK_PRIORITY, 0);
    for local in [LINT0, LINT1, ERROR] {
        write(local, MASKED);
    }
    set_timer_mode();
    write(DIVIDE, DIVIDE_BY_1);
    write(INITIAL_COUNT, 0);
    write(SPURIOUS, 1 << 8 | entry::SPURIOUS_VECTOR as u32);
}

/// Sets the timer's vector and mode, unmasked.
fn set_timer_mode() {
    let mode = if TSC_DEADLINE.load(Relaxed) { TIMER_TSC_DEADLINE } else { 0 };
    write(TIMER, entry::TIMER_VECTOR as u32 | mode);
    // The mode must have arrived before a deadline is written (Intel SDM 3A, 11.5.4.1).
    // SAFETY: a fence has no effect but order.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) };
}

/// Lets the timer run freely, so that its speed can be measured.
pub fn start_measuring() {
    write(TIMER, entry::TIMER_VECTOR as u32 | MASKED);
    write(INITIAL_COUNT, u32::MAX);
}

/// Ticks since `start_measuring`.
pub fn measured() -> u32 {
    u32::MAX - read(CURRENT_COUNT)
}

/// Takes the measured speed into use: ticks in that many nanoseconds.
pub fn finish_measuring(ticks: u32, nanoseconds: u64) {
    write(INITIAL_COUNT, 0);
    set_timer_mode();
    let rate = (u128::from(ticks) << 32) / u128::from(nanoseconds.max(1));
    TICKS_PER_NS.store(rate as u64, Relaxed);
}

/// Raises the timer interrupt at `deadline`; `u64::MAX`: never.
pub fn set_timer(deadline: u64) {
    percore::current().deadline.set(deadline);
    arm(deadline);
}

fn arm(deadline: u64) {
    if TSC_DEADLINE.load(Relaxed) {
        let at = if deadline == u64::MAX { 0 } else { clock::counter_at(deadline).max(1) };
        // SAFETY: the register exists (CPUID), and the timer is in this mode.
        unsafe { cpu::write_msr(msr::TSC_DEADLINE, at) };
        return;
    }
    let count = if deadline == u64::MAX {
        0
    } else {
        let wait = deadline.saturating_sub(clock::now());
        let ticks = (u128::from(wait) * u128::from(TICKS_PER_NS.load(Relaxed))) >> 32;
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    };
    write(INITIAL_COUNT, count);
}

/// Whether the timer interrupt that came is the one that was asked for. One that came early (a far deadline, or rounding)
/// is armed again.
pub fn timer_is_due() -> bool {
    let deadline = percore::current().deadline.get();
    if clock::now() >= deadline {
        return true;
    }
    arm(deadline);
    false
}

/// The interrupt being handled is done.
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Whether any interrupt waits for this core.
pub fn interrupt_pending() -> bool {
    // Vectors from 32 on, 32 in each register.
    (1..8).any(|index| read(REQUESTED + index * 16) != 0)
}
