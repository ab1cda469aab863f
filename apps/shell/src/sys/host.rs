//! The host's `std` behind the shell's [`super`] functions, for tests on the host.

extern crate std;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;

pub use std::fs::File;
pub use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
pub use std::process::{Child, Stdio};

use super::{Ended, Entry, Spawn, Stat};

/// Set by tests: the next look at the console finds Ctrl-C typed.
pub static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Opens a file to read.
pub fn open_read(path: &str) -> io::Result<File> {
    File::open(path)
}

/// Opens a file to write, created if missing; emptied, or written to at its end.
pub fn open_write(path: &str, append: bool) -> io::Result<File> {
    std::fs::OpenOptions::new().write(true).create(true).append(append).truncate(!append).open(path)
}

/// Opens a file to read and write, created if missing.
pub fn open_read_write(path: &str) -> io::Result<File> {
    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Moves a file's position back by `count` bytes, for all copies of it.
pub fn step_back(mut file: &File, count: usize) -> io::Result<()> {
    file.seek(SeekFrom::Current(-(count as i64))).map(|_| ())
}

/// A file's whole content.
pub fn read_file(path: &str) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// Removes a file.
pub fn remove_file(path: &str) -> io::Result<()> {
    std::fs::remove_file(path)
}

fn convert(metadata: std::fs::Metadata) -> Stat {
    Stat {
        is_dir: metadata.is_dir(),
        is_file: metadata.is_file(),
        is_symlink: metadata.is_symlink(),
        len: metadata.len(),
        mode: metadata.permissions().mode() & 0o7777,
        mtime: metadata.mtime(),
        identity: (metadata.dev(), metadata.ino()),
    }
}

/// What is known of a file, links followed.
pub fn stat(path: &str) -> io::Result<Stat> {
    std::fs::metadata(path).map(convert)
}

/// What is known of a file or of a link itself.
pub fn lstat(path: &str) -> io::Result<Stat> {
    std::fs::symlink_metadata(path).map(convert)
}

/// The names in a directory, `.` and `..` apart, in no order.
pub fn list_dir(path: &str) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(Entry { name, is_dir: entry.path().is_dir() });
    }
    Ok(entries)
}

/// The working directory.
pub fn current_dir() -> io::Result<String> {
    Ok(std::env::current_dir()?.to_string_lossy().into_owned())
}

/// Changes the working directory.
pub fn set_current_dir(path: &str) -> io::Result<()> {
    std::env::set_current_dir(path)
}

/// The program's arguments, its own name first.
pub fn args() -> Vec<String> {
    std::env::args().collect()
}

/// The environment.
pub fn vars() -> Vec<(String, String)> {
    std::env::vars().collect()
}

/// The number of this process.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Bytes of the stack that the shell runs on.
pub fn stack_size() -> usize {
    // What test threads have.
    2 * 1024 * 1024
}

/// Ends this process.
pub fn exit(status: i32) -> ! {
    std::process::exit(status)
}

/// Ends the whole system; on the host, the process.
pub fn shutdown(status: u8) -> ! {
    exit(status.into())
}

/// Our own standard stream `fd` as a child's.
pub fn inherit(fd: u32) -> Stdio {
    match fd {
        0 => Stdio::inherit(),
        1 => std::io::stdout().into(),
        _ => std::io::stderr().into(),
    }
}

/// Starts a program.
pub fn spawn(request: Spawn<'_>) -> io::Result<Child> {
    std::process::Command::new(request.program)
        .args(request.args)
        .env_clear()
        .envs(request.env.iter().map(|(name, value)| (name, value)))
        .stdin(request.stdin)
        .stdout(request.stdout)
        .stderr(request.stderr)
        .spawn()
}

fn ended(status: std::process::ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal @ (4 | 5 | 6 | 7 | 8 | 11))) => Ended::Crashed(signal, crash(signal).into()),
        (None, signal) => Ended::Killed(signal.unwrap_or(9)),
    }
}

/// What a signal means.
fn crash(signal: i32) -> &'static str {
    match signal {
        4 => "illegal instruction",
        5 => "breakpoint",
        6 => "aborted",
        7 => "bus error",
        8 => "arithmetic error",
        _ => "segmentation fault",
    }
}

/// Waits for a child's end.
pub fn wait(child: &mut Child) -> io::Result<Ended> {
    child.wait().map(ended)
}

/// Whether a child has ended, and how.
pub fn try_wait(child: &mut Child) -> io::Result<Option<Ended>> {
    Ok(child.try_wait()?.map(ended))
}

/// Watches for Ctrl-C.
pub struct Interrupts;

impl Interrupts {
    /// Begins to watch.
    pub fn new() -> Interrupts {
        Interrupts
    }

    /// Whether Ctrl-C was typed since the last question.
    pub fn poll(&mut self) -> bool {
        INTERRUPT.swap(false, Ordering::Relaxed)
    }

    /// Waits for a child's end; `None` when Ctrl-C comes first.
    pub fn wait(&mut self, child: &mut Child) -> io::Result<Option<Ended>> {
        loop {
            if self.poll() {
                return Ok(None);
            }
            if let Some(ended) = try_wait(child)? {
                return Ok(Some(ended));
            }
            sleep(Duration::from_millis(2));
        }
    }
}

impl Default for Interrupts {
    fn default() -> Interrupts {
        Interrupts::new()
    }
}

/// Ends a process with a signal.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let script = alloc::format!("kill -{signal} {pid}");
    let status = std::process::Command::new("/bin/sh").args(["-c", &script]).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Ends a process and all that it started.
pub fn kill_tree(pid: u32) {
    // A process that is gone already is what was wanted.
    let _ = kill(pid, 9);
}

/// Ends a component of the system by its name, as a fault would.
pub fn kill_component(name: &str) -> Result<(), String> {
    Err(alloc::format!("no process or component is called '{name}'"))
}

/// Waits.
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Reads our own standard input, no byte more than is returned.
pub fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    let stdin = std::io::stdin();
    File::from(stdin.as_fd().try_clone_to_owned()?).read(buffer)
}

/// Writes to our own standard output or error.
pub fn write_out(fd: u32, bytes: &[u8]) -> io::Result<()> {
    let owned = if fd == 1 {
        std::io::stdout().as_fd().try_clone_to_owned()?
    } else {
        std::io::stderr().as_fd().try_clone_to_owned()?
    };
    File::from(owned).write_all(bytes)
}

/// Whether our own stream `fd` is a terminal.
pub fn is_terminal(fd: u32) -> bool {
    use std::io::IsTerminal;
    match fd {
        0 => std::io::stdin().is_terminal(),
        1 => std::io::stdout().is_terminal(),
        _ => std::io::stderr().is_terminal(),
    }
}

/// Turns the console's own line editing and echo off or on.
pub fn set_raw(raw: bool) {
    let mode = if raw { "raw" } else { "sane" };
    // Without a terminal there is nothing to set.
    let _ = std::process::Command::new("stty").arg(mode).stderr(Stdio::null()).status();
}

/// Shows whoever watches this shell that it goes on.
pub fn beat() {}

/// Writes a line to the system's log.
pub fn log(_text: &str) {}

/// Prepares the console for commands without a person: nothing to read, nothing changed on its way.
pub fn set_batch() {}

/// Columns and rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    let get = |name: &str| std::env::var(name).ok().and_then(|value| value.to_string().parse().ok());
    (get("COLUMNS").unwrap_or(80), get("LINES").unwrap_or(24))
}
