//! The system as a whole: fixed sample data on the host.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use motte_interfaces::supervisor::{ComponentInfo, StateChange};

use super::io::{ErrorKind, Result};
use super::time::Duration;

/// What is kept of a fault.
#[derive(Clone, Debug)]
pub struct FaultRecord {
    /// The record's number.
    pub number: u64,
    /// When, in nanoseconds since the system's start.
    pub time_ns: u64,
    /// The component that failed.
    pub component: String,
    /// Its generation.
    pub generation: u32,
    /// What happened, in one line.
    pub cause: String,
    /// The whole record as text.
    pub text: String,
}

/// Memory of the whole system, in bytes.
#[derive(Clone, Debug)]
pub struct MemoryInfo {
    /// What the machine has.
    pub total: u64,
    /// What is in use.
    pub used: u64,
    /// What is free.
    pub free: u64,
    /// What the file cache holds.
    pub cache: u64,
    /// What the kernel uses for itself.
    pub kernel: u64,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// Its number, counted from the system's start.
    pub seq: u64,
    /// When, in nanoseconds since the system's start.
    pub time_ns: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The component that wrote it.
    pub source: String,
    /// The message.
    pub text: String,
}

/// One event of the kernel's trace ring.
#[derive(Clone, Debug)]
pub struct TraceEvent {
    /// When, in nanoseconds since the system's start.
    pub time_ns: u64,
    /// The core.
    pub cpu: u32,
    /// What happened.
    pub kind: String,
    /// First value; what it means depends on the kind.
    pub a: u64,
    /// Second value.
    pub b: u64,
    /// Third value.
    pub c: u64,
}

const NAMES: [&str; 2] = ["fs", "virtio-blk"];

/// Two made-up components.
pub fn components() -> Result<Vec<ComponentInfo>> {
    let sample = |name: &str, provides: &str, uses: &str, restarts: u64| ComponentInfo {
        name: name.to_string(),
        state: "running".to_string(),
        generation: restarts + 1,
        restarts,
        uptime_ns: 65_000_000_000,
        memory: 1 << 20,
        memory_quota: 8 << 20,
        cpu_ns: 250_000_000,
        slots: 256,
        slots_used: 0,
        restart_in_ns: 0,
        fault: restarts,
        reason: if restarts > 0 { "page fault reading 0x10".to_string() } else { String::new() },
        thread: 1,
        policy: "always after 10 ms to 1000 ms, 5 times in 10000 ms".to_string(),
        provides: alloc::vec![provides.to_string()],
        uses: alloc::vec![uses.to_string()],
    };
    Ok(alloc::vec![sample(NAMES[0], "files", "block", 0), sample(NAMES[1], "block", "pci", 2)])
}

fn known(name: &str) -> Result<()> {
    if NAMES.contains(&name) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
}

/// Three made-up changes that there are already.
pub fn changes(from: u64) -> Result<Vec<StateChange>> {
    (from..4).map(next_change).collect()
}

/// A made-up change.
pub fn next_change(from: u64) -> Result<StateChange> {
    let is_end = from.is_multiple_of(2);
    Ok(StateChange {
        number: from,
        time_ns: from * 1_000_000_000,
        component: NAMES[1].to_string(),
        state: if is_end { "restarting" } else { "running" }.to_string(),
        generation: 2,
        reason: if is_end { "page fault reading 0x10".to_string() } else { String::new() },
    })
}

/// Starts a component.
pub fn start(name: &str) -> Result<()> {
    known(name)
}

/// Stops a component.
pub fn stop(name: &str) -> Result<()> {
    known(name)
}

/// Stops a component and starts it again.
pub fn restart(name: &str) -> Result<()> {
    known(name)
}

/// Ends a component as a fault would.
pub fn kill(name: &str) -> Result<()> {
    known(name)
}

/// One made-up record.
pub fn fault_records() -> Result<Vec<FaultRecord>> {
    Ok(alloc::vec![FaultRecord {
        number: 1,
        time_ns: 12_345_000_000,
        component: NAMES[1].to_string(),
        generation: 1,
        cause: "page fault reading 0x10".to_string(),
        text: "virtio-blk, generation 1: page fault reading 0x10\nrip 0x401000\n".to_string(),
    }])
}

/// Made-up figures.
pub fn memory() -> Result<MemoryInfo> {
    Ok(MemoryInfo { total: 128 << 20, used: 24 << 20, free: 96 << 20, cache: 8 << 20, kernel: 2 << 20 })
}

/// Three made-up records.
pub fn log_read(from: u64) -> Result<Vec<LogRecord>> {
    let samples = [("info", "kernel", "started"), ("warn", "fs", "journal replayed"), ("debug", "fs", "ready")];
    Ok((1u64..)
        .zip(samples)
        .filter(|(seq, _)| *seq >= from)
        .map(|(seq, (level, source, text))| LogRecord {
            seq,
            time_ns: seq * 1_000_000,
            level: level.to_string(),
            source: source.to_string(),
            text: text.to_string(),
        })
        .collect())
}

/// Nothing: there is no kernel.
pub fn trace_messages(_: bool) -> Result<()> {
    Ok(())
}

/// Two made-up events.
pub fn trace_read() -> Result<Vec<TraceEvent>> {
    let sample =
        |time_ns: u64, kind: &str| TraceEvent { time_ns, cpu: 0, kind: kind.to_string(), a: 1, b: 2, c: 3 };
    Ok(alloc::vec![sample(1_500, "call"), sample(2_500, "fault")])
}

/// Time since the system's start.
pub fn uptime() -> Duration {
    Duration::from_secs(93_784)
}

/// Ends the system; on the host it does nothing.
pub fn shutdown(_status: u8) -> Result<()> {
    Ok(())
}

/// Starts the machine anew; on the host it does nothing.
pub fn reboot() -> Result<()> {
    Ok(())
}

/// The kernel's name and version.
pub fn kernel_version() -> String {
    "0.1.0".to_string()
}
