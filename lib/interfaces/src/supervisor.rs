//! The supervisor: components, how they fare, and the machine's end.
//!
//! # What survives a restart of the service
//! - Every component's state, generation, number of restarts and history: what failed too often stays in quarantine, and failures of before count.
//! - The numbers of fault records and of changes, which go on. The records and changes of before are gone here; those that the
//!   fault log had written lie on the disk.
//! - Who waits in `next_fault` or `next_change` asks again by itself. [`Supervisor::start`], `stop`, `restart`, `kill` and `accuse` are not repeated: the
//!   caller is told that it is not known whether they were carried out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Bytes, CallError, Wire, interface};

/// Why the supervisor did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum SupervisorError {
    /// No component, record or event of that name or number.
    NotFound,
    /// The component runs already.
    Running,
    /// The component does not run.
    NotRunning,
    /// The component is one that the system cannot do without.
    Protected,
    /// The caller may not do this.
    NotAllowed,
    /// The component could not be started; the log says why.
    StartFailed,
    /// The supervisor does not answer, or not what was asked.
    Unreachable,
}

impl fmt::Display for SupervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is none of that name",
            Self::Running => "it runs already",
            Self::NotRunning => "it does not run",
            Self::Protected => "the system cannot do without it",
            Self::NotAllowed => "not allowed",
            Self::StartFailed => "it could not be started; the log says why",
            Self::Unreachable => "the supervisor does not answer",
        })
    }
}

impl From<CallError> for SupervisorError {
    fn from(_: CallError) -> Self {
        Self::Unreachable
    }
}

impl core::error::Error for SupervisorError {}

/// A component, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ComponentInfo {
    /// Its name.
    pub name: String,
    /// `running`, `stopping`, `stopped`, `restarting`, `quarantined`, `ended`.
    pub state: String,
    /// How often it was started.
    pub generation: u64,
    /// How often it was restarted after a failure.
    pub restarts: u64,
    /// For how long it has been running, in nanoseconds.
    pub uptime_ns: u64,
    /// Bytes of its memory in use, and its quota.
    pub memory: u64,
    /// Its quota in bytes.
    pub memory_quota: u64,
    /// Processor time of its first thread, in nanoseconds.
    pub cpu_ns: u64,
    /// Slots of its capability table.
    pub slots: u64,
    /// How many of them are in use; 0 where only the component itself knows.
    pub slots_used: u64,
    /// Time until it is started again, in nanoseconds.
    pub restart_in_ns: u64,
    /// Number of the fault record of its last end; 0: it did not fail.
    pub fault: u64,
    /// Why it ended last, in one line.
    pub reason: String,
    /// What the manifest says about restarts, in one line.
    pub policy: String,
    /// Its first thread's number in the trace; 0 if it does not run.
    pub thread: u64,
    /// The services it provides.
    pub provides: Vec<String>,
    /// The services it may use.
    pub uses: Vec<String>,
}

/// A fault record, in short.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FaultSummary {
    /// Its number.
    pub number: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The component's name.
    pub component: String,
    /// Its generation.
    pub generation: u64,
    /// Why, in one line.
    pub cause: String,
    /// Bytes of the whole record's text ([`Supervisor::fault_text`]).
    pub text_bytes: u64,
}

/// A component's state has changed.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StateChange {
    /// Its number, from 1.
    pub number: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The component's name.
    pub component: String,
    /// Its state now, as in [`ComponentInfo::state`].
    pub state: String,
    /// Its generation.
    pub generation: u64,
    /// Why it ended last, in one line; empty if it did not fail.
    pub reason: String,
}

/// Memory of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct MemoryInfo {
    /// All that is usable.
    pub total: u64,
    /// In use: by the kernel, and by components.
    pub used: u64,
    /// What the kernel itself keeps.
    pub kernel: u64,
}

/// An event of the kernel's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct TraceEvent {
    /// Nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// Processor.
    pub cpu: u64,
    /// Kind in bits 0–7 (`motte_abi::trace::TraceKind`); the rest is the kind's first datum.
    pub kind: u64,
    /// Second datum.
    pub a: u64,
    /// Third datum.
    pub b: u64,
}

/// The most bytes of a record's text in one answer.
pub const TEXT_PIECE: usize = 768;

/// The supervisor.
#[interface("supervisor")]
pub trait Supervisor {
    /// The component with this number; `NotFound` after the last.
    #[idempotent]
    fn component(&self, index: u64) -> Result<ComponentInfo, SupervisorError>;
    /// Starts a component that does not run; one in quarantine too. Answered when it was started.
    #[deferred]
    fn start(&self, name: &str) -> Result<(), SupervisorError>;
    /// Stops a component; it is not restarted. One with a `stop-timeout` ends when it has saved what it must, others at once.
    fn stop(&self, name: &str) -> Result<(), SupervisorError>;
    /// Stops a component and starts it anew.
    fn restart(&self, name: &str) -> Result<(), SupervisorError>;
    /// Ends a component as a fault would: there is a fault record, and its restart policy decides what follows.
    fn kill(&self, name: &str) -> Result<(), SupervisorError>;
    /// The first fault record whose number is at least `from`; they are numbered from 1. `NotFound` after the last.
    #[idempotent]
    fn fault(&self, from: u64) -> Result<FaultSummary, SupervisorError>;
    /// A piece of a fault record's text, from byte `offset`.
    #[idempotent]
    fn fault_text(&self, number: u64, offset: u64) -> Result<Bytes, SupervisorError>;
    /// Begins the fault record of a program, for whoever runs programs ([`crate::badge::LIFECYCLE`]); returns its number.
    fn report(&self, program: &str, number: u64, cause: &str) -> Result<u64, SupervisorError>;
    /// Appends to the text of the record that the same sender began last; an empty piece ends it.
    fn report_text(&self, number: u64, text: &[u8]) -> Result<(), SupervisorError>;
    /// Memory of the machine.
    #[idempotent]
    fn memory(&self) -> Result<MemoryInfo, SupervisorError>;
    /// Events of one processor's trace from number `from` on, as many as fit, and the number after the last of them. Older ones are gone: the
    /// first may have a higher number. `NotFound` for a processor that there is not.
    #[idempotent]
    fn trace(&self, cpu: u64, from: u64) -> Result<(u64, Vec<TraceEvent>), SupervisorError>;
    /// The kernel's version.
    #[idempotent]
    fn kernel_version(&self) -> Result<String, SupervisorError>;
    /// Writes everything back, and ends the machine with an exit status.
    fn shut_down(&self, status: u8) -> Result<(), SupervisorError>;
    /// Writes everything back, and starts the machine anew.
    fn reboot(&self) -> Result<(), SupervisorError>;
    /// Whether the trace is to hold every message, or only those that the kernel does not pass on by its short path.
    #[idempotent]
    fn trace_messages(&self, all: bool) -> Result<(), SupervisorError>;
    /// [`fault`](Self::fault), which waits until there is such a record and it is complete. A client that asks again while it waits has the
    /// former request answered with `NotFound`.
    #[deferred]
    #[idempotent]
    fn next_fault(&self, from: u64) -> Result<FaultSummary, SupervisorError>;
    /// The first change of a component's state whose number is at least `from`; the last 64 are kept. `NotFound` after the last.
    #[idempotent]
    fn change(&self, from: u64) -> Result<StateChange, SupervisorError>;
    /// [`change`](Self::change), which waits until there is such a change, as [`next_fault`](Self::next_fault) does.
    #[deferred]
    #[idempotent]
    fn next_change(&self, from: u64) -> Result<StateChange, SupervisorError>;
    /// Whether a service waits for a device, so that those who wait for its answer may have to wait long.
    #[idempotent]
    fn waits_for_device(&self) -> Result<bool, SupervisorError>;
    /// Ends a component, if it is in this generation still, because it answered wrongly: there is a fault record with the reason, and its
    /// restart policy decides what follows. From those only to whom the manifest grants `accuse`.
    fn accuse(&self, name: &str, generation: u64, reason: &str) -> Result<(), SupervisorError>;
    /// [`accuse`](Self::accuse)s whoever provides a service now. From those only whose manifest says that they use it.
    fn complain(&self, service: &str, reason: &str) -> Result<(), SupervisorError>;
}
