//! Untyped memory, frames and page tables.

use super::{Arguments, Done, Outcome, done, failed_to_map, give};
use crate::Kernel;
use crate::arch::Arch;
use crate::cap::lookup::{TableArgument, check};
use crate::cap::slot;
use crate::mem::untyped::Retype;
use crate::object::space::AddressSpace;
use crate::object::thread::Thread;
use motte_abi::syscall::MAX_RANGE;
use motte_abi::{Error, ObjectType, Rights};

impl<A: Arch> Kernel<A> {
    /// Retype.
    pub(super) fn call_retype(
        &self,
        thread: &Thread<A>,
        [untyped, what, size, table, first, offset]: Arguments,
    ) -> Outcome {
        let untyped = self.capability(thread, untyped, ObjectType::Untyped, Rights::MANAGE)?;
        let kind = ObjectType::from_raw(what & 0xff).ok_or(Error::InvalidArgument)?;
        let table = self.table_argument(thread, table, Rights::MANAGE)?;
        let what = Retype { kind, count: what >> 8, size, table, first, offset };
        done(self.retype(thread.number.get(), untyped, &what))
    }

    /// UntypedInfo.
    pub(super) fn call_untyped_info(&self, thread: &Thread<A>, [untyped, ..]: Arguments) -> Outcome {
        let untyped = self.capability(thread, untyped, ObjectType::Untyped, Rights::NONE)?;
        let base = if untyped.has(slot::DEVICE) { untyped.object.get() } else { 0 };
        // What no capability is derived from any more counts as free, though it is taken back only when needed.
        let used = if untyped.has_children() { untyped.extra.get() } else { 0 };
        Ok(give(thread, &[base, untyped.badge.get(), used]))
    }

    /// FrameMap.
    pub(super) fn call_frame_map(
        &self,
        thread: &Thread<A>,
        [first, space, address, rights, how, table]: Arguments,
    ) -> Outcome {
        let table = self.table_argument(thread, table, Rights::MANAGE)?;
        let frame = check(table.slot(self, first)?, ObjectType::Frame, Rights::NONE)?;
        let (space, _) = self.object::<AddressSpace>(thread, space, Rights::MANAGE)?;
        if how > 1 && (how & 0xff > 1 || how >> 8 > MAX_RANGE) || rights > 0xff {
            return Err(Error::InvalidArgument.into());
        }
        let (rights, uncached, count) = (Rights(rights as u8), how & 1 != 0, how >> 8);
        let mapped = self.map_frame(frame, space, address, rights, uncached);
        mapped.map_err(|error| failed_to_map(thread, error))?;
        if count > 1 {
            let second = (table, first + 1, address + frame.frame_bytes());
            give(thread, &[1 + self.map_more(count - 1, second, space, rights, uncached)]);
        }
        Ok(Done::Plain)
    }

    /// Maps frames that follow each other in a table, from the slot and to the address given on; how many until one fails. Apart, so
    /// that one frame is mapped the sooner.
    #[inline(never)]
    fn map_more(
        &self,
        count: u64,
        (table, first, mut address): (TableArgument, u64, u64),
        space: &AddressSpace,
        rights: Rights,
        uncached: bool,
    ) -> u64 {
        for index in 0..count {
            let frame = table.slot(self, first + index).and_then(|slot| check(slot, ObjectType::Frame, Rights::NONE));
            let Ok(frame) = frame else { return index };
            if self.map_frame(frame, space, address, rights, uncached).is_err() {
                return index;
            }
            address += frame.frame_bytes();
        }
        count
    }

    /// FrameUnmap.
    pub(super) fn call_frame_unmap(&self, thread: &Thread<A>, [frame, ..]: Arguments) -> Outcome {
        let frame = self.capability(thread, frame, ObjectType::Frame, Rights::NONE)?;
        done(self.unmap_frame(frame))
    }

    /// FrameInfo.
    pub(super) fn call_frame_info(&self, thread: &Thread<A>, [frame, ..]: Arguments) -> Outcome {
        let frame = self.capability(thread, frame, ObjectType::Frame, Rights::MANAGE)?;
        let address = self.frame_mapping(frame).map_or(0, |(_, address)| address);
        Ok(give(thread, &[frame.object.get(), frame.frame_bytes(), address]))
    }

    /// TableMap.
    pub(super) fn call_table_map(
        &self,
        thread: &Thread<A>,
        [table, space, address, level, holder, _]: Arguments,
    ) -> Outcome {
        let holder = self.table_argument(thread, holder, Rights::MANAGE)?;
        let table = check(holder.slot(self, table)?, ObjectType::PageTable, Rights::NONE)?;
        let (space, _) = self.object::<AddressSpace>(thread, space, Rights::MANAGE)?;
        let level = u8::try_from(level).map_err(|_| Error::InvalidArgument)?;
        let mapped = self.map_table(table, space, address, level);
        done(mapped.map_err(|error| failed_to_map(thread, error)))
    }

    /// TableUnmap.
    pub(super) fn call_table_unmap(&self, thread: &Thread<A>, [table, ..]: Arguments) -> Outcome {
        let table = self.capability(thread, table, ObjectType::PageTable, Rights::NONE)?;
        done(self.unmap_table(table))
    }
}
