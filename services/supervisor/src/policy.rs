//! When a component that ended is started again: its restart policy, a wait that doubles, quarantine.

use alloc::collections::VecDeque;

use motte_manifest::{Restart, RestartPolicy};

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
    /// It failed too often.
    Quarantine,
}

/// What is remembered of a component's restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When it was restarted, within the window.
    restarts: VecDeque<u64>,
    /// The wait before the next restart; 0 before the first.
    backoff_ns: u64,
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
            return Decision::Quarantine;
        }
        self.backoff_ns = match self.backoff_ns {
            0 => restart.backoff_ns,
            former => former.saturating_mul(2).min(restart.backoff_max_ns.max(restart.backoff_ns)),
        };
        self.restarts.push_back(now);
        Decision::RestartAt(now.saturating_add(self.backoff_ns))
    }

    /// Forgets everything: somebody started the component by hand.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A component's heartbeat, as one looks at it several times within its deadline.
///
/// It counts looks and not time: when the whole machine stood still for a while, the component has not had the time either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    generation: u64,
    /// Looks without a beat, one after the other.
    silent: u32,
}

impl Pulse {
    /// Whether the component must be taken for dead after this look, at which there was a beat since the last one or not. A beat is due at
    /// each of `beats` looks within the deadline; it is lost when it is later than the whole deadline.
    pub fn is_lost(&mut self, generation: u64, beat: bool, beats: u32) -> bool {
        if beat || generation != self.generation {
            *self = Self { generation, silent: 0 };
            return false;
        }
        self.silent += 1;
        self.silent > beats
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
    fn a_component_that_ran_well_for_long_begins_anew() {
        let mut history = History::default();
        for _ in 0..4 {
            history.decide(&RESTART, End::Failure, 100);
        }
        assert_eq!(history.decide(&RESTART, End::Failure, 1101), Decision::RestartAt(1111));
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

    #[test]
    fn a_pulse_is_lost_when_it_is_late_by_more_than_the_deadline() {
        let mut pulse = Pulse::default();
        let mut looks = |generation, beat| pulse.is_lost(generation, beat, 4);
        assert!(!looks(1, true));
        assert!((0..4).all(|_| !looks(1, false)));
        assert!(!looks(1, true), "a beat within the deadline begins anew");
        assert!((0..4).all(|_| !looks(1, false)));
        assert!(looks(1, false));
    }

    #[test]
    fn a_component_that_was_started_anew_has_the_whole_deadline() {
        let mut pulse = Pulse::default();
        assert!((0..5).all(|_| !pulse.is_lost(1, false, 4)));
        assert!((0..5).all(|_| !pulse.is_lost(2, false, 4)));
        assert!(pulse.is_lost(2, false, 4));
    }
}
