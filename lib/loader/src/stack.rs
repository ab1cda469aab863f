//! Stacks that are mapped as far as they are needed: the upper end at the start, more when the thread reaches it.

use motte::kernel::{CacheMode, Untyped};
use motte::layout::STACK_ADDRESS;
use motte_abi::syscall::MAX_RANGE;
use motte_abi::{Error, ObjectType, PAGE_SIZE, Rights};

use crate::load::Places;

const PAGE: u64 = PAGE_SIZE as u64;

/// Pages that are mapped at the start.
pub(crate) const INITIAL_PAGES: u64 = 4;

/// Slot of the holding table for the lowest page of the stack; the others follow. Slot 0 of any table is never valid.
pub(crate) const FIRST_HELD: u64 = 1;

/// The stack of a program's first thread.
#[derive(Debug)]
pub struct Stack {
    /// Pays for the pages that are still to come.
    memory: Untyped,
    /// All pages.
    pages: u64,
    /// How many of them are mapped, from the upper end downwards.
    mapped: u64,
}

impl Stack {
    /// A stack with its initial pages.
    pub(crate) const fn new(memory: Untyped, pages: u64) -> Self {
        Self { memory, pages, mapped: INITIAL_PAGES }
    }

    /// The stack of a program that somebody else began to run, and perhaps to map more of just when that ended.
    pub fn of_running(places: &Places, memory: Untyped, bytes: u64) -> Self {
        let pages = bytes / PAGE;
        let is_there = |page: u64| {
            let found = places.holding.identify(FIRST_HELD + page);
            found.is_ok_and(|(ty, ..)| ty == ObjectType::Frame)
        };
        let made = (0..pages).rev().take_while(|&page| is_there(page)).count() as u64;
        for page in pages - made..pages {
            // Those that are mapped already stay so.
            let (at, rights) = (STACK_ADDRESS + page * PAGE, Rights::READ | Rights::WRITE);
            let _ = places.holding.map_frames(FIRST_HELD + page, 1, places.space, at, rights, CacheMode::Normal);
        }
        Self { memory, pages, mapped: made }
    }

    /// Maps more of the stack: as much again as there is, and so much that `address` lies in it. Whether the address is one of the
    /// stack that was not mapped before.
    pub fn grow(&mut self, places: &Places, address: u64) -> Result<bool, Error> {
        let Some(needed) = needed(self.pages, self.mapped, address) else { return Ok(false) };
        while self.mapped < needed {
            // From the upper end downwards, so that what is mapped stays in one piece.
            let count = (needed - self.mapped).min(MAX_RANGE);
            let lowest = self.pages - self.mapped - count;
            let slot = FIRST_HELD + lowest;
            self.memory.retype(ObjectType::Frame, PAGE, places.holding, slot, count)?;
            let (at, rights) = (STACK_ADDRESS + lowest * PAGE, Rights::READ | Rights::WRITE);
            let mapped = places.holding.map_frames(slot, count, places.space, at, rights, CacheMode::Normal);
            if mapped != Ok(count) {
                return Err(Error::OutOfMemory);
            }
            self.mapped += count;
        }
        Ok(true)
    }
}

/// How many of a stack's pages are to be mapped when the thread touches `address`; `None` if that is none of those that are not.
fn needed(pages: u64, mapped: u64, address: u64) -> Option<u64> {
    let page = address.checked_sub(STACK_ADDRESS)? / PAGE;
    (page < pages - mapped).then(|| (pages - page).max(2 * mapped).min(pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_doubles_and_reaches_the_address() {
        let at = |page: u64| STACK_ADDRESS + page * PAGE + 8;
        assert_eq!(needed(64, 4, at(60)), None, "mapped");
        assert_eq!(needed(64, 4, at(59)), Some(8));
        assert_eq!(needed(64, 4, at(10)), Some(54));
        assert_eq!(needed(64, 48, at(0)), Some(64));
        assert_eq!(needed(64, 64, at(0)), None);
        assert_eq!(needed(64, 4, STACK_ADDRESS - 1), None, "the guard");
        assert_eq!(needed(64, 4, at(64)), None);
    }
}
