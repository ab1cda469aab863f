//! When a component that ended is started again: its restart policy, a wait that doubles, quarantine and what that means for others. And
//! when one that runs is taken for one that hangs.

use alloc::collections::VecDeque;

use motte_manifest::{Escalate, Restart, RestartPolicy};

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
    /// It failed too often, and is started once more at this time, with everything that needs it.
    RestartDependentsAt(u64),
    /// It failed too often, and the machine is to start anew.
    Reboot,
}

/// A machine that has been up for less than this is not rebooted: a component that fails at every start must not have it reboot for ever.
pub const LEAST_UPTIME_NS: u64 = 60_000_000_000;

/// What is remembered of a component's restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When it was restarted, within the window.
    restarts: VecDeque<u64>,
    /// The wait before the next restart; 0 before the first.
    backoff_ns: u64,
    /// When it was last restarted with everything that needs it.
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
            Escalate::RestartDependents if !tried => {
                *self = Self { escalated: Some(now), ..Self::default() };
                Decision::RestartDependentsAt(now.saturating_add(restart.backoff_max_ns))
            }
            Escalate::Reboot if now >= LEAST_UPTIME_NS => Decision::Reboot,
            _ => Decision::Quarantine,
        }
    }

    /// Forgets everything: somebody started the component by hand.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a look at a component finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It waits for requests, or showed that it is alive since the last look.
    Alive,
    /// It waits for an answer of another component: if one hangs, it is the other.
    WaitsForAnother,
    /// It computes, or waits for something else.
    Busy,
}

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Leave,
    /// It is to be asked for a sign of life.
    Ask,
    /// It hangs.
    Hangs,
}

/// A component's heartbeat, as one looks at it several times within its deadline.
///
/// It counts looks and not time: when the whole machine stood still for a while, the component has not had the time either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    generation: u64,
    /// Looks at which it was busy since it was last seen alive.
    busy: u32,
}

impl Pulse {
    /// What to do after a look. A component that is busy is asked once; it hangs if it is still busy after `most` looks more, without a sign
    /// of life at any.
    pub fn after(&mut self, generation: u64, look: Look, most: u32) -> Verdict {
        if generation != self.generation {
            *self = Self { generation, busy: 0 };
        }
        match look {
            Look::Alive => self.busy = 0,
            Look::WaitsForAnother => {}
            Look::Busy => self.busy += 1,
        }
        match (look, self.busy) {
            (Look::Busy, 1) => Verdict::Ask,
            (Look::Busy, busy) if busy > most => Verdict::Hangs,
            _ => Verdict::Leave,
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
        assert_eq!(decide(200), Decision::RestartDependentsAt(235));
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
    fn policies_differ_in_what_they_restart() {
        let with = |policy| Restart { policy, ..RESTART };
        let decide = |policy, end| History::default().decide(&with(policy), end, 0);
        assert_eq!(decide(RestartPolicy::Always, End::Exit(0)), Decision::RestartAt(10));
        assert_eq!(decide(RestartPolicy::OnFailure, End::Exit(0)), Decision::Leave);
        assert_eq!(decide(RestartPolicy::OnFailure, End::Exit(1)), Decision::RestartAt(10));
        assert_eq!(decide(RestartPolicy::Never, End::Failure), Decision::Leave);
    }

    #[test]
    fn a_component_that_stays_busy_without_a_sign_of_life_hangs() {
        let mut pulse = Pulse::default();
        let mut looks = |generation, look| pulse.after(generation, look, 4);
        assert_eq!(looks(1, Look::Busy), Verdict::Ask);
        assert!((0..3).all(|_| looks(1, Look::Busy) == Verdict::Leave));
        assert_eq!(looks(1, Look::Alive), Verdict::Leave);
        assert_eq!(looks(1, Look::Busy), Verdict::Ask, "a sign of life begins anew");
        assert!((0..3).all(|_| looks(1, Look::Busy) == Verdict::Leave));
        assert_eq!(looks(1, Look::Busy), Verdict::Hangs);
        assert_eq!(looks(2, Look::Busy), Verdict::Ask, "so does another generation");
    }

    #[test]
    fn who_waits_for_another_does_not_hang_but_is_not_seen_alive_either() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.after(1, Look::Busy, 2), Verdict::Ask);
        assert!((0..100).all(|_| pulse.after(1, Look::WaitsForAnother, 2) == Verdict::Leave));
        assert_eq!(pulse.after(1, Look::Busy, 2), Verdict::Leave);
        assert_eq!(pulse.after(1, Look::Busy, 2), Verdict::Hangs);
    }
}
