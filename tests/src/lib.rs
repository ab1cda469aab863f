//! What the whole-system tests are written with: [`Bench`] builds the system and makes disks, [`scenario`] reads and plays
//! sessions at the console that are kept as text.
//!
//! A test of its own looks like this:
//!
//! ```no_run
//! use motte_tests::Bench;
//!
//! let bench = Bench::new().unwrap();
//! let disk = bench.disk("64M", &[]).unwrap();
//! let mut session = bench.boot(Some(&disk)).unwrap();
//! assert_eq!(session.run("echo hello").unwrap().text, "hello\n");
//! session.shutdown().unwrap();
//! xtask::disk::check(&disk, &["-fn"]).unwrap();
//! ```

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use xtask::compile::{self, Profile, System};
use xtask::disk::{self, Access};
use xtask::machine::Hardware;
use xtask::prepare::{self, Tool};
use xtask::process::RunDirectory;
use xtask::session::Session;
use xtask::{manifest, workspace};

pub mod command;
pub mod outside;
pub mod scenario;

/// The built system and a folder for the disks of one test.
#[derive(Debug)]
pub struct Bench {
    /// What is booted.
    pub system: &'static System,
    directory: RunDirectory,
}

/// The system, built once for all tests of a process.
fn system() -> Result<&'static System> {
    static SYSTEM: OnceLock<Result<System, String>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem, Tool::CheckFileSystem])
            .and_then(|()| compile::system(Profile::Release, &manifest::default_path()))
            .map_err(|error| format!("{error:#}"))
    });
    built.as_ref().map_err(|error| anyhow!("{error}"))
}

impl Bench {
    /// Builds the system when that is needed.
    pub fn new() -> Result<Self> {
        Ok(Self { system: system()?, directory: RunDirectory::create(&workspace::run_directory())? })
    }

    /// The folder of this test: gone when the bench is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a disk as `cargo xtask image` does; `options` are further ones of mkfs.ext4.
    pub fn disk(&self, size: &str, options: &[&str]) -> Result<PathBuf> {
        let size = disk::parse_size(size).map_err(|error| anyhow!(error))?;
        let path = self.directory().join("disk.img");
        let files = workspace::root().join("rootfs");
        disk::create(&path, size, &files, &self.system.applications, options)?;
        Ok(path)
    }

    /// Makes a disk from the files of a folder and nothing else.
    pub fn disk_from(&self, size: &str, files: &Path) -> Result<PathBuf> {
        let size = disk::parse_size(size).map_err(|error| anyhow!(error))?;
        let path = self.directory().join("disk.img");
        disk::make_file_system(&path, size, Some(files), &[])?;
        Ok(path)
    }

    /// Boots to the prompt.
    pub fn boot(&self, disk: Option<&Path>) -> Result<Session> {
        self.boot_on(&Hardware::default(), disk)
    }

    /// Boots other hardware to the prompt.
    pub fn boot_on(&self, hardware: &Hardware, disk: Option<&Path>) -> Result<Session> {
        let access = if hardware.read_only || hardware.forgets_writes { Access::Read } else { Access::Write };
        let disk = disk.map(|disk| disk::open(disk, access)).transpose()?;
        Session::boot(self.system, hardware, disk).context("boot")
    }
}
