//! Processes.

use alloc::string::ToString;
use alloc::vec::Vec;

pub use std::process::{Child, Command, ExitStatus, Stdio, id};

pub use motte_interfaces::process::ProcessInfo;

use super::io::Result;

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
