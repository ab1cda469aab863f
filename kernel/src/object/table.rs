//! A flat table of capabilities. Its slot 0, which no index may name, holds the table's own header.

use super::Header;
use crate::cap::slot::Slot;
use crate::memory::{Lock, address_of, view_in_row};
use core::cell::Cell;

/// The first 64 bytes of a table.
#[repr(C, align(64))]
pub struct CapTable {
    header: Header,
    /// Slots, the header's place included.
    pub slots: Cell<u64>,
    /// While it is destroyed: the next slot to empty.
    pub cursor: Cell<u64>,
}

impl CapTable {
    /// The slot with this index: `None` for 0 and beyond the end.
    #[inline(always)]
    pub fn slot<'k>(&self, held: &'k Lock, index: u64) -> Option<&'k Slot> {
        slot_at(held, address_of(self), self.slots.get(), index)
    }
}

/// The slot `index` of a table known by address and length, where 0 gives the table's header in the guise of a slot: one that serves
/// for nothing (`cap::slot::Slot::serves`), because its byte there is zero.
#[inline(always)]
pub(crate) fn slot_or_header(held: &Lock, base: u64, slots: u64, index: u64) -> Option<&Slot> {
    if index >= slots { None } else { Some(view_in_row(held, base, index as usize)) }
}

/// The slot `index` of a table known by address and length.
#[inline(always)]
pub(crate) fn slot_at(held: &Lock, base: u64, slots: u64, index: u64) -> Option<&Slot> {
    if index == 0 || index >= slots { None } else { Some(view_in_row(held, base, index as usize)) }
}
