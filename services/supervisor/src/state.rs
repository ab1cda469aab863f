//! What a supervisor leaves for its successor: for every component whether it runs, how often it was started, and its history of restarts.
//!
//! Layout: a magic word, the numbers of the next fault record and of the next change of state, 13 words of zero; then for each component
//! eight words of how it fares and its [`History`].

use crate::policy::HISTORY_WORDS;
#[cfg(doc)]
use crate::policy::History;

/// Recognises the state of a supervisor.
pub const MAGIC: u64 = u64::from_le_bytes(*b"motteSV1");

/// Words before the first component.
pub const HEADER_WORDS: usize = 16;
/// Words of how a component fares.
pub const KEPT_WORDS: usize = 8;
/// Words of each component.
pub const COMPONENT_WORDS: usize = KEPT_WORDS + HISTORY_WORDS;

/// How a component fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Status {
    /// Never started, or stopped by command.
    #[default]
    Stopped = 0,
    /// It runs.
    Running = 1,
    /// It failed, and is about to be started again.
    Restarting = 2,
    /// It failed too often.
    Quarantined = 3,
    /// It ended, and its policy is to leave it so.
    Ended = 4,
    /// It was told to end, and saves what it must.
    Stopping = 5,
}

impl Status {
    /// The status with this number; anything else is `Stopped`.
    pub const fn from_raw(raw: u64) -> Self {
        match raw {
            1 => Self::Running,
            2 => Self::Restarting,
            3 => Self::Quarantined,
            4 => Self::Ended,
            5 => Self::Stopping,
            _ => Self::Stopped,
        }
    }

    /// The word for it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Quarantined => "quarantined",
            Self::Ended => "ended",
            Self::Stopping => "stopping",
        }
    }

    /// Whether there is a process: it has memory and threads.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Stopping)
    }
}

/// Who is started anew with a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Company {
    /// Nobody.
    #[default]
    Alone = 0,
    /// Those whose manifest says `restart-with`.
    RestartWith = 1,
    /// Everybody who needs it.
    Dependents = 2,
    /// Whom it needs, before it is.
    Dependencies = 3,
}

impl Company {
    /// The company with this number; anything else is `Alone`.
    pub const fn from_raw(raw: u64) -> Self {
        match raw {
            1 => Self::RestartWith,
            2 => Self::Dependents,
            3 => Self::Dependencies,
            _ => Self::Alone,
        }
    }
}

/// What is kept of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How it fares.
    pub status: Status,
    /// How often it was started.
    pub generation: u64,
    /// How often it was restarted after a failure.
    pub restarts: u64,
    /// When it was last started, in nanoseconds of the monotonic clock.
    pub started_ns: u64,
    /// When it is to be started again, or if it is stopping, that it is to be (not 0); 0: not.
    pub restart_at_ns: u64,
    /// Number of the fault record of its last end; 0: it had none.
    pub fault: u64,
    /// Who is started anew with it.
    pub company: Company,
    /// Failures one after the other that came soon after the start.
    pub early_failures: u64,
}

impl Kept {
    /// As words.
    pub const fn to_words(self) -> [u64; KEPT_WORDS] {
        let company = self.company as u64;
        let Self { generation, restarts, started_ns, restart_at_ns, fault, early_failures, .. } = self;
        [self.status as u64, generation, restarts, started_ns, restart_at_ns, fault, company, early_failures]
    }

    /// From words.
    pub const fn from_words(words: [u64; KEPT_WORDS]) -> Self {
        Self {
            status: Status::from_raw(words[0]),
            generation: words[1],
            restarts: words[2],
            started_ns: words[3],
            restart_at_ns: words[4],
            fault: words[5],
            company: Company::from_raw(words[6]),
            early_failures: words[7],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let kept = Kept {
            status: Status::Quarantined,
            generation: 7,
            restarts: 5,
            started_ns: 9,
            restart_at_ns: 11,
            fault: 3,
            company: Company::Dependents,
            early_failures: 1,
        };
        assert_eq!(Kept::from_words(kept.to_words()), kept);
        assert_eq!(Kept::from_words([99; KEPT_WORDS]).status, Status::Stopped);
    }
}
