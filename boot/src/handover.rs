//! What every boot protocol tells the kernel, in one form.

use crate::ranges::{Range, RangeSet};

/// The machine as the boot loader left it. Addresses are physical.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    /// RAM that nothing but the loaded files occupies, in whole pages.
    pub ram: RangeSet,
    /// Memory of the firmware that is RAM but not free (ACPI tables and the like), in whole pages.
    pub firmware: RangeSet,
    /// The boot image, if the loader brought one.
    pub image: Option<Range>,
    /// The kernel's command line, without its final zero.
    pub command_line: Option<Range>,
    /// The ACPI root pointer, or 0.
    pub acpi_root: u64,
}
