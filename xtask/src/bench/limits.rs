//! `bench/limits.toml`: what each operation was accepted to cost, and what it may cost at most.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use toml_edit::DocumentMut;

use super::numbers::grouped;
use super::protocol::Figure;
use crate::workspace;

/// Where the file is, from the root.
pub const FILE: &str = "bench/limits.toml";
/// By so much, in per cent, a cost may grow unsaid.
const TOLERANCE: u64 = 2;

/// What one operation may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The aim.
    pub at_most: Option<u64>,
    /// What it was measured to cost.
    pub accepted: Option<u64>,
}

impl Limit {
    /// Whether the cost has grown over what was accepted.
    #[must_use]
    pub fn is_exceeded_by(self, cost: u64) -> bool {
        self.accepted
            .is_some_and(|accepted| u128::from(cost) * 100 > u128::from(accepted) * u128::from(100 + TOLERANCE))
    }

    /// Whether the aim is missed.
    #[must_use]
    pub fn is_missed_by(self, cost: u64) -> bool {
        self.at_most.is_some_and(|at_most| cost > at_most)
    }
}

/// The limits of all operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    of: BTreeMap<String, Limit>,
}

impl Limits {
    /// Reads the file.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(path()).with_context(|| format!("{FILE} could not be read"))?;
        Self::parse(&text).with_context(|| format!("{FILE} is not understood"))
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { of: toml::from_str(text)? })
    }

    /// The limit of an operation; an unknown one has none.
    #[must_use]
    pub fn of(&self, operation: &str) -> Limit {
        self.of.get(operation).copied().unwrap_or_default()
    }

    /// What was accepted, as figures.
    #[must_use]
    pub fn accepted(&self) -> BTreeMap<String, Figure> {
        let accepted = |(name, limit): (&String, &Limit)| Some((name.clone(), Figure::once(limit.accepted?)));
        self.of.iter().filter_map(accepted).collect()
    }

    /// A sentence for each operation that costs more than was accepted.
    #[must_use]
    pub fn violations(&self, figures: &BTreeMap<String, Figure>) -> Vec<String> {
        let mut violations = Vec::new();
        for (name, figure) in figures {
            let limit = self.of(name);
            if let Some(accepted) = limit.accepted
                && limit.is_exceeded_by(figure.median)
            {
                violations.push(format!(
                    "{name} costs {}, over {TOLERANCE} % more than the accepted {}",
                    grouped(figure.median),
                    grouped(accepted)
                ));
            }
        }
        violations
    }
}

fn path() -> PathBuf {
    workspace::root().join(FILE)
}

/// Writes what was measured into the file as accepted; everything else in it stays as it is.
pub fn accept(figures: &BTreeMap<String, Figure>) -> Result<()> {
    let text = fs::read_to_string(path()).with_context(|| format!("{FILE} could not be read"))?;
    let new = accepted(&text, figures).with_context(|| format!("{FILE} is not understood"))?;
    fs::write(path(), new).with_context(|| format!("{FILE} could not be written"))
}

fn accepted(text: &str, figures: &BTreeMap<String, Figure>) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    for (name, figure) in figures {
        let entry = document.entry(name).or_insert(toml_edit::Item::Value(toml_edit::InlineTable::new().into()));
        let entry = entry.as_inline_table_mut().with_context(|| format!("{name} is not `{{ … }}`"))?;
        entry.insert("accepted", i64::try_from(figure.median)?.into());
        entry.fmt();
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(costs: &[(&str, u64)]) -> BTreeMap<String, Figure> {
        costs.iter().map(|&(name, cost)| (name.to_owned(), Figure::once(cost))).collect()
    }

    const TEXT: &str =
        "# head\n\n\"ipc/poll\" = { at_most = 80, accepted = 50 } # why\n\"ipc/signal\" = { at_most = 100 }\n";

    #[test]
    fn two_per_cent_more_is_accepted_and_not_three() {
        let limits = Limits::parse(TEXT).unwrap();
        assert!(limits.violations(&figures(&[("ipc/poll", 51), ("ipc/signal", 1000), ("new", 5)])).is_empty());
        let violations = limits.violations(&figures(&[("ipc/poll", 52)]));
        assert_eq!(violations, ["ipc/poll costs 52, over 2 % more than the accepted 50"]);
        assert!(limits.of("ipc/signal").is_missed_by(101));
        assert!(!limits.of("ipc/signal").is_missed_by(100));
    }

    #[test]
    fn accepting_changes_only_what_was_measured() {
        let text = accepted(TEXT, &figures(&[("ipc/signal", 90), ("new", 5)])).unwrap();
        assert_eq!(
            text,
            "# head\n\n\"ipc/poll\" = { at_most = 80, accepted = 50 } # why\n\
             \"ipc/signal\" = { at_most = 100, accepted = 90 }\nnew = { accepted = 5 }\n"
        );
    }

    #[test]
    fn the_file_is_understood_and_knows_every_operation() {
        let limits = Limits::read().unwrap();
        for operation in crate::bench::operations::OPERATIONS {
            assert!(limits.of(operation.name).at_most.is_some(), "{}", operation.name);
        }
        for name in limits.of.keys() {
            // What is measured by the clock too has an aim of its own for that.
            let operation = name.strip_suffix("_ms").unwrap_or(name);
            assert!(crate::bench::operations::find(operation).is_some(), "{FILE} names {name}, which nothing measures");
        }
    }
}
