//! An address space: its root page table and, in the page after it, its header.

use super::Header;
use core::cell::Cell;

/// The second page of an address space object; capabilities name this page. The first is the root table.
#[repr(C, align(4096))]
pub struct AddressSpace {
    header: Header,
    /// Physical address of the root table.
    pub root: Cell<u64>,
    /// Names this use of a place in the kernel's table of spaces; never comes again.
    pub id: Cell<u64>,
}
