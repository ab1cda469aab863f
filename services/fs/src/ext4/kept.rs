//! What is known of files and not yet on the disk or in its journal: sizes and times of change of files that were written to. It lies in kept
//! memory, so that a server that is started anew takes it over, with the delayed pages that its page cache still has.
//!
//! An entry is three words: inode, size, time. Each carries a check of its own, so that each can change alone.

use alloc::vec::Vec;

use super::{
    Ext4, inode,
    node::{Node, Place},
};
use crate::{
    cache::{PAGE_SIZE, delayed_key},
    error::Result,
    filesystem::Kind,
    kept::{Kept, NODES},
};

/// Files that may have changes which the disk does not know; beyond that they are settled at once.
const MOST: usize = 2048;
const WORDS: usize = 3;
const VALUE: u64 = (1 << 48) - 1;

/// A word of 48 bits with a check of 16; `None` for a larger one.
pub(crate) fn checked(value: u64, salt: u64) -> Option<u64> {
    (value <= VALUE).then(|| value | check(value, salt) << 48)
}

/// What lies in such a word.
pub(crate) fn unchecked(word: u64, salt: u64) -> Option<u64> {
    let value = word & VALUE;
    (word >> 48 == check(value, salt)).then_some(value)
}

fn check(value: u64, salt: u64) -> u64 {
    (value ^ salt.rotate_left(48) ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
}

/// The table of such files.
#[derive(Default)]
pub(super) struct KeptNodes {
    kept: Option<Kept>,
    free: Vec<u16>,
}

impl KeptNodes {
    /// A table where nothing is noted.
    fn empty(kept: Kept) -> Self {
        Self { kept: Some(kept), free: (0..MOST as u16).rev().collect() }
    }

    /// A table that a former server left: the table, and what is in it by place.
    fn take_over(mut kept: Kept) -> (Self, Vec<(u16, u32, u64, i64)>) {
        let (mut free, mut entries) = (Vec::new(), Vec::new());
        for place in (0..MOST).rev() {
            if kept.get(NODES, place * WORDS) == 0 {
                free.push(place as u16);
                continue;
            }
            let word = |word: usize| unchecked(kept.get(NODES, place * WORDS + word), word as u64 + 1);
            match (word(0), word(1), word(2)) {
                (Some(number @ 1..), Some(size), Some(modified)) if u32::try_from(number).is_ok() => {
                    entries.push((place as u16, number as u32, size, modified as i64));
                }
                _ => {
                    kept.put(NODES, place * WORDS, 0);
                    free.push(place as u16);
                }
            }
        }
        (Self { kept: Some(kept), free }, entries)
    }

    /// Notes size and time of a file, at its place or at a new one. False if there is none.
    fn note(&mut self, number: u32, node: &mut Node) -> bool {
        let Some(kept) = &mut self.kept else { return true };
        let size = checked(node.size, 2);
        let modified = checked(node.modified.clamp(0, VALUE as i64) as u64, 3);
        let (Some(size), Some(modified)) = (size, modified) else { return false };
        let known = node.kept_at;
        let Some(place) = known.or_else(|| self.free.pop()) else { return false };
        let base = usize::from(place) * WORDS;
        kept.put(NODES, base + 1, size);
        kept.put(NODES, base + 2, modified);
        if known.is_none() {
            kept.put(NODES, base, checked(number.into(), 1).unwrap_or(0));
            node.kept_at = Some(place);
        }
        true
    }

    /// The disk or its journal knows all of a file, or the file is gone.
    fn forget(&mut self, node: &mut Node) {
        if let Some(place) = node.kept_at.take() {
            self.free_place(place);
        }
    }

    fn free_place(&mut self, place: u16) {
        if let Some(kept) = &mut self.kept {
            kept.put(NODES, usize::from(place) * WORDS, 0);
        }
        self.free.push(place);
    }
}

impl Ext4 {
    /// Begins to note what the disk does not know.
    pub(super) fn keep_nodes(&mut self) {
        let kept = self.cache.borrow().kept();
        if let Some(kept) = kept {
            self.kept_nodes = KeptNodes::empty(kept);
        }
    }

    /// Goes on with what a former server noted, and with the delayed pages that it left.
    pub(super) fn take_over_nodes(&mut self) {
        let Some(kept) = self.cache.borrow().kept() else { return };
        let (table, entries) = KeptNodes::take_over(kept);
        self.kept_nodes = table;
        for (place, number, size, modified) in entries {
            match self.file(number) {
                Ok(node) if node.kept_at.is_none() => {
                    (node.size, node.modified) = (size, modified);
                    node.touched = true;
                    node.kept_at = Some(place);
                }
                _ => self.kept_nodes.free_place(place),
            }
        }
        let mut delayed: Vec<(u32, u32)> = self.cache.borrow().delayed().collect();
        delayed.sort_unstable();
        for (number, page) in delayed {
            if !self.take_over_page(number, page).unwrap_or(false) {
                self.cache.borrow().discard(delayed_key(number, page));
            }
        }
        // Blocks that the running transaction freed must not be given away before it is committed; it cannot be seen whether there are any.
        self.freed = true;
        self.unsettled = true;
    }

    /// Takes a delayed page over. False if it belongs to nothing.
    fn take_over_page(&mut self, number: u32, page: u32) -> Result<bool> {
        if !self.has_data_path(number)? || self.node(number)?.kind() != Kind::File {
            return Ok(false);
        }
        let node = self.file(number)?;
        if u64::from(page) >= node.size.div_ceil(PAGE_SIZE as u64) {
            // Its write did not end.
            return Ok(false);
        }
        match node.place(page) {
            // Its block was chosen, and the page had not heard of it.
            Place::Device(physical, _) => self.cache.borrow().place(delayed_key(number, page), physical),
            Place::Hole(_) | Place::Unwritten(_) => {
                node.delayed.insert(page);
                self.delayed += 1;
            }
        }
        Ok(true)
    }

    /// Once everybody's open files are known again: removes what lost its last name and is in use no more.
    pub(super) fn end_take_over(&mut self) -> Result<()> {
        for orphan in self.core.orphans()? {
            let number = orphan.raw();
            match self.nodes.get_mut(&number) {
                Some(node) if node.opens > 0 && node.info.links == 0 => node.nameless = true,
                _ => {
                    self.freed = true;
                    self.core.recover_orphan(inode(number)?)?;
                    self.bound_transaction()?;
                    if self.nodes.contains_key(&number) {
                        self.drop_delayed(number, 0)?;
                    }
                    self.forget_node(number);
                }
            }
        }
        Ok(())
    }

    /// Forgets a node that is about to go.
    pub(super) fn forget_node(&mut self, number: u32) {
        if let Some(mut node) = self.nodes.remove(&number) {
            self.kept_nodes.forget(&mut node);
        }
    }

    /// After a change of a file's size or time: has a server that is started anew know it.
    pub(super) fn note(&mut self, number: u32) -> Result<()> {
        let Some(node) = self.nodes.get_mut(&number) else { return Ok(()) };
        if !node.touched && node.size == node.info.size {
            self.kept_nodes.forget(node);
            return Ok(());
        }
        if self.kept_nodes.note(number, node) { Ok(()) } else { self.settle(number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_its_check_is_told_from_others() {
        let word = checked(0x1234_5678_9abc, 2).unwrap();
        assert_eq!(unchecked(word, 2), Some(0x1234_5678_9abc));
        assert_eq!(unchecked(word, 3), None);
        assert_eq!(checked(1 << 48, 2), None);
        for bit in 0..64 {
            assert_eq!(unchecked(word ^ 1 << bit, 2), None, "bit {bit}");
        }
        assert_eq!(unchecked(0, 1), None);
    }
}
