//! The name cache: what names in directories lead to, so that a path is walked without reading directories again.

use alloc::boxed::Box;
use core::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use crate::filesystem::Child;

/// Names kept; when more are met, all are forgotten.
const MOST: usize = 8192;

#[derive(PartialEq, Eq)]
struct Key {
    directory: u32,
    name: Box<[u8]>,
}

#[derive(PartialEq, Eq)]
struct KeyRef<'a> {
    directory: u32,
    name: &'a [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef { directory: self.directory, name: &self.name }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.directory);
        state.write(self.name);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.directory == key.directory && *self.name == *key.name
    }
}

/// Names and what they lead to; `None` for a name known to be absent.
#[derive(Default)]
pub struct Names(HashMap<Key, Option<Child>>);

impl Names {
    /// What is known of a name.
    pub fn get(&self, directory: u32, name: &[u8]) -> Option<Option<Child>> {
        self.0.get(&KeyRef { directory, name }).copied()
    }

    /// Remembers what a name leads to.
    pub fn insert(&mut self, directory: u32, name: &[u8], child: Option<Child>) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(Key { directory, name: name.into() }, child);
    }

    /// Forgets all names of a directory that is removed.
    pub fn forget_directory(&mut self, directory: u32) {
        self.0.retain(|key, _| key.directory != directory);
    }
}
