//! Address spaces: the table of those that exist, and the walk through page tables.
//!
//! A mapping remembered in a capability names its space by id. Ids are never used twice, so what is remembered of a space
//! that is gone is recognised as stale.

use crate::Kernel;
use crate::arch::{Arch, Entry};
use crate::memory::{read_word, write_word};
use crate::object::space::AddressSpace;
use core::cell::Cell;

/// The most address spaces at one time.
pub const MAX_SPACES: usize = 4096;

struct Place {
    /// Id of the space here, or of the last one; low bits are the index.
    id: Cell<u64>,
    /// Its root table; 0 if free.
    root: Cell<u64>,
}

/// The address spaces that exist.
pub struct SpaceTable {
    places: [Place; MAX_SPACES],
    used: Cell<u64>,
    cursor: Cell<usize>,
}

impl SpaceTable {
    pub(crate) const fn new() -> Self {
        Self {
            places: [const { Place { id: Cell::new(0), root: Cell::new(0) } }; MAX_SPACES],
            used: Cell::new(0),
            cursor: Cell::new(0),
        }
    }

    /// How many more can be made.
    pub fn free(&self) -> u64 {
        MAX_SPACES as u64 - self.used.get()
    }

    /// A new id for a space with this root. There must be a free place.
    fn insert(&self, root: u64) -> u64 {
        let start = self.cursor.get();
        for step in 0..MAX_SPACES {
            let index = (start + step) % MAX_SPACES;
            let place = &self.places[index];
            if place.root.get() == 0 {
                let generation = place.id.get() / MAX_SPACES as u64 + 1;
                place.id.set(generation * MAX_SPACES as u64 + index as u64);
                place.root.set(root);
                self.cursor.set(index + 1);
                self.used.set(self.used.get() + 1);
                return place.id.get();
            }
        }
        0
    }

    fn remove(&self, id: u64) {
        let place = &self.places[id as usize % MAX_SPACES];
        if place.id.get() == id && place.root.replace(0) != 0 {
            self.used.set(self.used.get() - 1);
        }
    }

    /// The root table of the space with this id, if it still exists.
    pub fn root(&self, id: u64) -> Option<u64> {
        let place = &self.places[id as usize % MAX_SPACES];
        let root = place.root.get();
        (id != 0 && place.id.get() == id && root != 0).then_some(root)
    }
}

/// Bytes that one entry of a table of this level covers.
pub(crate) const fn span(level: u8) -> u64 {
    4096 << (9 * (level - 1))
}

/// Where the entry for `address` stands in the table of this level: its physical address; or the level of the missing table.
pub(crate) fn find_entry<A: Arch>(root: u64, address: u64, level: u8) -> Result<u64, u8> {
    let mut table = root;
    let mut at = A::LEVELS;
    loop {
        let place = table + address / span(at) % 512 * 8;
        if at == level {
            return Ok(place);
        }
        match A::decode_entry(read_word::<A>(place), at) {
            Some(Entry::Table(next)) => table = next,
            _ => return Err(at - 1),
        }
        at -= 1;
    }
}

/// Empties the entry for `address` in the table of this level, if it is `expected`. Whether it was.
pub(crate) fn clear_entry<A: Arch>(root: u64, address: u64, level: u8, expected: Entry) -> bool {
    let Ok(place) = find_entry::<A>(root, address, level) else { return false };
    let found = A::decode_entry(read_word::<A>(place), level) == Some(expected);
    if found {
        write_word::<A>(place, 0);
    }
    found
}

impl<A: Arch> Kernel<A> {
    /// Gives a new space its place. The root table is zeroed memory.
    pub(crate) fn begin_space(&self, space: &AddressSpace, root: u64) {
        A::prepare_root(root);
        space.root.set(root);
        space.id.set(self.spaces.insert(root));
    }

    /// A space is destroyed. Capabilities mapped in it become unmapped by this.
    pub(crate) fn destroy_space(&self, space: &AddressSpace) {
        let id = space.id.get();
        self.spaces.remove(id);
        A::retire_root(space.root.get());
    }
}
