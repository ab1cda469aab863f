//! Names: lookup, making, linking, removing, renaming, listing.

use alloc::vec::Vec;

use rsext4::{DirectoryCursor, FileName, FilePermissions, InodeInfo, MutationContext, RenameOptions};

use super::{
    Ext4, inode,
    node::{Node, kind_of},
};
use crate::{
    cache::PAGE_SIZE,
    error::{Error, Result},
    filesystem::{Child, DIRECTORY_END, DIRECTORY_START, DirectoryEntry, Kind, check_name},
};

/// Everything belongs to the one user.
const CREATOR: MutationContext = MutationContext::new(0, 0, 0, 0);
/// Marks a position in a directory that is indexed by hash.
const INDEXED: u64 = 1 << 62;

fn permissions(bits: u32) -> Result<FilePermissions> {
    Ok(FilePermissions::new((bits & 0o7777) as u16)?)
}

/// A cursor as one number. Hash collisions share one: listings do not stop between them.
fn encode(cursor: DirectoryCursor) -> u64 {
    match cursor {
        DirectoryCursor::Start => DIRECTORY_START,
        DirectoryCursor::Linear { offset } => offset,
        DirectoryCursor::HTree { major, minor, .. } => INDEXED | u64::from(major >> 1) << 31 | u64::from(minor >> 1),
        DirectoryCursor::End => DIRECTORY_END,
    }
}

impl Ext4 {
    /// A name in a directory, or `None`.
    pub(super) fn find(&mut self, directory: u32, name: &[u8]) -> Result<Option<Child>> {
        if let Some(known) = self.names.get(directory, name) {
            return Ok(known);
        }
        check_name(name)?;
        if self.node(directory)?.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let found = self.core.lookup_child(inode(directory)?, FileName::new(name)?)?;
        let child = found.map(|info| self.learn(info));
        self.names.insert(directory, name, child);
        Ok(child)
    }

    fn learn(&mut self, info: InodeInfo) -> Child {
        let number = info.number.raw();
        let kind = kind_of(info.file_type());
        self.remember(number, info);
        Child { node: u64::from(number), kind }
    }

    /// Notes a new inode under a new name.
    fn made(&mut self, directory: u32, name: &[u8], info: InodeInfo) -> Result<u64> {
        // The number may have belonged to a file that is gone.
        self.forget_node(info.number.raw());
        self.nodes.insert(info.number.raw(), Node::new(info));
        let child = self.learn(info);
        self.names.insert(directory, name, Some(child));
        self.reload(directory)?;
        self.bound_transaction()?;
        Ok(child.node)
    }

    /// Checks that a name may be made in a directory.
    fn check_new(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.check_writable()?;
        check_name(name)?;
        match self.find(directory, name)? {
            Some(_) => Err(Error::AlreadyExists),
            None if self.node(directory)?.info.links == 0 => Err(Error::NotFound),
            None => Ok(()),
        }
    }

    pub(super) fn add_file(&mut self, directory: u32, name: &[u8], mode: u32) -> Result<u64> {
        self.check_new(directory, name)?;
        let info =
            self.core.create_regular_file(CREATOR, inode(directory)?, FileName::new(name)?, permissions(mode)?)?;
        let node = self.made(directory, name, info)?;
        if let Some(node) = self.nodes.get_mut(&info.number.raw()) {
            node.extents = Some(Vec::new());
        }
        Ok(node)
    }

    pub(super) fn add_directory(&mut self, directory: u32, name: &[u8], mode: u32) -> Result<u64> {
        self.check_new(directory, name)?;
        let info = self.core.create_directory(CREATOR, inode(directory)?, FileName::new(name)?, permissions(mode)?)?;
        self.made(directory, name, info)
    }

    pub(super) fn add_symlink(&mut self, directory: u32, name: &[u8], target: &[u8]) -> Result<u64> {
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        // A target fills at most one block.
        if target.len() >= self.core.block_size().min(PAGE_SIZE) {
            return Err(Error::NameTooLong);
        }
        self.check_new(directory, name)?;
        if self.freed {
            self.commit()?;
        }
        let info = self.core.create_symlink(CREATOR, inode(directory)?, FileName::new(name)?, target)?;
        self.made(directory, name, info)
    }

    pub(super) fn symlink_target(&mut self, number: u32) -> Result<Vec<u8>> {
        let node = self.node(number)?;
        if node.kind() != Kind::Symlink {
            return Err(Error::InvalidArgument);
        }
        let size = usize::try_from(node.size).map_err(|_| Error::Io)?;
        if size > PAGE_SIZE {
            return Err(Error::Io);
        }
        let mut target = alloc::vec![0; size];
        let got = self.core.read_inode(inode(number)?, 0, &mut target)?;
        target.truncate(got);
        Ok(target)
    }

    pub(super) fn add_link(&mut self, number: u32, directory: u32, name: &[u8]) -> Result<()> {
        if self.node(number)?.kind() == Kind::Directory {
            return Err(Error::PermissionDenied);
        }
        self.check_new(directory, name)?;
        if self.node(number)?.nameless {
            return Err(Error::NotFound);
        }
        let info = self.core.hard_link(inode(number)?, inode(directory)?, FileName::new(name)?)?;
        let child = self.learn(info);
        self.names.insert(directory, name, Some(child));
        self.reload(directory)?;
        self.bound_transaction()
    }

    pub(super) fn take_name(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.check_writable()?;
        check_name(name)?;
        let child = self.find(directory, name)?.ok_or(Error::NotFound)?;
        if child.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        let outcome = self.core.unlink(inode(directory)?, FileName::new(name)?)?;
        self.names.insert(directory, name, None);
        self.reload(directory)?;
        self.lost_a_name(outcome.inode.raw(), outcome.requires_reap())?;
        self.bound_transaction()
    }

    pub(super) fn take_directory(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.check_writable()?;
        check_name(name)?;
        let child = self.find(directory, name)?.ok_or(Error::NotFound)?;
        if child.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let outcome = self.core.remove_empty_directory(inode(directory)?, FileName::new(name)?)?;
        self.names.insert(directory, name, None);
        self.names.forget_directory(outcome.inode.raw());
        self.reload(directory)?;
        self.lost_a_name(outcome.inode.raw(), outcome.requires_reap())?;
        self.bound_transaction()
    }

    /// After a node lost a name: removes it when that was the last and nobody has it open.
    fn lost_a_name(&mut self, number: u32, last: bool) -> Result<()> {
        if !last {
            return self.reload(number);
        }
        match self.nodes.get_mut(&number) {
            Some(node) if node.opens > 0 => {
                node.nameless = true;
                node.info.links = 0;
                Ok(())
            }
            _ => self.reap(number),
        }
    }

    /// Frees a node without a name.
    pub(super) fn reap(&mut self, number: u32) -> Result<()> {
        self.freed = true;
        let reaped = self.core.reap_unlinked_inode(inode(number)?).map_err(Error::from);
        let kept = reaped.and_then(|()| self.bound_transaction());
        // As long as the next server could find the name, it must find the data.
        if self.nodes.contains_key(&number) {
            self.drop_delayed(number, 0)?;
            self.forget_node(number);
        }
        kept
    }

    pub(super) fn end_use(&mut self, number: u32) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.opens = node.opens.saturating_sub(1);
        if node.opens == 0 && node.nameless {
            // A failure leaves the inode on the orphan list, which the next mount clears.
            let _ = self.reap(number);
        }
    }

    pub(super) fn move_name(&mut self, from: u32, old: &[u8], to: u32, new: &[u8]) -> Result<()> {
        self.check_writable()?;
        check_name(old)?;
        check_name(new)?;
        let source = self.find(from, old)?.ok_or(Error::NotFound)?;
        let target = self.find(to, new)?;
        if let Some(target) = target {
            if target.node == source.node {
                return Ok(());
            }
            match (source.kind == Kind::Directory, target.kind == Kind::Directory) {
                (true, false) => return Err(Error::NotADirectory),
                (false, true) => return Err(Error::IsADirectory),
                _ => {}
            }
        } else if self.node(to)?.info.links == 0 {
            return Err(Error::NotFound);
        }
        let outcome = self.core.rename(
            inode(from)?,
            FileName::new(old)?,
            inode(to)?,
            FileName::new(new)?,
            RenameOptions::REPLACE,
        )?;
        self.names.insert(from, old, None);
        self.names.insert(to, new, Some(source));
        self.reload(from)?;
        self.reload(to)?;
        self.reload(source.node as u32)?;
        if let Some(replaced) = outcome.replaced {
            let number = replaced.inode.raw();
            self.names.forget_directory(number);
            self.lost_a_name(number, replaced.requires_reap())?;
        }
        self.bound_transaction()
    }

    pub(super) fn list_names(&mut self, directory: u32, position: u64, most: usize) -> Result<Vec<DirectoryEntry>> {
        if self.node(directory)?.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if position == DIRECTORY_END || most == 0 {
            return Ok(Vec::new());
        }
        let indexed = matches!(self.core.directory_end_cursor(inode(directory)?)?, DirectoryCursor::End);
        let mut cursor = match position {
            DIRECTORY_START => DirectoryCursor::Start,
            _ if position & INDEXED != 0 => DirectoryCursor::HTree {
                major: ((position & !INDEXED) >> 31 << 1) as u32,
                minor: ((position & 0x7fff_ffff) << 1) as u32,
                collision: 0,
            },
            offset => DirectoryCursor::Linear { offset },
        };
        // A directory that became indexed while it was listed is listed anew.
        if indexed == matches!(cursor, DirectoryCursor::Linear { .. }) && cursor != DirectoryCursor::Start {
            cursor = DirectoryCursor::Start;
        }
        let mut reader = self.core.open_directory_reader(inode(directory)?)?;
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        loop {
            let batch = self.core.read_directory_with_reader(&mut reader, cursor, most + 2)?;
            let Some(last) = batch.last() else { return Ok(entries) };
            cursor = last.next_cursor;
            for entry in batch {
                let between = matches!(entry.next_cursor, DirectoryCursor::HTree { collision: 1.., .. });
                if entry.name != b"." && entry.name != b".." {
                    entries.push(DirectoryEntry {
                        node: u64::from(entry.inode.raw()),
                        kind: kind_of(entry.file_type),
                        next: encode(entry.next_cursor),
                        name: entry.name,
                    });
                }
                if entries.len() >= most && !between {
                    return Ok(entries);
                }
            }
            if cursor == DirectoryCursor::End {
                return Ok(entries);
            }
        }
    }
}
