//! The dashboard: what the page shows, and what it lets people do. The web server passes it on; it holds no such right itself.

use core::fmt;

use crate::{Bytes, CallError, Wire, interface};

/// Something that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Wire)]
pub enum Document {
    /// The page.
    Page,
    /// How everything fares, as JSON; new once a second.
    State,
    /// The same for Prometheus.
    Metrics,
    /// Lines of the log from this number on, as JSON.
    Log(u64),
    /// A fault record, as text.
    Fault(u64),
}

/// What can be done to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum Action {
    /// Starts it.
    Start,
    /// Stops it.
    Stop,
    /// Stops and starts it.
    Restart,
    /// Ends it as a fault would.
    Kill,
}

/// Why it was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum DashboardError {
    /// There is none of that name or number.
    NotFound,
    /// The token is not the one that was printed at the console.
    WrongToken,
    /// The component is not in a state in which this can be done.
    Conflict,
    /// The system cannot do without it.
    Protected,
    /// The supervisor does not answer.
    Unavailable,
    /// There is a newer version of the document: it is to be opened again.
    Outdated,
}

impl fmt::Display for DashboardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is none of that name",
            Self::WrongToken => "the token is not the one that was printed at the console",
            Self::Conflict => "it is not in a state in which this can be done",
            Self::Protected => "the system cannot do without it",
            Self::Unavailable => "the supervisor does not answer",
            Self::Outdated => "there is a newer version",
        })
    }
}

impl From<CallError> for DashboardError {
    fn from(_: CallError) -> Self {
        Self::Unavailable
    }
}

impl core::error::Error for DashboardError {}

/// The most bytes of a document in one answer.
pub const PIECE: usize = 800;

/// The dashboard.
#[interface("dashboard")]
pub trait Dashboard {
    /// A document as it is now: its version, and how many bytes it has.
    #[idempotent]
    fn open(&self, document: Document) -> Result<(u64, u64), DashboardError>;
    /// A piece of that version, from byte `offset` on; nothing at the end.
    #[idempotent]
    fn read(&self, document: Document, version: u64, offset: u64) -> Result<Bytes, DashboardError>;
    /// Does something to a component, for whoever knows the token.
    fn act(&self, token: &str, action: Action, component: &str) -> Result<(), DashboardError>;
    /// Says that the page can be reached: then its address is printed at the console, once.
    #[idempotent]
    fn announce(&self) -> Result<(), DashboardError>;
}
