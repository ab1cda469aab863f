//! The page cache: the one place where blocks of a device lie in memory.
//!
//! Pages of 4 KiB are named by a key: the page's number on the device, or, for data whose place on the device is not chosen yet
//! (delayed allocation), the file and the page within it. Everything that touches the device, metadata of rsext4 and file data
//! alike, goes through here, so there is one image of each block and no second cache to keep coherent.
//!
//! Invariants: a frame with a key is in the map under that key, and no other; a dirty frame's key is in the dirty list; a delayed
//! frame is never evicted and never written; a frame under read is never touched until its batch was waited for.
//!
//! An index of the pages lies in kept memory, as the frames do ([`crate::kept`]), so that a server that is started anew goes on with what its
//! predecessor had: two words for each frame, its key and a seal over the key and what the frame holds. A frame whose contents are not
//! whole has no seal, so what is filled is sealed when it is full. [`PageCache::resume`] takes everything over or, when any of it makes no
//! sense, nothing.
//!
//! Ordering: a page may reach the device at any time after it was written to, and has reached it when [`PageCache::flush`]
//! returns. That is what a disk with a volatile write cache promises, and all that rsext4's journal asks for.

use alloc::{boxed::Box, vec::Vec};

use hashbrown::{HashMap, HashSet};

use crate::{
    disk::{Direction, Disk, Geometry, MAX_TRANSFER, SECTOR_SIZE, TRANSFER_BOUNDARY, Ticket, Transfer},
    error::{Error, Result},
    kept::{INDEX, Kept, MOST_FRAMES, REDO, Word, seal},
    memory::{Input, Output, Region},
};

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// Pages in the largest transfer.
pub const MAX_RUN: usize = MAX_TRANSFER / PAGE_SIZE;

const SECTORS_PER_PAGE: u64 = (PAGE_SIZE / SECTOR_SIZE) as u64;
const NO_KEY: u64 = u64::MAX;
const DELAYED: u64 = 1 << 63;
/// Marks the key of a block image of the journal's running transaction; the rest is the block.
pub(crate) const RUNNING: u64 = 1 << 62;
/// Marks, besides, one that is to take the place of the former.
pub(crate) const NEXT: u64 = 1 << 61;
/// Transfers handed to the device at once when writing back.
const WRITE_BATCH: usize = 64;

const REFERENCED: u8 = 1;
const DIRTY: u8 = 2;
const READING: u8 = 4;
/// The contents are whole, and the kept index says so.
const SEALED: u8 = 8;

/// What a frame holds, in the seal of its entry in the kept index.
const CLEAN_PAGE: u64 = 1;
const DIRTY_PAGE: u64 = 2;

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
    kept: Option<Kept>,
    slots: Vec<Slot>,
    map: HashMap<u64, u32>,
    hand: usize,
    /// Device pages that became dirty; may name pages written since.
    dirty: Vec<u64>,
    dirty_count: usize,
    delayed_count: usize,
    /// The keys of block images, which are few.
    images: HashSet<u64>,
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

/// Whether a key names no page of the device.
fn is_special(key: u64) -> bool {
    key & (DELAYED | RUNNING) != 0
}

/// The file and the page within it that a delayed page's key names.
fn delayed_place(key: u64) -> (u32, u32) {
    ((key >> 32) as u32 & 0x7fff_ffff, key as u32)
}

impl PageCache {
    /// A cache of `disk` in `memory`, of which whole pages are used; at least 16.
    pub fn new(disk: Box<dyn Disk>, memory: Region) -> core::result::Result<Self, (Box<dyn Disk>, Error)> {
        let count = memory.len() / PAGE_SIZE;
        let mut map = HashMap::new();
        if count < 16 || u32::try_from(count).is_err() || map.try_reserve(count).is_err() {
            return Err((disk, Error::OutOfMemory));
        }
        Ok(Self {
            geometry: disk.geometry(),
            disk,
            memory,
            kept: None,
            slots: alloc::vec![Slot { key: NO_KEY, flags: 0 }; count],
            map,
            hand: 0,
            dirty: Vec::new(),
            dirty_count: 0,
            delayed_count: 0,
            images: HashSet::new(),
            batches: Vec::new(),
            unflushed: false,
            statistics: CacheStatistics { frames: count, ..CacheStatistics::default() },
        })
    }

    /// Keeps an index in `kept`, from an empty cache on.
    pub fn keep_in(&mut self, mut kept: Kept, generation: u64) {
        if self.slots.len() <= MOST_FRAMES {
            kept.begin(self.slots.len(), self.geometry.sectors, generation);
            self.kept = Some(kept);
        }
    }

    /// A cache that goes on with what a former one, in the same memory, left in `kept`. Or, with a sentence why, that nothing there can be used.
    pub fn resume(
        disk: Box<dyn Disk>,
        memory: Region,
        kept: Kept,
    ) -> core::result::Result<Self, (Box<dyn Disk>, &'static str)> {
        let (frames, sectors) = (memory.len() / PAGE_SIZE, disk.geometry().sectors);
        if frames > MOST_FRAMES || !kept.is_usable(frames, sectors) {
            return Err((disk, "nothing usable was kept"));
        }
        let mut cache = match Self::new(disk, memory) {
            Ok(cache) => cache,
            Err((disk, _)) => return Err((disk, "there is too little memory")),
        };
        cache.kept = Some(kept);
        match cache.take_over(kept) {
            Ok(()) => Ok(cache),
            Err(why) => Err((cache.disk, why)),
        }
    }

    fn take_over(&mut self, mut kept: Kept) -> core::result::Result<(), &'static str> {
        // What was under way first: a write that must not be cut in two, and a page that got its place.
        let (redo, frame) = (kept.word(Word::Redo), kept.word(Word::RedoFrame) as usize);
        if redo != 0 {
            let (length, within) = ((redo >> 32) as usize, redo as u32 as usize);
            if frame >= self.slots.len() || within + length > PAGE_SIZE {
                return Err("an unfinished write makes no sense");
            }
            self.copy_redo(kept, frame * PAGE_SIZE + within, length);
            kept.set(Word::Redo, 0);
        }
        let placing = kept.word(Word::Placing) as usize;
        if placing > self.slots.len() {
            return Err("a page without a place makes no sense");
        }
        if placing > 0 {
            let key = kept.word(Word::PlacingKey);
            self.write_entry(placing as u32 - 1, key, DIRTY_PAGE);
            kept.set(Word::Placing, 0);
        }
        for index in 0..self.slots.len() {
            let (key, sealed) = (kept.get(INDEX, index * 2), kept.get(INDEX, index * 2 + 1));
            if sealed == 0 {
                continue;
            }
            let dirty = match sealed {
                _ if sealed == seal(&[index as u64, key, CLEAN_PAGE]) => false,
                _ if sealed == seal(&[index as u64, key, DIRTY_PAGE]) => true,
                _ => return Err("the index of the page cache is broken"),
            };
            if !is_special(key) && self.page_bytes(key) == 0 {
                return Err("the index of the page cache names a place beyond the disk");
            }
            if self.map.insert(key, index as u32).is_some() {
                return Err("the index of the page cache names a page twice");
            }
            let mut flags = SEALED;
            if is_delayed(key) {
                self.delayed_count += 1;
            } else if is_special(key) {
                self.images.insert(key);
            } else if dirty {
                flags |= DIRTY;
                self.dirty_count += 1;
                self.dirty.push(key);
            }
            self.slots[index] = Slot { key, flags };
        }
        // Nobody knows what reached the device, and what the device made durable.
        self.unflushed = true;
        Ok(())
    }

    /// The disk alone.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.disk
    }

    /// The kept state, if there is one.
    pub fn kept(&self) -> Option<Kept> {
        self.kept
    }

    /// The delayed pages, as file and page within it.
    pub fn delayed(&self) -> impl Iterator<Item = (u32, u32)> {
        self.map.keys().copied().filter(|key| is_delayed(*key)).map(delayed_place)
    }

    /// The blocks of which images are kept under keys with this mark.
    pub(crate) fn images(&self, mark: u64) -> Vec<u64> {
        let special = RUNNING | NEXT;
        let marked = self.images.iter().filter(|key| *key & special == mark);
        marked.map(|key| key & !special).collect()
    }

    /// Puts down a block's image under a key, whole and sealed when this returns.
    pub(crate) fn put_image(&mut self, key: u64, image: &[u8]) -> Result<()> {
        if image.len() > PAGE_SIZE {
            return Err(Error::InvalidArgument);
        }
        self.discard(key);
        let frame = self.claim(key, 0)?;
        self.images.insert(key);
        self.memory.write(Self::offset(frame), image);
        self.seal(frame.0);
        Ok(())
    }

    /// An image that was put down.
    pub(crate) fn image(&self, key: u64, target: &mut [u8]) -> Result<()> {
        let index = *self.map.get(&key).ok_or(Error::Io)?;
        self.memory.read(index as usize * PAGE_SIZE, &mut target[..]);
        Ok(())
    }

    /// Gives an image another key.
    pub(crate) fn rename_image(&mut self, from: u64, to: u64) {
        self.discard(to);
        if let Some(index) = self.map.remove(&from) {
            self.slots[index as usize] = Slot { key: to, flags: SEALED };
            self.map.insert(to, index);
            self.images.remove(&from);
            self.images.insert(to);
            self.move_entry(index, to);
        }
    }

    /// Gives a frame another key in the kept index, at any moment under the one or the other; it is dirty, if that means something.
    fn move_entry(&mut self, index: u32, key: u64) {
        if let Some(mut kept) = self.kept {
            kept.set(Word::PlacingKey, key);
            kept.set(Word::Placing, u64::from(index) + 1);
            self.write_entry(index, key, DIRTY_PAGE);
            kept.set(Word::Placing, 0);
        }
    }

    /// Puts an entry into the kept index, which had none for this frame or one with this key.
    fn write_entry(&mut self, index: u32, key: u64, holds: u64) {
        if let Some(kept) = &mut self.kept {
            let at = index as usize * 2;
            if kept.get(INDEX, at) != key {
                kept.put(INDEX, at + 1, 0);
                kept.put(INDEX, at, key);
            }
            kept.put(INDEX, at + 1, seal(&[index.into(), key, holds]));
        }
    }

    /// A frame's contents are whole.
    fn seal(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.flags |= SEALED;
        let (key, holds) = (slot.key, if slot.flags & DIRTY != 0 { DIRTY_PAGE } else { CLEAN_PAGE });
        self.write_entry(index, key, holds);
    }

    /// A frame's contents do not count any more.
    fn empty_entry(&mut self, index: u32) {
        if self.slots[index as usize].flags & SEALED != 0
            && let Some(kept) = &mut self.kept
        {
            kept.put(INDEX, index as usize * 2 + 1, 0);
        }
    }

    fn copy_redo(&mut self, kept: Kept, to: usize, length: usize) {
        let mut page = [0; PAGE_SIZE];
        kept.memory().read(REDO, &mut page[..length]);
        self.memory.write(to, &page[..length]);
    }

    /// Writes into a frame so that an end in the middle leaves all or nothing of it.
    fn write_whole(&mut self, frame: Frame, within: usize, source: &[u8]) {
        let sealed = self.slots[frame.0 as usize].flags & SEALED != 0;
        let Some(mut kept) = self.kept.filter(|_| sealed) else {
            self.memory.write(Self::offset(frame) + within, source);
            return;
        };
        kept.memory().write(REDO, source);
        kept.set(Word::RedoFrame, frame.0.into());
        kept.set(Word::Redo, (source.len() as u64) << 32 | within as u64);
        self.memory.write(Self::offset(frame) + within, source);
        kept.set(Word::Redo, 0);
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
            } else {
                self.seal(index);
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
            if slot.flags & (DIRTY | READING) != 0 || is_special(slot.key) {
                continue;
            }
            if slot.flags & REFERENCED != 0 {
                slot.flags &= !REFERENCED;
                continue;
            }
            self.map.remove(&slot.key);
            slot.key = NO_KEY;
            self.empty_entry(index as u32);
            self.slots[index].flags = 0;
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
        self.slots[index as usize] = Slot { key: page, flags: REFERENCED | DIRTY | SEALED };
        self.map.insert(page, index);
        self.dirty_count += 1;
        self.dirty.push(page);
        self.move_entry(index, page);
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
        self.empty_entry(index);
        let slot = &mut self.slots[index as usize];
        if slot.flags & DIRTY != 0 {
            self.dirty_count -= 1;
        }
        if is_delayed(key) {
            self.delayed_count -= 1;
        } else if is_special(key) {
            self.images.remove(&key);
        }
        *slot = Slot { key: NO_KEY, flags: 0 };
    }

    /// Notes that a page was changed and is whole: one of the device differs from the device from now on.
    pub fn mark_dirty(&mut self, frame: Frame) {
        let slot = &mut self.slots[frame.0 as usize];
        if slot.flags & DIRTY == 0 && !is_special(slot.key) {
            slot.flags |= DIRTY;
            self.dirty_count += 1;
            self.dirty.push(slot.key);
            self.seal(frame.0);
        } else if slot.flags & SEALED == 0 {
            self.seal(frame.0);
        }
    }

    /// Before a whole page is changed: an end in the middle must not leave it as one that is like the device's.
    #[inline]
    fn touch(&mut self, frame: Frame) {
        if self.slots[frame.0 as usize].flags & (SEALED | DIRTY) == SEALED {
            self.mark_dirty(frame);
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
        self.touch(frame);
        self.memory.copy_in(Self::offset(frame) + offset, length, input);
    }

    /// Clears part of a frame; the caller marks it dirty.
    pub fn zero(&mut self, frame: Frame, offset: usize, length: usize) {
        debug_assert!(offset + length <= PAGE_SIZE);
        self.touch(frame);
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
            self.touch(frame);
            self.write_whole(frame, within, &source[done..done + length]);
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
            self.seal(*index);
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
        for index in 0..self.slots.len() {
            self.empty_entry(index as u32);
            self.slots[index] = Slot { key: NO_KEY, flags: 0 };
        }
        self.map.clear();
        self.images.clear();
        self.dirty.clear();
        self.dirty_count = 0;
        self.delayed_count = 0;
    }
}
