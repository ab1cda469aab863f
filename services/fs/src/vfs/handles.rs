//! Open files: each client's handles, and the open-file descriptions behind them.
//!
//! Handles may share a description, and with it the position, as after `duplicate`. A description retains its node, so an open
//! file stays readable when its last name is gone.

use alloc::vec::Vec;

use super::{Location, Status, Vfs};
use crate::{
    error::{Error, Result},
    filesystem::{AttributeChange, DIRECTORY_END, DirectoryEntry, Kind, ReadAhead},
    memory::{Input, Output},
};

/// Positions in a listing from here on count what is mounted beside a directory's own names.
const BESIDE: u64 = u64::MAX - (1 << 16);

/// Open files of one client.
const MOST_HANDLES: usize = 1024;

/// Names an open file of one client.
pub type Handle = u32;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// For reading.
    pub const READ: Self = Self(1);
    /// For writing.
    pub const WRITE: Self = Self(1 << 1);
    /// Every write goes to the end; implies writing.
    pub const APPEND: Self = Self(1 << 2);
    /// Cut to nothing; needs writing.
    pub const TRUNCATE: Self = Self(1 << 3);
    /// Made when missing; needs writing.
    pub const CREATE: Self = Self(1 << 4);
    /// Must not be there yet; implies making it.
    pub const CREATE_NEW: Self = Self(1 << 5);
    /// Must be a directory.
    pub const DIRECTORY: Self = Self(1 << 6);
    /// A symbolic link at the end is an error.
    pub const NO_FOLLOW: Self = Self(1 << 7);
    const ALL: u32 = (1 << 8) - 1;

    /// Whether any of `other`'s flags is set.
    pub fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOr for OpenFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a seek counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The first byte.
    Start,
    /// The position.
    Current,
    /// The end.
    End,
}

pub(super) struct Description {
    pub location: Location,
    pub kind: Kind,
    pub flags: OpenFlags,
    pub position: u64,
    pub ahead: ReadAhead,
    pub holders: u32,
}

/// What a handle leads to.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub description: u32,
    /// Its place in kept memory.
    pub place: Option<u16>,
    /// The number of the request that made it.
    pub request: u64,
}

/// The handles of one client.
#[derive(Default)]
pub(super) struct Client {
    handles: Vec<Option<Held>>,
}

impl Client {
    /// A handle that leads nowhere yet.
    fn vacancy(&self) -> Result<Handle> {
        match self.handles.iter().position(Option::is_none) {
            Some(index) => Ok(index as Handle),
            None if self.handles.len() < MOST_HANDLES => Ok(self.handles.len() as Handle),
            None => Err(Error::OutOfMemory),
        }
    }

    /// Lets a handle lead to `held`; false if it leads to something, or there cannot be such a handle.
    pub(super) fn set(&mut self, handle: Handle, held: Held) -> bool {
        let index = handle as usize;
        if index >= MOST_HANDLES {
            return false;
        }
        if index == self.handles.len() {
            self.handles.push(Some(held));
            return true;
        }
        if self.handles.len() <= index {
            self.handles.resize(index + 1, None);
        }
        self.handles[index].replace(held).is_none()
    }

    /// The handle that this request made.
    fn made_by(&self, request: u64) -> Option<Handle> {
        let made = |held: &Option<Held>| held.is_some_and(|held| held.request == request);
        self.handles.iter().position(made).map(|index| index as Handle)
    }
}

impl Vfs {
    #[inline]
    fn description_number(&mut self, client: u64, handle: Handle) -> Result<u32> {
        let client = self.clients.get(client).ok_or(Error::BadHandle)?;
        let held = client.handles.get(handle as usize).copied().flatten().ok_or(Error::BadHandle)?;
        Ok(held.description)
    }

    /// Gives a client a handle for an open file.
    fn add_handle(&mut self, client: u64, description: u32) -> Result<Handle> {
        let handles = self.clients.get_or_add(client);
        let handle = handles.vacancy()?;
        let request = self.requests.number();
        let place = self.open_files.put_handle(client, handle, description, request);
        handles.set(handle, Held { description, place, request });
        Ok(handle)
    }

    /// The handle that the request which is repeated made, if it came so far.
    #[inline]
    fn already_made(&mut self, client: u64) -> Option<Handle> {
        let repeated = self.requests.repeated()?;
        self.clients.get(client)?.made_by(repeated.number)
    }

    /// Begins a request. If it repeats one that a restart interrupted, the open file that it is about goes back to where it was.
    #[inline]
    pub fn begin_request(&mut self, number: u64) {
        let Some((description, position)) = self.requests.begin(number).and_then(|repeated| repeated.position) else {
            return;
        };
        if let Some(Some(open)) = self.descriptions.get_mut(description as usize) {
            open.position = position;
            self.open_files.set_position(description, position);
        }
    }

    /// Whether the request in hand repeats one that a restart interrupted.
    pub fn is_repeated(&self) -> bool {
        self.requests.repeated().is_some()
    }

    /// Whether the request in hand repeats one that had been done, at least in part.
    pub fn was_done(&self) -> bool {
        self.requests.repeated().is_some_and(|repeated| repeated.changed)
    }

    fn description(&mut self, client: u64, handle: Handle) -> Result<&mut Description> {
        let number = self.description_number(client, handle)?;
        self.descriptions.get_mut(number as usize).and_then(Option::as_mut).ok_or(Error::BadHandle)
    }

    /// Opens the file at `path` for `client`; `permissions` are those of a file that is made.
    pub fn open(&mut self, client: u64, path: &str, flags: OpenFlags, permissions: u32) -> Result<Handle> {
        let writing = flags.any(OpenFlags::WRITE | OpenFlags::APPEND);
        let making = flags.any(OpenFlags::CREATE | OpenFlags::CREATE_NEW);
        if flags.0 & !OpenFlags::ALL != 0
            || !writing && !flags.any(OpenFlags::READ)
            || !writing && (making || flags.any(OpenFlags::TRUNCATE))
            || flags.any(OpenFlags::DIRECTORY) && (writing || making)
        {
            return Err(Error::InvalidArgument);
        }
        if let Some(handle) = self.already_made(client) {
            return Ok(handle);
        }
        let flags = match self.was_done() {
            // The name is there because of the request that this repeats.
            true if flags.any(OpenFlags::CREATE_NEW) => {
                OpenFlags(flags.0 & !OpenFlags::CREATE_NEW.0 | OpenFlags::CREATE.0)
            }
            _ => flags,
        };
        let (location, kind) = match flags.any(OpenFlags::CREATE_NEW | OpenFlags::NO_FOLLOW) {
            false if !making => self.find(path)?,
            _ => self.find_or_make(path, flags, permissions)?,
        };
        match kind {
            Kind::Directory if writing => return Err(Error::IsADirectory),
            Kind::Directory => {}
            _ if flags.any(OpenFlags::DIRECTORY) => return Err(Error::NotADirectory),
            Kind::File => {}
            Kind::Symlink => return Err(Error::Loop),
            Kind::CharacterDevice if self.file_system(location.mount)?.opens_devices() => {}
            _ => return Err(Error::Unsupported),
        }
        if writing {
            self.writable(location.mount)?;
        }
        if flags.any(OpenFlags::TRUNCATE) {
            self.file_system(location.mount)?.truncate(location.node, 0)?;
        }
        self.file_system(location.mount)?.retain(location.node)?;
        let ahead = ReadAhead::default();
        let description = Description { location, kind, flags, position: 0, ahead, holders: 1 };
        let number = self.free_descriptions.pop().unwrap_or(self.descriptions.len() as u32);
        self.open_files.put(number, &description);
        match self.descriptions.get_mut(number as usize) {
            Some(place) => *place = Some(description),
            None => self.descriptions.push(Some(description)),
        }
        let added = self.add_handle(client, number);
        if added.is_err() {
            self.end_hold(number);
        }
        added
    }

    /// What is to be opened, made if it is not there and may be.
    fn find_or_make(&mut self, path: &str, flags: OpenFlags, permissions: u32) -> Result<(Location, Kind)> {
        let resolved = self.resolve(path, !flags.any(OpenFlags::CREATE_NEW | OpenFlags::NO_FOLLOW))?;
        match resolved.found {
            Some(_) if flags.any(OpenFlags::CREATE_NEW) => Err(Error::AlreadyExists),
            Some(found) => Ok(found),
            None if !flags.any(OpenFlags::CREATE | OpenFlags::CREATE_NEW) => Err(Error::NotFound),
            None if resolved.slash => Err(Error::IsADirectory),
            None => {
                let parent = resolved.parent;
                let node = self.writable(parent.mount)?.create(parent.node, &resolved.name, permissions)?;
                Ok((Location { mount: parent.mount, node }, Kind::File))
            }
        }
    }

    fn end_hold(&mut self, number: u32) {
        let Some(slot) = self.descriptions.get_mut(number as usize) else { return };
        let Some(description) = slot else { return };
        description.holders -= 1;
        if description.holders == 0 {
            let location = description.location;
            *slot = None;
            self.open_files.remove(number);
            self.free_descriptions.push(number);
            if let Ok(file_system) = self.file_system(location.mount) {
                file_system.release(location.node);
            }
        }
    }

    /// Closes a handle.
    pub fn close(&mut self, client: u64, handle: Handle) -> Result<()> {
        let handles = self.clients.get(client).map(|client| &mut client.handles).ok_or(Error::BadHandle)?;
        let held = handles.get_mut(handle as usize).and_then(Option::take).ok_or(Error::BadHandle)?;
        while handles.last().is_some_and(Option::is_none) {
            handles.pop();
        }
        self.open_files.remove_handle(held.place);
        self.end_hold(held.description);
        Ok(())
    }

    /// Closes all that a client had open.
    pub fn client_gone(&mut self, client: u64) {
        for held in self.clients.remove(client).into_iter().flat_map(|gone| gone.handles).flatten() {
            self.open_files.remove_handle(held.place);
            self.end_hold(held.description);
        }
    }

    /// The client that the request which is repeated made a duplicate for, if it came so far.
    pub fn duplicate_made(&self) -> Option<u64> {
        let repeated = self.requests.repeated()?;
        self.clients.iter().find(|(_, handles)| handles.made_by(repeated.number).is_some()).map(|(client, _)| client)
    }

    /// Gives `to` a handle for the same open file; both share one position.
    pub fn duplicate(&mut self, client: u64, handle: Handle, to: u64) -> Result<Handle> {
        let number = self.description_number(client, handle)?;
        let made = self.add_handle(to, number)?;
        if let Some(description) = self.descriptions.get_mut(number as usize).and_then(Option::as_mut) {
            description.holders += 1;
        }
        Ok(made)
    }

    /// Reads into `output`, from `position` or else from the file's position, which then moves. Less only at the end of the file.
    pub fn read(
        &mut self,
        client: u64,
        handle: Handle,
        position: Option<u64>,
        output: &mut Output<'_>,
    ) -> Result<usize> {
        let number = self.description_number(client, handle)?;
        let description = self.descriptions.get_mut(number as usize).and_then(Option::as_mut);
        let description = description.ok_or(Error::BadHandle)?;
        if !description.flags.any(OpenFlags::READ) {
            return Err(Error::BadHandle);
        }
        if description.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        let Location { mount, node } = description.location;
        let mount = self.mounts.get_mut(mount as usize).and_then(Option::as_mut).ok_or(Error::Io)?;
        let at = position.unwrap_or(description.position);
        let got = mount.file_system.read(node, at, output, &mut description.ahead)?;
        if position.is_none() {
            self.requests.note_position(number, at);
            description.position = at + got as u64;
            self.open_files.set_position(number, description.position);
        }
        Ok(got)
    }

    /// What the request that is repeated had appended to the open file. That is not done again: the rest is another request's.
    pub fn appended(&mut self, client: u64, handle: Handle) -> Result<Option<usize>> {
        let Some(repeated) = self.requests.repeated().filter(|repeated| repeated.appended > 0) else { return Ok(None) };
        let number = self.description_number(client, handle)?;
        let description = self.description(client, handle)?;
        description.position += repeated.appended;
        let position = description.position;
        self.open_files.set_position(number, position);
        Ok(Some(repeated.appended as usize))
    }

    /// Writes `input`, at `position` or else at the file's position, which then moves; at the end of a file opened for appending.
    pub fn write(
        &mut self,
        client: u64,
        handle: Handle,
        position: Option<u64>,
        input: &mut Input<'_>,
    ) -> Result<usize> {
        let number = self.description_number(client, handle)?;
        let description = self.description(client, handle)?;
        if !description.flags.any(OpenFlags::WRITE | OpenFlags::APPEND) {
            return Err(Error::BadHandle);
        }
        let location = description.location;
        let appending = description.flags.any(OpenFlags::APPEND);
        let mut at = position.unwrap_or(description.position);
        if appending {
            at = self.file_system(location.mount)?.attributes(location.node)?.size;
        }
        if position.is_none() || appending {
            self.requests.note_position(number, at);
        }
        let put = self.file_system(location.mount)?.write(location.node, at, input)?;
        if position.is_none() || appending {
            self.description(client, handle)?.position = at + put as u64;
            self.open_files.set_position(number, at + put as u64);
        }
        Ok(put)
    }

    /// Moves the position, and returns it.
    pub fn seek(&mut self, client: u64, handle: Handle, whence: Whence, offset: i64) -> Result<u64> {
        let description = self.description(client, handle)?;
        let (location, current) = (description.location, description.position);
        let base = match whence {
            Whence::Start => 0,
            Whence::Current => current,
            Whence::End => self.file_system(location.mount)?.attributes(location.node)?.size,
        };
        let position = base.checked_add_signed(offset).ok_or(Error::InvalidArgument)?;
        let number = self.description_number(client, handle)?;
        self.requests.note_position(number, current);
        self.description(client, handle)?.position = position;
        self.open_files.set_position(number, position);
        Ok(position)
    }

    fn open_location(&mut self, client: u64, handle: Handle, writing: bool) -> Result<Location> {
        let description = self.description(client, handle)?;
        if writing && !description.flags.any(OpenFlags::WRITE | OpenFlags::APPEND) {
            return Err(Error::BadHandle);
        }
        Ok(description.location)
    }

    /// Cuts or extends an open file.
    pub fn set_length(&mut self, client: u64, handle: Handle, size: u64) -> Result<()> {
        let location = self.open_location(client, handle, true)?;
        self.file_system(location.mount)?.truncate(location.node, size)
    }

    /// What an open file is.
    pub fn kind_of_open(&mut self, client: u64, handle: Handle) -> Result<Kind> {
        Ok(self.description(client, handle)?.kind)
    }

    /// Where an open file is, and what.
    pub(super) fn location_of_open(&mut self, client: u64, handle: Handle) -> Result<(Location, Kind)> {
        let description = self.description(client, handle)?;
        Ok((description.location, description.kind))
    }

    /// Attributes of an open file.
    pub fn status_of_open(&mut self, client: u64, handle: Handle) -> Result<Status> {
        let location = self.open_location(client, handle, false)?;
        self.status_of(location)
    }

    /// Changes attributes of an open file.
    pub fn set_attributes_of_open(&mut self, client: u64, handle: Handle, change: AttributeChange) -> Result<()> {
        let location = self.open_location(client, handle, false)?;
        self.writable(location.mount)?.set_attributes(location.node, change)
    }

    /// Makes an open file's data and metadata durable.
    pub fn sync_open(&mut self, client: u64, handle: Handle) -> Result<()> {
        let location = self.open_location(client, handle, false)?;
        self.file_system(location.mount)?.sync_node(location.node)
    }

    /// Lists up to `most` entries of an open directory, from `position` or else from where the last listing ended. No entry: the end.
    pub fn list(
        &mut self,
        client: u64,
        handle: Handle,
        position: Option<u64>,
        most: usize,
    ) -> Result<Vec<DirectoryEntry>> {
        let description = self.description(client, handle)?;
        if description.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let location = description.location;
        let at = position.unwrap_or(description.position);
        let entries = self.list_at(location, at, most)?;
        if position.is_none() {
            let next = entries.last().map_or(at, |entry| entry.next);
            self.description(client, handle)?.position = next;
        }
        Ok(entries)
    }

    /// What a directory holds, then what is mounted beside that.
    fn list_at(&mut self, location: Location, at: u64, most: usize) -> Result<Vec<DirectoryEntry>> {
        let behind = at >= BESIDE && at != DIRECTORY_END;
        if !behind {
            let mut entries = self.file_system(location.mount)?.list(location.node, at, most)?;
            let next = entries.last().map(|entry| entry.next);
            entries.retain(|entry| self.find_beside(location, &entry.name).is_none());
            match next {
                // A page of nothing but hidden names must not look like the end.
                Some(next) if entries.is_empty() => return self.list_at(location, next, most),
                Some(_) => return Ok(entries),
                None => {}
            }
        }
        let skip = if behind { (at - BESIDE) as usize } else { 0 };
        let names = self.beside(location).enumerate().skip(skip).take(most);
        Ok(names
            .map(|(index, (name, root))| DirectoryEntry {
                name: name.to_vec(),
                node: root.node,
                kind: Kind::Directory,
                next: BESIDE + index as u64 + 1,
            })
            .collect())
    }

    /// Number of open files, over all clients.
    pub fn open_files(&self) -> usize {
        self.descriptions.len() - self.free_descriptions.len()
    }
}
