//! When a component that ended is started again: its restart policy, a wait that doubles, quarantine and what that means for others.

use alloc::collections::VecDeque;

use motte_manifest::{Escalate, Restart, RestartPolicy};

use crate::state::Company;

/// How a component ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By a fault, a panic, or a command that counts as one.
    Failure,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is started again at this time, in nanoseconds of the monotonic clock.
    RestartAt(u64),
    /// It is not started again: its policy says so.
    Leave,
    /// It failed too often, and stays down.
    Quarantine,
    /// It failed too often, and is started once more at this time, with these others.
    OnceMoreAt(u64, Company),
    /// It failed too often, and the machine is to start anew.
    Reboot,
}

/// A machine that has been up for less than this is not rebooted: a component that fails at every start must not have it reboot for ever.
pub const LEAST_UPTIME_NS: u64 = 60_000_000_000;

/// Restarts that a successor of the supervisor is told of.
pub const KEPT_RESTARTS: usize = 44;
/// Words of a [`History`].
pub const HISTORY_WORDS: usize = 2 + KEPT_RESTARTS;

/// What is remembered of a component's restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When it was restarted, within the window.
    restarts: VecDeque<u64>,
    /// The wait before the next restart; 0 before the first.
    backoff_ns: u64,
    /// When it was last restarted with others.
    escalated: Option<u64>,
}

impl History {
    /// Decides what follows an end at `now`.
    pub fn decide(&mut self, restart: &Restart, end: End, now: u64) -> Decision {
        let wanted = match restart.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => end != End::Exit(0),
            RestartPolicy::Never => false,
        };
        if !wanted {
            return Decision::Leave;
        }
        while self.restarts.front().is_some_and(|&at| at.saturating_add(restart.window_ns) < now) {
            self.restarts.pop_front();
        }
        if self.restarts.is_empty() {
            self.backoff_ns = 0;
        }
        if self.restarts.len() >= restart.max_restarts as usize {
            return self.escalate(restart, now);
        }
        self.backoff_ns = match self.backoff_ns {
            0 => restart.backoff_ns,
            former => former.saturating_mul(2).min(restart.backoff_max_ns.max(restart.backoff_ns)),
        };
        self.restarts.push_back(now);
        Decision::RestartAt(now.saturating_add(self.backoff_ns))
    }

    /// What follows when it failed too often.
    fn escalate(&mut self, restart: &Restart, now: u64) -> Decision {
        let tried = self.escalated.is_some_and(|at| at.saturating_add(restart.window_ns.saturating_mul(2)) >= now);
        match restart.escalate {
            Escalate::RestartDependents | Escalate::RestartDependencies if !tried => {
                *self = Self { escalated: Some(now), ..Self::default() };
                let is_theirs = restart.escalate == Escalate::RestartDependencies;
                let company = if is_theirs { Company::Dependencies } else { Company::Dependents };
                Decision::OnceMoreAt(now.saturating_add(restart.backoff_max_ns), company)
            }
            Escalate::Reboot if now >= LEAST_UPTIME_NS => Decision::Reboot,
            _ => Decision::Quarantine,
        }
    }

    /// Forgets everything: somebody started the component by hand.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// As words, for a successor of the supervisor. Of more than [`KEPT_RESTARTS`] restarts the latest are kept.
    pub fn to_words(&self) -> [u64; HISTORY_WORDS] {
        let mut words = [0; HISTORY_WORDS];
        let surplus = self.restarts.len().saturating_sub(KEPT_RESTARTS);
        words[0] = self.backoff_ns;
        words[1] = self.escalated.unwrap_or(0);
        // A time of zero is none: no component fails before the clock has moved.
        words[2..].iter_mut().zip(self.restarts.iter().skip(surplus)).for_each(|(word, &at)| *word = at);
        words
    }

    /// From words.
    pub fn from_words(words: [u64; HISTORY_WORDS]) -> Self {
        let some = |time: u64| (time > 0).then_some(time);
        Self {
            backoff_ns: words[0],
            escalated: some(words[1]),
            restarts: words[2..].iter().map_while(|&time| some(time)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTART: Restart = Restart {
        policy: RestartPolicy::OnFailure,
        backoff_ns: 10,
        backoff_max_ns: 35,
        max_restarts: 4,
        window_ns: 1000,
        heartbeat_ns: 0,
        escalate: Escalate::Ignore,
        stop_timeout_ns: 0,
    };

    #[test]
    fn the_wait_doubles_up_to_its_limit_then_comes_quarantine() {
        let mut history = History::default();
        for wait in [10, 20, 35, 35] {
            assert_eq!(history.decide(&RESTART, End::Failure, 100), Decision::RestartAt(100 + wait));
        }
        assert_eq!(history.decide(&RESTART, End::Failure, 100), Decision::Quarantine);
    }

    #[test]
    fn what_a_component_that_fails_too_often_means_is_said_by_its_manifest() {
        let once = Restart { max_restarts: 1, escalate: Escalate::RestartDependents, ..RESTART };
        let mut history = History::default();
        let mut decide = |now| history.decide(&once, End::Failure, now);
        assert_eq!(decide(100), Decision::RestartAt(110));
        assert_eq!(decide(200), Decision::OnceMoreAt(235, Company::Dependents));
        assert_eq!(decide(300), Decision::RestartAt(310));
        assert_eq!(decide(400), Decision::Quarantine, "once is enough");

        let reboot = Restart { max_restarts: 0, escalate: Escalate::Reboot, ..RESTART };
        let decide = |now| History::default().decide(&reboot, End::Failure, now);
        assert_eq!(decide(LEAST_UPTIME_NS - 1), Decision::Quarantine, "it fails at every boot");
        assert_eq!(decide(LEAST_UPTIME_NS), Decision::Reboot);
    }

    #[test]
    fn a_component_that_ran_well_for_long_begins_anew() {
        let mut history = History::default();
        for _ in 0..4 {
            history.decide(&RESTART, End::Failure, 100);
        }
        assert_eq!(history.decide(&RESTART, End::Failure, 1101), Decision::RestartAt(1111));
    }

    #[test]
    fn a_history_goes_on_where_it_was_written_down() {
        let mut history = History::default();
        assert_eq!(History::from_words(history.to_words()), history);
        for wait in [10, 20, 35, 35] {
            assert_eq!(history.decide(&RESTART, End::Failure, 100), Decision::RestartAt(100 + wait));
            history = History::from_words(history.to_words());
        }
        assert_eq!(history.decide(&RESTART, End::Failure, 100), Decision::Quarantine);
        let often = Restart { max_restarts: 100, ..RESTART };
        let mut history = History::default();
        for now in 1..=60 {
            history.decide(&often, End::Failure, now);
        }
        assert_eq!(History::from_words(history.to_words()).restarts, (17..=60).collect::<VecDeque<_>>());
    }

    #[test]
    fn policies_differ_in_what_they_restart() {
        let with = |policy| Restart { policy, ..RESTART };
        let decide = |policy, end| History::default().decide(&with(policy), end, 0);
        assert_eq!(decide(RestartPolicy::Always, End::Exit(0)), Decision::RestartAt(10));
        assert_eq!(decide(RestartPolicy::OnFailure, End::Exit(0)), Decision::Leave);
        assert_eq!(decide(RestartPolicy::OnFailure, End::Exit(1)), Decision::RestartAt(10));
        assert_eq!(decide(RestartPolicy::Never, End::Failure), Decision::Leave);
    }
}
