//! All that a run of the benchmark found out, put together: a row for each operation, the curves, and what is missing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;

use super::limits::{Limit, Limits};
use super::operations::{self, CURVES, Curve, Group, OPERATIONS, Operation};
use super::peers::{LinuxFigure, LinuxFigures, Sel4, Sel4Figure};
use super::protocol::{Figure, Measurements};

/// One operation, beside the others'.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub operation: &'static Operation,
    /// What was counted.
    pub unit: &'static str,
    /// How much of it.
    pub figure: Figure,
    /// How much it may be.
    pub limit: Limit,
    /// On Linux, the lowest first.
    pub linux: Vec<LinuxFigure>,
    /// On seL4.
    pub sel4: Option<Sel4Figure>,
    /// How long it takes, if that was measured.
    pub time: Option<Figure>,
}

impl Row {
    /// How many times as long the lowest of Linux takes.
    #[must_use]
    pub fn time_ratio(&self) -> Option<f64> {
        let linux = self.linux.first()?.time?;
        let own = self.time.filter(|time| time.median > 0)?;
        Some(linux.median as f64 / own.median as f64)
    }
}

/// How long a client waited, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// How long.
    pub figure: Figure,
    /// How long it may be, in milliseconds.
    pub at_most: Option<u64>,
}

/// What was found out.
#[derive(Debug)]
pub struct Results {
    /// The operations that were measured, in the order of [`OPERATIONS`].
    pub rows: Vec<Row>,
    /// The curves, each with its points.
    pub curves: Vec<(&'static Curve, BTreeMap<u64, u64>)>,
    /// From a component's end to its successor's first answer, by operation, in nanoseconds of the machine's clock.
    pub answers: BTreeMap<String, Answer>,
    /// What could not be measured, and why.
    pub skipped: BTreeMap<String, String>,
    /// Where seL4's figures are from.
    pub sel4_source: String,
    /// Linux's kernel.
    pub linux_kernel: String,
    /// When Linux's figures were recorded; empty when they are of this run.
    pub linux_recorded: String,
}

/// One entry of the JSON list.
#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    unit: &'a str,
    median: Number,
    min: Number,
    max: Number,
    n: u64,
    peers: Peers<'a>,
    limit: Option<u64>,
}

#[derive(Default, Serialize)]
struct Peers<'a> {
    linux: Option<LinuxPeer<'a>>,
    sel4: Option<Sel4Peer<'a>>,
}

#[derive(Serialize)]
struct LinuxPeer<'a> {
    what: &'a str,
    #[serde(flatten)]
    figure: Figure,
    kernel: &'a str,
    /// When they were recorded, for figures that are not of this run.
    recorded: Option<&'a str>,
    /// Linux's time as a multiple of Motte's.
    time_ratio: Option<f64>,
    /// What else there is on Linux.
    also: Vec<Also<'a>>,
}

#[derive(Serialize)]
struct Also<'a> {
    what: &'a str,
    #[serde(flatten)]
    figure: Figure,
}

#[derive(Serialize)]
struct Sel4Peer<'a> {
    #[serde(flatten)]
    figure: &'a Sel4Figure,
    source: &'a str,
}

impl Results {
    /// Puts Motte's and the others' figures together.
    #[must_use]
    pub fn new(
        motte: Measurements,
        times: Option<&Measurements>,
        linux: &LinuxFigures,
        sel4: &Sel4,
        limits: &Limits,
    ) -> Self {
        let rows = OPERATIONS
            .iter()
            .filter_map(|operation| {
                Some(Row {
                    operation,
                    unit: unit(operation.name),
                    figure: *motte.figures.get(operation.name)?,
                    limit: limits.of(operation.name),
                    linux: linux.beside(operation),
                    sel4: sel4.of(operation.name).cloned(),
                    time: times.and_then(|times| times.figures.get(operation.name).copied()),
                })
            })
            .collect();
        let measured = times.iter().flat_map(|times| &times.figures);
        let answers = measured.filter(|(name, _)| operations::is_first_answer(name)).map(|(name, &figure)| {
            let at_most = limits.of(&format!("{name}{IN_MILLISECONDS}")).at_most;
            (name.clone(), Answer { figure, at_most })
        });
        let answers = answers.collect();
        let curves = CURVES.iter().filter_map(|curve| Some((curve, motte.growth.get(curve.name)?.clone()))).collect();
        Self {
            rows,
            curves,
            answers,
            skipped: motte.skipped,
            sel4_source: sel4.source.clone(),
            linux_kernel: linux.kernel.clone(),
            linux_recorded: linux.recorded.clone(),
        }
    }

    /// The names of operations that miss their aim.
    #[must_use]
    pub fn missed(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.limit.is_missed_by(row.figure.median)).collect()
    }

    /// As a list for other programs.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut entries: Vec<Entry> = self.rows.iter().map(|row| self.entry(row)).collect();
        for (curve, points) in &self.curves {
            entries.extend(points.iter().map(|(x, &median)| Entry {
                name: format!("{}/{}/{x}", Group::Growth, curve.name),
                unit: INSTRUCTIONS,
                median: median.into(),
                min: median.into(),
                max: median.into(),
                n: 1,
                peers: Peers::default(),
                limit: None,
            }));
        }
        for (name, Answer { figure, at_most }) in &self.answers {
            let [median, min, max] = [figure.median, figure.min, figure.max].map(milliseconds);
            entries.push(Entry {
                name: format!("{name}{IN_MILLISECONDS}"),
                unit: "milliseconds",
                median,
                min,
                max,
                n: figure.n,
                peers: Peers::default(),
                limit: *at_most,
            });
        }
        serde_json::to_string_pretty(&entries)
    }

    fn entry<'a>(&'a self, row: &'a Row) -> Entry<'a> {
        let Figure { median, min, max, n } = row.figure;
        let linux = row.linux.split_first().map(|(first, others)| LinuxPeer {
            what: first.title,
            figure: first.figure,
            kernel: &self.linux_kernel,
            recorded: Some(self.linux_recorded.as_str()).filter(|recorded| !recorded.is_empty()),
            time_ratio: row.time_ratio().map(|ratio| (ratio * 100.0).round() / 100.0),
            also: others.iter().map(|other| Also { what: other.title, figure: other.figure }).collect(),
        });
        let sel4 = row.sel4.as_ref().map(|figure| Sel4Peer { figure, source: &self.sel4_source });
        Entry {
            name: row.operation.name.to_owned(),
            unit: row.unit,
            median: median.into(),
            min: min.into(),
            max: max.into(),
            n,
            peers: Peers { linux, sel4 },
            limit: row.limit.at_most,
        }
    }
}

const INSTRUCTIONS: &str = "instructions";
/// What the name of an operation has behind it where it is given in milliseconds.
const IN_MILLISECONDS: &str = "_ms";

/// Nanoseconds as milliseconds, with three digits behind the point.
fn milliseconds(nanoseconds: u64) -> Number {
    Number::from_f64((nanoseconds / 1000) as f64 / 1000.0).unwrap_or_else(|| 0.into())
}

/// What is counted for an operation.
fn unit(operation: &str) -> &'static str {
    match operation {
        "size/memory" | "size/kernel_code" => "bytes",
        "size/kernel_lines" => "lines",
        _ => INSTRUCTIONS,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::protocol::Line;

    /// Results of a run that never was.
    pub fn example() -> Results {
        let lines = [
            "result ipc/call_reply/0 instructions 1000 198 199 205",
            "result ipc/call_reply/10 instructions 1000 510 510 600",
            "result boot/prompt instructions 1 40861000 40861000 40861000",
            "growth clients 1 100 199",
            "growth clients 1000 100 201",
            "skip kernel/interrupt the driver is not there",
        ];
        let lines: Vec<Line> = lines.iter().filter_map(|line| Line::parse(line)).collect();
        let motte = Measurements::gather(&lines, None, |_| 0).unwrap();
        let limits = Limits::parse(
            "\"ipc/call_reply/0\" = { at_most = 200, accepted = 199 }\n\
             \"ipc/call_reply/10\" = { at_most = 500, accepted = 480 }\n",
        );
        Results::new(motte, None, &LinuxFigures::recorded().unwrap(), &Sel4::read().unwrap(), &limits.unwrap())
    }

    #[test]
    fn the_json_has_the_agreed_keys() {
        let list: serde_json::Value = serde_json::from_str(&example().json().unwrap()).unwrap();
        let first = &list[0];
        let keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 8);
        for key in ["name", "unit", "median", "min", "max", "n", "peers", "limit"] {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(first["name"], "ipc/call_reply/0");
        assert_eq!(first["unit"], "instructions");
        assert_eq!(first["median"], 199);
        assert_eq!(first["min"], 198);
        assert_eq!(first["max"], 205);
        assert_eq!(first["n"], 1000);
        assert_eq!(first["limit"], 200);
        assert_eq!(first["peers"]["sel4"]["best"], 412);
        assert!(first["peers"]["linux"]["min"].as_u64().unwrap() > 1000);
        assert!(first["peers"]["linux"]["recorded"].is_string());
        assert_eq!(list[3]["name"], "growth/clients/1");
    }

    #[test]
    fn the_time_until_a_first_answer_is_in_the_json_in_milliseconds() {
        let name = "recover/files_first_answer".to_owned();
        let mut times = Measurements::default();
        times.figures.insert(name.clone(), Figure { median: 4_321_987, min: 1_000_000, max: 12_000_000, n: 9 });
        let limits = Limits::parse("\"recover/files_first_answer_ms\" = { at_most = 10 }").unwrap();
        let (linux, sel4) = (LinuxFigures::recorded().unwrap(), Sel4::read().unwrap());
        let results = Results::new(Measurements::default(), Some(&times), &linux, &sel4, &limits);
        let list: serde_json::Value = serde_json::from_str(&results.json().unwrap()).unwrap();
        assert_eq!(list[0]["name"], "recover/files_first_answer_ms");
        assert_eq!((&list[0]["unit"], &list[0]["limit"]), (&"milliseconds".into(), &10.into()));
        assert_eq!((&list[0]["median"], &list[0]["max"]), (&4.321.into(), &12.0.into()));
    }

    #[test]
    fn a_missed_aim_is_named() {
        let results = example();
        let missed: Vec<&str> = results.missed().iter().map(|row| row.operation.name).collect();
        assert_eq!(missed, ["ipc/call_reply/10"]);
    }
}
