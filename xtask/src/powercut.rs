//! `cargo xtask powercut`: cuts the power at random moments while the system writes, and looks what is left.
//!
//! The load inside writes numbered files, syncs each, and then says so on the console. After the cut the system boots again by
//! itself; every file it had spoken for must be whole, and after a clean shutdown e2fsck must find nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::compile::{self, Application, Profile, System};
use crate::disk::{self, Access};
use crate::load::{self, Synced};
use crate::machine::{Ending, Hardware};
use crate::prepare::{self, Tool};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::random::Random;
use crate::session::Session;
use crate::{manifest, workspace};

/// Size of the disk that is written to.
const DISK_SIZE: u64 = 64 << 20;
/// The latest moment of a cut after the load's start, in milliseconds.
const LATEST_CUT: u64 = 3000;

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

/// Where the load lies on the disk.
const LOAD_NAME: &str = "power-cut-load";
/// What the load says when one of its commands fails: cutting the power then shows nothing.
const LOAD_FAILED: &str = "the load failed";

/// The load, whose argument is the first number.
fn load() -> String {
    let write_file = load::write_file();
    format!("mkdir -p /load\nn=$1\nwhile {write_file}\ndo n=$((n + 1)); done\necho {LOAD_FAILED} at file $n\n")
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
    let mut random = Random::new(options.seed);
    let progress = Progress::bar(u64::from(options.cuts), "power cuts");
    let started = Instant::now();
    let mut synced = Synced::new(1000);
    let mut all = 0;
    for cut in 1..=options.cuts {
        let moment = Duration::from_millis(random.below(LATEST_CUT) + 1);
        let result = one_cut(&system, &image, moment, &mut synced);
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
            synced.count()
        );
    }
    Ok(())
}

/// Loads, cuts, boots again, checks, shuts down, checks from the host. Returns how many files the load synced.
fn one_cut(system: &System, image: &Path, moment: Duration, synced: &mut Synced) -> Result<usize> {
    let hardware = Hardware::default();
    let boot = || Session::boot(system, &hardware, Some(disk::open(image, Access::Write)?));
    let mut session = boot()?;
    session.type_keys(&format!("sh /bin/{LOAD_NAME} {}\r", synced.next()))?;
    let said = session.watch(moment)?;
    session.cut_power()?;
    ensure!(!said.contains(LOAD_FAILED), "a command of the load failed before the cut; the console showed:\n{said}");
    let count = synced.note(&said);

    let mut session = boot().context("the system does not come up after the cut")?;
    synced.check(&mut session)?;
    let ending = session.shutdown()?;
    if ending != Ending::Shutdown(0) {
        bail!("the system did not shut down cleanly after the cut: {ending:?}");
    }
    synced.check_on_host(image)?;
    Ok(count)
}
