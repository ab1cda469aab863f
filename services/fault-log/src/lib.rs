//! Fault records on disk: which file a record goes to, and which files are old enough to be removed.
//!
//! `/var/log/faults/BOOT/NUMBER` is the text of one record. A boot gets its number, one more than the latest there is, when its first record
//! is kept; a boot without faults leaves nothing.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where the records lie.
pub const FOLDER: &str = "/var/log/faults";
/// Boots whose records are kept.
pub const BOOTS: usize = 8;
/// Records of a boot that are kept.
pub const RECORDS: u64 = 64;

/// Files.
pub trait Store {
    /// Why it did not work.
    type Error;
    /// Names in a folder; none if there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>, Self::Error>;
    /// What a file holds; `None` if there is no such file.
    fn read(&self, path: &str) -> Result<Option<String>, Self::Error>;
    /// Writes a file for good, with the folders that it lies in.
    fn write(&mut self, path: &str, text: &str) -> Result<(), Self::Error>;
    /// Removes a file, or a folder with all that is in it.
    fn remove(&mut self, path: &str) -> Result<(), Self::Error>;
}

/// The records on disk.
#[derive(Debug)]
pub struct Journal<S> {
    store: S,
    /// This boot's number, once it is known.
    boot: Option<u64>,
}

impl<S: Store> Journal<S> {
    /// The records in these files.
    pub fn new(store: S) -> Self {
        Self { store, boot: None }
    }

    /// Keeps a record of this boot. One that is there already stays as it is.
    pub fn keep(&mut self, number: u64, text: &str) -> Result<(), S::Error> {
        let boot = match self.boot {
            Some(boot) => boot,
            None => self.find_boot(number, text)?,
        };
        let path = |number| format!("{FOLDER}/{boot}/{number}");
        if self.store.read(&path(number))?.as_deref() != Some(text) {
            self.store.write(&path(number), text)?;
        }
        self.boot = Some(boot);
        if let Some(old @ 1..) = number.checked_sub(RECORDS)
            && self.store.read(&path(old))?.is_some()
        {
            self.store.remove(&path(old))?;
        }
        Ok(())
    }

    /// This boot's number: the latest, if a predecessor in this boot has kept this very record there; else a new one.
    fn find_boot(&mut self, number: u64, text: &str) -> Result<u64, S::Error> {
        let names = self.store.list(FOLDER)?;
        let mut boots: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        boots.sort_unstable();
        let latest = boots.last().copied().unwrap_or(0);
        if self.store.read(&format!("{FOLDER}/{latest}/{number}"))?.as_deref() == Some(text) {
            return Ok(latest);
        }
        for old in boots.iter().rev().skip(BOOTS - 1) {
            self.store.remove(&format!("{FOLDER}/{old}"))?;
        }
        Ok(latest + 1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::ToString;
    use core::convert::Infallible;

    use super::*;

    #[derive(Default)]
    struct Files(BTreeMap<String, String>);

    impl Store for &mut Files {
        type Error = Infallible;

        fn list(&self, folder: &str) -> Result<Vec<String>, Infallible> {
            let below = |path: &String| path.strip_prefix(folder)?.split('/').nth(1).map(ToString::to_string);
            let mut names: Vec<_> = self.0.keys().filter_map(below).collect();
            names.dedup();
            Ok(names)
        }

        fn read(&self, path: &str) -> Result<Option<String>, Infallible> {
            Ok(self.0.get(path).cloned())
        }

        fn write(&mut self, path: &str, text: &str) -> Result<(), Infallible> {
            self.0.insert(path.into(), text.into());
            Ok(())
        }

        fn remove(&mut self, path: &str) -> Result<(), Infallible> {
            let folder = format!("{path}/");
            self.0.retain(|name, _| name != path && !name.starts_with(&folder));
            Ok(())
        }
    }

    fn names(files: &Files) -> Vec<&str> {
        files.0.keys().map(|path| &path[FOLDER.len() + 1..]).collect()
    }

    #[test]
    fn each_boot_has_records_of_its_own() {
        let mut files = Files::default();
        Journal::new(&mut files).keep(1, "first").unwrap();
        let mut second = Journal::new(&mut files);
        second.keep(1, "other").unwrap();
        second.keep(2, "more").unwrap();
        assert_eq!(names(&files), ["1/1", "2/1", "2/2"]);
    }

    #[test]
    fn a_successor_in_the_same_boot_goes_on_where_its_predecessor_was() {
        let mut files = Files::default();
        Journal::new(&mut files).keep(1, "first").unwrap();
        let mut successor = Journal::new(&mut files);
        successor.keep(1, "first").unwrap();
        successor.keep(2, "second").unwrap();
        assert_eq!(names(&files), ["1/1", "1/2"]);
    }

    #[test]
    fn old_boots_and_old_records_are_removed() {
        let mut files = Files::default();
        for boot in 1..=20 {
            Journal::new(&mut files).keep(1, &format!("boot {boot}")).unwrap();
        }
        assert_eq!(Store::list(&&mut files, FOLDER).unwrap().len(), BOOTS);
        let mut journal = Journal::new(&mut files);
        (1..=100).for_each(|number| journal.keep(number, "again").unwrap());
        let kept = names(&files).iter().filter(|name| name.starts_with("21/")).count();
        assert_eq!(kept as u64, RECORDS);
        assert!(names(&files).contains(&"21/100"));
    }
}
