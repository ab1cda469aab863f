//! The data path: between the page cache's frames and the caller, and from delayed pages to blocks.

use rsext4::Ext4ErrorKind;

use super::{
    Ext4, inode,
    node::{Extent, Place},
};
use crate::{
    cache::{MAX_RUN, PAGE_SIZE, delayed_key},
    error::{Error, Result},
    filesystem::{Kind, ReadAhead},
    memory::{Input, Output},
};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages read at once when a file is first read.
const FIRST_WINDOW: u32 = 4;
/// Bytes moved at once where rsext4 moves the data.
const BOUNCE: usize = 16 * 1024;
/// The largest file: page numbers are 32 bits.
const MOST_PAGES: u64 = u32::MAX as u64;

fn page_of(position: u64) -> Result<u32> {
    u32::try_from(position / PAGE).map_err(|_| Error::FileTooLarge)
}

impl Ext4 {
    pub(super) fn read_data(
        &mut self,
        number: u32,
        position: u64,
        output: &mut Output<'_>,
        ahead: &mut ReadAhead,
    ) -> Result<usize> {
        let node = match self.nodes.get(&number) {
            Some(node) if node.is_loaded() => node,
            _ => {
                self.file(number)?;
                self.nodes.get(&number).ok_or(Error::Io)?
            }
        };
        let size = node.size;
        if position >= size || output.remaining() == 0 {
            return Ok(0);
        }
        let length = (output.remaining() as u64).min(size - position) as usize;
        if !node.has_data_path(self.whole_pages) {
            return self.read_by_core(number, position, length, output);
        }
        let sequential = position == ahead.next;
        ahead.window = match sequential {
            true => (ahead.window * 2).clamp(FIRST_WINDOW, MAX_RUN as u32),
            false => FIRST_WINDOW,
        };
        if !sequential {
            ahead.end = 0;
        }
        let last = (size - 1) / PAGE;
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let page = page_of(at)?;
            let within = (at % PAGE) as usize;
            let place = node.place(page);
            let left_in_call = (within + length - done).div_ceil(PAGE_SIZE) as u64;
            match place {
                Place::Device(physical, run) => {
                    let left_in_file = last + 1 - u64::from(page);
                    let run = u64::from(run).min(left_in_file);
                    let mut cache = self.cache.borrow();
                    for index in 0..run.min(left_in_call) {
                        let wanted = (left_in_call - index).max(u64::from(ahead.window)).min(run - index);
                        let within = if index == 0 { within } else { 0 };
                        let piece = (PAGE_SIZE - within).min(length - done);
                        let frame = match cache.find(physical + index) {
                            Some(frame) => frame,
                            None => {
                                let frame = cache.page(physical + index, wanted as usize)?;
                                let reached = u64::from(page) + index + wanted.min(MAX_RUN as u64);
                                ahead.end = ahead.end.max(reached);
                                frame
                            }
                        };
                        cache.copy_out(frame, within, piece, output);
                        done += piece;
                    }
                }
                Place::Hole(_) | Place::Unwritten(_) => {
                    let piece = (PAGE_SIZE - within).min(length - done);
                    let mut cache = self.cache.borrow();
                    match cache.find(delayed_key(number, page)) {
                        Some(frame) => cache.copy_out(frame, within, piece, output),
                        None => output.put_zeros(piece),
                    }
                    done += piece;
                }
            }
        }
        ahead.next = position + done as u64;
        if sequential {
            self.read_ahead(number, ahead, last);
        }
        Ok(done)
    }

    /// Starts reading the pages a sequential reader will want next, so that the device works while the reader does.
    fn read_ahead(&mut self, number: u32, ahead: &mut ReadAhead, last: u64) {
        let next_page = ahead.next / PAGE;
        // Nothing was missing lately: the file is in memory.
        if ahead.end <= next_page || ahead.end > last || ahead.end - next_page > u64::from(ahead.window) / 2 {
            return;
        }
        let (Some(node), Ok(page)) = (self.nodes.get(&number), u32::try_from(ahead.end)) else { return };
        if let Place::Device(physical, run) = node.place(page) {
            let count = u64::from(run.min(ahead.window)).min(last + 1 - ahead.end);
            let mut cache = self.cache.borrow();
            // An error shows again, and is told, when the page is really read.
            if let Ok(started) = cache.start_read(physical, count as usize) {
                ahead.end += (started as u64).max(1);
            }
        }
    }

    fn read_by_core(&mut self, number: u32, position: u64, length: usize, output: &mut Output<'_>) -> Result<usize> {
        let mut bounce = alloc::vec![0; length.min(BOUNCE)];
        let mut done = 0;
        while done < length {
            let wanted = (length - done).min(bounce.len());
            let got = self.core.read_inode(inode(number)?, position + done as u64, &mut bounce[..wanted])?;
            if got == 0 {
                output.put_zeros(length - done);
                return Ok(length);
            }
            output.put(&bounce[..got]);
            done += got;
        }
        Ok(done)
    }

    pub(super) fn write_data(&mut self, number: u32, position: u64, input: &mut Input<'_>) -> Result<usize> {
        let length = input.remaining();
        let old_size = self.file(number)?.size;
        if length == 0 {
            return Ok(0);
        }
        let end = position.checked_add(length as u64).ok_or(Error::FileTooLarge)?;
        if end > MOST_PAGES * PAGE {
            return Err(Error::FileTooLarge);
        }
        if !self.has_data_path(number)? {
            return self.write_by_core(number, position, input);
        }
        if position > old_size {
            self.clear_tail(number, old_size)?;
        }
        let mut done = 0;
        let mut result = Ok(());
        while done < length {
            // A write larger than memory can hold back is shortened; the caller goes on with the rest.
            if done > 0 && self.delayed > 2 * self.most_delayed() {
                break;
            }
            let at = position + done as u64;
            let within = (at % PAGE) as usize;
            match self.write_run(number, page_of(at)?, within, length - done, input) {
                Ok(written) => done += written,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if done > 0 {
            let now = self.clock.seconds();
            let node = self.node(number)?;
            node.size = node.size.max(position + done as u64);
            node.modified = now;
            node.touched = true;
            self.unsettled = true;
            self.note(number)?;
        }
        if self.delayed > self.most_delayed() {
            let settled = self.settle(number);
            if self.delayed > self.most_delayed() {
                self.settle_all()?;
            }
            settled?;
        }
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    fn most_delayed(&self) -> usize {
        self.cache.borrow().frame_count() / 4
    }

    /// Writes from byte `within` of a page on, at most `length` bytes, as far as the pages lie alike and there is certainly room for them.
    /// Returns how many bytes.
    fn write_run(
        &mut self,
        number: u32,
        page: u32,
        within: usize,
        length: usize,
        input: &mut Input<'_>,
    ) -> Result<usize> {
        let pages = u32::try_from((within + length).div_ceil(PAGE_SIZE)).unwrap_or(u32::MAX);
        let first = length.min(PAGE_SIZE - within);
        let node = self.nodes.get(&number).ok_or(Error::Io)?;
        match node.place(page) {
            Place::Device(physical, run) => {
                let mut cache = self.cache.borrow();
                let mut piece = first;
                let mut done = 0;
                for index in 0..u64::from(pages.min(run)) {
                    let frame = match piece == PAGE_SIZE {
                        true => cache.page_to_replace(physical + index),
                        false => cache.page(physical + index, 1),
                    };
                    let frame = match frame {
                        Err(_) if done > 0 => break,
                        frame => frame?,
                    };
                    cache.copy_in(frame, if index == 0 { within } else { 0 }, piece, input);
                    cache.mark_dirty(frame);
                    done += piece;
                    piece = (length - done).min(PAGE_SIZE);
                }
                Ok(done)
            }
            Place::Hole(run) => {
                let most = (2 * self.most_delayed()).saturating_sub(self.delayed).max(1);
                let pages = pages.min(run).min(u32::try_from(most).unwrap_or(u32::MAX));
                if pages > 1 && self.has_space(u64::from(pages)) {
                    return self.write_delayed(
                        number,
                        page,
                        within,
                        length.min(pages as usize * PAGE_SIZE - within),
                        input,
                    );
                }
                if !node.delayed.contains(page) {
                    self.check_space()?;
                }
                self.write_delayed(number, page, within, first, input)
            }
            Place::Unwritten(_) => {
                let mut bounce = alloc::vec![0; first];
                input.take(&mut bounce);
                self.write_through_core(number, u64::from(page) * PAGE + within as u64, &bounce)?;
                Ok(first)
            }
        }
    }

    /// Writes into delayed pages, new ones where there are none. Less than all only if memory ran out behind the first page.
    fn write_delayed(
        &mut self,
        number: u32,
        page: u32,
        mut within: usize,
        length: usize,
        input: &mut Input<'_>,
    ) -> Result<usize> {
        let node = self.nodes.get_mut(&number).ok_or(Error::Io)?;
        let mut cache = self.cache.borrow();
        let mut done = 0;
        for page in page.. {
            if done == length {
                break;
            }
            let piece = (PAGE_SIZE - within).min(length - done);
            let key = delayed_key(number, page);
            let known = if node.delayed.contains(page) { cache.find(key) } else { None };
            let frame = match known.map_or_else(|| cache.delay(key), Ok) {
                Err(_) if done > 0 => break,
                frame => frame?,
            };
            if known.is_none() {
                if piece < PAGE_SIZE {
                    cache.zero(frame, 0, PAGE_SIZE);
                }
                node.delayed.insert(page);
                self.delayed += 1;
            }
            cache.copy_in(frame, within, piece, input);
            cache.mark_dirty(frame);
            done += piece;
            within = 0;
        }
        Ok(done)
    }

    /// Whether so many more pages will certainly find blocks, with some left for the blocks that map them.
    fn has_space(&self, pages: u64) -> bool {
        let promised = self.delayed as u64 + pages;
        let spare = 8 + promised / 256;
        self.core.statfs().free_blocks >= promised + spare
    }

    /// Whether one more page will find a block. If that is not certain, the pages that wait for theirs get them first.
    fn check_space(&mut self) -> Result<()> {
        if self.has_space(1) {
            return Ok(());
        }
        self.settle_all()?;
        if self.core.statfs().free_blocks > 2 { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Writes a piece of a file through rsext4, and forgets what that changes.
    fn write_through_core(&mut self, number: u32, position: u64, data: &[u8]) -> Result<()> {
        if self.freed {
            self.commit()?;
        }
        if self.whole_pages {
            self.core.purge_data_cache()?;
        }
        let written = self.core.write_inode(inode(number)?, position, data);
        if self.whole_pages {
            self.core.purge_data_cache()?;
        }
        written?;
        let node = self.node(number)?;
        let size = node.size;
        let info = self.core.inode(inode(number)?)?;
        let node = self.node(number)?;
        node.info = info;
        node.size = size.max(info.size);
        if self.whole_pages {
            self.node(number)?.extents = None;
            self.file(number)?;
        }
        self.bound_transaction()
    }

    /// Writes through rsext4. What it keeps in memory of its own goes to the page cache at the end, which a restart does not take away.
    fn write_by_core(&mut self, number: u32, position: u64, input: &mut Input<'_>) -> Result<usize> {
        let written = self.write_all_by_core(number, position, input);
        self.core.purge_data_cache()?;
        self.bound_transaction()?;
        written
    }

    fn write_all_by_core(&mut self, number: u32, position: u64, input: &mut Input<'_>) -> Result<usize> {
        let length = input.remaining();
        let mut bounce = alloc::vec![0; length.min(BOUNCE)];
        let mut done = 0;
        while done < length {
            let piece = (length - done).min(bounce.len());
            input.take(&mut bounce[..piece]);
            match self.write_what_fits(number, position + done as u64, &bounce[..piece]) {
                Ok(written) if written < piece => return Ok(done + written),
                Ok(written) => done += written,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Writes through rsext4 as much of `data` as finds space. A write that found too little has reserved what there
    /// was; shorter ones put that to use, so that no block stays behind the end of the file.
    fn write_what_fits(&mut self, number: u32, position: u64, data: &[u8]) -> Result<usize> {
        let mut done = 0;
        let mut length = data.len();
        while done < data.len() {
            length = length.min(data.len() - done);
            match self.write_through_core(number, position + done as u64, &data[done..done + length]) {
                Ok(()) => done += length,
                Err(Error::NoSpace) if length > 1 => length /= 2,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Clears the bytes behind `size` in its page, so that a later extension shows zeros.
    fn clear_tail(&mut self, number: u32, size: u64) -> Result<()> {
        let within = (size % PAGE) as usize;
        if within == 0 {
            return Ok(());
        }
        let page = page_of(size)?;
        let place = self.nodes.get(&number).ok_or(Error::Io)?.place(page);
        let mut cache = self.cache.borrow();
        let frame = match place {
            Place::Device(physical, _) => Some(cache.page(physical, 1)?),
            _ => cache.find(delayed_key(number, page)),
        };
        if let Some(frame) = frame {
            cache.zero(frame, within, PAGE_SIZE - within);
            cache.mark_dirty(frame);
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, number: u32, size: u64) -> Result<()> {
        let old_size = self.file(number)?.size;
        if size > MOST_PAGES * PAGE {
            return Err(Error::FileTooLarge);
        }
        if size == old_size {
            return Ok(());
        }
        if !self.has_data_path(number)? {
            self.freed |= size < old_size;
            self.core.truncate_inode(inode(number)?, size)?;
            self.reload(number)?;
            return self.bound_transaction();
        }
        self.clear_tail(number, size.min(old_size))?;
        if size < old_size {
            self.drop_delayed(number, size.div_ceil(PAGE) as u32)?;
            if self.node(number)?.info.size > size {
                self.core.purge_data_cache()?;
                self.freed = true;
                let cut = self.core.truncate_inode(inode(number)?, size);
                self.core.purge_data_cache()?;
                let info = self.core.inode(inode(number)?)?;
                let node = self.node(number)?;
                node.info = info;
                node.extents = None;
                cut?;
            }
        }
        let now = self.clock.seconds();
        let node = self.node(number)?;
        node.size = size;
        node.modified = now;
        node.touched = true;
        self.unsettled = true;
        self.bound_transaction()?;
        self.note(number)
    }

    /// Forgets delayed pages from `page` on.
    pub(super) fn drop_delayed(&mut self, number: u32, page: u32) -> Result<()> {
        let tail = self.node(number)?.delayed.split_off(page);
        let mut cache = self.cache.borrow();
        for page in tail.into_iter().flat_map(|(start, end)| start..end) {
            cache.discard(delayed_key(number, page));
            self.delayed -= 1;
        }
        Ok(())
    }

    /// Gives a file's delayed pages their blocks and stores its attributes: all that a commit needs to make the file durable.
    pub(super) fn settle(&mut self, number: u32) -> Result<()> {
        if !self.nodes.get(&number).is_some_and(|node| node.is_changed()) {
            return Ok(());
        }
        if self.node(number)?.kind() == Kind::File {
            self.file(number)?;
        }
        while let Some((start, end)) = self.node(number)?.delayed.first() {
            if self.freed {
                self.commit()?;
            }
            let size = self.node(number)?.size;
            let mut kept = Ok(());
            match self.core.map_new_blocks(inode(number)?, start, end - start, size) {
                Ok((physical, mapped)) => {
                    let mapped = mapped.min(end - start);
                    // The blocks first: a page that has its place in blocks which belong to no file would be lost with this server.
                    kept = self.keep_transaction();
                    let mut cache = self.cache.borrow();
                    for index in 0..mapped {
                        cache.place(delayed_key(number, start + index), physical + u64::from(index));
                    }
                    drop(cache);
                    self.delayed -= mapped as usize;
                    let node = self.node(number)?;
                    node.delayed.remove_first(mapped);
                    node.add_extent(Extent { logical: start, physical, length: mapped, written: true });
                    node.touched = true;
                }
                Err(error) if error.kind() == Ext4ErrorKind::AlreadyExists => {
                    // Blocks were reserved behind the end of the file, by another system.
                    self.place_page_through_core(number, start)?;
                }
                Err(error) => return Err(error.into()),
            }
            match kept {
                Ok(()) => self.bound_transaction()?,
                Err(_) => self.commit()?,
            }
        }
        let info = self.core.inode(inode(number)?)?;
        self.node(number)?.info = info;
        self.store_attributes(number)?;
        self.bound_transaction()?;
        // Only now does the next server know size and time without the note.
        self.note(number)
    }

    fn place_page_through_core(&mut self, number: u32, page: u32) -> Result<()> {
        let key = delayed_key(number, page);
        let size = self.node(number)?.size;
        let start = u64::from(page) * PAGE;
        let length = PAGE.min(size.saturating_sub(start)) as usize;
        let mut bounce = alloc::vec![0; length];
        {
            let mut cache = self.cache.borrow();
            let frame = cache.find(key).ok_or(Error::Io)?;
            cache.copy_out(frame, 0, length, &mut Output::new(&mut bounce));
        }
        if length > 0 {
            self.write_through_core(number, start, &bounce)?;
        }
        // Only now, as above.
        self.cache.borrow().discard(key);
        self.delayed -= 1;
        self.node(number)?.delayed.remove_first(1);
        Ok(())
    }
}
