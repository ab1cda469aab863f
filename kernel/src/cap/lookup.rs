//! From a capability index to a slot and its object: one bounds check, then type and rights.

use super::slot::Slot;
use crate::Kernel;
use crate::arch::Arch;
use crate::memory::{Plain, row, view};
use crate::object::Object;
use crate::object::table::{CapTable, slot_at};
use crate::object::thread::Thread;
use motte_abi::{Error, ObjectType, Rights};

/// A capability table as an argument: the caller's own, or one that it names.
#[derive(Clone, Copy)]
pub(crate) struct TableArgument {
    base: u64,
    slots: u64,
}

impl TableArgument {
    /// The slot with this index, empty or not.
    pub(crate) fn slot<A: Arch>(self, kernel: &Kernel<A>, index: u64) -> Result<&Slot, Error> {
        slot_at(kernel, self.base, self.slots, index).ok_or(Error::InvalidCapability)
    }

    /// Slots that follow each other from this index on, empty or not.
    pub(crate) fn slots<A: Arch>(self, kernel: &Kernel<A>, first: u64, count: u64) -> Result<&[Slot], Error> {
        if first == 0 || first >= self.slots || count > self.slots - first {
            return Err(Error::InvalidCapability);
        }
        Ok(row(kernel, self.base, first as usize, count as usize))
    }
}

/// The slot, if it holds a capability of this type with at least these rights.
#[inline(always)]
pub(crate) fn check(slot: &Slot, kind: ObjectType, rights: Rights) -> Result<&Slot, Error> {
    if slot.kind() != kind {
        return Err(if slot.is_empty() { Error::InvalidCapability } else { Error::WrongType });
    }
    if !slot.rights().contains(rights) {
        return Err(Error::MissingRight);
    }
    Ok(slot)
}

impl<A: Arch> Kernel<A> {
    /// The slot with this index in the thread's own table, empty or not.
    #[inline(always)]
    pub(crate) fn slot_of(&self, thread: &Thread<A>, index: u64) -> Result<&Slot, Error> {
        slot_at(self, thread.table.get(), thread.table_slots.get(), index).ok_or(Error::InvalidCapability)
    }

    /// The thread's capability of this type with at least these rights.
    #[inline(always)]
    pub(crate) fn capability(
        &self,
        thread: &Thread<A>,
        index: u64,
        kind: ObjectType,
        rights: Rights,
    ) -> Result<&Slot, Error> {
        check(self.slot_of(thread, index)?, kind, rights)
    }

    /// The object that a slot names, if it is of that type.
    #[inline(always)]
    pub(crate) fn object_in<'k, T: Object + Plain>(&'k self, slot: &Slot) -> Option<&'k T> {
        (slot.kind() == T::KIND).then(|| view(self, slot.object.get()))
    }

    /// The thread's capability to an object of type `T`, and the object.
    #[inline(always)]
    pub(crate) fn object<'k, T: Object + Plain>(
        &'k self,
        thread: &Thread<A>,
        index: u64,
        rights: Rights,
    ) -> Result<(&'k T, &'k Slot), Error> {
        let slot = self.capability(thread, index, T::KIND, rights)?;
        Ok((view(self, slot.object.get()), slot))
    }

    /// As `object`, but index 0 stands for none.
    pub(crate) fn optional_object<'k, T: Object + Plain>(
        &'k self,
        thread: &Thread<A>,
        index: u64,
        rights: Rights,
    ) -> Result<Option<(&'k T, &'k Slot)>, Error> {
        if index == 0 { Ok(None) } else { self.object(thread, index, rights).map(Some) }
    }

    /// The table that an argument names: 0 is the caller's own.
    pub(crate) fn table_argument(
        &self,
        thread: &Thread<A>,
        index: u64,
        rights: Rights,
    ) -> Result<TableArgument, Error> {
        if index == 0 {
            return Ok(TableArgument { base: thread.table.get(), slots: thread.table_slots.get() });
        }
        let (table, slot) = self.object::<CapTable>(thread, index, rights)?;
        Ok(TableArgument { base: slot.object.get(), slots: table.slots.get() })
    }
}
