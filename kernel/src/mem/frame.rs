//! Mapping frames and page tables.
//!
//! A capability remembers its one mapping: the space's id and the address. A mapping is live if that space still exists and
//! the entry there still names this frame or table; otherwise the memory of it is stale, and it counts as unmapped.
//! A table taken out of a space is emptied, and so is one whose place was lost with a table above it before it is used again:
//! entries never outlive what their frames' capabilities know.

use super::space::{clear_entry, find_entry, span};
use crate::Kernel;
use crate::arch::{Access, Arch, Entry};
use crate::cap::slot::{DEVICE, LARGE, Slot};
use crate::memory::{read_word, write_word};
use crate::object::space::AddressSpace;
use motte_abi::{Error, Rights, USER_END};

/// Why something could not be mapped.
pub(crate) enum MapError {
    /// As the call's status.
    Error(Error),
    /// The page table of this level is missing.
    Missing(u8),
}

impl From<Error> for MapError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Level of the table that maps a frame.
fn frame_level(frame: &Slot) -> u8 {
    if frame.has(LARGE) { 2 } else { 1 }
}

impl<A: Arch> Kernel<A> {
    /// Where this frame's capability has it mapped: the root table and the address.
    pub(crate) fn frame_mapping(&self, frame: &Slot) -> Option<(u64, u64)> {
        let root = self.spaces.root(frame.badge.get())?;
        let address = frame.extra.get();
        let level = frame_level(frame);
        let place = find_entry::<A>(root, address, level).ok()?;
        let entry = A::decode_entry(read_word::<A>(place), level)?;
        (entry == Entry::Page(frame.object.get())).then_some((root, address))
    }

    /// Maps a frame.
    #[inline(always)]
    pub(crate) fn map_frame(
        &self,
        frame: &Slot,
        space: &AddressSpace,
        address: u64,
        rights: Rights,
        uncached: bool,
    ) -> Result<(), MapError> {
        let bytes = frame.frame_bytes();
        if !address.is_multiple_of(bytes) {
            return Err(Error::Misaligned.into());
        }
        if address > USER_END - bytes {
            return Err(Error::InvalidArgument.into());
        }
        if !frame.rights().contains(rights) {
            return Err(Error::MissingRight.into());
        }
        let access = Access {
            write: rights.contains(Rights::WRITE),
            execute: rights.contains(Rights::EXECUTE),
            uncached: uncached || frame.has(DEVICE),
        };
        if !rights.contains(Rights::READ) || access.write && access.execute {
            return Err(Error::InvalidArgument.into());
        }
        if frame.badge.get() != 0 && self.frame_mapping(frame).is_some() {
            return Err(Error::AlreadyMapped.into());
        }
        let place = find_entry::<A>(space.root.get(), address, frame_level(frame)).map_err(MapError::Missing)?;
        if read_word::<A>(place) != 0 {
            return Err(Error::AlreadyMapped.into());
        }
        write_word::<A>(place, A::page_entry(frame.object.get(), frame.has(LARGE), access));
        frame.badge.set(space.id.get());
        frame.extra.set(address);
        Ok(())
    }

    /// Takes a frame's mapping away.
    pub(crate) fn unmap_frame(&self, frame: &Slot) -> Result<(), Error> {
        let id = frame.badge.replace(0);
        let address = frame.extra.replace(0);
        let root = self.spaces.root(id).ok_or(Error::NotMapped)?;
        let expected = Entry::Page(frame.object.get());
        if !clear_entry::<A>(root, address, frame_level(frame), expected) {
            return Err(Error::NotMapped);
        }
        A::flush_page(root, address);
        Ok(())
    }

    /// Puts a page table into its place: the entry for `address` in the table one level up.
    pub(crate) fn map_table(
        &self,
        table: &Slot,
        space: &AddressSpace,
        address: u64,
        level: u8,
    ) -> Result<(), MapError> {
        if level == 0 || level >= A::LEVELS || address >= USER_END {
            return Err(Error::InvalidArgument.into());
        }
        let address = address - address % span(level + 1);
        if table.badge.get() != 0 {
            if self.table_mapping(table).is_some() {
                return Err(Error::AlreadyMapped.into());
            }
            // It lost its place with a table or space above it; what it maps is no longer anybody's.
            A::zero(table.object.get(), 4096);
            table.badge.set(0);
        }
        let place = find_entry::<A>(space.root.get(), address, level + 1).map_err(MapError::Missing)?;
        if read_word::<A>(place) != 0 {
            return Err(Error::AlreadyMapped.into());
        }
        write_word::<A>(place, A::table_entry(table.object.get()));
        table.badge.set(space.id.get());
        table.extra.set(address | u64::from(level));
        Ok(())
    }

    /// Where a page table is in place: the root table.
    fn table_mapping(&self, table: &Slot) -> Option<u64> {
        let root = self.spaces.root(table.badge.get())?;
        let (address, level) = table_place(table);
        let place = find_entry::<A>(root, address, level + 1).ok()?;
        let entry = A::decode_entry(read_word::<A>(place), level + 1)?;
        (entry == Entry::Table(table.object.get())).then_some(root)
    }

    /// Takes a page table out of its place and empties it.
    pub(crate) fn unmap_table(&self, table: &Slot) -> Result<(), Error> {
        self.detach_table(table)?;
        A::zero(table.object.get(), 4096);
        table.badge.set(0);
        table.extra.set(0);
        Ok(())
    }

    /// Takes a page table out of its place. It is not to be mapped again before it is emptied.
    pub(crate) fn detach_table(&self, table: &Slot) -> Result<(), Error> {
        let root = self.table_mapping(table).ok_or(Error::NotMapped)?;
        let (address, level) = table_place(table);
        clear_entry::<A>(root, address, level + 1, Entry::Table(table.object.get()));
        A::flush_space(root);
        Ok(())
    }
}

/// The address and level that a page table's capability remembers.
fn table_place(table: &Slot) -> (u64, u8) {
    (table.extra.get() & !0xfff, (table.extra.get() & 0xf) as u8)
}
