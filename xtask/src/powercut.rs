//! `cargo xtask powercut`: cuts the power at random moments while the system writes, and looks what is left.
//!
//! The load inside writes numbered files, syncs each, and then says so on the console. After the cut the system boots again by
//! itself; every file it had spoken for must be whole, and after a clean shutdown e2fsck must find nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::compile::{self, Application, Profile, System};
use crate::disk::{self, Access};
use crate::machine::{Ending, Hardware};
use crate::prepare::{self, Tool};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::session::Session;
use crate::{manifest, workspace};

/// Size of the disk that is written to.
const DISK_SIZE: u64 = 64 << 20;
/// The latest moment of a cut after the load's start, in milliseconds.
const LATEST_CUT: u64 = 3000;
/// How long the check inside may take.
const CHECK_LIMIT: Duration = Duration::from_secs(300);
/// So many reports of the load may be lost with the power.
const UNSEEN: u64 = 5;
/// Of the synced files, so many stay on the disk: old ones are removed, so that it never fills.
const FILES_KEPT: u64 = 40;

/// How many cuts, and which.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often to cut the power
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub cuts: u32,
    /// Seed of the moments; the same seed cuts at the same moments
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Say nothing when all is well
    #[arg(long)]
    pub quiet: bool,
}

/// Numbers that look random and follow from a seed (splitmix64, by Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % limit
    }
}

/// Where the load lies on the disk.
const LOAD_NAME: &str = "power-cut-load";
/// What the load says when one of its commands fails: cutting the power then shows nothing.
const LOAD_FAILED: &str = "the load failed";

/// The load, whose argument is the first number: file `N` holds the numbers from `N` to a sum that follows from `N`; `synced N` says that
/// it is on the disk. Every file comes to its name by rename, and old ones are removed meanwhile.
fn load() -> String {
    format!(
        "mkdir -p /cut\n\
         n=$1\n\
         while seq $n $((n + n % 7 * 500 + 100)) > /cut/new && sync && mv /cut/new /cut/$n && sync && echo synced $n &&\n\
         rm -f /cut/$((n - {FILES_KEPT}))\n\
         do n=$((n + 1)); done\n\
         echo {LOAD_FAILED} at file $n\n"
    )
}

/// What file `number` holds.
fn contents(number: u64) -> String {
    (number..=number + number % 7 * 500 + 100).map(|line| format!("{line}\n")).collect()
}

/// Cuts the power so often; fails at the first cut that lost something.
pub fn run(options: &Options) -> Result<()> {
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem, Tool::CheckFileSystem, Tool::DebugFileSystem])?;
    let system = compile::system(Profile::Release, &manifest::default_path())?;
    let directory = RunDirectory::create(&workspace::run_directory())?;
    let image = directory.path().join("disk.img");
    let mut programs = system.applications.clone();
    programs.push(Application { name: LOAD_NAME.into(), contents: load().into_bytes().into(), links: Vec::new() });
    disk::create(&image, DISK_SIZE, &workspace::root().join("rootfs"), &programs, &[])?;
    let mut random = Random(options.seed);
    let progress = Progress::bar(u64::from(options.cuts), "power cuts");
    let started = Instant::now();
    let mut synced = Vec::new();
    let (mut next, mut all) = (1000, 0);
    for cut in 1..=options.cuts {
        let moment = Duration::from_millis(random.below(LATEST_CUT) + 1);
        let result = one_cut(&system, &image, moment, next, &mut synced);
        match result {
            Ok(new) => all += new,
            Err(error) => {
                let kept = workspace::run_directory().join("powercut-failed.img");
                let _ = std::fs::rename(&image, &kept);
                return Err(error.context(format!(
                    "cut {cut} of seed {}, {} ms after the load's start (the disk is kept as {})",
                    options.seed,
                    moment.as_millis(),
                    kept.display()
                )));
            }
        }
        next = synced.iter().max().map_or(next, |&last: &u64| last + 2).max(next + 2);
        progress.step(&format!("cut {cut}: {all} files synced so far"));
    }
    progress.finish();
    ensure!(all > 0, "every cut came before the load had synced a file; try more cuts");
    if !options.quiet {
        println!(
            "{} power cuts, seed {}: the system came up by itself each time, no synced byte was lost, e2fsck found nothing \
             ({}, {all} files synced, {} of them still there at the end)",
            options.cuts,
            options.seed,
            workspace::spoken(started.elapsed()),
            synced.len()
        );
    }
    Ok(())
}

/// Loads, cuts, boots again, checks, shuts down, checks from the host. Returns how many files the load synced.
fn one_cut(system: &System, image: &Path, moment: Duration, first: u64, synced: &mut Vec<u64>) -> Result<usize> {
    let hardware = Hardware::default();
    let boot = || Session::boot(system, &hardware, Some(disk::open(image, Access::Write)?));
    let mut session = boot()?;
    session.type_keys(&format!("sh /bin/{LOAD_NAME} {first}\r"))?;
    let said = session.watch(moment)?;
    session.cut_power()?;
    ensure!(!said.contains(LOAD_FAILED), "a command of the load failed before the cut; the console showed:\n{said}");
    let new: Vec<u64> = said.lines().filter_map(|line| line.strip_prefix("synced ")?.trim().parse().ok()).collect();
    let count = new.len();
    // The load removes files as it goes, the last removal perhaps unseen.
    let last = new.iter().chain(synced.iter()).max().copied().unwrap_or(first);
    synced.extend(new);
    synced.retain(|&number| number + FILES_KEPT > last + UNSEEN);

    let mut session = boot().context("the system does not come up after the cut")?;
    for number in synced.iter() {
        let command = format!("seq {number} $(({number} + {number} % 7 * 500 + 100)) | cmp - /cut/{number}");
        let output = session.run_within(&command, CHECK_LIMIT)?;
        ensure!(output.status == 0, "the synced file /cut/{number} is not as it was: {}", output.text.trim());
    }
    let ending = session.shutdown()?;
    if ending != Ending::Shutdown(0) {
        bail!("the system did not shut down cleanly after the cut: {ending:?}");
    }
    disk::check(image, &["-fn"])?;
    // The host sees the same bytes.
    if let Some(&number) = synced.last() {
        let found = disk::read_file(image, &format!("/cut/{number}"))?;
        ensure!(found == contents(number).as_bytes(), "the host reads other bytes in /cut/{number}");
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_moments() {
        let moments = |seed| {
            let mut random = Random(seed);
            (0..5).map(|_| random.below(LATEST_CUT)).collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().all(|&moment| moment < LATEST_CUT));
    }

    #[test]
    fn the_model_of_a_file_is_what_the_load_writes() {
        assert_eq!(contents(1001).lines().count(), 101);
        assert!(contents(1002).starts_with("1002\n"));
        assert_eq!(contents(1002).lines().last(), Some("1602"));
    }
}
