//! The page cache as rsext4's block device, and the guard of the superblock's `needs_recovery` flag.
//!
//! rsext4 sends the superblock through the journal like any other block. Twice the journal is then non-empty while the superblock
//! on the device does not say so: at the start of a mount, until the first checkpoint, and at the end of an unmount, between the
//! superblock's checkpoint and the journal's. A power cut there leaves a file system that `e2fsck -p` will not mend by itself, and
//! whose journal the next mount would not replay. The guard closes both: before the first write of a mount it sets the flag on
//! the device, durably; while mounted every write of the superblock keeps the flag; and only when unmount has emptied the journal
//! durably is the flag taken away, as the very last write.

use alloc::{boxed::Box, rc::Rc, sync::Arc};
use core::cell::{Cell, RefCell};

use rsext4::{
    BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, KeptTransaction, SectorId, WriteFlags,
    crc32c::crc32c_append,
};

use crate::{
    cache::{PAGE_SIZE, PageCache},
    disk::{Disk, SECTOR_SIZE},
    error::{Error, Result},
    kept::Word,
    running::Running,
};

/// First byte of the primary superblock on the device.
const POSITION: u64 = 1024;
/// Bytes in the superblock.
const LENGTH: usize = 1024;

const MAGIC: core::ops::Range<usize> = 0x38..0x3a;
const COMPATIBLE: usize = 0x5c;
const INCOMPATIBLE: usize = 0x60;
const READ_ONLY_COMPATIBLE: usize = 0x64;
const CHECKSUM: usize = 0x3fc;
const HAS_JOURNAL: u32 = 0x4;
const NEEDS_RECOVERY: u32 = 0x4;
const EXTENTS: u32 = 0x40;
const METADATA_CHECKSUMS: u32 = 0x400;

/// The raw superblock.
pub struct RawSuperblock([u8; LENGTH]);

impl RawSuperblock {
    /// Reads the superblock from the device.
    pub fn load(cache: &mut PageCache) -> Result<Self> {
        let mut bytes = [0; LENGTH];
        cache.read_bytes(POSITION, &mut bytes)?;
        Ok(Self(bytes))
    }

    fn word(&self, offset: usize) -> u32 {
        u32::from_le_bytes([self.0[offset], self.0[offset + 1], self.0[offset + 2], self.0[offset + 3]])
    }

    fn set_word(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Whether this is an ext2, ext3 or ext4 superblock at all.
    pub fn is_ext4(&self) -> bool {
        self.0[MAGIC] == [0x53, 0xef]
    }

    /// Whether the file system has a journal.
    pub fn has_journal(&self) -> bool {
        self.word(COMPATIBLE) & HAS_JOURNAL != 0
    }

    /// Whether the journal must be replayed.
    pub fn needs_recovery(&self) -> bool {
        self.word(INCOMPATIBLE) & NEEDS_RECOVERY != 0
    }

    /// Whether the file system is marked as having errors.
    pub fn has_errors(&self) -> bool {
        self.0[0x3a] & 2 != 0
    }

    /// Bytes in a block.
    fn block_size(&self) -> usize {
        1024 << self.word(0x18).min(6)
    }

    /// Whether all its data go through the page cache as whole pages, which is what a restarted server can go on with: blocks of the size of a
    /// page, and extents.
    pub fn has_whole_pages(&self) -> bool {
        self.block_size() == PAGE_SIZE && self.word(INCOMPATIBLE) & EXTENTS != 0
    }

    /// Bytes the file system takes on its device.
    pub fn bytes(&self) -> u128 {
        let high = if self.word(INCOMPATIBLE) & 0x80 != 0 { self.word(0x150) } else { 0 };
        let blocks = u64::from(high) << 32 | u64::from(self.word(0x4));
        u128::from(blocks) << (10 + self.word(0x18).min(6))
    }

    /// Checks what must hold before anything is computed from the superblock.
    pub fn check_shape(&self) -> core::result::Result<(), &'static str> {
        let block_bits = self.word(0x18).saturating_add(10);
        let block_size = 1u64 << block_bits.min(17);
        let (blocks_per_group, inodes_per_group) = (self.word(0x20), self.word(0x28));
        let inode_size = u64::from(u16::from_le_bytes([self.0[0x58], self.0[0x59]]));
        let sound = block_bits <= 16
            && blocks_per_group != 0
            && u64::from(blocks_per_group) <= block_size * 8
            && inodes_per_group != 0
            && u64::from(inodes_per_group) <= block_size * 8
            && self.word(0x4) > self.word(0x14)
            && (self.word(0x4c) == 0 || (inode_size.is_power_of_two() && (128..=block_size).contains(&inode_size)));
        if sound { Ok(()) } else { Err("the superblock makes no sense") }
    }

    fn set_needs_recovery(&mut self, set: bool) {
        let features = self.word(INCOMPATIBLE);
        let features = if set { features | NEEDS_RECOVERY } else { features & !NEEDS_RECOVERY };
        self.set_word(INCOMPATIBLE, features);
        if self.word(READ_ONLY_COMPATIBLE) & METADATA_CHECKSUMS != 0 {
            let checksum = crc32c_append(!0, &self.0[..CHECKSUM]);
            self.set_word(CHECKSUM, checksum);
        }
    }

    fn store(&self, cache: &mut PageCache) -> Result<()> {
        cache.write_bytes(POSITION, &self.0)
    }
}

/// How far the guard is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Nothing was written yet.
    Waiting,
    /// The flag is on the device and stays there.
    Armed,
    /// The file system has no journal, or the guard has done its work.
    Off,
}

/// The page cache, shared between rsext4 and the data path.
#[derive(Clone)]
pub struct SharedCache {
    cache: Rc<RefCell<PageCache>>,
    guard: Rc<Cell<Guard>>,
    running: Rc<RefCell<Running>>,
    /// Whether the next mount is to go on where a former server stopped, and then whether it did.
    resuming: Rc<Cell<Resuming>>,
}

/// How far a mount is that goes on where another stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resuming {
    No,
    Wanted,
    Done,
}

impl SharedCache {
    /// Shares `cache`.
    pub fn new(cache: PageCache) -> Self {
        Self {
            cache: Rc::new(RefCell::new(cache)),
            guard: Rc::new(Cell::new(Guard::Off)),
            running: Rc::default(),
            resuming: Rc::new(Cell::new(Resuming::No)),
        }
    }

    /// Has the next mount go on where a former server stopped.
    pub fn expect_resumption(&self) {
        self.resuming.set(Resuming::Wanted);
    }

    /// Whether the mount went on where a former server stopped.
    pub fn is_resumed(&self) -> bool {
        self.resuming.get() == Resuming::Done
    }

    /// Puts the running transaction down for a server that may have to go on with it. An error means that it must be committed.
    pub fn keep_transaction<'a>(
        &self,
        (sequence, updates, revoked): (u32, impl Iterator<Item = (u64, &'a Arc<[u8]>)>, impl Iterator<Item = u64>),
    ) -> Result<()> {
        self.running.borrow_mut().keep(&mut self.borrow(), sequence, updates, revoked)
    }

    /// After a commit: this server need not be doubted.
    pub fn is_committed(&self) {
        if let Some(mut kept) = self.borrow().kept() {
            kept.set(Word::Doubted, 0);
        }
    }

    /// The cache itself; the borrow must end before rsext4 runs.
    pub fn borrow(&self) -> core::cell::RefMut<'_, PageCache> {
        self.cache.borrow_mut()
    }

    /// The disk, if nobody else uses the cache any more.
    pub fn into_disk(self) -> Option<Box<dyn Disk>> {
        Rc::into_inner(self.cache).map(|cache| cache.into_inner().into_disk())
    }

    /// Before a writable mount of a file system with a journal: watch for its first write.
    pub fn expect_journal(&self) {
        self.guard.set(Guard::Waiting);
    }

    /// After a failed mount: forget what it left in the cache, and write no more.
    pub fn give_up(&self) {
        self.guard.set(Guard::Off);
        self.resuming.set(Resuming::No);
        self.running.borrow_mut().forget();
        self.borrow().forget_all();
    }

    /// After an unmount that emptied the journal: take the flag away, last and durably.
    pub fn journal_is_empty(&self) -> Result<()> {
        if self.guard.replace(Guard::Off) != Guard::Armed {
            return Ok(());
        }
        let mut cache = self.borrow();
        cache.flush()?;
        let mut superblock = RawSuperblock::load(&mut cache)?;
        superblock.set_needs_recovery(false);
        superblock.store(&mut cache)?;
        cache.flush()
    }

    fn before_write(&self) -> Result<()> {
        if self.guard.get() != Guard::Waiting {
            return Ok(());
        }
        let mut cache = self.borrow();
        let mut superblock = RawSuperblock::load(&mut cache)?;
        if !superblock.needs_recovery() {
            superblock.set_needs_recovery(true);
            superblock.store(&mut cache)?;
            cache.flush()?;
        }
        self.guard.set(Guard::Armed);
        Ok(())
    }

    fn after_write(&self, position: u64, length: usize) -> Result<()> {
        let touched = position < POSITION + LENGTH as u64 && position + length as u64 > POSITION;
        if !touched || self.guard.get() != Guard::Armed {
            return Ok(());
        }
        let mut cache = self.borrow();
        let mut superblock = RawSuperblock::load(&mut cache)?;
        if !superblock.needs_recovery() {
            superblock.set_needs_recovery(true);
            superblock.store(&mut cache)?;
        }
        Ok(())
    }
}

fn failed(error: Error) -> Ext4Error {
    match error {
        Error::OutOfMemory => Ext4Error::no_memory(),
        _ => Ext4Error::io(),
    }
}

impl BlockIo for SharedCache {
    fn write(&mut self, buffer: &[u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let length = count as usize * SECTOR_SIZE;
        let source = buffer.get(..length).ok_or_else(Ext4Error::invalid_input)?;
        let position = sector.raw().checked_mul(SECTOR_SIZE as u64).ok_or_else(Ext4Error::overflow)?;
        self.before_write().map_err(failed)?;
        self.borrow().write_bytes(position, source).map_err(failed)?;
        self.after_write(position, length).map_err(failed)
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, count: u32) -> Ext4Result<()> {
        let length = count as usize * SECTOR_SIZE;
        let target = buffer.get_mut(..length).ok_or_else(Ext4Error::invalid_input)?;
        let position = sector.raw().checked_mul(SECTOR_SIZE as u64).ok_or_else(Ext4Error::overflow)?;
        self.borrow().read_bytes(position, target).map_err(failed)
    }

    fn write_with_flags(&mut self, buffer: &[u8], sector: SectorId, count: u32, flags: WriteFlags) -> Ext4Result<()> {
        self.write(buffer, sector, count)?;
        if flags.contains(WriteFlags::FUA) { self.flush() } else { Ok(()) }
    }

    fn geometry(&self) -> DeviceGeometry {
        DeviceGeometry::new(SECTOR_SIZE as u32, self.borrow().geometry().sectors)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        DeviceCapabilities {
            read_only: self.borrow().geometry().read_only,
            flush: true,
            ..DeviceCapabilities::default()
        }
    }

    fn flush(&mut self) -> Ext4Result<()> {
        self.borrow().flush().map_err(failed)
    }

    /// Ends this server: that the journal cannot be continued may be its own fault. The next goes on with what is kept, and is believed.
    fn before_abort(&mut self, cause: Ext4Error) {
        // Where the cache is in use this is part of a panic.
        let Some(mut kept) = self.cache.try_borrow().ok().and_then(|cache| cache.kept()) else { return };
        if kept.word(Word::Doubted) == 0 {
            kept.set(Word::Doubted, 1);
            panic!("the journal cannot be continued ({cause}): the next server is to look whether that is so");
        }
    }

    fn resume(&mut self, sequence: u32) -> Ext4Result<Option<KeptTransaction>> {
        if self.resuming.get() == Resuming::No {
            return Ok(None);
        }
        self.resuming.set(Resuming::Done);
        let mut cache = self.borrow();
        let block_size = RawSuperblock::load(&mut cache).map_err(failed)?.block_size();
        let kept = self.running.borrow_mut().resume(&mut cache, sequence, block_size);
        kept.map(Some).map_err(failed)
    }
}
