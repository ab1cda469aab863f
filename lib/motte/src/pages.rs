//! Memory that clients lend a server: pages by client for bulk data ([`Pages`]), rings ([`SharedWords`]).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use motte_abi::{Error, PAGE_SIZE, Rights};
use motte_interfaces::Cap;
use motte_interfaces::error::IoError;
use motte_interfaces::stream::{MAX_ATTACHED_PAGES, SharedPages};

use crate::kernel::{CacheMode, CapSlot, Endpoint, Frame};
use crate::memory::Mapping;
use crate::server::Replies;
use crate::slots;

/// One client's buffer: pages in fours, as many as its number says.
type Fours = [Option<Mapping>; (MAX_ATTACHED_PAGES / FOUR) as usize];

/// The buffers of all clients of a server, and capabilities to its endpoint.
#[derive(Debug)]
pub struct Pages {
    endpoint: Endpoint,
    replies: Replies,
    buffers: BTreeMap<u64, Box<Fours>>,
}

/// Pages in one attachment.
const FOUR: u64 = 4;
const FOUR_BYTES: u64 = FOUR * PAGE_SIZE as u64;

impl Pages {
    /// For the server on `endpoint` that answers through `replies`.
    pub fn new(endpoint: Endpoint, replies: Replies) -> Self {
        Self { endpoint, replies, buffers: BTreeMap::new() }
    }

    /// Where a client's buffer lies from byte `offset` on: an address in this program, and how many of `length` bytes lie in one piece
    /// there. The memory is mapped readable and writable until the client's pages are next attached or detached.
    pub fn range(&self, badge: u64, offset: u64, length: usize) -> Result<(NonNull<u8>, usize), IoError> {
        let fours = self.buffers.get(&badge).ok_or(IoError::InvalidData)?;
        let index = (offset / FOUR_BYTES) as usize;
        let first = fours.get(index).and_then(Option::as_ref).ok_or(IoError::InvalidInput)?;
        let within = (offset % FOUR_BYTES) as usize;
        let start = NonNull::new(first.as_ptr().wrapping_add(within)).ok_or(IoError::InvalidInput)?;
        let (mut end, mut count) = (first.address() + FOUR_BYTES, first.len() - within);
        // What was attached one after the other mostly lies so.
        let mut following = fours[index + 1..].iter().map_while(Option::as_ref);
        while count < length
            && let Some(next) = following.next().filter(|next| next.address() == end)
        {
            (end, count) = (end + FOUR_BYTES, count + next.len());
        }
        Ok((start, count.min(length)))
    }

    /// Calls `work` with every piece of a range of a client's buffer: the mapping, the offset in it, and the range of bytes.
    fn pieces(
        &self,
        badge: u64,
        offset: u64,
        length: usize,
        mut work: impl FnMut(&Mapping, usize, core::ops::Range<usize>),
    ) -> Result<(), IoError> {
        // A client that was never heard to lend pages speaks to an earlier server: it shall lend them anew.
        let fours = self.buffers.get(&badge).ok_or(IoError::InvalidData)?;
        let mut done = 0;
        while done < length {
            let at = offset.checked_add(done as u64).ok_or(IoError::InvalidInput)?;
            let mapping = fours.get((at / FOUR_BYTES) as usize).and_then(Option::as_ref);
            let mapping = mapping.ok_or(IoError::InvalidInput)?;
            let within = (at % FOUR_BYTES) as usize;
            let count = (length - done).min(mapping.len() - within);
            work(mapping, within, done..done + count);
            done += count;
        }
        Ok(())
    }
}

impl SharedPages for Pages {
    fn attach(&mut self, badge: u64, first: u64, pages: [Cap; 4]) -> Result<(), IoError> {
        let frames: Vec<Frame> = pages.iter().map(|page| Frame(CapSlot(page.0))).collect();
        let fits = first.is_multiple_of(FOUR) && first < MAX_ATTACHED_PAGES;
        let rights = Rights::READ | Rights::WRITE;
        let mapping = match fits {
            true => Mapping::of(frames, rights, CacheMode::Normal).map_err(|_| IoError::OutOfMemory),
            false => Err(IoError::InvalidInput),
        };
        match mapping {
            Ok(mapping) => {
                let fours = self.buffers.entry(badge).or_default();
                if let Some(old) = fours[(first / FOUR) as usize].replace(mapping) {
                    release(old);
                }
                Ok(())
            }
            Err(error) => {
                pages.iter().for_each(|page| slots::delete(CapSlot(page.0)));
                Err(error)
            }
        }
    }

    fn read(&self, badge: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        self.pieces(badge, offset, into.len(), |mapping, at, range| mapping.read(at, &mut into[range]))
    }

    fn write(&mut self, badge: u64, offset: u64, from: &[u8]) -> Result<(), IoError> {
        self.pieces(badge, offset, from.len(), |mapping, at, range| mapping.write(at, &from[range]))
    }

    fn detach(&mut self, badge: u64) {
        for mapping in self.buffers.remove(&badge).into_iter().flat_map(|fours| *fours).flatten() {
            release(mapping);
        }
    }

    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        let slot = slots::allocate().map_err(|_| IoError::OutOfMemory)?;
        match self.endpoint.0.mint(slot, Rights::SEND | Rights::GRANT, badge) {
            Ok(()) => {
                self.replies.delete_after_reply(Cap(slot.0));
                Ok(Cap(slot.0))
            }
            Err(Error::OutOfMemory | Error::LimitReached) => {
                slots::free(slot);
                Err(IoError::OutOfMemory)
            }
            // Refused to a server that is wrong about its own slots: its successor will be right.
            Err(error) => panic!("no capability to the own endpoint in a free slot: {error}"),
        }
    }
}

/// Unmaps a client's pages and gives up their capabilities.
fn release(mapping: Mapping) {
    let frames = mapping.frames().to_vec();
    drop(mapping);
    frames.into_iter().for_each(|frame| slots::delete(frame.0));
}

impl motte_ring::Buffer for Mapping {
    fn read(&self, at: usize, into: &mut [u8]) {
        Mapping::read(self, at, into);
    }

    fn write(&self, at: usize, from: &[u8]) {
        Mapping::write(self, at, from);
    }
}

/// Shared memory as words for a `motte-ring`: reached through atomics only, so that a peer that writes meanwhile is
/// no undefined behaviour.
#[derive(Debug)]
pub struct SharedWords(Mapping);

impl SharedWords {
    /// One fresh zeroed page.
    pub fn new() -> Result<Self, Error> {
        Mapping::new(1).map(Self)
    }

    /// A page that a peer lends.
    pub fn of(frame: Frame) -> Result<Self, Error> {
        Mapping::of(alloc::vec![frame], Rights::READ | Rights::WRITE, CacheMode::Normal).map(Self)
    }

    /// Its frame.
    pub fn frame(&self) -> Frame {
        self.0.frames()[0]
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page aligned, mapped readable and writable for as long as `self` lives, and reached
        // through this slice of atomics only, by the peer as well as by this program.
        unsafe {
            core::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), self.0.len() / size_of::<AtomicU64>())
        }
    }
}
