//! The pictures of the report: bars beside the others', curves of growth, lines over commits.

use std::collections::BTreeMap;

use super::history::Commit;
use super::numbers::grouped;
use super::operations::Curve;
use super::results::Row;
use super::svg::{Anchor, Svg};

/// Width of a picture of bars, and of what stands left and right of them.
const BARS: f64 = 460.0;
const BARS_LEFT: f64 = 52.0;
const BARS_RIGHT: f64 = 108.0;
/// From one bar to the next, and a bar's own height.
const BAR_STEP: f64 = 26.0;
const BAR: f64 = 16.0;

/// Bars of one operation, each with its number; a tick where the aim is.
#[must_use]
pub fn bars(row: &Row) -> Svg {
    let mut bars = vec![("Motte", "own", row.figure.median)];
    if let Some(sel4) = row.sel4.as_ref().and_then(super::peers::Sel4Figure::lowest) {
        bars.push(("seL4", "other", sel4));
    }
    if let Some(linux) = row.linux.first() {
        bars.push(("Linux", "other", linux.figure.min));
    }
    let aim = row.limit.at_most;
    let most = bars.iter().map(|bar| bar.2).chain(aim).max().unwrap_or(1).max(1);
    let length = |value: u64| value as f64 / most as f64 * (BARS - BARS_LEFT - BARS_RIGHT);
    let mut svg = Svg::new(BARS, BAR_STEP * bars.len() as f64 + 8.0);
    for (index, &(name, class, value)) in bars.iter().enumerate() {
        let y = BAR_STEP * index as f64 + 4.0;
        let base = y + BAR - 3.5;
        svg.text("label", (BARS_LEFT - 8.0, base), Anchor::End, name);
        svg.rectangle(class, BARS_LEFT, y, length(value).max(1.5), BAR);
        let mut end = BARS_LEFT + length(value);
        if index == 0
            && let Some(aim) = aim
        {
            let x = BARS_LEFT + length(aim);
            svg.line("aim", (x, y - 4.0), (x, y + BAR + 4.0));
            end = end.max(x);
        }
        svg.text(
            if index == 0 { "value own-value" } else { "value" },
            (end + 7.0, base),
            Anchor::Start,
            grouped(value),
        );
    }
    svg
}

/// A range of values on a logarithmic axis, in whole decades.
struct Decades {
    first: i32,
    last: i32,
    from: f64,
    to: f64,
}

impl Decades {
    /// An axis from pixel `from` to pixel `to` that holds all values.
    fn holding(values: impl Iterator<Item = u64> + Clone, from: f64, to: f64) -> Self {
        let least = values.clone().min().unwrap_or(1).max(1) as f64;
        let most = values.max().unwrap_or(10).max(1) as f64;
        let first = least.log10().floor() as i32;
        let last = (most.log10().ceil() as i32).max(first + 1);
        Self { first, last, from, to }
    }

    fn place(&self, value: u64) -> f64 {
        let share = ((value.max(1) as f64).log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.from + share * (self.to - self.from)
    }

    /// The powers of ten on it.
    fn ticks(&self) -> impl Iterator<Item = u64> {
        (self.first..=self.last).map(|power| 10_u64.pow(power.unsigned_abs()))
    }
}

/// A power of ten as people write it on an axis.
fn tick(value: u64) -> String {
    match value {
        1_000_000_000.. => format!("{} G", value / 1_000_000_000),
        1_000_000.. => format!("{} M", value / 1_000_000),
        _ => grouped(value),
    }
}

/// One curve, both axes logarithmic.
#[must_use]
pub fn growth(curve: &Curve, points: &BTreeMap<u64, u64>) -> Svg {
    const WIDTH: f64 = 460.0;
    const HEIGHT: f64 = 230.0;
    let (left, right, top, bottom) = (66.0, WIDTH - 24.0, 14.0, HEIGHT - 44.0);
    let x = Decades::holding(points.keys().copied(), left, right);
    let y = Decades::holding(points.values().copied(), bottom, top);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    for value in y.ticks() {
        let at = y.place(value);
        svg.line("grid", (left, at), (right, at));
        svg.text("label", (left - 8.0, at + 4.0), Anchor::End, tick(value));
    }
    for value in x.ticks() {
        svg.text("label", (x.place(value), bottom + 18.0), Anchor::Middle, tick(value));
    }
    svg.text("label", ((left + right) / 2.0, HEIGHT - 6.0), Anchor::Middle, curve.axis);
    let places: Vec<(f64, f64)> = points.iter().map(|(&many, &cost)| (x.place(many), y.place(cost))).collect();
    svg.path("own-line", &places);
    for (&place, (&many, &cost)) in places.iter().zip(points) {
        svg.dot("own", place, format_args!("{} {}: {} instructions", grouped(many), curve.axis, grouped(cost)));
    }
    if let (Some(&first), Some(&last)) = (places.first(), places.last())
        && let (Some(&first_cost), Some(&last_cost)) = (points.values().next(), points.values().next_back())
    {
        svg.text("value", (first.0 + 2.0, first.1 - 9.0), Anchor::Start, grouped(first_cost));
        svg.text("value", (last.0 + 4.0, last.1 - 9.0), Anchor::End, grouped(last_cost));
    }
    svg
}

/// What some operations cost at each commit, and now.
#[must_use]
pub fn history(commits: &[Commit], now: &[&Row], operations: &[&str]) -> Svg {
    const WIDTH: f64 = 960.0;
    const HEIGHT: f64 = 340.0;
    let (left, right, top, bottom) = (66.0, WIDTH - 250.0, 14.0, HEIGHT - 40.0);
    let columns = commits.len() + 1;
    let x = |column: usize| left + (right - left) * column as f64 / (columns - 1).max(1) as f64;
    let series: Vec<(&str, Vec<(usize, u64)>)> = operations
        .iter()
        .map(|&name| {
            let mut points: Vec<(usize, u64)> = commits
                .iter()
                .enumerate()
                .filter_map(|(column, commit)| Some((column, *commit.costs.get(name)?)))
                .collect();
            let now = now.iter().find(|row| row.operation.name == name);
            points.extend(now.map(|row| (columns - 1, row.figure.median)));
            (name, points)
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let values: Vec<u64> = series.iter().flat_map(|(_, points)| points.iter().map(|point| point.1)).collect();
    let y = Decades::holding(values.iter().copied(), bottom, top);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    for value in y.ticks() {
        let at = y.place(value);
        svg.line("grid", (left, at), (right, at));
        svg.text("label", (left - 8.0, at + 4.0), Anchor::End, tick(value));
    }
    // As many names as fit.
    let every = columns.div_ceil(9);
    for (column, commit) in commits.iter().enumerate().filter(|(column, _)| column % every == 0) {
        svg.text("label", (x(column), bottom + 18.0), Anchor::Middle, &commit.name);
    }
    svg.text("label", (x(columns - 1), bottom + 18.0), Anchor::Middle, "now");
    let mut labels: Vec<(f64, String)> = Vec::new();
    for (name, points) in &series {
        let places: Vec<(f64, f64)> = points.iter().map(|&(column, cost)| (x(column), y.place(cost))).collect();
        svg.path("own-line", &places);
        for (&place, &(column, cost)) in places.iter().zip(points) {
            let when = commits.get(column).map_or_else(
                || "now".to_owned(),
                |commit| format!("{}, {}: {}", commit.name, commit.day, commit.subject),
            );
            svg.dot("own", place, format_args!("{name}: {}\n{when}", grouped(cost)));
        }
        if let (Some(place), Some((_, cost))) = (places.last(), points.last()) {
            labels.push((place.1, format!("{} {name}", grouped(*cost))));
        }
    }
    // From top to bottom, none on another.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::MIN;
    for (at, text) in labels {
        let at = at.max(free);
        svg.text("value", (right + 14.0, at + 4.0), Anchor::Start, text);
        free = at + 17.0;
    }
    svg
}

/// The picture for those who come by: some operations beside the others'.
#[must_use]
pub fn poster(rows: &[&Row]) -> Svg {
    const COLUMNS: usize = 2;
    const GAP: f64 = 30.0;
    const CELL: f64 = 134.0;
    let lines = rows.len().div_ceil(COLUMNS);
    let width = BARS * COLUMNS as f64 + GAP * (COLUMNS as f64 + 1.0);
    let mut svg = Svg::new(width, CELL * lines as f64 + 36.0);
    svg.rectangle("ground", 0.0, 0.0, width, CELL * lines as f64 + 36.0);
    for (index, row) in rows.iter().enumerate() {
        let x = GAP + (index % COLUMNS) as f64 * (BARS + GAP);
        let y = CELL * (index / COLUMNS) as f64 + 18.0;
        svg.text("title", (x, y + 14.0), Anchor::Start, capitalised(row.operation.title));
        svg.place((x, y + 26.0), &bars(row));
    }
    svg.text(
        "label",
        (GAP, CELL * lines as f64 + 18.0),
        Anchor::Start,
        "Instructions executed, on the same emulated machine. Shorter is better; each on a scale of its own. The tick is the aim.",
    );
    svg
}

/// With its first letter as at the beginning of a sentence.
fn capitalised(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::operations::CURVES;
    use crate::bench::results::tests::example;

    #[test]
    fn an_axis_holds_its_values_in_whole_decades() {
        let axis = Decades::holding([199, 201].into_iter(), 0.0, 100.0);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [100, 1000]);
        assert!(axis.place(100).abs() < 1e-6 && (axis.place(1000) - 100.0).abs() < 1e-6);
        let axis = Decades::holding([1, 1].into_iter(), 0.0, 100.0);
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [1, 10]);
    }

    #[test]
    fn bars_have_a_label_and_a_number_each() {
        let results = example();
        let element = bars(&results.rows[0]).element("x");
        for text in ["Motte", "seL4", "Linux", ">199<", ">412<", ">9,130<"] {
            assert!(element.contains(text), "{text} is missing: {element}");
        }
        assert_eq!(element.matches("class=\"aim\"").count(), 1);
    }

    #[test]
    fn empty_histories_and_single_points_are_drawn() {
        let results = example();
        let rows: Vec<&Row> = results.rows.iter().collect();
        assert!(history(&[], &rows, &["ipc/call_reply/0"]).element("x").contains("199 ipc/call_reply/0"));
        assert!(!growth(&CURVES[0], &BTreeMap::from([(1, 5)])).element("x").contains("NaN"));
    }
}
