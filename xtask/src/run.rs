//! `cargo xtask run`: boots the system, at the terminal or for some commands.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::compile::{self, Profile, System};
use crate::disk::{self, Access, LockedDisk};
use crate::machine::{Console, Ending, Hardware, Machine};
use crate::network::{self, Choice, Forward, HTTP, WebPort};
use crate::prepare::{self, Tool};
use crate::process::TerminalGuard;
use crate::{manifest, workspace};

/// Status of a run that took longer than it may, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// The machine to boot.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Disk image to use (default: one made from rootfs/, kept between runs)
    #[arg(long, value_name = "IMG", conflicts_with = "no_disk")]
    pub disk: Option<PathBuf>,
    /// Boot without a disk
    #[arg(long)]
    pub no_disk: bool,
    /// Forget at the end what was written to the disk
    #[arg(long)]
    pub snapshot: bool,
    /// The disk refuses writes
    #[arg(long)]
    pub read_only: bool,
    /// Processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub smp: u32,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub mem: u32,
    /// What the network card is plugged into: QEMU's own network, a tap device of the host, or nothing (no card)
    #[arg(long, value_name = "user|tap=IFNAME|none", default_value = "user")]
    pub net: Choice,
    /// Lead a port of 127.0.0.1 to one of the machine; may be given more than once. Without one to port 80, port 8080 leads there, or the
    /// next that is free
    #[arg(long, value_name = "HOSTPORT:GUESTPORT")]
    pub forward: Vec<Forward>,
    /// Build as published (the default)
    #[arg(long, conflicts_with = "debug")]
    pub release: bool,
    /// Build fast, with all checks
    #[arg(long)]
    pub debug: bool,
    /// Let time count instructions, so that runs are repeatable
    #[arg(long)]
    pub icount: bool,
    /// QEMU's accelerator
    #[arg(long, value_name = "NAME", default_value = "tcg")]
    pub accel: String,
    /// System manifest (default: system/default.toml)
    #[arg(long, value_name = "FILE")]
    pub system: Option<PathBuf>,
}

impl Options {
    /// The profile to build with.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        if self.debug { Profile::Debug } else { Profile::Release }
    }

    /// Prepares the host and builds the system.
    pub fn build(&self) -> Result<System> {
        prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem])?;
        let manifest = self.system.clone().unwrap_or_else(manifest::default_path);
        compile::system(self.profile(), &manifest)
    }

    /// The machine's parts, and the port of this machine that leads to its web server.
    pub fn hardware(&self) -> Result<(Hardware, Option<WebPort>)> {
        if !self.forward.is_empty() && self.net != Choice::User {
            bail!("--forward leads through QEMU's own network: it goes with --net user only");
        }
        let (network, web) = network::choose(&self.net, &self.forward)?;
        let hardware = Hardware {
            memory: self.mem,
            processors: self.smp,
            network,
            counts_instructions: self.icount,
            accelerator: self.accel.clone(),
            forgets_writes: self.snapshot,
            read_only: self.read_only,
            debugger: None,
            ..Hardware::default()
        };
        Ok((hardware, web))
    }

    /// The machine's disk, locked.
    pub fn open_disk(&self, system: &System) -> Result<Option<LockedDisk>> {
        if self.no_disk {
            return Ok(None);
        }
        let access = if self.snapshot || self.read_only { Access::Read } else { Access::Write };
        match &self.disk {
            Some(path) => disk::open(path, access).map(Some),
            None => disk::default_disk(&system.applications, access).map(Some),
        }
    }
}

/// Boots at the terminal. Returns the status to end with.
pub fn interactive(options: &Options, kernel_log: bool) -> Result<u8> {
    let system = options.build()?;
    let disk = options.open_disk(&system)?;
    let (hardware, web) = options.hardware()?;
    let is_asked_for = || options.forward.iter().any(|forward| forward.guest == HTTP);
    if options.net == Choice::User && web.is_none() && !is_asked_for() {
        eprintln!("motte: no port was found that could lead to the machine's port 80; --forward HOSTPORT:80 names one");
    }
    let ending = {
        let _terminal = TerminalGuard::remember();
        let mut machine = Machine::start(&system, &hardware, disk, Console::Terminal, None)?;
        machine.wait()?
    };
    report(&ending, kernel_log);
    Ok(ending.exit_code())
}

/// Boots, runs `commands`, shuts down. Standard output gets what they print there and nothing else.
pub fn commands(options: &Options, commands: &str, timeout: Option<u64>, kernel_log: bool) -> Result<u8> {
    let system = options.build()?;
    let disk = options.open_disk(&system)?;
    let (hardware, _web) = options.hardware()?;
    let mut machine = Machine::start(&system, &hardware, disk, Console::Sockets, Some(commands))?;
    let output = machine.com1.take().map(|stream| pass_on(stream, std::io::stdout()));
    let errors = machine.com2.take().map(|stream| pass_on(stream, std::io::stderr()));
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let ending = machine.wait_until(deadline)?;
    if ending.is_none() {
        machine.kill()?;
    }
    for thread in [output, errors].into_iter().flatten() {
        let _ = thread.join();
    }
    drop(machine);
    match ending {
        Some(ending) => {
            // QEMU never ends of itself while commands run.
            let ending = match ending {
                Ending::Quit => Ending::Vanished("it was quit, or the machine reset itself".to_owned()),
                other => other,
            };
            report(&ending, kernel_log);
            Ok(ending.exit_code())
        }
        None => {
            if kernel_log {
                show_kernel_log();
            }
            eprintln!("motte: the commands took longer than {} s; the machine was ended", timeout.unwrap_or(0));
            Ok(TIMED_OUT)
        }
    }
}

/// Boots at the terminal with a debugger's port open, stopped before the first instruction.
pub fn debug(options: &Options, port: u16) -> Result<u8> {
    let system = options.build()?;
    let disk = options.open_disk(&system)?;
    let (hardware, _web) = options.hardware()?;
    let hardware = Hardware { debugger: Some(port), ..hardware };
    eprintln!("motte: the machine waits; in another terminal, type:");
    eprintln!("  gdb {} -ex 'target remote 127.0.0.1:{port}'", system.kernel.display());
    eprintln!("  then for a program's functions too: add-symbol-file {}/NAME", system.programs().display());
    let _terminal = TerminalGuard::remember();
    let ending = Machine::start(&system, &hardware, disk, Console::Terminal, None)?.wait()?;
    report(&ending, false);
    Ok(ending.exit_code())
}

/// Makes a disk image from a folder and the programs.
pub fn image(out: &Path, size: u64, files: &Path, force: bool) -> Result<()> {
    if out.exists() && !force {
        bail!("{} exists; to replace it, add --force", out.display());
    }
    prepare::tools(&[Tool::MakeFileSystem])?;
    let system = compile::system(Profile::Release, &manifest::default_path())?;
    if out.exists() {
        // Not while a machine uses it.
        drop(disk::open(out, Access::Write)?);
        std::fs::remove_file(out).with_context(|| format!("{} could not be replaced", out.display()))?;
    }
    disk::create(out, size, files, &system.applications, &[])?;
    eprintln!("motte: made {}; boot from it with: cargo xtask run --disk {}", out.display(), out.display());
    Ok(())
}

/// Copies what the machine sends until it ends, piece by piece as it comes.
fn pass_on(mut from: UnixStream, mut to: impl Write + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        // A reader that went away must not stop the machine: the rest is read and dropped.
        let mut is_read = true;
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            is_read = is_read && to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_ok();
        }
    })
}

/// Says on standard error what was not an ordinary end.
fn report(ending: &Ending, kernel_log: bool) {
    if kernel_log {
        show_kernel_log();
    }
    match ending {
        Ending::Shutdown(_) | Ending::Quit => {}
        Ending::Panic(text) => eprintln!("motte: the kernel panicked:\n{text}"),
        Ending::Vanished(why) => {
            let log = workspace::run_directory().join("kernel.log");
            eprintln!(
                "motte: QEMU ended before the system shut down ({why}); the kernel's log is in {}",
                log.display()
            );
        }
    }
}

fn show_kernel_log() {
    let log = std::fs::read(workspace::run_directory().join("kernel.log")).unwrap_or_default();
    let _ = std::io::stderr().write_all(&log);
}
