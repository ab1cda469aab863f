//! Memory for programs: untyped memory cut into blocks of a power of two pages, and put together again when the blocks are
//! free (buddy system; D. E. Knuth, "The Art of Computer Programming", vol. 1, section 2.5). They are put together when a block of a size
//! is asked for of which none is free, because mostly the next program wants what the last one gave back.
//!
//! Untyped memory is taken back only as a whole, so every program gets a block of its own.

use alloc::vec::Vec;

use motte_interfaces::strings::{Pieces, put_number};

/// What the pool needs of the machine: handles of untyped memory.
pub trait Cutter {
    /// Names a range of untyped memory.
    type Handle: Copy;
    /// A new range of `bytes`, made out of `whole`.
    fn cut(&mut self, whole: Self::Handle, bytes: u64) -> Option<Self::Handle>;
    /// Ends a range that was cut; nothing made of it is left.
    fn join(&mut self, piece: Self::Handle);
}

const PAGE_SHIFT: u32 = 12;

/// How a block's state is written down. Which of the whole ones are in use, those who use them say.
const WHOLE: usize = 0;
const CUT: usize = 1;
const GONE: usize = 2;

/// A block: free, cut in two, or in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Used,
    /// Cut into the blocks at these indices.
    Cut(usize, usize),
    /// Was joined again; the entry may be used anew.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Block<H> {
    handle: H,
    /// Pages, as a power of two.
    order: u32,
    parent: Option<usize>,
    state: State,
    /// False of one that a predecessor put together with another, which it noted no more.
    is_there: bool,
}

/// Names a block in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockId(usize);

impl BlockId {
    /// The number under which [`Pool::used`] finds it.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// The blocks.
#[derive(Debug)]
pub struct Pool<H> {
    blocks: Vec<Block<H>>,
    /// Something was cut or put together since [`Pool::take_changed`] asked.
    changed: bool,
}

impl<H: Copy> Default for Pool<H> {
    fn default() -> Self {
        Self { blocks: Vec::new(), changed: false }
    }
}

impl<H: Copy> Pool<H> {
    /// Adds a range of memory; what is less than a page is lost.
    pub fn add(&mut self, cutter: &mut impl Cutter<Handle = H>, range: H, bytes: u64) {
        let mut pages = bytes >> PAGE_SHIFT;
        while pages > 0 {
            let order = 63 - pages.leading_zeros();
            if let Some(handle) = cutter.cut(range, 1 << (order + PAGE_SHIFT)) {
                self.insert(Block { handle, order, parent: None, state: State::Free, is_there: true });
            }
            pages -= 1 << order;
        }
    }

    /// Writes down which blocks there are, for [`Pool::read`].
    pub fn put(&self, out: &mut Vec<u8>, number: impl Fn(H) -> u64) {
        put_number(out, self.blocks.len());
        for block in &self.blocks {
            out.extend_from_slice(&number(block.handle).to_le_bytes());
            let (state, first, second) = match block.state {
                State::Free | State::Used => (WHOLE, 0, 0),
                State::Cut(first, second) => (CUT, first, second),
                State::Gone => (GONE, 0, 0),
            };
            let parent = block.parent.map_or(0, |parent| parent + 1);
            for value in [block.order as usize, parent, state, first, second] {
                put_number(out, value);
            }
        }
    }

    /// Reads what [`Pool::put`] wrote; `None` unless all of it fits together. `handle` gives the range of a number, and whether there is one
    /// of so many bytes, 0 for one that is not asked for. All blocks that are there are free but those that somebody claims ([`Pool::claim`]); then comes [`Pool::mend`].
    pub fn read(pieces: &mut Pieces<'_>, mut handle: impl FnMut(u64, u64) -> (H, bool)) -> Option<Self> {
        let count = pieces.number()? as usize;
        let mut blocks = Vec::new();
        for _ in 0..count {
            let number = pieces.word()?;
            let mut value = || pieces.number().map(|value| value as usize);
            let (order, parent, state, first, second) = (value()? as u32, value()?, value()?, value()?, value()?);
            let state = match state {
                WHOLE => State::Free,
                CUT => State::Cut(first, second),
                GONE => State::Gone,
                _ => return None,
            };
            let bytes = 1_u64.checked_shl(order.checked_add(PAGE_SHIFT)?)?;
            // Of a block that is gone, nothing is asked for.
            let is_gone = state == State::Gone;
            let (handle, is_right) = handle(number, if is_gone { 0 } else { bytes });
            let is_there = is_right || is_gone;
            let state = if !is_there && state == State::Free { State::Used } else { state };
            blocks.push(Block { handle, order, parent: parent.checked_sub(1), state, is_there });
        }
        let pool = Self { blocks, changed: false };
        pool.is_sound().then_some(pool)
    }

    /// Whether every block that has a parent is one of its two halves, and every block that was cut has its halves.
    fn is_sound(&self) -> bool {
        let is_half = |half: usize, whole: usize| {
            let block = self.blocks.get(half);
            block.is_some_and(|block| block.parent == Some(whole) && block.order + 1 == self.blocks[whole].order)
        };
        self.blocks.iter().enumerate().all(|(index, block)| {
            let halves = match block.state {
                State::Gone => return true,
                State::Cut(first, second) => first != second && is_half(first, index) && is_half(second, index),
                State::Free | State::Used => true,
            };
            let whole = block.parent.map(|parent| self.blocks.get(parent).map(|parent| parent.state));
            let parent = match whole {
                None => true,
                Some(Some(State::Cut(first, second))) => index == first || index == second,
                Some(_) => false,
            };
            halves && parent
        })
    }

    /// Whether what [`Pool::put`] writes has changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// The block of this index, if it is whole: free or in use.
    pub fn whole(&self, index: u32) -> Option<(BlockId, H)> {
        let is_whole = |block: &&Block<H>| matches!(block.state, State::Free | State::Used);
        let block = self.blocks.get(index as usize).filter(is_whole).filter(|block| block.is_there)?;
        Some((BlockId(index as usize), block.handle))
    }

    /// A block that is whole is in use.
    pub fn claim(&mut self, BlockId(index): BlockId) {
        self.blocks[index].state = State::Used;
    }

    /// Brings to its end what a predecessor was about to put together: blocks of which pieces are not there any more, and none is in use.
    pub fn mend(&mut self, cutter: &mut impl Cutter<Handle = H>) {
        while let Some((index, halves)) = self.half_joined() {
            for half in halves {
                if self.blocks[half].is_there {
                    cutter.join(self.blocks[half].handle);
                }
                self.blocks[half].state = State::Gone;
            }
            self.blocks[index].state = if self.blocks[index].is_there { State::Free } else { State::Used };
            self.changed = true;
        }
    }

    /// A block that was cut in two, of which one half is not there, and nobody uses the other.
    fn half_joined(&self) -> Option<(usize, [usize; 2])> {
        let is_missing = |half: &usize| !self.blocks[*half].is_there && self.blocks[*half].state == State::Used;
        let is_idle = |half: &usize| is_missing(half) || self.blocks[*half].state == State::Free;
        let halves = self.blocks.iter().enumerate().filter_map(|(index, block)| match block.state {
            State::Cut(first, second) => Some((index, [first, second])),
            _ => None,
        });
        let mut torn = halves.filter(|(_, halves)| halves.iter().all(is_idle) && halves.iter().any(is_missing));
        torn.next()
    }

    /// The ranges of the blocks that are free.
    pub fn free_ranges(&self) -> impl Iterator<Item = H> {
        self.free().map(|(_, block)| block.handle)
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.free().map(|(_, block)| 1 << (block.order + PAGE_SHIFT)).sum()
    }

    fn free(&self) -> impl Iterator<Item = (usize, &Block<H>)> {
        self.blocks.iter().enumerate().filter(|(_, block)| block.state == State::Free)
    }

    /// Takes a block of at least `bytes`: its name, handle and size.
    pub fn take(&mut self, cutter: &mut impl Cutter<Handle = H>, bytes: u64) -> Option<(BlockId, H, u64)> {
        let pages = bytes.div_ceil(1 << PAGE_SHIFT).max(1).checked_next_power_of_two()?;
        let order = pages.trailing_zeros();
        let fitting = self.free().find(|(_, block)| block.order == order).map(|(index, _)| index);
        let index = match fitting {
            Some(index) => index,
            None => {
                self.join_free(cutter);
                self.cut_down(cutter, order)?
            }
        };
        let block = &mut self.blocks[index];
        block.state = State::Used;
        Some((BlockId(index), block.handle, 1 << (order + PAGE_SHIFT)))
    }

    /// Gives a block back; nothing made of it is left.
    pub fn give_back(&mut self, BlockId(index): BlockId) {
        self.blocks[index].state = State::Free;
    }

    /// Cuts the smallest free block of at least this order down to it, if it is larger.
    fn cut_down(&mut self, cutter: &mut impl Cutter<Handle = H>, order: u32) -> Option<usize> {
        let fitting = self.free().filter(|(_, block)| block.order >= order);
        let mut index = fitting.min_by_key(|(_, block)| block.order).map(|(index, _)| index)?;
        while self.blocks[index].order > order {
            let whole = self.blocks[index];
            let half = whole.order - 1;
            let first = cutter.cut(whole.handle, 1 << (half + PAGE_SHIFT))?;
            let Some(second) = cutter.cut(whole.handle, 1 << (half + PAGE_SHIFT)) else {
                cutter.join(first);
                return None;
            };
            let piece = |handle| Block { handle, order: half, parent: Some(index), state: State::Free, is_there: true };
            let (first, second) = (self.insert(piece(first)), self.insert(piece(second)));
            self.blocks[index].state = State::Cut(first, second);
            self.changed = true;
            index = first;
        }
        Some(index)
    }

    /// Puts together what was cut and is free.
    fn join_free(&mut self, cutter: &mut impl Cutter<Handle = H>) {
        for index in 0..self.blocks.len() {
            let mut whole = (self.blocks[index].state == State::Free).then_some(index);
            while let Some(parent) = whole.and_then(|index| self.blocks[index].parent) {
                whole = self.join(cutter, parent).then_some(parent);
            }
        }
    }

    /// Puts a block that was cut in two together again, if both halves are free.
    fn join(&mut self, cutter: &mut impl Cutter<Handle = H>, index: usize) -> bool {
        let State::Cut(first, second) = self.blocks[index].state else { return false };
        let halves = [first, second];
        let joins = self.blocks[index].is_there && halves.iter().all(|&half| self.blocks[half].state == State::Free);
        if joins {
            for half in halves {
                cutter.join(self.blocks[half].handle);
                self.blocks[half].state = State::Gone;
            }
            self.blocks[index].state = State::Free;
            self.changed = true;
        }
        joins
    }

    fn insert(&mut self, block: Block<H>) -> usize {
        match self.blocks.iter().position(|entry| entry.state == State::Gone) {
            Some(index) => {
                self.blocks[index] = block;
                index
            }
            None => {
                self.blocks.push(block);
                self.blocks.len() - 1
            }
        }
    }
}
