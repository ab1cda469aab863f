//! ext4: rsext4 for the metadata, and a data path of our own over the page cache.
//!
//! rsext4 keeps the on-disk structures and the journal. File data does not pass through it: reads and writes go from the page
//! cache's frames to the caller, along the file's extents. Data written to a hole waits in delayed pages (see `data`) until a sync
//! or memory pressure allocates its blocks in long runs.
//!
//! Two rules order data and metadata:
//! - Data is in the cache, dirty, before the transaction that maps its blocks can commit; the commit's flush writes it first.
//! - Blocks freed in the running transaction are not given to other data before that transaction is durable: after a power
//!   cut the old file may be back, with the bytes it had.

mod data;
pub(crate) mod kept;
mod mount;
mod names;
mod node;
mod ranges;
mod tree;

use alloc::vec::Vec;

use hashbrown::HashMap;
use rsext4::{Ext4 as Core, InodeNumber, MountedServices, NoopObserver};

pub use self::mount::{MountNotice, MountProblem};
use self::{kept::KeptNodes, names::Names, node::Node};
use crate::{
    block_io::SharedCache,
    cache::CacheStatistics,
    clock::WallClock,
    error::{Error, Result},
    filesystem::{AttributeChange, Attributes, Child, DirectoryEntry, FileSystem, ReadAhead, Space},
    memory::{Input, Output},
};

/// Block images that may wait in memory for a checkpoint of the journal.
const MOST_PENDING: usize = 512;
/// Block images in a transaction before it is committed.
const MOST_RUNNING: usize = 192;
/// Nodes remembered beyond those in use.
const MOST_NODES: usize = 2048;

/// A mounted ext4 file system.
pub struct Ext4 {
    core: Core<SharedCache, MountedServices<(), NoopObserver, ()>>,
    cache: SharedCache,
    clock: WallClock,
    names: Names,
    nodes: HashMap<u32, Node>,
    read_only: bool,
    /// Whether blocks are as large as pages, which the data path needs.
    whole_pages: bool,
    /// Whether the running transaction frees blocks.
    freed: bool,
    /// Delayed pages of all nodes.
    delayed: usize,
    /// Whether a node may have changed since all were settled.
    unsettled: bool,
    /// What the disk does not know, where a server that is started anew finds it.
    kept_nodes: KeptNodes,
}

fn number(node: u64) -> Result<u32> {
    u32::try_from(node).map_err(|_| Error::InvalidArgument)
}

fn inode(node: u32) -> Result<InodeNumber> {
    Ok(InodeNumber::new(node)?)
}

impl Ext4 {
    /// Commits the journal.
    fn commit(&mut self) -> Result<()> {
        self.core.sync()?;
        self.cache.is_committed();
        self.freed = false;
        // Nothing runs now, so nothing has to find room.
        let _ = self.keep_transaction();
        if self.core.pending_checkpoint_blocks() > MOST_PENDING {
            self.core.checkpoint()?;
        }
        Ok(())
    }

    /// Puts changes of metadata where a server that is started anew finds them. An error means that they must be committed.
    fn keep_transaction(&self) -> Result<()> {
        self.cache.keep_transaction(self.core.running_transaction())
    }

    /// After a change of metadata: keeps it, and the running transaction short.
    fn bound_transaction(&mut self) -> Result<()> {
        let kept = self.keep_transaction();
        if kept.is_err() || self.core.running_blocks() > MOST_RUNNING { self.commit() } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<()> {
        if self.read_only { Err(Error::ReadOnlyFilesystem) } else { Ok(()) }
    }

    /// Places all delayed data and stores all changed attributes.
    fn settle_all(&mut self) -> Result<()> {
        let changed: Vec<u32> =
            self.nodes.iter().filter(|(_, node)| node.is_changed()).map(|(number, _)| *number).collect();
        let mut first = Ok(());
        for number in changed {
            let result = self.settle(number);
            if first.is_ok() {
                first = result;
            }
        }
        first
    }
}

impl FileSystem for Ext4 {
    fn type_name(&self) -> &'static str {
        "ext4"
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn root(&self) -> u64 {
        u64::from(self.core.root_inode().raw())
    }

    fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Child> {
        self.find(number(directory)?, name)?.ok_or(Error::NotFound)
    }

    fn attributes(&mut self, node: u64) -> Result<Attributes> {
        Ok(self.node(number(node)?)?.attributes())
    }

    fn set_attributes(&mut self, node: u64, change: AttributeChange) -> Result<()> {
        self.check_writable()?;
        self.change_attributes(number(node)?, change)
    }

    fn read(&mut self, node: u64, position: u64, output: &mut Output<'_>, ahead: &mut ReadAhead) -> Result<usize> {
        self.read_data(number(node)?, position, output, ahead)
    }

    fn write(&mut self, node: u64, position: u64, input: &mut Input<'_>) -> Result<usize> {
        self.check_writable()?;
        self.write_data(number(node)?, position, input)
    }

    fn truncate(&mut self, node: u64, size: u64) -> Result<()> {
        self.check_writable()?;
        self.resize(number(node)?, size)
    }

    fn create(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64> {
        self.add_file(number(directory)?, name, permissions)
    }

    fn make_directory(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64> {
        self.add_directory(number(directory)?, name, permissions)
    }

    fn make_symlink(&mut self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64> {
        self.add_symlink(number(directory)?, name, target)
    }

    fn read_symlink(&mut self, node: u64) -> Result<Vec<u8>> {
        self.symlink_target(number(node)?)
    }

    fn link(&mut self, node: u64, directory: u64, name: &[u8]) -> Result<()> {
        self.add_link(number(node)?, number(directory)?, name)
    }

    fn unlink(&mut self, directory: u64, name: &[u8]) -> Result<()> {
        self.take_name(number(directory)?, name)
    }

    fn remove_directory(&mut self, directory: u64, name: &[u8]) -> Result<()> {
        self.take_directory(number(directory)?, name)
    }

    fn rename(&mut self, from: u64, old: &[u8], to: u64, new: &[u8]) -> Result<()> {
        self.move_name(number(from)?, old, number(to)?, new)
    }

    fn list(&mut self, directory: u64, position: u64, most: usize) -> Result<Vec<DirectoryEntry>> {
        self.list_names(number(directory)?, position, most)
    }

    fn retain(&mut self, node: u64) -> Result<()> {
        let number = number(node)?;
        match self.nodes.get_mut(&number) {
            Some(node) => node.opens += 1,
            None => self.node(number)?.opens += 1,
        }
        Ok(())
    }

    fn release(&mut self, node: u64) {
        if let Ok(number) = number(node) {
            self.end_use(number);
        }
    }

    fn sync_node(&mut self, node: u64) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        self.settle(number(node)?)?;
        self.commit()
    }

    fn needs_sync(&self) -> bool {
        let settled =
            self.read_only || self.core.running_blocks() == 0 && self.cache.borrow().is_clean() && !self.unsettled;
        !settled
    }

    fn sync(&mut self) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        let settled = self.settle_all();
        self.commit()?;
        self.unsettled = settled.is_err();
        settled
    }

    fn space(&mut self) -> Result<Space> {
        let statistics = self.core.statfs();
        Ok(Space {
            block_size: statistics.block_size as u32,
            blocks: statistics.total_blocks,
            blocks_free: statistics.free_blocks.saturating_sub(self.delayed as u64),
            files: u64::from(statistics.total_inodes),
            files_free: u64::from(statistics.free_inodes),
        })
    }

    fn is_resumed(&self) -> bool {
        self.cache.is_resumed()
    }

    fn end_resumption(&mut self) -> Result<()> {
        if self.read_only { Ok(()) } else { self.end_take_over() }
    }

    fn cache_statistics(&self) -> Option<CacheStatistics> {
        Some(self.cache.borrow().statistics())
    }

    fn in_use(&self) -> bool {
        self.nodes.values().any(|node| node.opens > 0)
    }

    fn unmount(&mut self) -> Result<()> {
        if self.read_only {
            self.core.unmount()?;
            return Ok(());
        }
        let orphans: Vec<u32> =
            self.nodes.iter().filter(|(_, node)| node.nameless).map(|(number, _)| *number).collect();
        for number in orphans {
            self.reap(number)?;
        }
        if let Some(mut kept) = self.cache.borrow().kept() {
            // Nobody goes on behind an unmount.
            kept.end();
        }
        let settled = self.settle_all();
        self.commit()?;
        self.core.unmount()?;
        self.cache.borrow().flush()?;
        self.cache.journal_is_empty()?;
        // Data that found no space is lost with this unmount; say so.
        settled
    }
}
