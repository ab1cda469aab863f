//! The path cache: what whole paths led to, so that a file that is opened again is not walked to again.
//!
//! A new name changes nothing that is known, for it leads where nothing was. Whatever takes a name away, gives it to something else or
//! covers it makes everything forgotten.

use alloc::boxed::Box;

use hashbrown::HashMap;

use super::Location;
use crate::filesystem::Kind;

/// Paths kept; when more are met, all are forgotten.
const MOST: usize = 512;
/// The longest path kept, in bytes.
const LONGEST: usize = 128;

/// Paths, and what they lead to when symbolic links are followed.
#[derive(Default)]
pub(super) struct KnownPaths(HashMap<Box<str>, (Location, Kind)>);

impl KnownPaths {
    pub fn get(&self, path: &str) -> Option<(Location, Kind)> {
        self.0.get(path).copied()
    }

    pub fn insert(&mut self, path: &str, found: (Location, Kind)) {
        if path.len() > LONGEST {
            return;
        }
        if self.0.len() >= MOST {
            self.forget();
        }
        self.0.insert(path.into(), found);
    }

    pub fn forget(&mut self) {
        self.0.clear();
    }
}
