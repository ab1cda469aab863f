//! The start: what the machine tells the kernel, and how `init` comes to be.

use crate::Kernel;
use crate::arch::Arch;
use motte_abi::clock::ClockPage;
use motte_boot::{Range, RangeSet};

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

/// Set the kernel log and trace rings aside from `ram`, before anything worth logging happens. Needs the direct map.
pub fn early<A: Arch>(kernel: &Kernel<A>, ram: &mut RangeSet, cores: usize) -> Result<(), BootError> {
    let _ = (kernel, ram, cores);
    Ok(())
}

/// Create init, ready to run on core 0, and give it all that is left. Once, after [`early`].
pub fn start_init<A: Arch>(kernel: &Kernel<A>, parameters: &Parameters<'_>) -> Result<(), BootError> {
    let _ = (kernel, parameters);
    Ok(())
}
