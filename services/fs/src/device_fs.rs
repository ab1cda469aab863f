//! The device file system at `/dev`: `null`, `zero` and `full`. It is fixed; nothing is made or removed in it.

use alloc::vec::Vec;

use crate::{
    clock::WallClock,
    error::{Error, Result},
    filesystem::{
        AttributeChange, Attributes, Child, DIRECTORY_END, DirectoryEntry, FileSystem, Kind, ReadAhead, Space,
    },
    memory::{Input, Output},
};

const ROOT: u64 = 1;
/// Takes everything, gives nothing.
const NULL: u64 = 2;
/// Takes everything, gives zeros.
const ZERO: u64 = 3;
/// Has no room, gives zeros.
const FULL: u64 = 4;

const DEVICES: [(&str, u64); 3] = [("null", NULL), ("zero", ZERO), ("full", FULL)];

/// The devices that are no hardware.
pub struct DeviceFs {
    started: i64,
    opens: u32,
}

impl DeviceFs {
    /// The file system, its files as old as now.
    pub fn new(clock: &WallClock) -> Self {
        Self { started: clock.seconds(), opens: 0 }
    }

    fn check(node: u64) -> Result<()> {
        if (ROOT..=FULL).contains(&node) { Ok(()) } else { Err(Error::NotFound) }
    }

    fn device(node: u64) -> Result<u64> {
        match node {
            ROOT => Err(Error::IsADirectory),
            NULL..=FULL => Ok(node),
            _ => Err(Error::NotFound),
        }
    }
}

impl FileSystem for DeviceFs {
    fn type_name(&self) -> &'static str {
        "device"
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Child> {
        if directory != ROOT {
            return Err(Error::NotADirectory);
        }
        let found = DEVICES.iter().find(|(candidate, _)| candidate.as_bytes() == name);
        found.map(|(_, node)| Child { node: *node, kind: Kind::CharacterDevice }).ok_or(Error::NotFound)
    }

    fn attributes(&mut self, node: u64) -> Result<Attributes> {
        Self::check(node)?;
        let directory = node == ROOT;
        Ok(Attributes {
            node,
            kind: if directory { Kind::Directory } else { Kind::CharacterDevice },
            permissions: if directory { 0o755 } else { 0o666 },
            uid: 0,
            gid: 0,
            links: if directory { 2 } else { 1 },
            size: 0,
            blocks: 0,
            accessed: self.started,
            modified: self.started,
            changed: self.started,
        })
    }

    fn set_attributes(&mut self, _node: u64, _change: AttributeChange) -> Result<()> {
        Err(Error::PermissionDenied)
    }

    fn read(&mut self, node: u64, _position: u64, output: &mut Output<'_>, _ahead: &mut ReadAhead) -> Result<usize> {
        if Self::device(node)? == NULL {
            return Ok(0);
        }
        let length = output.remaining();
        output.put_zeros(length);
        Ok(length)
    }

    fn write(&mut self, node: u64, _position: u64, input: &mut Input<'_>) -> Result<usize> {
        let length = input.remaining();
        if Self::device(node)? == FULL && length > 0 {
            return Err(Error::NoSpace);
        }
        input.skip(length);
        Ok(length)
    }

    fn truncate(&mut self, node: u64, _size: u64) -> Result<()> {
        Self::device(node).map(drop)
    }

    fn create(&mut self, _directory: u64, _name: &[u8], _permissions: u32) -> Result<u64> {
        Err(Error::PermissionDenied)
    }

    fn make_directory(&mut self, _directory: u64, _name: &[u8], _permissions: u32) -> Result<u64> {
        Err(Error::PermissionDenied)
    }

    fn make_symlink(&mut self, _directory: u64, _name: &[u8], _target: &[u8]) -> Result<u64> {
        Err(Error::PermissionDenied)
    }

    fn read_symlink(&mut self, _node: u64) -> Result<Vec<u8>> {
        Err(Error::InvalidArgument)
    }

    fn link(&mut self, _node: u64, _directory: u64, _name: &[u8]) -> Result<()> {
        Err(Error::PermissionDenied)
    }

    fn unlink(&mut self, _directory: u64, _name: &[u8]) -> Result<()> {
        Err(Error::PermissionDenied)
    }

    fn remove_directory(&mut self, _directory: u64, _name: &[u8]) -> Result<()> {
        Err(Error::PermissionDenied)
    }

    fn rename(&mut self, _from: u64, _old: &[u8], _to: u64, _new: &[u8]) -> Result<()> {
        Err(Error::PermissionDenied)
    }

    fn list(&mut self, directory: u64, position: u64, most: usize) -> Result<Vec<DirectoryEntry>> {
        if directory != ROOT {
            return Err(Error::NotADirectory);
        }
        if position == DIRECTORY_END {
            return Ok(Vec::new());
        }
        let skip = usize::try_from(position).unwrap_or(usize::MAX);
        let devices = DEVICES.iter().enumerate().skip(skip).take(most);
        let entry = |(index, (name, node)): (usize, &(&str, u64))| DirectoryEntry {
            name: name.as_bytes().to_vec(),
            node: *node,
            kind: Kind::CharacterDevice,
            next: index as u64 + 1,
        };
        Ok(devices.map(entry).collect())
    }

    fn retain(&mut self, node: u64) -> Result<()> {
        Self::check(node)?;
        self.opens += 1;
        Ok(())
    }

    fn release(&mut self, _node: u64) {
        self.opens = self.opens.saturating_sub(1);
    }

    fn sync_node(&mut self, _node: u64) -> Result<()> {
        Ok(())
    }

    fn needs_sync(&self) -> bool {
        false
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn space(&mut self) -> Result<Space> {
        Ok(Space { block_size: 4096, blocks: 0, blocks_free: 0, files: 4, files_free: 0 })
    }

    fn is_resumed(&self) -> bool {
        // They are always the same nodes.
        true
    }

    fn opens_devices(&self) -> bool {
        true
    }

    fn in_use(&self) -> bool {
        self.opens > 0
    }

    fn unmount(&mut self) -> Result<()> {
        Ok(())
    }
}
