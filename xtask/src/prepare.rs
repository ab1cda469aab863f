//! Sees to it that the Rust target, QEMU and the file-system tools are there: installs what is missing where it may,
//! else says in one line what to type. Costs a few looks at the file system when nothing is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::workspace::{self, TARGET};

/// Programs of the host that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The machine.
    Qemu,
    /// Makes file systems.
    MakeFileSystem,
    /// Checks file systems.
    CheckFileSystem,
    /// Reads and changes file systems without mounting.
    DebugFileSystem,
}

impl Tool {
    const fn program(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::MakeFileSystem => "mkfs.ext4",
            Self::CheckFileSystem => "e2fsck",
            Self::DebugFileSystem => "debugfs",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86",
            Self::MakeFileSystem | Self::CheckFileSystem | Self::DebugFileSystem => "e2fsprogs",
        }
    }

    /// Where the program is, if it is installed.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        find(self.program())
    }

    /// A command that runs it; its bare name when it cannot be found.
    #[must_use]
    pub fn command(self) -> Command {
        Command::new(self.find().unwrap_or_else(|| self.program().into()))
    }
}

/// A program of the search path, or of the directories for administrators, which a user's path often lacks.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Installs the tools that are missing, or says how.
pub fn tools(tools: &[Tool]) -> Result<()> {
    let mut packages: Vec<&str> =
        tools.iter().filter(|tool| tool.find().is_none()).map(|tool| tool.package()).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("missing: {list} (so named by Debian); install them with this system's package manager");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("missing: {list}; type: sudo apt-get install {list}");
    }
    let progress = Progress::spinner(&format!("installing {list}"));
    // The list of packages may be there already; without it the installation fails and is tried again after an update.
    let install = || -> Result<bool> {
        let status = quiet("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .context("apt-get could not be started")?;
        Ok(status.success())
    };
    if !install()? {
        let _ = quiet("apt-get").arg("update").status();
        if !install()? {
            bail!("apt-get could not install {list}; to see why, type: apt-get update && apt-get install {list}");
        }
    }
    progress.finish();
    Ok(())
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The sysroot of the toolchain that runs us, told by the path of its cargo, without starting a process.
fn sysroot() -> Option<PathBuf> {
    let cargo = PathBuf::from(std::env::var_os("CARGO")?);
    let sysroot = cargo.parent()?.parent()?.to_owned();
    sysroot.join("lib/rustlib").is_dir().then_some(sysroot)
}

fn sysroot_has_target(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// Adds the machine's Rust target when the toolchain lacks it.
pub fn rust_target() -> Result<()> {
    let sysroot = match sysroot() {
        Some(sysroot) => sysroot,
        None => {
            let output = Command::new("rustc").args(["--print", "sysroot"]).output();
            let output = output.context("rustc could not be started; install Rust from https://rustup.rs")?;
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
        }
    };
    if sysroot_has_target(&sysroot) {
        return Ok(());
    }
    rustup(&["target", "add", TARGET], &format!("adding the Rust target {TARGET}"))
}

/// Runs rustup; says what to type when it is not there or fails.
pub fn rustup(arguments: &[&str], what: &str) -> Result<()> {
    let line = arguments.join(" ");
    if find("rustup").is_none() {
        bail!("{what} needs rustup; install it from https://rustup.rs, then type: rustup {line}");
    }
    let progress = Progress::spinner(what);
    let output = Command::new("rustup")
        .args(arguments)
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .output()
        .context("rustup could not be started")?;
    progress.finish();
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason.lines().rev().find(|line| line.starts_with("error")).unwrap_or("error: unknown reason");
        bail!("{what} failed ({}); when the network is back, type: rustup {line}", reason.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_path_is_found_and_another_is_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn a_sysroot_without_the_target_is_seen() {
        assert!(!sysroot_has_target(Path::new("/nonexistent")));
    }
}
