//! What the measuring programs print, the one inside Motte and the one on Linux alike: a line for each result, anything else is
//! not for us.
//!
//! ```text
//! result NAME UNIT N MIN MEDIAN MAX     one operation, measured N times
//! marked NAME BEGIN END DIVISOR N       the plugin counted it, N times, from the mark BEGIN to the mark END; DIVISOR operations each
//! growth CURVE X N MEDIAN               one point of a curve
//! skip NAME REASON                      it could not be measured
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::plugin::Mark;

/// How often something was measured, and what came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// The middle one.
    pub median: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// How many there were.
    pub n: u64,
}

impl Figure {
    /// Of one measurement.
    #[must_use]
    pub const fn once(value: u64) -> Self {
        Self { median: value, min: value, max: value, n: 1 }
    }

    /// Of several. `None` when there are none.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let (&min, &max) = (values.first()?, values.last()?);
        Some(Self { median: values[values.len() / 2], min, max, n: values.len() as u64 })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An operation was measured.
    Result {
        /// The operation.
        name: String,
        /// What was counted.
        unit: String,
        /// How much of it.
        figure: Figure,
    },
    /// An operation was executed between marks.
    Marked {
        /// The operation.
        name: String,
        /// The mark before it.
        begin: u16,
        /// The mark after it.
        end: u16,
        /// Operations between the two.
        divisor: u64,
        /// How often.
        n: u64,
    },
    /// A point of a curve.
    Growth {
        /// The curve.
        curve: String,
        /// Of how many.
        x: u64,
        /// What it costs.
        median: u64,
    },
    /// An operation was not measured.
    Skip {
        /// The operation.
        name: String,
        /// Why not.
        reason: String,
    },
}

impl Line {
    /// Takes a line apart. `None` when it is not one of these.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let name = words.next()?.to_owned();
        match kind {
            "result" => {
                let unit = words.next()?.to_owned();
                let mut number = || words.next()?.parse().ok();
                let (n, min, median, max) = (number()?, number()?, number()?, number()?);
                Some(Self::Result { name, unit, figure: Figure { median, min, max, n } })
            }
            "marked" => {
                let mut number = || {
                    let word = words.next()?;
                    match word.strip_prefix("0x") {
                        Some(digits) => u64::from_str_radix(digits, 16).ok(),
                        None => word.parse::<u64>().ok(),
                    }
                };
                let (begin, end) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
                let (divisor, n) = (number()?, number()?);
                (divisor > 0).then_some(Self::Marked { name, begin, end, divisor, n })
            }
            "growth" => {
                let mut number = || words.next()?.parse::<u64>().ok();
                let (x, _n, median) = (number()?, number()?, number()?);
                Some(Self::Growth { curve: name, x, median })
            }
            "skip" => Some(Self::Skip { name, reason: words.collect::<Vec<_>>().join(" ") }),
            _ => None,
        }
    }

    /// The operation or curve it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Result { name, .. } | Self::Marked { name, .. } | Self::Skip { name, .. } => name,
            Self::Growth { curve, .. } => curve,
        }
    }
}

/// What one run of a measuring program gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// Operations: name to figure.
    pub figures: BTreeMap<String, Figure>,
    /// Curves: name to points, in order of x.
    pub growth: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Operations that were not measured, and why.
    pub skipped: BTreeMap<String, String>,
}

impl Measurements {
    /// Puts the lines and the plugin's marks together. `of_mark` says what is taken from a mark: instructions or time. Without
    /// marks (the plugin could not be loaded), what needs them is skipped.
    pub fn gather(lines: &[Line], marks: Option<&[Mark]>, of_mark: fn(&Mark) -> u64) -> Result<Self> {
        let mut measurements = Self::default();
        for line in lines {
            match line {
                Line::Result { name, figure, .. } => {
                    measurements.figures.insert(name.clone(), *figure);
                }
                Line::Growth { curve, x, median } => {
                    measurements.growth.entry(curve.clone()).or_default().insert(*x, *median);
                }
                Line::Skip { name, reason } => {
                    measurements.skipped.insert(name.clone(), reason.clone());
                }
                Line::Marked { name, begin, end, divisor, n } => match marks {
                    None => {
                        let reason = "the counting plugin could not be used".to_owned();
                        measurements.skipped.insert(name.clone(), reason);
                    }
                    Some(marks) => {
                        let spans = spans(marks, *begin, *end, of_mark);
                        let figure = (spans.len() as u64 == *n)
                            .then(|| Figure::of(spans.into_iter().map(|span| span / divisor).collect()))
                            .flatten();
                        let figure = figure.with_context(|| {
                            format!(
                                "{name} says that it passed the marks {begin:#x} and {end:#x} {n} times, and did not"
                            )
                        })?;
                        measurements.figures.insert(name.clone(), figure);
                    }
                },
            }
        }
        Ok(measurements)
    }

    /// Takes over what another run gave.
    pub fn extend(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.growth.extend(other.growth);
        self.skipped.extend(other.skipped);
    }
}

/// From each mark `begin` to the mark `end` that follows, without the marker itself.
fn spans(marks: &[Mark], begin: u16, end: u16, of_mark: fn(&Mark) -> u64) -> Vec<u64> {
    let mut spans = Vec::new();
    let mut started = None;
    for mark in marks {
        if mark.id == begin {
            started = Some(of_mark(mark));
        } else if mark.id == end
            && let Some(from) = started.take()
        {
            spans.push((of_mark(mark) - from).saturating_sub(1));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(n: u64, min: u64, median: u64, max: u64) -> Figure {
        Figure { median, min, max, n }
    }

    fn mark(id: u16, user: u64, kernel: u64) -> Mark {
        Mark { id, user, kernel, nanoseconds: 0 }
    }

    #[test]
    fn lines_are_told_from_other_output() {
        assert_eq!(
            Line::parse("result ipc/call_reply/0 instructions 1000 198 199 205"),
            Some(Line::Result {
                name: "ipc/call_reply/0".to_owned(),
                unit: "instructions".to_owned(),
                figure: figure(1000, 198, 199, 205)
            })
        );
        assert_eq!(
            Line::parse("growth clients 1000 100 199"),
            Some(Line::Growth { curve: "clients".to_owned(), x: 1000, median: 199 })
        );
        assert_eq!(
            Line::parse("skip disk/read_per_mib there is no disk"),
            Some(Line::Skip { name: "disk/read_per_mib".to_owned(), reason: "there is no disk".to_owned() })
        );
        for other in ["", "result", "result a b 1 2 3", "results are good", "marked a 1 2 0 1", "growth a b c d"] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_lies_between_marks_is_counted_and_divided() {
        let lines: Vec<Line> =
            ["marked disk/read_per_mib 0x10 0x11 10 3"].iter().flat_map(|line| Line::parse(line)).collect();
        let marks = [
            mark(0x10, 100, 0),
            mark(0x11, 1101, 0),
            mark(0x20, 1200, 0),
            mark(0x10, 1300, 0),
            mark(0x11, 2000, 1301),
            mark(0x10, 2000, 1400),
            mark(0x11, 5001, 1400),
        ];
        let gathered = Measurements::gather(&lines, Some(&marks), Mark::instructions).unwrap();
        assert_eq!(gathered.figures["disk/read_per_mib"], figure(3, 100, 200, 300));
        let gathered = Measurements::gather(&lines, None, Mark::instructions).unwrap();
        assert!(gathered.figures.is_empty());
        assert_eq!(gathered.skipped["disk/read_per_mib"], "the counting plugin could not be used");
        let error = Measurements::gather(&lines, Some(&marks[..2]), Mark::instructions).unwrap_err();
        assert!(error.to_string().contains("3 times, and did not"), "{error}");
    }

    #[test]
    fn the_figure_of_many_is_their_median() {
        assert_eq!(Figure::of(vec![5, 1, 9]), Some(figure(3, 1, 5, 9)));
        assert_eq!(Figure::of(Vec::new()), None);
    }
}
