//! A load that writes numbered files, syncs each and says so, and the check that none of them was lost: what power cuts and kills have in
//! common.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::disk;
use crate::session::Session;

/// How long the check of one file may take.
const CHECK_LIMIT: Duration = Duration::from_secs(300);
/// So many reports of the load may be lost.
const UNSEEN: u64 = 5;
/// Of the synced files, so many stay on the disk: old ones are removed, so that it never fills.
const FILES_KEPT: u64 = 40;

/// Commands that write file `$n`, sync it, give it its name by rename, say `synced N.`, and remove an old one; a failure ends the chain.
/// File `N` holds the numbers from `N` to a sum that follows from `N`.
pub fn write_file() -> String {
    format!(
        "seq $n $((n + n % 7 * 500 + 100)) > /load/new && sync && mv /load/new /load/$n && sync && echo synced $n. &&\n\
         rm -f /load/$((n - {FILES_KEPT}))"
    )
}

/// What file `number` holds.
fn contents(number: u64) -> String {
    (number..=number + number % 7 * 500 + 100).map(|line| format!("{line}\n")).collect()
}

/// The files of which the load said that they are on the disk, as far as it has not removed them.
#[derive(Debug)]
pub struct Synced {
    first: u64,
    numbers: Vec<u64>,
}

impl Synced {
    /// None yet. The load is to begin with file `first`.
    pub fn new(first: u64) -> Self {
        Self { first, numbers: Vec::new() }
    }

    /// The file with which the load is to go on: beyond one that it may have written unseen.
    pub fn next(&self) -> u64 {
        self.numbers.iter().max().map_or(self.first, |&last| last + 2)
    }

    /// The files that are to be there.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Takes note of what the load said. Returns how many files it has synced.
    pub fn note(&mut self, said: &str) -> usize {
        // A prompt, or what another program says, may stand before it in its line.
        let number = |line: &str| line.split_once("synced ")?.1.trim().strip_suffix('.')?.parse().ok();
        let new: Vec<u64> = said.lines().filter_map(number).collect();
        let count = new.len();
        // The load removes files as it goes, the last removal perhaps unseen.
        let last = new.iter().chain(&self.numbers).max().copied().unwrap_or(self.first);
        self.numbers.extend(new);
        self.numbers.retain(|&number| number + FILES_KEPT > last + UNSEEN);
        self.first = self.first.max(last);
        count
    }

    /// Compares every file with what it should hold, inside the machine.
    pub fn check(&self, session: &mut Session) -> Result<()> {
        for number in &self.numbers {
            let command = format!("seq {number} $(({number} + {number} % 7 * 500 + 100)) | cmp - /load/{number}");
            let output = session.run_within(&command, CHECK_LIMIT)?;
            ensure!(output.status == 0, "the synced file /load/{number} is not as it was: {}", output.text.trim());
        }
        Ok(())
    }

    /// Checks the disk from the host, where no machine uses it: e2fsck, and the bytes of the last file.
    pub fn check_on_host(&self, image: &Path) -> Result<()> {
        disk::check(image, &["-fn"])?;
        if let Some(&number) = self.numbers.last() {
            let found = disk::read_file(image, &format!("/load/{number}"))?;
            ensure!(found == contents(number).as_bytes(), "the host reads other bytes in /load/{number}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            (0..5).map(|_| random.below(3000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert!(numbers(7).iter().all(|&number| number < 3000));
    }

    #[test]
    fn the_model_of_a_file_is_what_the_load_writes() {
        assert_eq!(contents(1001).lines().count(), 101);
        assert!(contents(1002).starts_with("1002\n"));
        assert_eq!(contents(1002).lines().last(), Some("1602"));
    }

    #[test]
    fn files_that_the_load_has_removed_are_not_asked_for() {
        let mut synced = Synced::new(1000);
        let said: String = (1000..1100).map(|number| format!("synced {number}.\n")).collect();
        assert_eq!(synced.note(&said), 100);
        assert_eq!((synced.count(), synced.next()), (35, 1101));
        assert_eq!(synced.note("synced 110\nsynced \n# synced 1101.x\n"), 0, "lines that are not whole");
    }
}
