//! The report of a campaign: a page that needs nothing else, and figures for other programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::fault::FaultType;
use super::outcome::{Counts, Outcome, Results, Symptom};
use crate::bench::report::COLOURS;
use crate::bench::svg::{Anchor, Svg, escape};
use crate::workspace;

/// What the page needs besides the colours of pictures.
const STYLE: &str = include_str!("report.css");
/// The longest cause that the page shows whole.
const LONGEST_CAUSE: usize = 600;

/// Writes `campaign.html` and `campaign.json` into `directory`; returns where the page is.
pub fn write(results: &Results, directory: &Path) -> Result<PathBuf> {
    let figures = serde_json::to_string_pretty(&Figures::new(results))?;
    let (page_file, figures_file) = (directory.join("campaign.html"), directory.join("campaign.json"));
    for (file, text) in [(&page_file, page(results)), (&figures_file, figures)] {
        fs::write(file, text).with_context(|| format!("{} could not be written", file.display()))?;
    }
    Ok(page_file)
}

/// The campaign in some lines.
#[must_use]
pub fn summary(results: &Results) -> String {
    let total = results.total();
    let times = results.recovery_times();
    let mut text = format!(
        "{} faults, seed {} ({}): {} showed, {} of these were recovered from ({}), {} of them with errors that clients overcame, \
         {} with the shell's programs ended; \
         {} kernel panics; {} of {} files damaged; {} damaged file systems.",
        total.injected,
        results.seed,
        workspace::spoken(std::time::Duration::from_secs(results.seconds)),
        total.manifested,
        total.recovered,
        percent(&total),
        total.recovered_with_errors,
        total.recovered_without_programs,
        total.kernel_panics,
        total.data_errors,
        results.files,
        results.damaged_file_systems.len(),
    );
    if let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) {
        let _ = write!(text, " At a recovery the load stood still for {median} ms (median), {worst} ms (worst).");
    }
    text
}

fn percent(counts: &Counts) -> String {
    counts.percent().map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1} %"))
}

/// The figures as other programs read them.
#[derive(Serialize)]
struct Figures<'a> {
    seed: u64,
    #[serde(flatten)]
    total: Counts,
    recovered_percent: Option<f64>,
    skipped: u64,
    files_written: u64,
    seconds: u64,
    damaged_file_systems: &'a [String],
    still_ms_median: Option<u64>,
    still_ms_worst: Option<u64>,
    components: BTreeMap<String, Counts>,
    types: BTreeMap<&'static str, Counts>,
    symptoms: BTreeMap<&'static str, Counts>,
    table: BTreeMap<String, BTreeMap<&'static str, Counts>>,
    failures: Vec<Failure<'a>>,
}

/// A fault that was not recovered from.
#[derive(Serialize)]
struct Failure<'a> {
    number: u64,
    component: &'a str,
    r#type: &'static str,
    what: &'a str,
    how: &'static str,
    cause: &'a str,
    data_errors: u64,
    symptoms: Vec<String>,
}

impl<'a> Figures<'a> {
    fn new(results: &'a Results) -> Self {
        let total = results.total();
        let times = results.recovery_times();
        let mut table: BTreeMap<String, BTreeMap<&'static str, Counts>> = BTreeMap::new();
        for ((component, kind), counts) in results.by_both() {
            table.entry(component).or_default().insert(kind.name(), counts);
        }
        let failure = |outcome: &'a Outcome| Failure {
            number: outcome.number,
            component: &outcome.component,
            r#type: outcome.kind.name(),
            what: &outcome.what,
            how: outcome.how(),
            cause: outcome.cause.as_deref().unwrap_or("data was damaged"),
            data_errors: outcome.data_errors,
            symptoms: outcome.symptoms.iter().map(Symptom::text).collect(),
        };
        Self {
            seed: results.seed,
            total,
            recovered_percent: total.percent(),
            skipped: results.skipped,
            files_written: results.files,
            seconds: results.seconds,
            damaged_file_systems: &results.damaged_file_systems,
            still_ms_median: times.get(times.len() / 2).copied(),
            still_ms_worst: times.last().copied(),
            components: results.by_component(),
            types: results.by_type().into_iter().map(|(kind, counts)| (kind.name(), counts)).collect(),
            symptoms: results.by_symptom(),
            table,
            failures: results.failures().map(failure).collect(),
        }
    }
}

fn page(results: &Results) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Motte: a fault campaign</title>\n<style>\n{COLOURS}{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>What faults do to Motte</h1>\n\
         <p class=\"lead\">Every component of a running system was damaged, again and again, while programs used it: instructions changed, \
         bits of stack and heap flipped, messages falsified, answers withheld. A fault <i>shows</i> when something crashes, hangs, gives an \
         error or a wrong answer, or makes its clients wait for long. It is <i>recovered</i> from when the system and its clients go on \
         with nobody's help, and every byte is right that was reported as written.</p>\n"
    );
    let _ = writeln!(page, "<p>{}</p>", escape(&summary(results)));
    let components = results.by_component();
    let types: BTreeMap<String, Counts> =
        results.by_type().into_iter().map(|(kind, counts)| (kind.name().to_owned(), counts)).collect();
    for (title, counts) in [("By component", &components), ("By type of fault", &types)] {
        let _ = write!(page, "<h2>{title}</h2>\n{LEGEND}{}", bars(counts).element(title));
    }
    page += "<h2>How they showed</h2>\n<table>\n<tr><th>how</th><th>showed</th><th>recovered</th></tr>\n";
    for (how, counts) in results.by_symptom() {
        let (manifested, recovered) = (counts.manifested, counts.recovered);
        let _ = writeln!(page, "<tr><th>{how}</th><td>{manifested}</td><td>{recovered}</td></tr>");
    }
    page += "</table>\n<h2>How long it took</h2>\n<p>The longest time, in milliseconds, for which the load stood still after a fault that was recovered from.</p>\n";
    page += &times(&results.recovery_times()).element("Times of recovery");
    page += &table(results);
    page += &failures(results);
    page += "</main>\n</body>\n</html>\n";
    page
}

const LEGEND: &str = "<p class=\"soft\"><span class=\"key recovered-key\"></span> recovered \
                      <span class=\"key lost-key\"></span> not recovered \
                      <span class=\"key unseen-key\"></span> did not show</p>\n";

/// A bar for each row: what was recovered from, what was not, what did not show.
fn bars(rows: &BTreeMap<String, Counts>) -> Svg {
    const ROW: f64 = 24.0;
    const NAME: f64 = 150.0;
    const BAR: f64 = 420.0;
    let mut picture = Svg::new(NAME + BAR + 210.0, ROW * rows.len() as f64 + 4.0);
    let most = rows.values().map(|counts| counts.injected).max().unwrap_or(1).max(1) as f64;
    for (index, (name, counts)) in rows.iter().enumerate() {
        let y = index as f64 * ROW;
        picture.text("value", (NAME - 8.0, y + 16.0), Anchor::End, name);
        let mut x = NAME;
        let parts = [
            ("recovered", counts.recovered),
            ("lost", counts.manifested - counts.recovered),
            ("unseen", counts.injected - counts.manifested),
        ];
        for (class, count) in parts {
            let width = count as f64 / most * BAR;
            if count > 0 {
                picture.rectangle(class, x, y + 4.0, width, ROW - 8.0);
            }
            x += width;
        }
        let words = format!("{} of {} ({})", counts.recovered, counts.manifested, percent(counts));
        picture.text("label", (NAME + BAR + 10.0, y + 16.0), Anchor::Start, words);
    }
    picture
}

/// How many recoveries took how long: a column for each doubling.
fn times(times: &[u64]) -> Svg {
    const COLUMN: f64 = 56.0;
    const HEIGHT: f64 = 140.0;
    const BOUNDS: [u64; 12] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, u64::MAX];
    let mut picture = Svg::new(COLUMN * BOUNDS.len() as f64, HEIGHT + 40.0);
    let mut counts = [0_u64; BOUNDS.len()];
    for &time in times {
        let column = BOUNDS.iter().position(|&bound| time < bound).unwrap_or(BOUNDS.len() - 1);
        counts[column] += 1;
    }
    let most = counts.iter().max().copied().unwrap_or(1).max(1) as f64;
    for (index, (&count, &bound)) in counts.iter().zip(&BOUNDS).enumerate() {
        let (x, height) = (index as f64 * COLUMN, count as f64 / most * HEIGHT);
        picture.rectangle("recovered", x + 6.0, HEIGHT + 16.0 - height, COLUMN - 12.0, height);
        picture.text("value", (x + COLUMN / 2.0, HEIGHT + 11.0 - height), Anchor::Middle, count);
        let name = if bound == u64::MAX { "more".to_owned() } else { format!("< {bound}") };
        picture.text("label", (x + COLUMN / 2.0, HEIGHT + 34.0), Anchor::Middle, name);
    }
    picture
}

/// Components and types: of what showed, how much was recovered from.
fn table(results: &Results) -> String {
    let cells = results.by_both();
    let by_type = results.by_type();
    let mut text = String::from(
        "<h2>By component and type</h2>\n<p>Recovered / showed / injected.</p>\n<div class=\"wide\"><table>\n<tr><th></th>",
    );
    let cell = |counts: Option<&Counts>| match counts {
        None => "<td></td>".to_owned(),
        Some(c) => {
            let class = if c.recovered < c.manifested { " class=\"bad\"" } else { "" };
            format!("<td{class}>{} / {} / {}</td>", c.recovered, c.manifested, c.injected)
        }
    };
    for kind in by_type.keys() {
        let _ = write!(text, "<th title=\"{}\">{kind}</th>", escape(kind.description()));
    }
    text += "<th>all</th></tr>\n";
    for (component, all) in results.by_component() {
        let _ = write!(text, "<tr><th>{}</th>", escape(&component));
        for kind in by_type.keys() {
            text += &cell(cells.get(&(component.clone(), *kind)));
        }
        let _ = writeln!(text, "{}</tr>", cell(Some(&all)));
    }
    text += "<tr><th>all</th>";
    by_type.values().for_each(|counts| text += &cell(Some(counts)));
    let _ = writeln!(text, "{}</tr>\n</table></div>\n<ul>", cell(Some(&results.total())));
    for kind in FaultType::ALL.into_iter().filter(|kind| by_type.contains_key(kind)) {
        let _ = writeln!(text, "<li><b>{kind}</b>: {}</li>", escape(kind.description()));
    }
    text + "</ul>\n"
}

/// What was not recovered from, with its cause.
fn failures(results: &Results) -> String {
    let mut text = String::from("<h2>Not recovered</h2>\n");
    if results.failures().next().is_none() {
        text += "<p>Nothing.</p>\n";
    } else {
        text += "<div class=\"wide\"><table>\n<tr><th>fault</th><th>component</th><th>type</th><th>what was done</th><th>what was seen</th><th>why not recovered</th></tr>\n";
        for outcome in results.failures() {
            let seen: Vec<String> = outcome.symptoms.iter().map(Symptom::text).collect();
            let mut cause = outcome.cause.clone().unwrap_or_default();
            if outcome.data_errors > 0 {
                let _ = write!(cause, " {} files damaged", outcome.data_errors);
            }
            let short = |text: &str| escape(&text.chars().take(LONGEST_CAUSE).collect::<String>());
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td><td class=\"words\">{}</td><td class=\"words\">{}</td></tr>",
                outcome.number,
                escape(&outcome.component),
                outcome.kind,
                short(&outcome.what),
                short(&seen.join("; ")),
                short(&cause)
            );
        }
        text += "</table></div>\n";
    }
    for damage in &results.damaged_file_systems {
        let _ = writeln!(text, "<p>A file system was damaged: {}</p>", escape(damage));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::outcome;
    use super::*;

    fn results() -> Results {
        let failure = Symptom::Failure { component: "fs".into(), cause: "a <wild> pointer".into() };
        let mut results = Results { seed: 7, ..Results::default() };
        results.outcomes.push(outcome(vec![failure.clone()], None));
        results.outcomes.push(outcome(vec![failure, Symptom::Hang], Some("fs did not come back")));
        results
    }

    #[test]
    fn the_figures_hold_what_other_programs_ask_for() {
        let figures = serde_json::to_value(Figures::new(&results())).unwrap();
        for (name, value) in
            [("injected", 2), ("manifested", 2), ("recovered", 1), ("kernel_panics", 0), ("data_errors", 0)]
        {
            assert_eq!(figures[name], value, "{name}");
            assert_eq!(figures["components"]["fs"][name], value, "{name}");
            assert_eq!(figures["types"]["stack"][name], value, "{name}");
            assert_eq!(figures["table"]["fs"]["stack"][name], value, "{name}");
        }
        assert_eq!(figures["failures"][0]["cause"], "fs did not come back");
    }

    #[test]
    fn the_page_needs_nothing_else_and_keeps_text_in_its_place() {
        let page = page(&results());
        assert!(page.contains("a &lt;wild&gt; pointer") && !page.contains("<wild>"));
        assert!(!page.contains("src=") && !page.contains("href="));
        assert_eq!(page.matches("<svg ").count(), 3);
    }
}
