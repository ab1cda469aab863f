//! I/O ports: an `IoPort` capability is a range of them.

use crate::Kernel;
use crate::arch::Arch;
use crate::cap::{self, slot::Slot};
use motte_abi::{Error, ObjectType};

/// The most ports.
const PORTS: u64 = 1 << 16;

impl<A: Arch> Kernel<A> {
    /// Puts a capability for `count` ports from `first` on into the empty slot `target`.
    pub(crate) fn create_port(&self, control: &Slot, target: &Slot, first: u64, count: u64) -> Result<(), Error> {
        if count == 0 || count > PORTS || first > PORTS - count {
            return Err(Error::InvalidArgument);
        }
        if !target.is_empty() {
            return Err(Error::SlotOccupied);
        }
        cap::create(self, target, Some(control), (ObjectType::IoPort, 0), first, count);
        Ok(())
    }
}

/// Checks an access of `width` bytes at `port` against a capability.
pub(crate) fn check(slot: &Slot, port: u64, width: u64) -> Result<(u16, u8), Error> {
    if !matches!(width, 1 | 2 | 4) {
        return Err(Error::InvalidArgument);
    }
    let first = slot.object.get();
    let end = first + slot.badge.get();
    if port < first || port.checked_add(width).is_none_or(|last| last > end) {
        return Err(Error::InvalidArgument);
    }
    Ok((port as u16, width as u8))
}
