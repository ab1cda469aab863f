//! Capabilities: slots, their derivation, and what copying, moving, deleting and revoking them does.

pub mod derive;
pub mod destroy;
pub mod lookup;
pub mod slot;

use crate::Kernel;
use crate::arch::Arch;
use crate::memory::view;
use crate::object::{Header, is_counted};
use motte_abi::{Error, ObjectType, Rights};
use slot::Slot;

/// Copies `source` into the empty slot `target` as its child, with at most `rights` and, if given, a badge.
pub(crate) fn copy<A: Arch>(
    kernel: &Kernel<A>,
    source: &Slot,
    target: &Slot,
    rights: Rights,
    badge: Option<u64>,
) -> Result<(), Error> {
    if !target.is_empty() {
        return Err(Error::SlotOccupied);
    }
    match source.kind() {
        ObjectType::Null => return Err(Error::InvalidCapability),
        // Their slot is where their state is kept, so there is one of each.
        ObjectType::Untyped | ObjectType::PageTable => return Err(Error::WrongType),
        _ => {}
    }
    if badge.is_some() {
        if !matches!(source.kind(), ObjectType::Endpoint | ObjectType::Notification) {
            return Err(Error::WrongType);
        }
        if source.badge.get() != 0 {
            return Err(Error::InvalidArgument);
        }
    }
    target.fill_from(source, rights);
    if let Some(badge) = badge {
        target.badge.set(badge);
    }
    if is_counted(source.kind()) {
        let header: &Header = view(kernel, source.object.get());
        header.caps.set(header.caps.get() + 1);
    }
    derive::insert_child(kernel, source, target);
    Ok(())
}

/// Moves `source` into the empty slot `target`.
pub(crate) fn relocate<A: Arch>(kernel: &Kernel<A>, source: &Slot, target: &Slot) -> Result<(), Error> {
    if source.is_empty() {
        return Err(Error::InvalidCapability);
    }
    if !target.is_empty() {
        return Err(Error::SlotOccupied);
    }
    target.fill_moved(source);
    derive::replace(kernel, source, target);
    source.empty();
    Ok(())
}

/// Fills the empty slot `target` with the first capability to something: a child of `parent`, or a root.
pub(crate) fn create<A: Arch>(
    kernel: &Kernel<A>,
    target: &Slot,
    parent: Option<&Slot>,
    what: (ObjectType, u8),
    object: u64,
    badge: u64,
) {
    target.fill(what.0, Rights::ALL, what.1, object, badge);
    if is_counted(what.0) {
        let header: &Header = view(kernel, object);
        header.caps.set(header.caps.get() + 1);
    }
    match parent {
        Some(parent) => derive::insert_child(kernel, parent, target),
        None => derive::make_root(target),
    }
}
