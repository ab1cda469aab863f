//! The runtime crate behind the shell's [`super`] functions.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

pub use motte::fs::File;
pub use motte::io::{self, Read, Write};
pub use motte::process::{Child, PipeReader, PipeWriter, Stdio, pipe};

use motte::io::{Seek, SeekFrom};

use super::{Ended, Entry, Spawn, Stat};

/// Opens a file to read.
pub fn open_read(path: &str) -> io::Result<File> {
    File::open(path)
}

/// Opens a file to write, created if missing; emptied, or written to at its end.
pub fn open_write(path: &str, append: bool) -> io::Result<File> {
    motte::fs::OpenOptions::new().write(true).create(true).append(append).truncate(!append).open(path)
}

/// Opens a file to read and write, created if missing.
pub fn open_read_write(path: &str) -> io::Result<File> {
    motte::fs::OpenOptions::new().read(true).write(true).create(true).open(path)
}

/// Moves a file's position back by `count` bytes, for all copies of it.
pub fn step_back(file: &File, count: usize) -> io::Result<()> {
    file.try_clone()?.seek(SeekFrom::Current(-(count as i64))).map(|_| ())
}

/// A file's whole content.
pub fn read_file(path: &str) -> io::Result<Vec<u8>> {
    motte::fs::read(path)
}

/// Removes a file.
pub fn remove_file(path: &str) -> io::Result<()> {
    motte::fs::remove_file(path)
}

fn convert(metadata: motte::fs::Metadata) -> Stat {
    Stat {
        is_dir: metadata.is_dir(),
        is_file: metadata.is_file(),
        is_symlink: metadata.is_symlink(),
        len: metadata.len(),
        mode: metadata.mode() & 0o7777,
        mtime: metadata.mtime(),
        identity: (metadata.dev(), metadata.ino()),
    }
}

/// What is known of a file, links followed.
pub fn stat(path: &str) -> io::Result<Stat> {
    motte::fs::metadata(path).map(convert)
}

/// What is known of a file or of a link itself.
pub fn lstat(path: &str) -> io::Result<Stat> {
    motte::fs::symlink_metadata(path).map(convert)
}

/// The names in a directory, `.` and `..` apart, in no order.
pub fn list_dir(path: &str) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in motte::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_dir = kind.is_dir() || kind.is_symlink() && stat(&entry.path()).is_ok_and(|stat| stat.is_dir);
        entries.push(Entry { name: entry.file_name(), is_dir });
    }
    Ok(entries)
}

/// The working directory.
pub fn current_dir() -> io::Result<String> {
    motte::env::current_dir()
}

/// Changes the working directory.
pub fn set_current_dir(path: &str) -> io::Result<()> {
    motte::env::set_current_dir(path)
}

/// The program's arguments, its own name first.
pub fn args() -> Vec<String> {
    motte::env::args().collect()
}

/// The environment.
pub fn vars() -> Vec<(String, String)> {
    motte::env::vars().collect()
}

/// The number of this process.
pub fn process_id() -> u32 {
    motte::process::id()
}

/// Bytes of the stack that the shell runs on.
pub fn stack_size() -> usize {
    match motte::start::header().stack {
        0 => 128 * 1024,
        bytes => bytes as usize,
    }
}

/// Ends this process.
pub fn exit(status: i32) -> ! {
    motte::process::exit(status)
}

/// Ends the whole system.
pub fn shutdown(status: u8) -> ! {
    // What was printed last must get out; without a console there is nothing to wait for.
    let _ = motte::terminal::drain();
    if let Err(error) = motte::system::shutdown(status) {
        motte::eprintln!("sh: the system cannot be shut down: {error}");
        exit(i32::from(status))
    }
    // The machine ends while the supervisor writes everything back.
    loop {
        motte::thread::sleep(core::time::Duration::from_secs(1));
    }
}

/// Our own standard stream `fd` as a child's.
pub fn inherit(fd: u32) -> Stdio {
    match fd {
        0 => Stdio::inherit(),
        1 => motte::io::stdout().into(),
        _ => motte::io::stderr().into(),
    }
}

/// Starts a program.
pub fn spawn(request: Spawn<'_>) -> io::Result<Child> {
    let mut command = motte::process::Command::new(request.program);
    command.args(request.args).env_clear();
    for (name, value) in request.env {
        command.env(name, value);
    }
    command.stdin(request.stdin).stdout(request.stdout).stderr(request.stderr).spawn()
}

fn ended(status: motte::process::ExitStatus) -> Ended {
    match status.code() {
        Some(code) => Ended::Code(code),
        None => match status.fault() {
            Some(record) => Ended::Crashed(11, crash(record)),
            None => Ended::Killed(9),
        },
    }
}

/// What a fault record says, in short.
fn crash(record: u64) -> String {
    match motte::system::fault_cause(record) {
        Ok(cause) => format!("{cause} (see 'faults {record}')"),
        // Nobody keeps it.
        Err(_) => "its fault record is not to be had".into(),
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
pub struct Interrupts(Option<motte::terminal::InterruptWatch>);

impl Interrupts {
    /// Begins to watch.
    pub fn new() -> Interrupts {
        // Without a console nobody can type Ctrl-C.
        Interrupts(motte::terminal::on_interrupt().ok())
    }

    /// Whether Ctrl-C was typed since the last question.
    pub fn poll(&mut self) -> bool {
        self.0.as_mut().is_some_and(|watch| watch.poll())
    }

    /// Waits for a child's end; `None` when Ctrl-C comes first.
    pub fn wait(&mut self, child: &mut Child) -> io::Result<Option<Ended>> {
        if let Some(watch) = &mut self.0
            && watch.wait(child)? == motte::terminal::Event::Interrupted
        {
            return Ok(None);
        }
        wait(child).map(Some)
    }
}

impl Default for Interrupts {
    fn default() -> Interrupts {
        Interrupts::new()
    }
}

/// Ends a process. There is one way to do that, so the signal's number does not matter, but 0 only asks
/// whether the process exists.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    if signal == 0 {
        let exists = motte::process::list()?.iter().any(|process| process.id == pid);
        return if exists { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
    }
    motte::process::kill(pid)
}

/// Ends a process and all that it started.
pub fn kill_tree(pid: u32) {
    let mut doomed = Vec::from([pid]);
    if let Ok(processes) = motte::process::list() {
        let mut index = 0;
        while let Some(parent) = doomed.get(index).copied() {
            for process in processes.iter().filter(|process| process.parent == parent) {
                if !doomed.contains(&process.id) {
                    doomed.push(process.id);
                }
            }
            index += 1;
        }
    }
    for pid in doomed {
        // A process that is gone already is what was wanted.
        let _ = motte::process::kill(pid);
    }
}

/// Ends a component of the system by its name, as a fault would.
pub fn kill_component(name: &str) -> Result<(), String> {
    motte::system::kill(name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("no process or component is called '{name}'"),
        _ => error.to_string(),
    })
}

/// Waits.
pub fn sleep(duration: Duration) {
    motte::thread::sleep(duration);
}

/// Reads our own standard input, no byte more than is returned.
pub fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    motte::io::stdin().read(buffer)
}

/// Writes to our own standard output or error.
pub fn write_out(fd: u32, bytes: &[u8]) -> io::Result<()> {
    if fd == 1 { motte::io::stdout().write_all(bytes) } else { motte::io::stderr().write_all(bytes) }
}

/// Whether our own stream `fd` is a terminal.
pub fn is_terminal(fd: u32) -> bool {
    match fd {
        0 => motte::io::stdin().is_terminal(),
        1 => motte::io::stdout().is_terminal(),
        _ => motte::io::stderr().is_terminal(),
    }
}

/// Turns the console's own line editing and echo off or on.
pub fn set_raw(raw: bool) {
    // A console that cannot do this still gives lines.
    let _ = motte::terminal::set_raw(raw);
}

/// Shows whoever watches this shell that it goes on. A loop of its own commands may take any time.
pub fn beat() {
    motte::control::beat();
}

/// Writes a line to the system's log.
pub fn log(text: &str) {
    motte::log::info!("{text}");
}

/// Prepares the console for commands without a person: nothing to read, nothing changed on its way.
pub fn set_batch() {
    // Without a console there is nothing to prepare.
    let _ = motte::terminal::set_batch();
}

/// Columns and rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    let (columns, rows) = motte::terminal::size().unwrap_or((80, 24));
    (usize::from(columns), usize::from(rows))
}
