//! The x86-64 machine: a PC with local APIC and I/O APIC, started by the PVH protocol.
//!
//! Each file does one thing; this one puts them together as [`Arch`]. Everything runs under the kernel lock with interrupts
//! off. Only the first core runs: state that belongs to a core is in [`percore`] nevertheless.
#![allow(unsafe_code)]

mod apic;
mod boot32;
mod clock;
mod context;
mod cpu;
mod early_memory;
mod entry;
mod fpu;
mod idt;
mod ioapic;
mod paging;
pub mod panic;
mod percore;
mod port;
pub mod start;
mod syscall;

use crate::Kernel;
use crate::arch::{Access, Arch, Entry};
use core::cell::UnsafeCell;

pub use context::UserContext;

/// The x86-64 machine.
pub struct X86;

/// The kernel's state, behind the kernel lock.
struct Global(UnsafeCell<Kernel<X86>>);

// SAFETY: reached only by `kernel`, on the one core that runs.
unsafe impl Sync for Global {}

static KERNEL: Global = Global(UnsafeCell::new(Kernel::new()));

/// The kernel's state. With one core, being in the kernel with interrupts off is holding the lock.
#[inline(always)]
fn kernel() -> &'static Kernel<X86> {
    // SAFETY: only shared references are ever made.
    unsafe { &*KERNEL.0.get() }
}

impl Arch for X86 {
    type Context = UserContext;
    type Core = percore::PerCore;

    const DIRECT_MAP: u64 = paging::DIRECT_MAP;
    const PATIENCE: u32 = 8;
    const VECTORS: usize = entry::DEVICE_VECTOR_END - entry::DEVICE_VECTOR;

    fn now() -> u64 {
        clock::now()
    }

    fn counter() -> u64 {
        cpu::counter()
    }

    fn set_timer(deadline: u64) {
        apic::set_timer(deadline);
    }

    fn interrupt_pending() -> bool {
        apic::interrupt_pending()
    }

    fn switch(to: &UserContext) {
        percore::switch_bases(to);
        fpu::switch(to);
    }

    fn retire(context: &UserContext) {
        percore::forget(context);
        fpu::forget(context);
    }

    fn activate(root: u64) {
        paging::activate(percore::current(), root);
    }

    fn retire_root(root: u64) {
        paging::leave(root);
    }

    fn prepare_root(root: u64) {
        paging::prepare_root(root);
    }

    fn flush_page(root: u64, address: u64) {
        paging::flush_page(root, address);
    }

    fn flush_space(root: u64) {
        paging::flush_space(root);
    }

    fn table_entry(physical: u64) -> u64 {
        paging::table_entry(physical)
    }

    fn page_entry(physical: u64, large: bool, access: Access) -> u64 {
        paging::page_entry(physical, large, access)
    }

    fn decode_entry(entry: u64, level: u8) -> Option<Entry> {
        paging::decode_entry(entry, level)
    }

    fn connect_line(line: u64, vector: usize, level_triggered: bool, active_low: bool) -> bool {
        ioapic::connect(line, vector, level_triggered, active_low, percore::current().apic_id.get())
    }

    fn mask_line(line: u64, masked: bool) {
        ioapic::mask(line, masked);
    }

    fn message_for(vector: usize) -> Option<(u64, u64)> {
        let apic_id = u64::from(percore::current().apic_id.get());
        Some((0xfee0_0000 | apic_id << 12, (entry::DEVICE_VECTOR + vector) as u64))
    }

    fn port_in(port: u16, width: u8) -> u32 {
        port::read(port, width)
    }

    fn port_out(port: u16, width: u8, value: u32) {
        port::write(port, width, value);
    }

    #[inline(always)]
    fn now_known(mut value: u64) -> u64 {
        // SAFETY: nothing is done.
        unsafe { core::arch::asm!("/* {} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    #[inline(always)]
    fn copy_words(from: u64, to: u64, count: usize) {
        paging::copy_words(from, to, count);
    }

    #[inline(always)]
    fn zero(physical: u64, bytes: u64) {
        // SAFETY: the kernel names RAM in which nothing lies; the direction flag is clear here.
        unsafe {
            core::arch::asm!("rep stosq", inout("rcx") bytes / 8 => _, inout("rdi") Self::DIRECT_MAP + physical => _,
                             in("rax") 0, options(nostack, preserves_flags));
        }
    }

    fn debug_write(bytes: &[u8]) {
        port::debug_write(bytes);
    }
}
