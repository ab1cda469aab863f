//! The processor: what it offers, its control registers and model-specific registers.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What of the optional features the kernel uses. Read once, on the first core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Pages can be made non-executable.
    pub nx: bool,
    /// 1 GiB pages.
    pub huge_pages: bool,
    /// The kernel cannot execute user pages.
    pub smep: bool,
    /// The kernel cannot touch user pages.
    pub smap: bool,
    /// User space cannot read the descriptor-table registers.
    pub umip: bool,
    /// FS and GS base have instructions.
    pub fsgsbase: bool,
    /// XSAVE.
    pub xsave: bool,
    /// State components that XSAVE manages here, as XCR0 will hold them.
    pub xsave_mask: u64,
    /// The local APIC as model-specific registers.
    pub x2apic: bool,
    /// The timer takes a time-stamp counter value.
    pub tsc_deadline: bool,
    /// Ticks per second of the time-stamp counter, where the processor says so.
    pub tsc_frequency: Option<u64>,
    /// Bits of a physical address.
    pub physical_bits: u32,
}

/// Components that are asked for: x87, SSE, AVX, and the three of AVX-512. All fit into a thread's page.
const XSAVE_WANTED: u64 = 0b1110_0111;

impl Features {
    /// Asks the processor.
    pub fn detect() -> Self {
        let max = __cpuid(0).eax;
        let (basic, extended_max) = (__cpuid(1), __cpuid(0x8000_0000).eax);
        let seven = if max >= 7 { __cpuid_count(7, 0) } else { __cpuid(0x8000_0000) };
        let (seven_b, seven_c) = if max >= 7 { (seven.ebx, seven.ecx) } else { (0, 0) };
        let extended_d = if extended_max >= 0x8000_0001 { __cpuid(0x8000_0001).edx } else { 0 };
        let bit = |word: u32, bit: u32| word >> bit & 1 != 0;
        let xsave = bit(basic.ecx, 26) && max >= 0xd;
        Self {
            nx: bit(extended_d, 20),
            huge_pages: bit(extended_d, 26),
            smep: bit(seven_b, 7),
            smap: bit(seven_b, 20),
            umip: bit(seven_c, 2),
            fsgsbase: bit(seven_b, 0),
            xsave,
            xsave_mask: if xsave { offered_components() } else { 0 },
            x2apic: bit(basic.ecx, 21),
            tsc_deadline: bit(basic.ecx, 24),
            tsc_frequency: tsc_frequency(max, bit(basic.ecx, 31)),
            physical_bits: if extended_max >= 0x8000_0008 { __cpuid(0x8000_0008).eax & 0xff } else { 36 },
        }
    }
}

/// The components of `XSAVE_WANTED` that exist. AVX-512 only as a whole.
fn offered_components() -> u64 {
    let leaf = __cpuid_count(0xd, 0);
    let offered = (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & XSAVE_WANTED;
    if offered & 0b1110_0100 == 0b1110_0100 { offered } else { offered & 0b111 }
}

/// The frequency of the time-stamp counter, from leaf 15h or a hypervisor's timing leaf.
fn tsc_frequency(max: u32, hypervisor: bool) -> Option<u64> {
    if hypervisor && __cpuid(0x4000_0000).eax >= 0x4000_0010 {
        let kilohertz = __cpuid(0x4000_0010).eax;
        if kilohertz != 0 {
            return Some(u64::from(kilohertz) * 1000);
        }
    }
    if max < 0x15 {
        return None;
    }
    let leaf = __cpuid(0x15);
    let (denominator, numerator, crystal) = (u64::from(leaf.eax), u64::from(leaf.ebx), u64::from(leaf.ecx));
    if denominator == 0 || numerator == 0 || crystal == 0 {
        return None;
    }
    Some(crystal * numerator / denominator)
}

/// Model-specific registers, by the names of the Intel SDM 4, 2.
pub mod msr {
    pub const EFER: u32 = 0xc000_0080;
    pub const STAR: u32 = 0xc000_0081;
    pub const LSTAR: u32 = 0xc000_0082;
    pub const SFMASK: u32 = 0xc000_0084;
    pub const FS_BASE: u32 = 0xc000_0100;
    pub const GS_BASE: u32 = 0xc000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub const APIC_BASE: u32 = 0x1b;
    pub const TSC_DEADLINE: u32 = 0x6e0;
}

/// Reads a model-specific register.
///
/// # Safety
/// The processor must have the register.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the register exists (the caller's promise); reading one has no effect on memory.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor must have the register, and the value must be one under which the kernel goes on.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

/// The time-stamp counter.
pub fn counter() -> u64 {
    // SAFETY: every 64-bit processor has it, and the kernel may always read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Bit of CR0: the next use of the floating-point unit raises an exception.
const CR0_TS: u64 = 1 << 3;

/// Lets the floating-point unit be used, or not.
pub fn set_fpu_usable(usable: bool) {
    // SAFETY: CR0.TS only decides whether floating-point instructions trap; the kernel has none but those of `fpu`.
    unsafe {
        if usable {
            asm!("clts", options(nomem, nostack, preserves_flags));
        } else {
            let mut cr0: u64;
            asm!("mov {}, cr0", out(reg) cr0, options(nomem, nostack, preserves_flags));
            cr0 |= CR0_TS;
            asm!("mov cr0, {}", in(reg) cr0, options(nomem, nostack, preserves_flags));
        }
    }
}

/// What `page_entry` sets to forbid execution: bit 63, or nothing where the processor has no such bit.
static NO_EXECUTE: AtomicU64 = AtomicU64::new(0);

/// The page-table bit that forbids execution, where there is one.
pub fn no_execute() -> u64 {
    NO_EXECUTE.load(Relaxed)
}

/// Sets the control registers of this core for the kernel: protection features, floating-point unit, system registers.
pub fn configure(features: &Features) {
    const EFER_SYSCALL: u64 = 1;
    const EFER_NX: u64 = 1 << 11;
    // Monitor coprocessor, native errors, write protection, alignment check; no emulation.
    const CR0_SET: u64 = 1 << 1 | 1 << 5 | 1 << 16 | 1 << 18 | CR0_TS;
    const CR0_CLEAR: u64 = 1 << 2 | 1 << 29 | 1 << 30;
    // PAE, machine checks, global pages, FXSAVE, SIMD exceptions. Not TSD: programs read the counter.
    let mut cr4: u64 = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10;
    for (offered, bit) in
        [(features.umip, 11), (features.fsgsbase, 16), (features.xsave, 18), (features.smep, 20), (features.smap, 21)]
    {
        cr4 |= u64::from(offered) << bit;
    }
    // SAFETY: only features that CPUID offers are switched on; none changes what the kernel's code or data mean, and
    // the present page tables use no bit that becomes reserved.
    unsafe {
        let efer = read_msr(msr::EFER) | EFER_SYSCALL | if features.nx { EFER_NX } else { 0 };
        write_msr(msr::EFER, efer);
        let mut cr0: u64;
        asm!("mov {}, cr0", out(reg) cr0, options(nomem, nostack, preserves_flags));
        cr0 = (cr0 | CR0_SET) & !CR0_CLEAR;
        asm!("mov cr0, {}", in(reg) cr0, options(nostack, preserves_flags));
        asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags));
        if features.xsave {
            asm!("xsetbv", in("ecx") 0, in("eax") features.xsave_mask as u32,
                 in("edx") (features.xsave_mask >> 32) as u32, options(nomem, nostack, preserves_flags));
        }
    }
    NO_EXECUTE.store(u64::from(features.nx) << 63, Relaxed);
}

/// Halts for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off nothing ever happens on this core again.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
