//! Child processes and temporary directories that are gone when the command ends, however it ends: dropped, failed,
//! interrupted, or killed.
//!
//! A child is killed when its guard is dropped, when a signal ends this process (a thread waits for the signals and cleans
//! up), and by the host kernel when this process dies without a chance to clean up. Temporary directories carry the
//! number of the process that made them, so that the next run can sweep what a killed one left.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};
use rustix::termios::Termios;

/// Lets this process, and those that it starts, have as many files open as the host allows: each connection to a machine takes one here and
/// one in QEMU.
pub fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// What is to be undone when a signal ends this process.
struct Pending {
    children: Vec<u32>,
    directories: Vec<PathBuf>,
    terminal: Option<Termios>,
}

static PENDING: Mutex<Pending> = Mutex::new(Pending { children: Vec::new(), directories: Vec::new(), terminal: None });

fn pending() -> MutexGuard<'static, Pending> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that cleans up when SIGINT, SIGTERM or SIGHUP arrives. Does nothing after the first call.
fn watch_signals() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                clean_up();
                std::process::exit(128 + signal);
            }
        });
    });
}

/// Kills every child, removes every temporary directory, gives the terminal back as it was found.
pub fn clean_up() {
    let mut pending = pending();
    for &child in &pending.children {
        if let Some(pid) = Pid::from_raw(child.cast_signed()) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    for directory in pending.directories.drain(..) {
        let _ = fs::remove_dir_all(directory);
    }
    if let Some(terminal) = pending.terminal.take() {
        restore_terminal(&terminal);
    }
}

fn restore_terminal(terminal: &Termios) {
    let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), rustix::termios::OptionalActions::Now, terminal);
}

/// A child process that does not outlive its guard.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Guarded {
    /// Starts `command`. The host kernel kills the child when the starting thread dies first.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Self::spawn_with(command, Vec::new())
    }

    /// Starts `command` with open files that it inherits under the numbers they have here.
    pub fn spawn_with(command: &mut Command, inherited: Vec<OwnedFd>) -> Result<Self> {
        watch_signals();
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec the closure makes a few system calls, allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                for file in &inherited {
                    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
                }
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() != Some(parent) {
                    return Err(std::io::ErrorKind::Interrupted.into());
                }
                Ok(())
            });
        }
        // The registry is held across the spawn, so that a signal finds the child in it or not yet started.
        let mut pending = pending();
        let child =
            command.spawn().with_context(|| format!("`{}` could not be started", command.get_program().display()))?;
        pending.children.push(child.id());
        Ok(Self { child, ended: None })
    }

    /// The child's own handles (its pipes).
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the child's end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        // Wait without reaping first: the number stays the child's own until it has left the registry.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            use rustix::process::{WaitId, WaitIdOptions};
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
        }
        self.reap()
    }

    /// The child's status if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        use rustix::process::{WaitId, WaitIdOptions};
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) else { return Ok(None) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => Ok(None),
            _ => self.reap().map(Some),
        }
    }

    /// Kills the child and waits for its end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if self.ended.is_none() {
            let _ = self.child.kill();
        }
        self.wait()
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        let id = self.child.id();
        pending().children.retain(|&child| child != id);
        let status = self.child.wait().context("a child process could not be waited for")?;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A directory of one run, removed with all it holds when dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes a new directory under `parent`, and sweeps those of processes that no longer live.
    pub fn create(parent: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        watch_signals();
        sweep(parent);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{}-{number}", std::process::id()));
        let mut pending = pending();
        fs::create_dir_all(&path).with_context(|| format!("the directory {} could not be made", path.display()))?;
        pending.directories.push(path.clone());
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        pending().directories.retain(|directory| *directory != self.path);
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the run directories under `parent` whose process has ended.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((process, number)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        let is_ours = process.parse::<u32>().is_ok() && number.parse::<u32>().is_ok();
        if is_ours && !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The terminal's settings, given back when dropped: QEMU killed at a bad moment leaves it raw.
#[derive(Debug)]
pub struct TerminalGuard {
    saved: Option<Termios>,
}

impl TerminalGuard {
    /// Remembers how the terminal on standard input is set; nothing when it is no terminal.
    #[must_use]
    pub fn remember() -> Self {
        let saved = rustix::termios::tcgetattr(rustix::stdio::stdin()).ok();
        pending().terminal.clone_from(&saved);
        Self { saved }
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        pending().terminal = None;
        if let Some(saved) = &self.saved {
            restore_terminal(saved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_running(process: u32) -> bool {
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_dropped_guard_ends_its_child() {
        let guard = Guarded::spawn(Command::new("sleep").arg("1000")).unwrap();
        let process = guard.id();
        assert!(is_running(process));
        drop(guard);
        assert!(!is_running(process));
    }

    #[test]
    fn a_child_that_ended_reports_its_status_more_than_once() {
        let mut guard = Guarded::spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        assert_eq!(guard.wait().unwrap().code(), Some(7));
        assert_eq!(guard.try_wait().unwrap().and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn a_run_directory_is_removed_and_a_dead_processes_is_swept() {
        let parent = std::env::temp_dir().join(format!("motte-sweep-{}", std::process::id()));
        let stale = parent.join("4194999-0");
        fs::create_dir_all(&stale).unwrap();
        let directory = RunDirectory::create(&parent).unwrap();
        assert!(!stale.exists());
        let path = directory.path().to_owned();
        assert!(path.exists());
        drop(directory);
        assert!(!path.exists());
        fs::remove_dir_all(parent).unwrap();
    }
}
