//! Power cuts: every write to the disk is recorded; a cut keeps all that was flushed, and any part of what was not. After each, the
//! file system must mount, hold what was synced, and be clean for e2fsck once unmounted.

mod support;

use std::collections::BTreeSet;

use motte_fs::vfs::{OpenFlags, Vfs};
use support::*;

/// From one point of the log to another, a path has one of these contents; `None` stands for no such file.
struct Promise {
    from: usize,
    to: usize,
    path: String,
    allowed: Vec<Option<Vec<u8>>>,
}

struct Load {
    disk: MemoryDisk,
    vfs: Vfs,
    random: Random,
    promises: Vec<Promise>,
}

impl Load {
    fn now(&self) -> usize {
        self.disk.state().log.len()
    }

    /// From now on nothing more is promised of `path`.
    fn disturb(&mut self, path: &str) {
        let now = self.now();
        for promise in &mut self.promises {
            if promise.path == path && promise.to == usize::MAX {
                promise.to = now;
            }
        }
    }

    fn promise(&mut self, path: &str, allowed: Vec<Option<Vec<u8>>>) {
        self.disturb(path);
        let from = self.now();
        self.promises.push(Promise { from, to: usize::MAX, path: path.into(), allowed });
    }

    fn current(&mut self, path: &str) -> Option<Vec<u8>> {
        read_file(&mut self.vfs, path).ok()
    }

    fn sync_file(&mut self, path: &str) {
        let handle = self.vfs.open(1, path, OpenFlags::READ, 0).unwrap();
        self.vfs.sync_open(1, handle).unwrap();
        self.vfs.close(1, handle).unwrap();
    }

    fn step(&mut self) {
        let path = format!("/d{}/f{}", self.random.below(3), self.random.below(8));
        match self.random.below(10) {
            0..=3 => {
                // A new version, synced in place.
                self.disturb(&path);
                let length = self.random.below(60_000) as usize;
                let data = self.random.bytes(length);
                write_file(&mut self.vfs, &path, &data).unwrap();
                self.sync_file(&path);
                self.promise(&path, vec![Some(data)]);
            }
            4..=6 => {
                // Atomic replacement: the old or the new version, never anything else.
                let Some(old) = self.current(&path) else { return };
                let length = self.random.below(60_000) as usize;
                let data = self.random.bytes(length);
                write_file(&mut self.vfs, "/new", &data).unwrap();
                self.sync_file("/new");
                let promised = self.promises.iter().any(|p| p.path == path && p.to == usize::MAX);
                if promised {
                    let mut allowed: Vec<_> = self
                        .promises
                        .iter()
                        .filter(|p| p.path == path && p.to == usize::MAX)
                        .flat_map(|p| p.allowed.clone())
                        .collect();
                    allowed.push(Some(old));
                    allowed.push(Some(data));
                    self.promise(&path, allowed);
                }
                self.vfs.rename("/new", &path).unwrap();
            }
            7 => {
                // Removed; until that is durable it may still be there, whole.
                let Some(_) = self.current(&path) else { return };
                let mut allowed: Vec<_> = self
                    .promises
                    .iter()
                    .filter(|p| p.path == path && p.to == usize::MAX)
                    .flat_map(|p| p.allowed.clone())
                    .collect();
                if !allowed.is_empty() {
                    allowed.push(None);
                    self.promise(&path, allowed);
                }
                self.vfs.unlink(&path).unwrap();
            }
            8 => {
                // Unsynced writing elsewhere, which reuses what was freed.
                let data = self.random.bytes(100_000);
                let other = format!("/scratch{}", self.random.below(4));
                write_file(&mut self.vfs, &other, &data).unwrap();
                if self.random.below(2) == 0 {
                    self.vfs.truncate(&other, 10_000).unwrap();
                }
            }
            _ => {
                self.vfs.sync().unwrap();
                for index in 0..self.promises.len() {
                    if self.promises[index].to == usize::MAX {
                        let path = self.promises[index].path.clone();
                        let current = self.current(&path);
                        self.promise(&path, vec![current]);
                    }
                }
            }
        }
    }
}

/// The disk as a cut after `events` of the log may leave it.
fn cut(start: &[u8], log: &[Event], events: usize, random: &mut Random) -> Vec<u8> {
    let mut image = start.to_vec();
    let durable = log[..events].iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    let keep = random.below(5);
    for (index, event) in log[..events].iter().enumerate() {
        let Event::Write(sector, bytes) = event else { continue };
        for (piece, chunk) in bytes.chunks(4096).enumerate() {
            if index < durable || random.below(4) < keep {
                let at = *sector as usize * 512 + piece * 4096;
                image[at..at + chunk.len()].copy_from_slice(chunk);
            }
        }
    }
    image
}

fn survives(options: &[&str], seed: u64, steps: usize, cuts: usize) {
    if !have_tools() {
        return;
    }
    let start = make_image(24, options, None);
    let disk = MemoryDisk::new(start.clone());
    disk.state().recording = true;
    let vfs = mount_vfs(&disk);
    let mut load = Load { disk: disk.clone(), vfs, random: Random(seed), promises: Vec::new() };
    let mounted = load.now();
    for directory in 0..3 {
        load.vfs.make_directory(&format!("/d{directory}"), 0o755).unwrap();
    }
    for _ in 0..steps {
        load.step();
    }
    let busy = load.now();
    load.vfs.shutdown().unwrap();
    let end = load.now();
    assert_clean(&disk.image(), "without a cut");
    let log = disk.state().log.clone();
    let mut random = Random(seed ^ 0xc0ffee);
    // Every moment of mount and unmount, and random ones between.
    let mut moments: BTreeSet<usize> = (0..=mounted).chain(busy..=end).collect();
    while moments.len() < cuts + mounted + end - busy {
        moments.insert(random.below(end as u64 + 1) as usize);
    }
    for (index, moment) in moments.into_iter().enumerate() {
        let context = format!("seed {seed}, cut {moment} of {end} (mounted {mounted}, unmounting {busy})");
        let image = cut(&start, &log, moment, &mut random);
        if index % 4 == 0 {
            let (status, text) = fsck(&image, "-p");
            assert!(status <= 1, "{context}: e2fsck -p wants a hand: {text}");
        }
        let disk = MemoryDisk::new(image);
        let (file_system, _) = mount(&disk).unwrap_or_else(|problem| panic!("{context}: {problem}"));
        let mut vfs = Vfs::new(Box::new(file_system), "disk", clock());
        for promise in load.promises.iter().filter(|p| p.from <= moment && moment < p.to) {
            let found = read_file(&mut vfs, &promise.path).ok();
            assert!(
                promise.allowed.contains(&found),
                "{context}: {} holds {:?} bytes, not one of {:?}",
                promise.path,
                found.map(|data| data.len()),
                promise.allowed.iter().map(|data| data.as_ref().map(Vec::len)).collect::<Vec<_>>()
            );
        }
        vfs.shutdown().unwrap();
        assert_clean(&disk.image(), &context);
    }
}

fn seeds(default: u64) -> u64 {
    std::env::var("MOTTE_FS_CUTS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn synced_files_survive_power_cuts() {
    for seed in 0..seeds(2) {
        survives(&["-b", "4096"], seed, 120, 60);
    }
}

#[test]
fn synced_files_survive_power_cuts_with_small_blocks() {
    for seed in 0..seeds(1) {
        survives(&["-b", "1024"], 1000 + seed, 100, 40);
    }
}
