//! What is kept in memory of an inode: its attributes as the clients see them, its extents, its delayed pages.

use alloc::vec::Vec;

use rsext4::{
    DirectoryEntryType, Ext4Timestamp, FileExtentState, FileExtentTarget, FilePermissions, InodeFlags, InodeInfo,
    InodeMetadataUpdate,
};

use super::{Ext4, MOST_NODES, inode, ranges::Ranges};
use crate::{
    cache::PAGE_SIZE,
    error::{Error, Result},
    filesystem::{AttributeChange, Attributes, Kind},
};

/// A contiguous run of a file's pages on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First page of the file.
    pub logical: u32,
    /// First page of the device.
    pub physical: u64,
    /// Pages.
    pub length: u32,
    /// Whether the blocks hold data; otherwise they read as zeros.
    pub written: bool,
}

/// Where a page of a file lies, and for how many pages from it on the same holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the device.
    Device(u64, u32),
    /// In blocks that were allocated but never written.
    Unwritten(u32),
    /// Nowhere: it reads as zeros, unless it is delayed.
    Hole(u32),
}

/// An inode in memory.
pub struct Node {
    /// Attributes as rsext4 last told them.
    pub info: InodeInfo,
    /// Bytes, as clients see it.
    pub size: u64,
    /// Time of last change of the data, as clients see it.
    pub modified: i64,
    /// Whether `modified` is newer than the device's.
    pub touched: bool,
    /// Open files that hold the node.
    pub opens: u32,
    /// Whether the last name is gone.
    pub nameless: bool,
    /// The file's extents, once loaded, sorted.
    pub extents: Option<Vec<Extent>>,
    /// Pages that wait for a place.
    pub delayed: Ranges,
    /// Its place among what is kept of files.
    pub kept_at: Option<u16>,
}

pub(super) fn kind_of(kind: DirectoryEntryType) -> Kind {
    match kind {
        DirectoryEntryType::RegularFile => Kind::File,
        DirectoryEntryType::Directory => Kind::Directory,
        DirectoryEntryType::Symlink => Kind::Symlink,
        DirectoryEntryType::CharacterDevice => Kind::CharacterDevice,
        DirectoryEntryType::BlockDevice => Kind::BlockDevice,
        DirectoryEntryType::Fifo => Kind::Fifo,
        DirectoryEntryType::Socket => Kind::Socket,
        DirectoryEntryType::Unknown => Kind::Unknown,
    }
}

impl Node {
    pub(super) fn new(info: InodeInfo) -> Self {
        Self {
            size: info.size,
            modified: i64::from(info.mtime),
            info,
            touched: false,
            opens: 0,
            nameless: false,
            extents: None,
            delayed: Ranges::default(),
            kept_at: None,
        }
    }

    /// Whether the device does not know all of this node.
    pub(super) fn is_changed(&self) -> bool {
        self.touched || !self.delayed.is_empty() || self.size != self.info.size
    }

    /// Takes over what rsext4 now says of the inode, where clients have not changed it since.
    pub(super) fn refresh(&mut self, info: InodeInfo) {
        if self.size == self.info.size {
            self.size = info.size;
        }
        if !self.touched {
            self.modified = i64::from(info.mtime);
        }
        self.info = info;
    }

    /// Whether the extents are known.
    #[inline]
    pub(super) fn is_loaded(&self) -> bool {
        self.extents.is_some()
    }

    /// Whether the file's data goes through the page cache directly, on a file system whose blocks are as large as pages
    /// (`whole_pages`).
    #[inline]
    pub(super) fn has_data_path(&self, whole_pages: bool) -> bool {
        let flags = self.info.flags;
        whole_pages && flags.contains(InodeFlags::EXTENTS) && !flags.contains(InodeFlags::INLINE_DATA)
    }

    pub(super) fn kind(&self) -> Kind {
        kind_of(self.info.file_type())
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes {
            node: u64::from(self.info.number.raw()),
            kind: self.kind(),
            permissions: u32::from(self.info.mode & 0o7777),
            uid: self.info.uid,
            gid: self.info.gid,
            links: u32::from(self.info.links),
            size: self.size,
            blocks: self.info.blocks + (self.delayed.len() * PAGE_SIZE / 512) as u64,
            accessed: i64::from(self.info.atime),
            modified: self.modified,
            changed: i64::from(self.info.ctime).max(if self.touched { self.modified } else { 0 }),
        }
    }

    /// Where `page` lies; the extents must be loaded.
    pub(super) fn place(&self, page: u32) -> Place {
        let extents = self.extents.as_deref().unwrap_or(&[]);
        let at = extents.partition_point(|extent| extent.logical + extent.length <= page);
        let Some(extent) = extents.get(at) else { return Place::Hole(u32::MAX - page) };
        if extent.logical > page {
            return Place::Hole(extent.logical - page);
        }
        let within = page - extent.logical;
        let left = extent.length - within;
        if extent.written { Place::Device(extent.physical + u64::from(within), left) } else { Place::Unwritten(left) }
    }

    /// Adds a run that filled a hole.
    pub(super) fn add_extent(&mut self, new: Extent) {
        let Some(extents) = self.extents.as_mut() else { return };
        let at = extents.partition_point(|extent| extent.logical < new.logical);
        if at > 0 {
            let previous = &mut extents[at - 1];
            if previous.written
                && new.written
                && previous.logical + previous.length == new.logical
                && previous.physical + u64::from(previous.length) == new.physical
            {
                previous.length += new.length;
                return;
            }
        }
        extents.insert(at, new);
    }
}

impl Ext4 {
    /// The node of an inode, from the device when it is not in memory.
    pub(super) fn node(&mut self, number: u32) -> Result<&mut Node> {
        if !self.nodes.contains_key(&number) {
            let info = self.core.inode(inode(number)?)?;
            self.remember(number, info);
        }
        self.nodes.get_mut(&number).ok_or(Error::Io)
    }

    /// Keeps what was learnt of an inode.
    pub(super) fn remember(&mut self, number: u32, info: InodeInfo) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.refresh(info);
            return;
        }
        if self.nodes.len() >= MOST_NODES {
            self.nodes.retain(|_, node| node.opens > 0 || node.nameless || node.is_changed() || node.kept_at.is_some());
        }
        self.nodes.insert(number, Node::new(info));
    }

    /// Asks rsext4 for an inode again, after it changed it.
    pub(super) fn reload(&mut self, number: u32) -> Result<()> {
        if self.nodes.contains_key(&number) {
            let info = self.core.inode(inode(number)?)?;
            self.remember(number, info);
        }
        Ok(())
    }

    /// The node of a regular file, its extents loaded.
    pub(super) fn file(&mut self, number: u32) -> Result<&mut Node> {
        let node = self.node(number)?;
        match node.kind() {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            _ => return Err(Error::InvalidArgument),
        }
        if node.extents.is_none() {
            let whole = self.has_data_path(number)?;
            let extents = if whole { self.load_extents(number)? } else { Vec::new() };
            self.node(number)?.extents = Some(extents);
        }
        self.node(number)
    }

    /// Whether the file's data goes through the page cache directly.
    pub(super) fn has_data_path(&mut self, number: u32) -> Result<bool> {
        let whole_pages = self.whole_pages;
        Ok(self.node(number)?.has_data_path(whole_pages))
    }

    fn load_extents(&mut self, number: u32) -> Result<Vec<Extent>> {
        let map = self.core.inode_extents(inode(number)?, 0, i64::MAX as u64, FileExtentTarget::Data, usize::MAX)?;
        let sectors = self.cache.borrow().geometry().sectors;
        let device_pages = sectors / (PAGE_SIZE as u64 / 512);
        let mut extents: Vec<Extent> = Vec::with_capacity(map.extents.len());
        let page = PAGE_SIZE as u64;
        for extent in map.extents {
            let run = Extent {
                logical: u32::try_from(extent.logical_start / page).map_err(|_| Error::Io)?,
                physical: extent.physical_start / page,
                length: u32::try_from(extent.length.div_ceil(page)).map_err(|_| Error::Io)?,
                written: extent.state == FileExtentState::Initialized,
            };
            let in_order = extents.last().is_none_or(|last| last.logical.checked_add(last.length) <= Some(run.logical));
            let on_device = run.physical.checked_add(u64::from(run.length)).is_some_and(|end| end <= device_pages);
            if !in_order || !on_device || run.logical.checked_add(run.length).is_none() {
                return Err(Error::Io);
            }
            extents.push(run);
        }
        Ok(extents)
    }

    /// Changes attributes on behalf of a client.
    pub(super) fn change_attributes(&mut self, number: u32, change: AttributeChange) -> Result<()> {
        let time = |seconds: i64| Ext4Timestamp::new(seconds, 0);
        let update = InodeMetadataUpdate {
            permissions: match change.permissions {
                Some(bits) => Some(FilePermissions::new((bits & 0o7777) as u16)?),
                None => None,
            },
            atime: change.accessed.map(time),
            mtime: change.modified.map(time),
            ..InodeMetadataUpdate::default()
        };
        self.node(number)?;
        if change.permissions.is_some_and(|bits| bits & 0o6000 != 0) {
            // Placing data takes these bits away, as a write should; it must not take them away later.
            self.settle(number)?;
        }
        let info = self.core.update_inode_metadata(inode(number)?, update)?;
        let node = self.node(number)?;
        if let Some(modified) = change.modified {
            node.modified = modified;
            // Placing delayed data would set the time anew.
            node.touched = !node.delayed.is_empty();
        }
        node.refresh(info);
        self.bound_transaction()?;
        self.note(number)
    }

    /// Stores a node's size and time of change, its data being in place.
    pub(super) fn store_attributes(&mut self, number: u32) -> Result<()> {
        let node = self.node(number)?;
        if node.size == node.info.size && !node.touched {
            return Ok(());
        }
        let (size, modified) = (node.size, Ext4Timestamp::new(node.modified, 0));
        let info = self.core.set_inode_size(inode(number)?, size, modified)?;
        let node = self.node(number)?;
        node.touched = false;
        node.info = info;
        Ok(())
    }
}
