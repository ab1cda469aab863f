//! Page tables: entries, the kernel's own tables, and what is held in the processor.
//!
//! The kernel's half of every root table is the same: the direct map of memory, and in the last 2 GiB the kernel image
//! (text executable, read-only data read-only, the rest neither), interrupt controllers, and stacks with an unmapped page
//! below each. No page is writable and executable.

use super::cpu::{self, Features};
use super::early_memory::EarlyMemory;
use super::percore::{self, PerCore};
use crate::arch::{Access, Entry};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use motte_boot::Range;

/// Where physical memory is mapped.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// Added to a physical address within the kernel image.
pub const KERNEL_OFFSET: u64 = 0xffff_ffff_8000_0000;
/// Where registers of interrupt controllers are mapped.
const DEVICES: u64 = 0xffff_ffff_c000_0000;
/// Where stacks are mapped.
const STACKS: u64 = 0xffff_ffff_d000_0000;

const PAGE: u64 = 4096;
const PAGE_2M: u64 = 2 << 20;
const PAGE_1G: u64 = 1 << 30;
/// What an entry of a root table covers.
const PAGE_512G: u64 = 1 << 39;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The kernel's own root table.
static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);

/// Entries of a root table.
const ENTRIES: usize = 512;
/// The first entry of the direct map.
const DIRECT_ENTRY: usize = 256;
/// The last entry: of everything else.
const LAST_ENTRY: usize = ENTRIES - 1;
/// The entry behind the direct map's last.
static DIRECT_END: AtomicUsize = AtomicUsize::new(DIRECT_ENTRY);

/// The entry that names a lower table, for user space.
pub fn table_entry(physical: u64) -> u64 {
    physical | PRESENT | WRITE | USER | ACCESSED
}

/// The entry that maps a page for user space.
pub fn page_entry(physical: u64, large: bool, access: Access) -> u64 {
    let mut entry = physical | PRESENT | USER | ACCESSED;
    if access.write {
        entry |= WRITE | DIRTY;
    }
    if !access.execute {
        entry |= cpu::no_execute();
    }
    if access.uncached {
        entry |= UNCACHED;
    }
    if large {
        entry |= LARGE;
    }
    entry
}

/// What an entry of a table of this level names.
pub fn decode_entry(entry: u64, level: u8) -> Option<Entry> {
    if entry & PRESENT == 0 {
        return None;
    }
    Some(match level {
        1 => Entry::Page(entry & ADDRESS),
        2 | 3 if entry & LARGE != 0 => Entry::Page(entry & ADDRESS & !(PAGE_2M - 1)),
        _ => Entry::Table(entry & ADDRESS),
    })
}

/// Fills the kernel's half of a zeroed root table.
pub fn prepare_root(root: u64) {
    let (from, to) = (table(KERNEL_ROOT.load(Relaxed)), table(root));
    for index in (DIRECT_ENTRY..DIRECT_END.load(Relaxed)).chain([LAST_ENTRY]) {
        // SAFETY: both are root tables in the direct map, 512 entries each; the kernel's does not change any more, the
        // other one is the caller's.
        unsafe { to.add(index).write(from.add(index).read()) };
    }
}

/// Uses the tables with this root on this core.
#[inline(always)]
pub fn activate(core: &PerCore, root: u64) {
    if core.root.get() != root {
        core.root.set(root);
        load_root(root);
    }
}

/// Uses the kernel's own tables if this core uses those with this root, which are about to go.
pub fn leave(root: u64) {
    let core = percore::current();
    if core.root.get() == root {
        activate(core, KERNEL_ROOT.load(Relaxed));
    }
}

#[inline(always)]
fn load_root(root: u64) {
    // SAFETY: every root maps the kernel the same way (`prepare_root`), so it goes on as before.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Forgets what the processor remembers of one page, if it remembers anything of that space: other spaces' entries went
/// when theirs were left.
pub fn flush_page(root: u64, address: u64) {
    if percore::current().root.get() == root {
        // SAFETY: only drops a cached translation.
        unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
    }
}

/// The same for the whole space.
pub fn flush_space(root: u64) {
    if percore::current().root.get() == root {
        load_root(root);
    }
}

/// Copies words of RAM, at physical addresses. Ordinary moves for a few; for many the processor's own copying, which takes a while to
/// begin and is then faster.
#[inline(always)]
pub fn copy_words(from: u64, to: u64, count: usize) {
    const MANY: usize = 32;
    let (from, to) = ((DIRECT_MAP + from) as *const u64, (DIRECT_MAP + to) as *mut u64);
    if count < MANY {
        for index in 0..count {
            // SAFETY: the caller names RAM inside frames; volatile, because user space may write it at the same time.
            unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
        }
    } else {
        // SAFETY: the same; the direction flag is clear in the kernel.
        unsafe {
            asm!("rep movsq", inout("rcx") count => _, inout("rsi") from => _, inout("rdi") to => _,
                 options(nostack, preserves_flags));
        }
    }
}

fn table(physical: u64) -> *mut u64 {
    (DIRECT_MAP + physical) as *mut u64
}

unsafe extern "C" {
    static kernel_start: u8;
    static kernel_rodata: u8;
    static kernel_data: u8;
    static kernel_end: u8;
    static boot_stack: u8;
    static boot_stack_top: u8;
}

/// The kernel image, physical.
pub fn kernel_image() -> Range {
    Range::new((&raw const kernel_start) as u64 - KERNEL_OFFSET, (&raw const kernel_end) as u64 - KERNEL_OFFSET)
}

/// The kernel's machine code, as addresses.
pub fn kernel_text() -> Range {
    Range::new((&raw const kernel_start) as u64, (&raw const kernel_rodata) as u64)
}

/// The kernel's tables while they are being made.
pub struct KernelTables<'m> {
    root: u64,
    memory: &'m mut EarlyMemory,
    huge_pages: bool,
    stack_pages: u64,
    device_pages: u64,
}

impl<'m> KernelTables<'m> {
    /// Tables with the kernel image in them, and every table of the upper half's root that will ever be needed.
    pub fn new(memory: &'m mut EarlyMemory, features: &Features) -> Self {
        let root = memory.page();
        let huge_pages = features.huge_pages;
        let mut tables = Self { root, memory, huge_pages, stack_pages: 0, device_pages: 0 };
        let (text, rodata) = ((&raw const kernel_start) as u64, (&raw const kernel_rodata) as u64);
        let (data, end) = ((&raw const kernel_data) as u64, (&raw const kernel_end) as u64);
        let no_execute = cpu::no_execute();
        for (from, to, flags) in
            [(text, rodata, 0), (rodata, data, no_execute), (data, end, no_execute | WRITE | DIRTY)]
        {
            for address in (from..to).step_by(PAGE as usize) {
                tables.map(address, address - KERNEL_OFFSET, PAGE, flags);
            }
        }
        tables
    }

    /// Maps one page (4 KiB, 2 MiB, 1 GiB) for the kernel.
    fn map(&mut self, address: u64, physical: u64, size: u64, flags: u64) {
        let mut entries = table(self.root);
        let mut shift = 39;
        loop {
            // SAFETY: `entries` is a table that this structure made, in the direct map; the index is below 512.
            let entry = unsafe { &mut *entries.add((address >> shift & 511) as usize) };
            if size == 1 << shift {
                let large = if size == PAGE { 0 } else { LARGE };
                *entry = physical | flags | large | PRESENT | ACCESSED | GLOBAL;
                return;
            }
            if *entry & PRESENT == 0 {
                *entry = self.memory.page() | PRESENT | WRITE | ACCESSED;
            }
            assert!(*entry & LARGE == 0 || shift == 39, "{address:#x} is mapped by a large page");
            entries = table(*entry & ADDRESS);
            shift -= 9;
        }
    }

    /// Maps whole 2 MiB blocks (1 GiB where possible) of physical memory into the direct map. The ranges of all calls ascend,
    /// and are aligned to 2 MiB.
    pub fn map_direct(&mut self, range: Range) {
        let flags = WRITE | DIRTY | cpu::no_execute();
        let mut at = range.start;
        while at < range.end {
            let huge = self.huge_pages && at.is_multiple_of(PAGE_1G) && range.end - at >= PAGE_1G;
            let size = if huge { PAGE_1G } else { PAGE_2M };
            self.map(DIRECT_MAP + at, at, size, flags);
            at += size;
        }
        DIRECT_END.fetch_max(DIRECT_ENTRY + range.end.div_ceil(PAGE_512G) as usize, Relaxed);
    }

    /// Maps a page of registers, uncached; its address.
    pub fn map_device(&mut self, physical: u64) -> u64 {
        let address = DEVICES + self.device_pages * PAGE;
        self.device_pages += 1;
        self.map(address, physical & !(PAGE - 1), PAGE, WRITE | DIRTY | UNCACHED | cpu::no_execute());
        address + physical % PAGE
    }

    /// Makes a stack of that many pages above an unmapped one; the address above it.
    pub fn map_stack(&mut self, pages: u64) -> u64 {
        self.stack_pages += 1;
        for _ in 0..pages {
            let physical = self.memory.page();
            let address = STACKS + self.stack_pages * PAGE;
            self.map(address, physical, PAGE, WRITE | DIRTY | cpu::no_execute());
            self.stack_pages += 1;
        }
        STACKS + self.stack_pages * PAGE
    }

    /// Uses the tables from now on. More can be mapped afterwards.
    pub fn load(&self) {
        KERNEL_ROOT.store(self.root, Relaxed);
        load_root(self.root);
    }
}

/// Whether an address can lie on a kernel stack.
pub fn is_stack(address: u64) -> bool {
    (STACKS..STACKS + (1 << 24)).contains(&address)
}

/// Whether an address can lie on the stack that the kernel boots on.
pub fn is_boot_stack(address: u64) -> bool {
    ((&raw const boot_stack) as u64..(&raw const boot_stack_top) as u64).contains(&address)
}
