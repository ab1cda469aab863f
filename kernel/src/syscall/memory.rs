//! Untyped memory, frames and page tables.

use super::{Arguments, Done, Outcome, failed_to_map, give};
use crate::Kernel;
use crate::arch::Arch;
use crate::cap::slot;
use crate::mem::frame::MapError;
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
        self.retype(thread.number.get(), untyped, &what)?;
        Ok(Done::Plain)
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
        table.capability(self, first, ObjectType::Frame, Rights::NONE)?;
        let (space, _) = self.object::<AddressSpace>(thread, space, Rights::MANAGE)?;
        let (cache, count) = (how & 0xff, (how >> 8).max(1));
        if cache > 1 || count > MAX_RANGE || rights > 0xff {
            return Err(Error::InvalidArgument.into());
        }
        let mut address = address;
        for index in 0..count {
            let frame = table.capability(self, first + index, ObjectType::Frame, Rights::NONE);
            let mapped = frame.map_err(MapError::from).and_then(|frame| {
                self.map_frame(frame, space, address, Rights(rights as u8), cache == 1)?;
                Ok(frame.frame_bytes())
            });
            match mapped {
                Ok(bytes) => address += bytes,
                Err(error) if index == 0 => return Err(failed_to_map(thread, error)),
                Err(_) => return Ok(give(thread, &[index])),
            }
        }
        Ok(give(thread, &[count]))
    }

    /// FrameUnmap.
    pub(super) fn call_frame_unmap(&self, thread: &Thread<A>, [frame, ..]: Arguments) -> Outcome {
        let frame = self.capability(thread, frame, ObjectType::Frame, Rights::NONE)?;
        self.unmap_frame(frame)?;
        Ok(Done::Plain)
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
        let table = holder.capability(self, table, ObjectType::PageTable, Rights::NONE)?;
        let (space, _) = self.object::<AddressSpace>(thread, space, Rights::MANAGE)?;
        let level = u8::try_from(level).map_err(|_| Error::InvalidArgument)?;
        let mapped = self.map_table(table, space, address, level);
        mapped.map_err(|error| failed_to_map(thread, error))?;
        Ok(Done::Plain)
    }

    /// TableUnmap.
    pub(super) fn call_table_unmap(&self, thread: &Thread<A>, [table, ..]: Arguments) -> Outcome {
        let table = self.capability(thread, table, ObjectType::PageTable, Rights::NONE)?;
        self.unmap_table(table)?;
        Ok(Done::Plain)
    }
}
