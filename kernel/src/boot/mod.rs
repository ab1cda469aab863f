//! The start: what the machine tells the kernel, and how `init` comes to be.

mod elf;
mod init;

pub use init::start_init;

use crate::Kernel;
use crate::arch::Arch;
use motte_abi::PAGE_SIZE;
use motte_abi::clock::ClockPage;
use motte_boot::{Range, RangeSet};

const PAGE: u64 = PAGE_SIZE as u64;

/// What the machine found. Physical addresses.
pub struct Parameters<'a> {
    /// RAM that nothing occupies (neither kernel, boot image, command line nor firmware), in whole pages.
    pub ram: RangeSet,
    /// Address ranges that are not RAM and may be given to drivers (not the interrupt controllers), in whole pages.
    pub device: RangeSet,
    /// The boot image; page aligned start.
    pub image: Range,
    /// The kernel's command line (reached through the direct map or copied: the kernel copies it).
    pub command_line: &'a [u8],
    /// ACPI root pointer, or 0.
    pub acpi_root: u64,
    /// Processors that run.
    pub processors_online: usize,
    /// Processors that the machine has.
    pub processors_present: usize,
    /// Bytes of RAM in all.
    pub memory_total: u64,
    /// Bytes that the machine's part keeps: kernel image, early page tables, stacks.
    pub memory_kernel: u64,
    /// Contents of the clock page.
    pub clock: ClockPage,
}

/// Why init could not be started: a sentence for the panic.
pub type BootError = &'static str;

/// Memory set aside at boot, given out from one end to the other.
struct Reserve {
    start: u64,
    next: u64,
    end: u64,
}

impl Reserve {
    /// Takes `bytes` out of the largest range of `ram`.
    fn new(ram: &mut RangeSet, bytes: u64) -> Result<Self, BootError> {
        let largest = ram.as_slice().iter().copied().max_by_key(|range| range.len());
        let range = largest.filter(|range| range.len() >= bytes).ok_or("there is too little memory")?;
        let taken = Range::sized(range.start, bytes);
        ram.remove(taken).map_err(|_| "the memory map has too many ranges")?;
        Ok(Self { start: taken.start, next: taken.start, end: taken.end })
    }

    /// Bytes in all.
    fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Whole pages, zeroed. The physical address.
    fn pages<A: Arch>(&mut self, bytes: u64) -> Result<u64, BootError> {
        let bytes = bytes.next_multiple_of(PAGE);
        if self.end - self.next < bytes {
            return Err("too little memory was set aside for init");
        }
        let start = self.next;
        self.next += bytes;
        A::zero(start, bytes);
        Ok(start)
    }
}

/// Set the kernel log and trace rings aside from `ram`, before anything worth logging happens. Needs the direct map.
pub fn early<A: Arch>(kernel: &Kernel<A>, ram: &mut RangeSet, cores: usize) -> Result<(), BootError> {
    let ((_, log_bytes), (_, trace_bytes)) = (kernel.log.memory(), kernel.cores[0].trace.memory());
    let mut reserve = Reserve::new(ram, log_bytes + trace_bytes * cores as u64)?;
    kernel.log.attach(reserve.pages::<A>(log_bytes)?);
    for (index, core) in kernel.cores.iter().take(cores).enumerate() {
        core.trace.attach::<A>(reserve.pages::<A>(trace_bytes)?, index);
    }
    Ok(())
}
