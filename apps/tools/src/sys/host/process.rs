//! Processes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use std::process::{Child, Command, ExitStatus, Stdio, id};

use super::io::Result;

/// What `ps` shows of a process.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// The process's number.
    pub id: u32,
    /// The number of the process that started it.
    pub parent: u32,
    /// The program's name.
    pub name: String,
    /// What it does at the moment.
    pub state: String,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// Memory it may use, in bytes.
    pub memory_limit: u64,
    /// Processor time used, in nanoseconds.
    pub cpu_ns: u64,
    /// When it was started, in nanoseconds since the system's start.
    pub started_ns: u64,
    /// The command line.
    pub command: String,
}

/// Two made-up processes.
pub fn list() -> Result<Vec<ProcessInfo>> {
    let sample = |id: u32, parent: u32, name: &str, command: &str| ProcessInfo {
        id,
        parent,
        name: name.to_string(),
        state: "running".to_string(),
        memory: 524_288 * u64::from(id),
        memory_limit: 67_108_864,
        cpu_ns: 61_250_000_000 * u64::from(id),
        started_ns: 5_000_000_000,
        command: command.to_string(),
    };
    Ok(alloc::vec![sample(1, 0, "sh", "sh"), sample(2, 1, "tools", "ps -f")])
}

/// Ends a process; the sample processes are 1 and 2.
pub fn kill(pid: u32) -> Result<()> {
    if pid == 1 || pid == 2 { Ok(()) } else { Err(super::io::ErrorKind::NotFound.into()) }
}
