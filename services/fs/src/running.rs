//! The journal's running transaction, put down where a server that is started anew finds it.
//!
//! Changes of metadata are in the disk's journal once the transaction that they belong to is committed, and in the library's memory before.
//! So that they outlive the server, images of the blocks of the running transaction are put into frames of the page cache, under keys of
//! their own, after every operation. The new images lie beside the old ones until all are there; one word then lets them take the place of
//! the old. A transaction has a number: one that was committed since is on the journal, and its images count no more.

use alloc::{sync::Arc, vec::Vec};

use hashbrown::HashMap;
use rsext4::KeptTransaction;

use crate::{
    cache::{NEXT, PAGE_SIZE, PageCache, RUNNING},
    error::{Error, Result},
    kept::{Kept, Word},
};

/// The block whose "image" is the list of the blocks that the transaction revokes.
const REVOKED: u64 = 1 << 60;
/// The most of them.
const MOST_REVOKED: usize = PAGE_SIZE / 8 - 1;

/// The new images are added to the others, or take the place of those of the same blocks.
const ADDED: u64 = 1;
/// Only the new images count.
const ALONE: u64 = 2;

/// What is put down, as its owner knows it.
#[derive(Default)]
pub struct Running {
    sequence: u32,
    /// The images; held, so that an image at the same address is the same image.
    blocks: HashMap<u64, Arc<[u8]>>,
    revoked: Vec<u64>,
}

impl Running {
    /// Puts down what the running transaction holds now. An error means that it could not be put down: it must be committed.
    pub fn keep<'a>(
        &mut self,
        cache: &mut PageCache,
        sequence: u32,
        updates: impl Iterator<Item = (u64, &'a Arc<[u8]>)>,
        revoked: impl Iterator<Item = u64>,
    ) -> Result<()> {
        let Some(mut kept) = cache.kept() else { return Ok(()) };
        let updates: Vec<(u64, &Arc<[u8]>)> = updates.collect();
        let revoked: Vec<u64> = revoked.collect();
        if sequence == self.sequence && updates.is_empty() && self.blocks.is_empty() && revoked == self.revoked {
            return Ok(());
        }
        let is_known =
            |(block, image): &&(u64, &Arc<[u8]>)| self.blocks.get(block).is_some_and(|known| Arc::ptr_eq(known, image));
        let still_there = updates.iter().filter(|(block, _)| self.blocks.contains_key(block)).count();
        let alone = sequence != self.sequence || still_there < self.blocks.len();
        let new = updates.iter().filter(|update| alone || !is_known(update)).copied();
        let new: Vec<(u64, &Arc<[u8]>)> = new.collect();
        let list_is_new = revoked != self.revoked || alone && !revoked.is_empty();
        if new.is_empty() && !list_is_new && !alone {
            return Ok(());
        }
        let put = Self::put_next(cache, &new, list_is_new.then_some(&revoked[..]));
        if put.is_err() {
            drop_images(cache, NEXT | RUNNING);
            return put;
        }
        kept.set(Word::NextSequence, sequence.into());
        kept.set(Word::Sealed, if alone { ALONE } else { ADDED });
        finish(cache, kept);
        if alone {
            self.blocks.clear();
        }
        self.blocks.extend(new.into_iter().map(|(block, image)| (block, image.clone())));
        self.revoked = revoked;
        self.sequence = sequence;
        Ok(())
    }

    fn put_next(cache: &mut PageCache, images: &[(u64, &Arc<[u8]>)], revoked: Option<&[u64]>) -> Result<()> {
        for (block, image) in images {
            cache.put_image(RUNNING | NEXT | block, image)?;
        }
        if let Some(revoked) = revoked {
            if revoked.len() > MOST_REVOKED {
                return Err(Error::NoSpace);
            }
            let words = core::iter::once(revoked.len() as u64).chain(revoked.iter().copied());
            let list: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
            cache.put_image(RUNNING | NEXT | REVOKED, &list)?;
        }
        Ok(())
    }

    /// What a former server put down, if it belongs to the transaction of this number; else nothing, and it is forgotten.
    pub fn resume(&mut self, cache: &mut PageCache, sequence: u32, block_size: usize) -> Result<KeptTransaction> {
        let Some(kept) = cache.kept() else { return Ok(KeptTransaction::default()) };
        finish(cache, kept);
        self.sequence = sequence;
        if kept.word(Word::Sequence) != u64::from(sequence) || block_size > PAGE_SIZE {
            drop_images(cache, RUNNING);
            return Ok(KeptTransaction::default());
        }
        for block in cache.images(RUNNING) {
            if block == REVOKED {
                self.revoked = read_list(cache)?;
                continue;
            }
            let mut image = alloc::vec![0; block_size];
            cache.image(RUNNING | block, &mut image)?;
            self.blocks.insert(block, image.into());
        }
        let blocks = self.blocks.iter().map(|(block, image)| (*block, image.clone())).collect();
        Ok(KeptTransaction { blocks, revoked: self.revoked.clone() })
    }

    /// After everything in the cache was forgotten.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

fn read_list(cache: &PageCache) -> Result<Vec<u64>> {
    let mut page = [0; PAGE_SIZE];
    cache.image(RUNNING | REVOKED, &mut page)?;
    let mut words = page.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let count = words.next().unwrap_or(0) as usize;
    if count > MOST_REVOKED { Err(Error::Io) } else { Ok(words.take(count).collect()) }
}

fn drop_images(cache: &mut PageCache, mark: u64) {
    for block in cache.images(mark) {
        cache.discard(mark | block);
    }
}

/// Lets images that are complete take the place of the former ones, and drops those that are not.
fn finish(cache: &mut PageCache, mut kept: Kept) {
    if kept.word(Word::Sealed) == ALONE {
        drop_images(cache, RUNNING);
        kept.set(Word::Sealed, ADDED);
    }
    if kept.word(Word::Sealed) != ADDED {
        drop_images(cache, RUNNING | NEXT);
        return;
    }
    for block in cache.images(RUNNING | NEXT) {
        cache.rename_image(RUNNING | NEXT | block, RUNNING | block);
    }
    kept.set(Word::Sequence, kept.word(Word::NextSequence));
    kept.set(Word::Publications, kept.word(Word::Publications) + 1);
    kept.set(Word::Sealed, 0);
}
