//! All that the shell asks of the system, in one place.
//!
//! With the feature `program` this is the runtime crate `motte`; without it, a thin layer over the host's
//! `std`, so that the whole shell runs and is tested on the host. Both give the same functions.
//!
//! What it relies on in `motte`:
//! - `io::{Read, Write, Seek, SeekFrom, Error, ErrorKind, Result}`; `stdin()`, `stdout()`, `stderr()`, not
//!   buffering on the reading side (a child goes on reading where the shell stopped), `is_terminal()`.
//! - `fs::{File, OpenOptions, metadata, symlink_metadata, read_dir, read, remove_file}`; `File::try_clone`
//!   shares the position; a removed file that is open can still be read.
//! - `env::{args, vars, current_dir, set_current_dir}`.
//! - `process::{Command, Stdio, Child, pipe, kill, list, exit, id}`. `Command::new(path).arg(..).env_clear()
//!   .env(k, v).stdin(s).stdout(s).stderr(s).spawn()`. `Stdio: From<File> + From<PipeReader> +
//!   From<PipeWriter> + From<Stdin> + From<Stdout> + From<Stderr>` (the last three name the program's own
//!   streams, so that `2>&1` works on them). `PipeReader::try_clone`, `PipeWriter::try_clone`; a pipe
//!   holds at least [`PIPE_CAPACITY`] bytes before a writer waits; reading gives 0 once all writers are gone.
//! - `Child::{id, wait, try_wait}`; `ExitStatus::code()`, `None` for a program that was killed or crashed.
//! - `terminal::{set_raw, size, on_interrupt}`, `thread::sleep`, `system::{shutdown, kill}`.

#[cfg(not(feature = "program"))]
mod host;
#[cfg(feature = "program")]
mod motte;

#[cfg(not(feature = "program"))]
pub use host::*;
#[cfg(feature = "program")]
pub use motte::*;

use alloc::string::String;

/// What may be written into a new pipe without waiting for its reader.
pub const PIPE_CAPACITY: usize = 4096;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Code(i32),
    /// By a fault of its own, with the number of the signal that POSIX knows it by, and what happened.
    Crashed(i32, String),
    /// By somebody's wish, with the number of the signal.
    Killed(i32),
}

/// What is known of a file by its name.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is an ordinary file.
    pub is_file: bool,
    /// Whether it is a symbolic link (only from [`lstat`]).
    pub is_symlink: bool,
    /// Its size in bytes.
    pub len: u64,
    /// Its permission bits.
    pub mode: u32,
    /// When its content changed, in seconds since 1970.
    pub mtime: i64,
    /// Device and inode, which name the file whatever its path.
    pub identity: (u64, u64),
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
}

/// A program to start.
pub struct Spawn<'a> {
    /// The program's file.
    pub program: &'a str,
    /// The arguments behind the name.
    pub args: &'a [String],
    /// Its whole environment.
    pub env: &'a [(String, String)],
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

/// What an error of the system is called in a sentence.
pub fn describe(error: &io::Error) -> String {
    use io::ErrorKind::*;
    match error.kind() {
        NotFound => "no such file or directory".into(),
        PermissionDenied => "permission denied".into(),
        AlreadyExists => "file exists".into(),
        NotADirectory => "not a directory".into(),
        IsADirectory => "is a directory".into(),
        StorageFull => "no space left on the device".into(),
        BrokenPipe => "broken pipe".into(),
        OutOfMemory => "out of memory".into(),
        _ => alloc::format!("{error}"),
    }
}
