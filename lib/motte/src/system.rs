//! The system as a whole: its components, faults, log, trace, memory and end.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_abi::trace::TraceKind;
use motte_interfaces::log::LogClient;
pub use motte_interfaces::supervisor::{ComponentInfo, StateChange};
use motte_interfaces::supervisor::{FaultSummary, SupervisorClient, SupervisorError};

use crate::io::{Error, ErrorKind, Result};
use crate::service::{Connection, Shared};
use crate::time::Duration;

fn supervisor() -> Result<SupervisorClient<Connection>> {
    static SUPERVISOR: Shared = Shared::new("supervisor");
    Ok(SupervisorClient::new(SUPERVISOR.connection().map_err(Error::other)?))
}

fn failed(error: SupervisorError) -> Error {
    let kind = match error {
        SupervisorError::NotFound => ErrorKind::NotFound,
        SupervisorError::Protected => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    Error::new(kind, error)
}

/// Calls `item` with 0, 1, … until there is none of that number.
fn collect<T>(mut item: impl FnMut(u64) -> core::result::Result<T, SupervisorError>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        match item(all.len() as u64) {
            Ok(one) => all.push(one),
            Err(SupervisorError::NotFound) => return Ok(all),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// All components of the manifest.
pub fn components() -> Result<Vec<ComponentInfo>> {
    let supervisor = supervisor()?;
    collect(|index| supervisor.component(index))
}

/// The first change of a component's state whose number is at least `from`; waits until there is one.
pub fn next_change(from: u64) -> Result<StateChange> {
    supervisor()?.next_change(from).map_err(failed)
}

/// All changes of components' states that are kept, from number `from` on.
pub fn changes(from: u64) -> Result<Vec<StateChange>> {
    let supervisor = supervisor()?;
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        match supervisor.change(from) {
            Ok(change) => {
                from = change.number + 1;
                all.push(change);
            }
            Err(SupervisorError::NotFound) => return Ok(all),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Starts a component that does not run.
pub fn start(name: &str) -> Result<()> {
    supervisor()?.start(name).map_err(failed)
}

/// Stops a component.
pub fn stop(name: &str) -> Result<()> {
    supervisor()?.stop(name).map_err(failed)
}

/// Stops a component and starts it anew.
pub fn restart(name: &str) -> Result<()> {
    supervisor()?.restart(name).map_err(failed)
}

/// Ends a component as a fault would.
pub fn kill(name: &str) -> Result<()> {
    supervisor()?.kill(name).map_err(failed)
}

/// Has the component ended, as a fault would, that provides a service which this one uses: it does not answer as its interface says.
pub fn complain(service: &str, reason: &str) -> Result<()> {
    supervisor()?.complain(service, reason).map_err(failed)
}

/// What is kept of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its number.
    pub number: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The component or program.
    pub component: String,
    /// Its generation.
    pub generation: u32,
    /// What happened, in one line.
    pub cause: String,
    /// The whole record as text.
    pub text: String,
}

/// All fault records that are kept, the oldest first.
pub fn fault_records() -> Result<Vec<FaultRecord>> {
    let supervisor = supervisor()?;
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let summary = match supervisor.fault(from) {
            Ok(summary) => summary,
            Err(SupervisorError::NotFound) => return Ok(all),
            Err(error) => return Err(failed(error)),
        };
        from = summary.number + 1;
        all.push(whole_record(&supervisor, summary));
    }
}

/// What happened, in one line, according to the fault record of that number.
pub fn fault_cause(number: u64) -> Result<String> {
    let summary = supervisor()?.fault(number).map_err(failed)?;
    if summary.number == number { Ok(summary.cause) } else { Err(ErrorKind::NotFound.into()) }
}

/// The first fault record whose number is at least `from`; waits until there is one.
pub fn next_fault(from: u64) -> Result<FaultRecord> {
    let supervisor = supervisor()?;
    let summary = supervisor.next_fault(from).map_err(failed)?;
    Ok(whole_record(&supervisor, summary))
}

fn whole_record(supervisor: &SupervisorClient<Connection>, summary: FaultSummary) -> FaultRecord {
    let mut text = Vec::new();
    while (text.len() as u64) < summary.text_bytes {
        match supervisor.fault_text(summary.number, text.len() as u64) {
            Ok(piece) if !piece.0.is_empty() => text.extend(piece.0),
            // It was dropped meanwhile, for a newer one.
            _ => break,
        }
    }
    FaultRecord {
        number: summary.number,
        time_ns: summary.time_ns,
        component: summary.component,
        generation: summary.generation as u32,
        cause: summary.cause,
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// Memory of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// What is usable.
    pub total: u64,
    /// What is in use, the file cache included.
    pub used: u64,
    /// What is free.
    pub free: u64,
    /// What of the file cache holds something.
    pub cache: u64,
    /// What the kernel keeps.
    pub kernel: u64,
}

/// Memory of the machine.
pub fn memory() -> Result<MemoryInfo> {
    let info = supervisor()?.memory().map_err(failed)?;
    let cache = crate::fs::cache().map_or(0, |(_, used, _)| used);
    let free = info.total.saturating_sub(info.used);
    Ok(MemoryInfo { total: info.total, used: info.used, free, cache, kernel: info.kernel })
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number.
    pub seq: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Who says it.
    pub source: String,
    /// What.
    pub text: String,
}

/// All lines of the log that are kept whose number is at least `from`.
pub fn log_read(from: u64) -> Result<Vec<LogRecord>> {
    static LOG: Shared = Shared::new("log");
    let log = LogClient::new(LOG.connection().map_err(Error::other)?);
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let page = log.read(from)?;
        let Some(last) = page.last() else { return Ok(all) };
        from = last.sequence + 1;
        all.extend(page.into_iter().map(|record| LogRecord {
            seq: record.sequence,
            time_ns: record.time_ns,
            level: ["error", "warn", "info", "debug", "trace"][(record.level.clamp(1, 5) - 1) as usize].to_string(),
            source: record.source,
            text: record.text,
        }));
    }
}

/// An event of the kernel's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// Processor.
    pub cpu: u32,
    /// What: `call`, `reply`, `switch`, …
    pub kind: String,
    /// First datum.
    pub a: u64,
    /// Second datum.
    pub b: u64,
    /// Third datum.
    pub c: u64,
}

/// Whether the trace is to hold every message from now on, or only those that take the kernel's general path.
pub fn trace_messages(all: bool) -> Result<()> {
    supervisor()?.trace_messages(all).map_err(failed)
}

/// The events that every processor's trace holds, in the order of time.
pub fn trace_read() -> Result<Vec<TraceEvent>> {
    let supervisor = supervisor()?;
    let mut all = Vec::new();
    for cpu in 0.. {
        let mut from = 0;
        // The ring goes on while it is read: what was written since the beginning is enough.
        for _ in 0..motte_abi::trace::TRACE_EVENTS {
            let (next, page) = match supervisor.trace(cpu, from) {
                Ok(answer) => answer,
                Err(SupervisorError::NotFound) if from == 0 => {
                    all.sort_by_key(|event: &TraceEvent| event.time_ns);
                    return Ok(all);
                }
                Err(error) => return Err(failed(error)),
            };
            if page.is_empty() || all.len() >= motte_abi::trace::TRACE_EVENTS * (cpu as usize + 1) {
                break;
            }
            from = next;
            all.extend(page.into_iter().map(|event| TraceEvent {
                time_ns: event.time_ns,
                cpu: event.cpu as u32,
                kind: kind_name(event.kind as u8),
                a: event.kind >> 8,
                b: event.a,
                c: event.b,
            }));
        }
    }
    Ok(all)
}

fn kind_name(kind: u8) -> String {
    match TraceKind::from_raw(kind) {
        Some(kind) => format!("{kind:?}").to_lowercase(),
        None => format!("kind {kind}"),
    }
}

/// How long the system has been up.
pub fn uptime() -> Duration {
    Duration::from_nanos(crate::time::monotonic_ns())
}

/// Writes everything back and ends the machine; the status is that of the emulator or test that runs it.
pub fn shutdown(status: u8) -> Result<()> {
    supervisor()?.shut_down(status).map_err(failed)
}

/// Writes everything back and starts the machine anew.
pub fn reboot() -> Result<()> {
    supervisor()?.reboot().map_err(failed)
}

/// The kernel's version.
pub fn kernel_version() -> String {
    supervisor().and_then(|supervisor| supervisor.kernel_version().map_err(failed)).unwrap_or_default()
}
