//! What became of faults, one by one and in sum.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::FaultType;

/// What was seen of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// A component or program failed, and a record of it was written.
    Failure {
        /// Who.
        component: String,
        /// Why.
        cause: String,
    },
    /// A client's command failed or had a wrong answer.
    ClientError(String),
    /// A file that was reported as written holds something else.
    WrongData(u64),
    /// The clients had to wait for a while.
    Delay,
    /// The clients waited for ever.
    Hang,
    /// A program of the load was ended.
    LoadEnded,
    /// The machine ended.
    End,
}

impl Symptom {
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Failure { component, cause } => format!("{component} failed: {cause}"),
            Self::ClientError(what) => format!("a client's work failed: {what}"),
            Self::WrongData(number) => format!("file {number} holds something else"),
            Self::Delay => "the clients waited".to_owned(),
            Self::Hang => "the clients waited for ever".to_owned(),
            Self::LoadEnded => "a program of the load was ended".to_owned(),
            Self::End => "the machine ended".to_owned(),
        }
    }
}

/// What became of one fault.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The fault's number.
    pub number: u64,
    /// Whom it struck.
    pub component: String,
    /// What was damaged.
    pub kind: FaultType,
    /// What exactly.
    pub what: String,
    /// What was seen of it.
    pub symptoms: Vec<Symptom>,
    /// Why it was not recovered from.
    pub cause: Option<String>,
    /// The longest time for which the load stood still, in milliseconds of the host.
    pub still_ms: u64,
    /// Files that were reported as written and are not as they should be.
    pub data_errors: u64,
    /// The kernel panicked.
    pub kernel_panic: bool,
}

impl Outcome {
    /// Whether it showed.
    #[must_use]
    pub const fn is_manifested(&self) -> bool {
        !self.symptoms.is_empty() || self.cause.is_some() || self.data_errors > 0
    }

    /// Whether system and load went on with nobody's help and every byte that was reported as written is right.
    #[must_use]
    pub const fn is_recovered(&self) -> bool {
        self.is_manifested() && self.cause.is_none() && self.data_errors == 0
    }

    /// Whether a client saw more than a delay.
    #[must_use]
    pub fn was_seen_by_clients(&self) -> bool {
        self.symptoms.iter().any(|symptom| matches!(symptom, Symptom::ClientError(_) | Symptom::WrongData(_)))
    }

    /// How it showed first, in one word.
    #[must_use]
    pub fn how(&self) -> &'static str {
        match self.symptoms.first() {
            None => "not at all",
            Some(Symptom::Failure { component, .. }) if *component != self.component => "failure of another",
            Some(Symptom::Failure { cause, .. }) if cause.contains("heartbeat") => "no heartbeat",
            Some(Symptom::Failure { cause, .. }) if cause.contains("panic") => "panic",
            Some(Symptom::Failure { .. }) => "crash",
            Some(Symptom::ClientError(_)) => "error or wrong answer at a client",
            Some(Symptom::WrongData(_)) => "wrong data",
            Some(Symptom::Delay) => "delay",
            Some(Symptom::Hang) => "hang",
            Some(Symptom::LoadEnded) => "end of a program",
            Some(Symptom::End) => "end of the machine",
        }
    }
}

/// Counts of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Faults that were injected.
    pub injected: u64,
    /// Those that showed.
    pub manifested: u64,
    /// Of these, those from which system and load recovered with nobody's help.
    pub recovered: u64,
    /// Of these, those of which clients saw errors, which they overcame by repeating.
    pub recovered_with_errors: u64,
    /// Of these, those in which the shell failed, and with it ended the programs that it ran.
    pub recovered_without_programs: u64,
    /// Panics of the kernel.
    pub kernel_panics: u64,
    /// Files that were reported as written and were not as they should be.
    pub data_errors: u64,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, outcome: &Outcome) {
        self.injected += 1;
        self.manifested += u64::from(outcome.is_manifested());
        self.recovered += u64::from(outcome.is_recovered());
        self.recovered_with_errors += u64::from(outcome.is_recovered() && outcome.was_seen_by_clients());
        let ended = outcome.symptoms.contains(&Symptom::LoadEnded);
        self.recovered_without_programs += u64::from(outcome.is_recovered() && ended);
        self.kernel_panics += u64::from(outcome.kernel_panic);
        self.data_errors += outcome.data_errors;
    }

    /// Recoveries in percent of what showed.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        (self.manifested > 0).then(|| self.recovered as f64 * 100.0 / self.manifested as f64)
    }
}

/// Everything that a campaign found.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The campaign's seed.
    pub seed: u64,
    /// Faults that could not be injected, because their component had no such work to do.
    pub skipped: u64,
    /// Files that were written and synced.
    pub files: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// File systems that e2fsck found something to complain about in.
    pub damaged_file_systems: Vec<String>,
    /// The outcomes by number.
    pub outcomes: Vec<Outcome>,
}

impl Results {
    /// Counts of those that a key puts together.
    fn by<K: Ord>(&self, key: impl Fn(&Outcome) -> K) -> BTreeMap<K, Counts> {
        let mut counts: BTreeMap<K, Counts> = BTreeMap::new();
        self.outcomes.iter().for_each(|outcome| counts.entry(key(outcome)).or_default().add(outcome));
        counts
    }

    /// By component.
    #[must_use]
    pub fn by_component(&self) -> BTreeMap<String, Counts> {
        self.by(|outcome| outcome.component.clone())
    }

    /// By type.
    #[must_use]
    pub fn by_type(&self) -> BTreeMap<FaultType, Counts> {
        self.by(|outcome| outcome.kind)
    }

    /// By component and type.
    #[must_use]
    pub fn by_both(&self) -> BTreeMap<(String, FaultType), Counts> {
        self.by(|outcome| (outcome.component.clone(), outcome.kind))
    }

    /// How those that showed did so.
    #[must_use]
    pub fn by_symptom(&self) -> BTreeMap<&'static str, Counts> {
        let mut counts = self.by(Outcome::how);
        counts.retain(|_, counts| counts.manifested > 0);
        counts
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut counts = Counts::default();
        self.outcomes.iter().for_each(|outcome| counts.add(outcome));
        counts
    }

    /// Those that were not recovered from.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.is_manifested() && !outcome.is_recovered())
    }

    /// For how long the load stood still at recoveries, in milliseconds, in order.
    #[must_use]
    pub fn recovery_times(&self) -> Vec<u64> {
        let recovered = self.outcomes.iter().filter(|outcome| outcome.is_recovered());
        let mut times: Vec<u64> = recovered.map(|outcome| outcome.still_ms).collect();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
#[allow(missing_docs)]
pub mod tests {
    use super::*;

    /// An outcome with these symptoms.
    pub fn outcome(symptoms: Vec<Symptom>, cause: Option<&str>) -> Outcome {
        Outcome {
            number: 1,
            component: "fs".into(),
            kind: FaultType::Stack,
            what: "a bit".into(),
            symptoms,
            cause: cause.map(str::to_owned),
            still_ms: 40,
            data_errors: 0,
            kernel_panic: false,
        }
    }

    #[test]
    fn what_goes_on_after_a_failure_has_recovered() {
        let failure = Symptom::Failure { component: "fs".into(), cause: "page fault".into() };
        let mut results = Results::default();
        results.outcomes.push(outcome(vec![], None));
        results.outcomes.push(outcome(vec![failure.clone()], None));
        results.outcomes.push(outcome(vec![failure.clone(), Symptom::ClientError("pipe".into())], None));
        results.outcomes.push(outcome(vec![failure.clone(), Symptom::Hang], Some("fs did not come back")));
        results.outcomes.push(Outcome { data_errors: 2, ..outcome(vec![Symptom::WrongData(7)], None) });
        let total = results.total();
        let expected = Counts {
            injected: 5,
            manifested: 4,
            recovered: 2,
            recovered_with_errors: 1,
            recovered_without_programs: 0,
            kernel_panics: 0,
            data_errors: 2,
        };
        assert_eq!(total, expected);
        assert_eq!(total.percent(), Some(50.0));
        assert_eq!(results.failures().count(), 2);
        assert_eq!(results.by_symptom().keys().copied().collect::<Vec<_>>(), ["crash", "wrong data"]);
    }
}
