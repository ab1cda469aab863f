//! The page cache: the one place where blocks of a device lie in memory.
//!
//! Pages of 4 KiB are named by a key: the page's number on the device, or, for data whose place on the device is not chosen yet
//! (delayed allocation), the file and the page within it. Everything that touches the device, metadata of rsext4 and file data
//! alike, goes through here, so there is one image of each block and no second cache to keep coherent.
//!
//! Invariants: a frame with a key is in the map under that key, and no other; a dirty frame's key is in the dirty list; a delayed
//! frame is never evicted and never written; a frame under read is never touched until its batch was waited for.
//!
//! Ordering: a page may reach the device at any time after it was written to, and has reached it when [`PageCache::flush`]
//! returns. That is what a disk with a volatile write cache promises, and all that rsext4's journal asks for.

use alloc::{boxed::Box, vec::Vec};

use hashbrown::HashMap;

use crate::{
    disk::{Direction, Disk, Geometry, MAX_TRANSFER, SECTOR_SIZE, TRANSFER_BOUNDARY, Ticket, Transfer},
    error::{Error, Result},
    memory::{Input, Output, Region},
};

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// Pages in the largest transfer.
pub const MAX_RUN: usize = MAX_TRANSFER / PAGE_SIZE;

const SECTORS_PER_PAGE: u64 = (PAGE_SIZE / SECTOR_SIZE) as u64;
const NO_KEY: u64 = u64::MAX;
const DELAYED: u64 = 1 << 63;
/// Transfers handed to the device at once when writing back.
const WRITE_BATCH: usize = 64;

const REFERENCED: u8 = 1;
const DIRTY: u8 = 2;
const READING: u8 = 4;

/// Names the frame that holds a page; valid until the next call that may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u32);

#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    flags: u8,
}

struct Batch {
    ticket: Ticket,
    frames: Vec<u32>,
}

/// What the cache has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Frames in all.
    pub frames: usize,
    /// Frames that hold a page.
    pub used: usize,
    /// Pages not yet on the device, delayed ones included.
    pub dirty: usize,
    /// Read transfers issued.
    pub reads: u64,
    /// Write transfers issued.
    pub writes: u64,
    /// Device flushes issued.
    pub flushes: u64,
}

/// The page cache of one device.
pub struct PageCache {
    disk: Box<dyn Disk>,
    geometry: Geometry,
    memory: Region,
    slots: Vec<Slot>,
    map: HashMap<u64, u32>,
    hand: usize,
    /// Device pages that became dirty; may name pages written since.
    dirty: Vec<u64>,
    dirty_count: usize,
    delayed_count: usize,
    batches: Vec<Batch>,
    /// Whether a write completed since the last flush.
    unflushed: bool,
    statistics: CacheStatistics,
}

/// The key of a page of file `inode` that has no block yet.
pub fn delayed_key(inode: u32, page: u32) -> u64 {
    DELAYED | u64::from(inode & 0x7fff_ffff) << 32 | u64::from(page)
}

/// Whether memory at `offset` can join a transfer.
fn may_extend(transfer: &Transfer, offset: usize, length: usize) -> bool {
    transfer.offset + transfer.length == offset
        && transfer.length + length <= MAX_TRANSFER
        && !offset.is_multiple_of(TRANSFER_BOUNDARY)
}

fn is_delayed(key: u64) -> bool {
    key & DELAYED != 0
}

impl PageCache {
    /// A cache of `disk` in `memory`, of which whole pages are used; at least 16.
    pub fn new(disk: Box<dyn Disk>, memory: Region) -> Result<Self> {
        let count = memory.len() / PAGE_SIZE;
        if count < 16 || u32::try_from(count).is_err() {
            return Err(Error::OutOfMemory);
        }
        let mut map = HashMap::new();
        map.try_reserve(count).map_err(|_| Error::OutOfMemory)?;
        Ok(Self {
            geometry: disk.geometry(),
            disk,
            memory,
            slots: alloc::vec![Slot { key: NO_KEY, flags: 0 }; count],
            map,
            hand: 0,
            dirty: Vec::new(),
            dirty_count: 0,
            delayed_count: 0,
            batches: Vec::new(),
            unflushed: false,
            statistics: CacheStatistics { frames: count, ..CacheStatistics::default() },
        })
    }

    /// The device's size and mode.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Counters.
    pub fn statistics(&self) -> CacheStatistics {
        CacheStatistics { used: self.map.len(), dirty: self.dirty_count + self.delayed_count, ..self.statistics }
    }

    /// Pages whose data waits for a place on the device.
    pub fn delayed_pages(&self) -> usize {
        self.delayed_count
    }

    /// Frames in all.
    pub fn frame_count(&self) -> usize {
        self.slots.len()
    }

    /// Whether `flush` would have anything to do.
    pub fn is_clean(&self) -> bool {
        self.dirty_count == 0 && !self.unflushed
    }

    fn offset(frame: Frame) -> usize {
        frame.0 as usize * PAGE_SIZE
    }

    /// Bytes of the device in `page`: 4,096, or fewer in its last one.
    fn page_bytes(&self, page: u64) -> usize {
        let left = self.geometry.sectors.saturating_sub(page.saturating_mul(SECTORS_PER_PAGE));
        usize::try_from(left.min(SECTORS_PER_PAGE)).unwrap_or(0) * SECTOR_SIZE
    }

    /// The frame that holds `key`, if any; waits when it is being read.
    pub fn find(&mut self, key: u64) -> Option<Frame> {
        let index = *self.map.get(&key)?;
        let slot = &mut self.slots[index as usize];
        slot.flags |= REFERENCED;
        if slot.flags & READING == 0 {
            return Some(Frame(index));
        }
        self.finish_reading(index);
        // A failed read has taken the page away again.
        self.map.get(&key).map(|index| Frame(*index))
    }

    /// Whether `key` is in the cache or on its way.
    pub fn contains(&self, key: u64) -> bool {
        self.map.contains_key(&key)
    }

    fn finish_reading(&mut self, frame: u32) {
        if let Some(position) = self.batches.iter().position(|batch| batch.frames.contains(&frame)) {
            let batch = self.batches.swap_remove(position);
            self.finish(batch);
        }
    }

    fn finish(&mut self, batch: Batch) {
        let failed = self.disk.wait(batch.ticket).is_err();
        for index in batch.frames {
            let slot = &mut self.slots[index as usize];
            slot.flags &= !READING;
            if failed {
                self.map.remove(&slot.key);
                *slot = Slot { key: NO_KEY, flags: 0 };
            }
        }
    }

    fn finish_all(&mut self) {
        while let Some(batch) = self.batches.pop() {
            self.finish(batch);
        }
    }

    fn sweep(&mut self) -> Option<u32> {
        for _ in 0..2 * self.slots.len() {
            let index = self.hand;
            self.hand = if index + 1 == self.slots.len() { 0 } else { index + 1 };
            let slot = &mut self.slots[index];
            if slot.key == NO_KEY {
                return Some(index as u32);
            }
            if slot.flags & (DIRTY | READING) != 0 || is_delayed(slot.key) {
                continue;
            }
            if slot.flags & REFERENCED != 0 {
                slot.flags &= !REFERENCED;
                continue;
            }
            self.map.remove(&slot.key);
            slot.key = NO_KEY;
            return Some(index as u32);
        }
        None
    }

    /// A free frame under `key`, its content undefined.
    fn claim(&mut self, key: u64, flags: u8) -> Result<Frame> {
        if self.dirty_count > self.slots.len() / 2 {
            self.write_back()?;
        }
        let index = match self.sweep() {
            Some(index) => index,
            None => {
                self.finish_all();
                self.write_back()?;
                self.sweep().ok_or(Error::OutOfMemory)?
            }
        };
        self.slots[index as usize] = Slot { key, flags };
        self.map.insert(key, index);
        Ok(Frame(index))
    }

    /// Starts reading up to `count` absent pages from `page` on; stops at the first that is there.
    pub fn start_read(&mut self, page: u64, count: usize) -> Result<usize> {
        let mut transfers: Vec<Transfer> = Vec::new();
        let mut frames = Vec::new();
        for number in page..page.saturating_add(count as u64) {
            let length = self.page_bytes(number);
            if length == 0 || self.map.contains_key(&number) {
                break;
            }
            let Ok(frame) = self.claim(number, READING) else { break };
            frames.push(frame.0);
            let offset = Self::offset(frame);
            if length < PAGE_SIZE {
                self.memory.zero(offset, PAGE_SIZE);
            }
            match transfers.last_mut() {
                Some(last) if may_extend(last, offset, length) => last.length += length,
                _ => transfers.push(Transfer { sector: number * SECTORS_PER_PAGE, offset, length }),
            }
        }
        if frames.is_empty() {
            return Ok(0);
        }
        let started = frames.len();
        self.statistics.reads += transfers.len() as u64;
        match self.disk.submit(self.memory, Direction::Read, &transfers) {
            Ok(ticket) => self.batches.push(Batch { ticket, frames }),
            Err(_) => {
                for index in frames {
                    let slot = &mut self.slots[index as usize];
                    self.map.remove(&slot.key);
                    *slot = Slot { key: NO_KEY, flags: 0 };
                }
                return Err(Error::Io);
            }
        }
        Ok(started)
    }

    /// The frame of device page `page`, read from the device when absent together with the `ahead - 1` pages behind it.
    pub fn page(&mut self, page: u64, ahead: usize) -> Result<Frame> {
        if let Some(frame) = self.find(page) {
            return Ok(frame);
        }
        if self.page_bytes(page) == 0 {
            return Err(Error::Io);
        }
        let wanted = ahead.clamp(1, MAX_RUN);
        if self.start_read(page, wanted).is_ok()
            && let Some(frame) = self.find(page)
        {
            return Ok(frame);
        }
        // Another page of the batch may have been the bad one, or no frame was free.
        if self.start_read(page, 1)? == 0 && !self.map.contains_key(&page) {
            return Err(Error::OutOfMemory);
        }
        self.find(page).ok_or(Error::Io)
    }

    /// The frame of device page `page` for a caller that replaces all its bytes.
    pub fn page_to_replace(&mut self, page: u64) -> Result<Frame> {
        if let Some(frame) = self.find(page) {
            return Ok(frame);
        }
        if self.page_bytes(page) == 0 {
            return Err(Error::Io);
        }
        self.claim(page, REFERENCED)
    }

    /// A new, zeroed frame for a page without a place on the device.
    pub fn delay(&mut self, key: u64) -> Result<Frame> {
        let frame = self.claim(key, REFERENCED)?;
        self.delayed_count += 1;
        Ok(frame)
    }

    /// Gives a delayed page its place on the device; it is dirty there.
    pub fn place(&mut self, key: u64, page: u64) {
        let Some(index) = self.map.remove(&key) else { return };
        self.discard(page);
        self.delayed_count -= 1;
        self.slots[index as usize] = Slot { key: page, flags: REFERENCED };
        self.map.insert(page, index);
        self.mark_dirty(Frame(index));
    }

    /// Forgets a page, written or not.
    pub fn discard(&mut self, key: u64) {
        let Some(index) = self.map.get(&key).copied() else { return };
        if self.slots[index as usize].flags & READING != 0 {
            self.finish_reading(index);
        }
        if self.map.remove(&key).is_none() {
            return;
        }
        let slot = &mut self.slots[index as usize];
        if slot.flags & DIRTY != 0 {
            self.dirty_count -= 1;
        }
        if is_delayed(key) {
            self.delayed_count -= 1;
        }
        *slot = Slot { key: NO_KEY, flags: 0 };
    }

    /// Notes that a device page differs from the device.
    pub fn mark_dirty(&mut self, frame: Frame) {
        let slot = &mut self.slots[frame.0 as usize];
        if slot.flags & DIRTY == 0 && !is_delayed(slot.key) {
            slot.flags |= DIRTY;
            self.dirty_count += 1;
            self.dirty.push(slot.key);
        }
    }

    /// Copies from a frame.
    pub fn copy_out(&self, frame: Frame, offset: usize, length: usize, output: &mut Output<'_>) {
        debug_assert!(offset + length <= PAGE_SIZE);
        self.memory.copy_out(Self::offset(frame) + offset, length, output);
    }

    /// Copies into a frame; the caller marks it dirty.
    pub fn copy_in(&mut self, frame: Frame, offset: usize, length: usize, input: &mut Input<'_>) {
        debug_assert!(offset + length <= PAGE_SIZE);
        self.memory.copy_in(Self::offset(frame) + offset, length, input);
    }

    /// Clears part of a frame; the caller marks it dirty.
    pub fn zero(&mut self, frame: Frame, offset: usize, length: usize) {
        debug_assert!(offset + length <= PAGE_SIZE);
        self.memory.zero(Self::offset(frame) + offset, length);
    }

    /// Reads bytes of the device.
    pub fn read_bytes(&mut self, position: u64, target: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < target.len() {
            let at = position + done as u64;
            let within = (at % PAGE_SIZE as u64) as usize;
            let length = (PAGE_SIZE - within).min(target.len() - done);
            let pages_left = (within + target.len() - done).div_ceil(PAGE_SIZE);
            let frame = self.page(at / PAGE_SIZE as u64, pages_left)?;
            self.memory.read(Self::offset(frame) + within, &mut target[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Writes bytes of the device, into the cache.
    pub fn write_bytes(&mut self, position: u64, source: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < source.len() {
            let at = position + done as u64;
            let page = at / PAGE_SIZE as u64;
            let within = (at % PAGE_SIZE as u64) as usize;
            let length = (PAGE_SIZE - within).min(source.len() - done);
            let frame = if length == PAGE_SIZE { self.page_to_replace(page)? } else { self.page(page, 1)? };
            self.memory.write(Self::offset(frame) + within, &source[done..done + length]);
            self.mark_dirty(frame);
            done += length;
        }
        Ok(())
    }

    /// Writes every dirty page to the device, in order of place and in large transfers. Delayed pages stay.
    pub fn write_back(&mut self) -> Result<()> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        let mut pages = core::mem::take(&mut self.dirty);
        pages.sort_unstable();
        pages.dedup();
        let result = self.write_pages(&pages);
        if result.is_err() {
            // What is still dirty must be found again.
            for page in pages.iter().copied() {
                if let Some(index) = self.map.get(&page)
                    && self.slots[*index as usize].flags & DIRTY != 0
                {
                    self.dirty.push(page);
                }
            }
        }
        result
    }

    fn write_pages(&mut self, pages: &[u64]) -> Result<()> {
        let mut transfers: Vec<Transfer> = Vec::with_capacity(WRITE_BATCH);
        let mut frames: Vec<u32> = Vec::with_capacity(pages.len());
        for page in pages.iter().copied() {
            let Some(index) = self.map.get(&page).copied() else { continue };
            if self.slots[index as usize].flags & DIRTY == 0 {
                continue;
            }
            let offset = Self::offset(Frame(index));
            let length = self.page_bytes(page);
            let sector = page * SECTORS_PER_PAGE;
            match transfers.last_mut() {
                Some(last)
                    if last.sector + (last.length / SECTOR_SIZE) as u64 == sector
                        && may_extend(last, offset, length) =>
                {
                    last.length += length;
                }
                _ => {
                    if transfers.len() == WRITE_BATCH {
                        self.write_batch(&transfers, &frames)?;
                        transfers.clear();
                        frames.clear();
                    }
                    transfers.push(Transfer { sector, offset, length });
                }
            }
            frames.push(index);
        }
        self.write_batch(&transfers, &frames)
    }

    fn write_batch(&mut self, transfers: &[Transfer], frames: &[u32]) -> Result<()> {
        if transfers.is_empty() {
            return Ok(());
        }
        self.statistics.writes += transfers.len() as u64;
        let ticket = self.disk.submit(self.memory, Direction::Write, transfers).map_err(|_| Error::Io)?;
        self.unflushed = true;
        self.disk.wait(ticket).map_err(|_| Error::Io)?;
        for index in frames {
            self.slots[*index as usize].flags &= !DIRTY;
        }
        self.dirty_count -= frames.len();
        Ok(())
    }

    /// Makes everything written so far durable, delayed pages excepted.
    pub fn flush(&mut self) -> Result<()> {
        self.write_back()?;
        if self.unflushed {
            self.statistics.flushes += 1;
            self.disk.flush().map_err(|_| Error::Io)?;
            self.unflushed = false;
        }
        Ok(())
    }
}

impl PageCache {
    /// Forgets every page, written or not, as after a failed mount.
    pub fn forget_all(&mut self) {
        self.finish_all();
        for slot in &mut self.slots {
            *slot = Slot { key: NO_KEY, flags: 0 };
        }
        self.map.clear();
        self.dirty.clear();
        self.dirty_count = 0;
        self.delayed_count = 0;
    }
}
