//! When a service has failed.
//!
//! One wrong answer may be the last that a request in its way got wrong; a service that gives another, asked anew, has failed. One that lets a
//! call end for which nobody worked has failed at once: that was decided over seconds. A service that is slow, stopped, or being restarted
//! has not.

use alloc::vec::Vec;

use crate::complaint::{Complaint, Kind, Service};

/// How the component that provides a service fares, by the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// It runs, and is not being stopped.
    pub runs: bool,
    /// Its start.
    pub generation: u64,
    /// Since when, in nanoseconds.
    pub uptime_ns: u64,
    /// It was restarted a short while ago because it had answered wrongly.
    pub was_restarted: bool,
    /// It was restarted some minutes ago because it had said that its device fails.
    pub was_doubted: bool,
}

/// Who is restarted for wrong answers: whoever gives them, and if it still does after a restart, whoever it has its own answers from, one
/// after the other. `needed` are those, as far as they run.
#[must_use]
pub fn blame<'a, T>(suspect: &'a (T, Provider), needed: &'a [(T, Provider)]) -> &'a (T, Provider) {
    let untried = || needed.iter().find(|(_, provider)| provider.runs && !provider.was_restarted);
    if suspect.1.was_restarted { untried().unwrap_or(suspect) } else { suspect }
}

/// What follows a round of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next round comes in its time.
    Well,
    /// All are asked again soon.
    AskAgain,
    /// The service has failed.
    Failed,
}

/// Remembers who gave a wrong answer.
#[derive(Debug, Default)]
pub struct Judge {
    suspects: Vec<(Service, u64)>,
}

impl Judge {
    /// Judges a round that took so long, by its complaint if there was one and what is known of who provides that service.
    pub fn judge(&mut self, complaint: Option<&Complaint>, provider: Option<Provider>, round_ns: u64) -> Verdict {
        let Some(complaint) = complaint else {
            self.suspects.clear();
            return Verdict::Well;
        };
        let Some(provider) = provider.filter(|provider| provider.runs) else { return Verdict::Well };
        if provider.uptime_ns <= round_ns {
            // It was restarted while it was asked, by somebody who knows why.
            return Verdict::AskAgain;
        }
        let suspect = (complaint.service, provider.generation);
        match complaint.kind {
            Kind::Unavailable => Verdict::Well,
            // Its successor says so, too.
            Kind::Device if provider.was_doubted => Verdict::Well,
            Kind::Silence => Verdict::Failed,
            Kind::Wrong | Kind::Device if self.suspects.contains(&suspect) => Verdict::Failed,
            Kind::Wrong | Kind::Device => {
                self.suspects.push(suspect);
                Verdict::AskAgain
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    const PIPE: Service = Service("pipe");
    const CLOCK: Service = Service("clock");
    const ROUND: u64 = 5_000_000;
    const OLD: Provider =
        Provider { runs: true, generation: 3, uptime_ns: 90_000_000_000, was_restarted: false, was_doubted: false };

    fn judge(judge: &mut Judge, service: Service, kind: Kind, provider: Provider) -> Verdict {
        judge.judge(Some(&service.complaint(kind, String::new())), Some(provider), ROUND)
    }

    #[test]
    fn a_service_fails_by_two_wrong_answers_without_a_right_one_between() {
        let mut one = Judge::default();
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::AskAgain);
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::Failed);

        let mut one = Judge::default();
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::AskAgain);
        assert_eq!(one.judge(None, None, ROUND), Verdict::Well);
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::AskAgain);
    }

    #[test]
    fn two_services_do_not_hide_each_other_by_failing_in_turns() {
        let mut one = Judge::default();
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::AskAgain);
        assert_eq!(judge(&mut one, CLOCK, Kind::Wrong, OLD), Verdict::AskAgain);
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::Failed);
    }

    #[test]
    fn a_service_that_is_restarted_or_stopped_has_not_failed() {
        let mut one = Judge::default();
        let new = Provider { generation: 4, uptime_ns: ROUND - 1, ..OLD };
        let stopped = Provider { runs: false, ..OLD };
        for kind in [Kind::Wrong, Kind::Silence] {
            for _ in 0..3 {
                assert_eq!(judge(&mut one, PIPE, kind, new), Verdict::AskAgain);
                assert_eq!(judge(&mut one, PIPE, kind, stopped), Verdict::Well);
            }
        }
        // What the former generation answered does not count against this one.
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, OLD), Verdict::AskAgain);
        let other = Provider { generation: 4, ..OLD };
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, other), Verdict::AskAgain);
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, other), Verdict::Failed);
    }

    #[test]
    fn silence_is_judged_at_once_and_a_shortage_never() {
        let mut one = Judge::default();
        for _ in 0..3 {
            assert_eq!(judge(&mut one, PIPE, Kind::Unavailable, OLD), Verdict::Well);
        }
        assert_eq!(judge(&mut one, PIPE, Kind::Silence, OLD), Verdict::Failed);
    }

    #[test]
    fn a_service_whose_device_fails_is_restarted_once_and_then_believed() {
        let mut one = Judge::default();
        assert_eq!(judge(&mut one, PIPE, Kind::Device, OLD), Verdict::AskAgain);
        assert_eq!(judge(&mut one, PIPE, Kind::Device, OLD), Verdict::Failed);
        let doubted = Provider { generation: 4, was_doubted: true, ..OLD };
        for _ in 0..3 {
            assert_eq!(judge(&mut one, PIPE, Kind::Device, doubted), Verdict::Well);
        }
        assert_eq!(judge(&mut one, PIPE, Kind::Wrong, doubted), Verdict::AskAgain);
    }

    #[test]
    fn what_a_restart_did_not_mend_is_looked_for_in_what_the_service_needs() {
        let tried = Provider { was_restarted: true, ..OLD };
        let stopped = Provider { runs: false, ..OLD };
        let blamed =
            |suspect, registry, pipe| blame(&("process", suspect), &[("registry", registry), ("pipe", pipe)]).0;
        assert_eq!(blamed(OLD, OLD, OLD), "process");
        assert_eq!(blamed(tried, OLD, OLD), "registry");
        assert_eq!(blamed(tried, tried, OLD), "pipe");
        assert_eq!(blamed(tried, tried, stopped), "process", "all were tried: what it keeps may be wrong");
    }

    #[test]
    fn a_service_that_nobody_provides_is_not_judged() {
        let complaint = PIPE.complaint(Kind::Silence, String::new());
        assert_eq!(Judge::default().judge(Some(&complaint), None, ROUND), Verdict::Well);
    }
}
