//! One emulated machine: QEMU's command line, its consoles, and how it ended.

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::backlog;
use crate::compile::System;
use crate::disk::LockedDisk;
use crate::network::{HTTP, Network};
use crate::prepare::Tool;
use crate::process::{self, Guarded, RunDirectory};
use crate::workspace;

/// Value at the exit port for an ordinary shutdown; the shell's status is in the kernel log.
const EXIT_SHUTDOWN: i32 = 0x10;
/// Value at the exit port for a kernel panic.
const EXIT_PANIC: i32 = 0x01;
/// How the line in the kernel log begins that holds the status of the last command.
const STATUS_LINE: &str = "motte: exit status ";

/// Who talks to the machine's consoles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// The person at the terminal; QEMU's monitor is behind Ctrl-A.
    Terminal,
    /// This process, through [`Machine::com1`] and [`Machine::com2`].
    Sockets,
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// Memory, in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Its network card.
    pub network: Network,
    /// Time counts instructions: runs are repeatable.
    pub counts_instructions: bool,
    /// QEMU's accelerator.
    pub accelerator: String,
    /// The processor, as QEMU names it.
    pub processor: String,
    /// A plugin of QEMU and its options, as QEMU's option `-plugin` takes them.
    pub plugin: Option<String>,
    /// What the machine writes to its disk is forgotten at its end.
    pub forgets_writes: bool,
    /// The disk refuses writes.
    pub read_only: bool,
    /// Waits for a debugger on this port.
    pub debugger: Option<u16>,
    /// Lets this process stop and change the machine, through [`Machine::stub`].
    pub has_stub: bool,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            memory: 512,
            processors: 1,
            network: Network::None,
            counts_instructions: false,
            accelerator: "tcg".to_owned(),
            processor: "max".to_owned(),
            plugin: None,
            forgets_writes: false,
            read_only: false,
            debugger: None,
            has_stub: false,
        }
    }
}

/// How a machine came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It shut down; the status of the last command.
    Shutdown(u8),
    /// The kernel panicked; what it said.
    Panic(String),
    /// The person at the terminal, or a reset of the machine, ended QEMU.
    Quit,
    /// QEMU ended otherwise; why, as far as it said.
    Vanished(String),
}

impl Ending {
    /// The status this process ends with for it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Shutdown(status) => *status,
            Self::Quit => 0,
            Self::Panic(_) => 101,
            Self::Vanished(_) => 102,
        }
    }
}

/// What a machine runs.
#[derive(Clone, Copy, Debug)]
pub struct Software<'a> {
    /// The kernel: an ELF file with a PVH entry point, or one of Linux.
    pub kernel: &'a Path,
    /// What the boot loader lays beside it.
    pub image: &'a [u8],
    /// The kernel's command line.
    pub command_line: &'a str,
}

/// A running machine; gone with all its files when dropped.
#[derive(Debug)]
pub struct Machine {
    qemu: Guarded,
    directory: RunDirectory,
    _disk: Option<LockedDisk>,
    /// The first serial port: the console.
    pub com1: Option<UnixStream>,
    /// The second serial port: standard error of commands.
    pub com2: Option<UnixStream>,
    /// QEMU's stub for a debugger.
    pub stub: Option<UnixStream>,
}

impl Machine {
    /// Boots `system`. With a `command` the shell runs it and shuts down; without, it is interactive.
    pub fn start(
        system: &System,
        hardware: &Hardware,
        disk: Option<LockedDisk>,
        console: Console,
        command: Option<&str>,
    ) -> Result<Self> {
        let mut image = system.boot_image.clone();
        if let Some(command) = command {
            image.add("command", command.as_bytes().to_vec())?;
        }
        if let Some(port) = hardware.network.port_to(HTTP) {
            image.add("web-address", format!("http://127.0.0.1:{port}/").into_bytes())?;
        }
        let software = Software { kernel: &system.kernel, image: &image.finish(), command_line: "" };
        Self::boot(software, hardware, disk, console)
    }

    /// Boots any software.
    pub fn boot(software: Software, hardware: &Hardware, disk: Option<LockedDisk>, console: Console) -> Result<Self> {
        let directory = RunDirectory::create(&workspace::run_directory())?;
        let image_file = directory.path().join("boot.img");
        fs::write(&image_file, software.image)
            .with_context(|| format!("{} could not be written", image_file.display()))?;
        let errors = fs::File::create(directory.path().join("qemu.log"))?;

        let mut qemu = Tool::Qemu.command();
        qemu.args(arguments(hardware, software, directory.path(), disk.as_ref()));
        let (mut com1, mut com2) = (None, None);
        let mut inherited = Vec::new();
        match console {
            Console::Terminal => {
                qemu.args(["-chardev", "stdio,id=com1,mux=on,signal=off", "-mon", "chardev=com1"]);
                qemu.args(["-serial", "chardev:com1", "-serial", "null"]);
            }
            Console::Sockets => {
                for (name, own) in [("com1", &mut com1), ("com2", &mut com2)] {
                    *own = Some(connect(&mut qemu, name, "-serial", &mut inherited)?);
                }
                qemu.stdin(Stdio::null()).stdout(Stdio::null());
                // Ctrl-C is for this process to see; it ends the machine itself.
                qemu.process_group(0);
            }
        }
        let stub = match hardware.has_stub {
            true => Some(connect(&mut qemu, "stub", "-gdb", &mut inherited)?),
            false => None,
        };
        qemu.stderr(errors);
        process::allow_many_files();
        let qemu = Guarded::spawn_with(&mut qemu, inherited)?;
        if let Network::User(forwards) = &hardware.network {
            backlog::widen(qemu.id(), forwards.iter().map(|forward| forward.host).collect());
        }
        Ok(Self { qemu, directory, _disk: disk, com1, com2, stub })
    }

    /// Waits for the machine's end, at most so long. `None` when it still runs.
    pub fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Option<Ending>> {
        let status = match deadline {
            None => self.qemu.wait()?,
            Some(deadline) => loop {
                if let Some(status) = self.qemu.try_wait()? {
                    break status;
                }
                if Instant::now() >= deadline {
                    return Ok(None);
                }
                std::thread::sleep(Duration::from_millis(5));
            },
        };
        Ok(Some(self.ending(status)))
    }

    /// Waits for the machine's end.
    pub fn wait(&mut self) -> Result<Ending> {
        let status = self.qemu.wait()?;
        Ok(self.ending(status))
    }

    /// Cuts the power.
    pub fn kill(&mut self) -> Result<()> {
        self.qemu.kill().map(drop)
    }

    /// What the kernel has written to its debug console so far.
    #[must_use]
    pub fn kernel_log(&self) -> String {
        fs::read(self.kernel_log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn kernel_log_file(&self) -> PathBuf {
        self.directory.path().join("kernel.log")
    }

    fn ending(&self, status: ExitStatus) -> Ending {
        let errors = fs::read_to_string(self.directory.path().join("qemu.log")).unwrap_or_default();
        ending(status, &self.kernel_log(), &errors)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        // The last machine's log stays where a person finds it.
        let _ = fs::rename(self.kernel_log_file(), workspace::run_directory().join("kernel.log"));
    }
}

/// Leads one of the machine's lines, which `option` makes, to this process.
fn connect(qemu: &mut Command, name: &str, option: &str, inherited: &mut Vec<OwnedFd>) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().context("a pair of sockets could not be made")?;
    let theirs = OwnedFd::from(theirs);
    qemu.arg("-chardev").arg(format!("socket,id={name},fd={}", theirs.as_raw_fd()));
    qemu.arg(option).arg(format!("chardev:{name}"));
    inherited.push(theirs);
    Ok(ours)
}

/// QEMU's arguments but for the consoles.
fn arguments(hardware: &Hardware, software: Software, directory: &Path, disk: Option<&LockedDisk>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&["-machine", "q35", "-accel", &hardware.accelerator]);
    add(&["-cpu", &hardware.processor]);
    add(&["-m", &hardware.memory.to_string(), "-smp", &hardware.processors.to_string()]);
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    if hardware.counts_instructions {
        add(&["-icount", "shift=0,sleep=off"]);
    }
    add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    add(&["-chardev", &format!("file,id=log,path={}", escaped(&directory.join("kernel.log")))]);
    add(&["-device", "isa-debugcon,chardev=log,iobase=0xe9"]);
    if let Some(disk) = disk {
        let options = format!(
            "if=none,id=d0,format=raw,cache=writeback,file.locking=on,snapshot={},read-only={},file={}",
            on(hardware.forgets_writes),
            on(hardware.read_only),
            escaped(&disk.path)
        );
        add(&["-drive", &options, "-device", "virtio-blk-pci,drive=d0,disable-legacy=on,romfile="]);
    }
    for argument in hardware.network.arguments() {
        add(&[&argument]);
    }
    if let Some(plugin) = &hardware.plugin {
        add(&["-plugin", plugin]);
    }
    if let Some(port) = hardware.debugger {
        add(&["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
    }
    if !software.command_line.is_empty() {
        add(&["-append", software.command_line]);
    }
    arguments.extend(["-kernel".into(), software.kernel.into(), "-initrd".into()]);
    // In this option a comma separates files, and two stand for one.
    arguments.push(escaped(&directory.join("boot.img")).into());
    arguments
}

const fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// A path as an option's value: commas doubled.
#[must_use]
pub fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Reads QEMU's status and the kernel's log.
fn ending(status: ExitStatus, log: &str, errors: &str) -> Ending {
    let Some(code) = status.code() else {
        return Ending::Vanished(match status.signal() {
            Some(signal) => format!("it was ended by signal {signal}"),
            None => "nobody knows why".to_owned(),
        });
    };
    // The exit device ends QEMU with twice the written value and one: always odd. One itself is also QEMU's own failure.
    let written = (code & 1 == 1 && code > 1).then_some(code >> 1);
    match written {
        Some(EXIT_PANIC) => Ending::Panic(panic_text(log)),
        Some(value) if value >= EXIT_SHUTDOWN => {
            let stated = log.lines().rev().find_map(|line| line.trim().strip_prefix(STATUS_LINE)?.parse().ok());
            Ending::Shutdown(stated.unwrap_or(u8::try_from(value - EXIT_SHUTDOWN).unwrap_or(u8::MAX)))
        }
        None if code == 0 => Ending::Quit,
        _ => {
            let errors = errors.trim();
            let reason = if errors.is_empty() { "it gave no reason" } else { errors };
            Ending::Vanished(format!("status {code}: {reason}"))
        }
    }
}

/// The kernel's last words: from the line that says `panic` on, else the last lines.
fn panic_text(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.iter().position(|line| line.contains("panic")).unwrap_or(lines.len().saturating_sub(20));
    if lines.is_empty() { "it said nothing".to_owned() } else { lines[from..].join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, log: &str) -> Ending {
        ending(ExitStatus::from_raw(code << 8), log, "")
    }

    #[test]
    fn the_status_of_the_last_command_is_taken_from_the_log() {
        assert_eq!(ended(0x21, "booted\nmotte: exit status 0\n"), Ending::Shutdown(0));
        assert_eq!(ended(0x21, "motte: exit status 255\n"), Ending::Shutdown(255));
        assert_eq!(ended(0x21, ""), Ending::Shutdown(0));
        assert_eq!(ended(0x27, ""), Ending::Shutdown(3));
    }

    #[test]
    fn a_kernel_panic_gives_the_panics_text() {
        let ending = ended(3, "booting\nkernel panic: no memory\n  at start+0x10\n");
        assert_eq!(ending, Ending::Panic("kernel panic: no memory\n  at start+0x10".to_owned()));
        assert_eq!(ending.exit_code(), 101);
    }

    #[test]
    fn other_ends_are_told_apart() {
        assert_eq!(ended(0, ""), Ending::Quit);
        assert_eq!(ended(1, "").exit_code(), 102);
        assert_eq!(ending(ExitStatus::from_raw(9), "", "").exit_code(), 102);
    }

    #[test]
    fn commas_in_a_path_are_doubled() {
        assert_eq!(escaped(Path::new("/a,b/c")), "/a,,b/c");
    }
}
