//! What other systems need: seL4 from `bench/peers.toml`, Linux as it was measured now or recorded before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::operations::Operation;
use super::protocol::{Figure, Measurements};
use crate::workspace;

/// Where seL4's figures are, from the root.
const PEERS: &str = "bench/peers.toml";
/// Where Linux's figures are recorded, from the root.
const RECORDED: &str = "bench/linux/recorded.toml";

/// What seL4 needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sel4 {
    /// Where the figures are from.
    pub source: String,
    operations: BTreeMap<String, Sel4Figure>,
}

/// What seL4 needs for one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sel4Figure {
    /// In its fastest build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<u64>,
    /// As its own benchmark configures it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// What is to be known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Sel4Figure {
    /// The lowest.
    #[must_use]
    pub fn lowest(&self) -> Option<u64> {
        self.best.into_iter().chain(self.stock).min()
    }
}

impl Sel4 {
    /// Reads the file.
    pub fn read() -> Result<Self> {
        #[derive(Deserialize)]
        struct Peers {
            sel4: Sel4,
        }
        let text =
            fs::read_to_string(workspace::root().join(PEERS)).with_context(|| format!("{PEERS} could not be read"))?;
        let peers: Peers = toml::from_str(&text).with_context(|| format!("{PEERS} is not understood"))?;
        Ok(peers.sel4)
    }

    /// What it needs for an operation.
    #[must_use]
    pub fn of(&self, operation: &str) -> Option<&Sel4Figure> {
        self.operations.get(operation)
    }
}

/// Linux's figures.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxFigures {
    /// The kernel's version.
    pub kernel: String,
    /// When they were recorded; of this run when empty.
    #[serde(default)]
    pub recorded: String,
    /// Name to figure.
    figures: BTreeMap<String, Figure>,
    /// The same in time, of this run.
    #[serde(skip)]
    times: BTreeMap<String, Figure>,
}

impl LinuxFigures {
    /// What was measured now.
    #[must_use]
    pub fn measured(kernel: &str, counts: Measurements, times: Option<Measurements>) -> Self {
        let times = times.map(|times| times.figures).unwrap_or_default();
        Self { kernel: kernel.to_owned(), recorded: String::new(), figures: counts.figures, times }
    }

    /// What was recorded before.
    pub fn recorded() -> Result<Self> {
        let text = fs::read_to_string(workspace::root().join(RECORDED))
            .with_context(|| format!("{RECORDED} could not be read"))?;
        toml::from_str(&text).with_context(|| format!("{RECORDED} is not understood"))
    }

    /// Keeps them beside the report, in the form in which they can be recorded.
    pub fn keep(&self, directory: &Path) -> Result<()> {
        let mut text = format!("kernel = \"{}\"\n\n[figures]\n", self.kernel);
        for (name, Figure { median, min, max, n }) in &self.figures {
            text += &format!("\"{name}\" = {{ median = {median}, min = {min}, max = {max}, n = {n} }}\n");
        }
        let file = directory.join("linux.toml");
        fs::write(&file, text).with_context(|| format!("{} could not be written", file.display()))
    }

    /// What they say beside an operation, the lowest first.
    #[must_use]
    pub fn beside(&self, operation: &Operation) -> Vec<LinuxFigure> {
        let mut figures: Vec<LinuxFigure> = operation
            .linux
            .iter()
            .filter_map(|counterpart| {
                let figure = *self.figures.get(counterpart.name)?;
                let time = self.times.get(counterpart.name).copied();
                Some(LinuxFigure { title: counterpart.title, figure, time })
            })
            .collect();
        figures.sort_by_key(|figure| figure.figure.min);
        figures
    }
}

/// What Linux needs for something like one operation.
#[derive(Clone, Copy, Debug)]
pub struct LinuxFigure {
    /// What it is.
    pub title: &'static str,
    /// How many instructions.
    pub figure: Figure,
    /// How much time, if that was measured.
    pub time: Option<Figure>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::operations;

    #[test]
    fn the_files_are_understood_and_name_what_is_measured() {
        let sel4 = Sel4::read().unwrap();
        for name in sel4.operations.keys() {
            assert!(operations::find(name).is_some(), "{PEERS} names {name}, which nothing measures");
        }
        let linux = LinuxFigures::recorded().unwrap();
        assert!(!linux.recorded.is_empty());
        for operation in operations::OPERATIONS {
            assert_eq!(linux.beside(operation).len(), operation.linux.len(), "{}", operation.name);
        }
    }
}
