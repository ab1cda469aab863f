//! The results as a table for the terminal and as one for the book.

use std::fmt::Write;

use super::numbers::{grouped, times};
use super::operations::Group;
use super::results::{Answer, Results, Row};

/// The table's columns, without the first.
const HEADS: [&str; 6] = ["Motte", "at most", "accepted", "seL4", "Linux", "Linux takes"];

/// The table for the terminal, with what is to be known about it.
#[must_use]
pub fn terminal(results: &Results) -> String {
    let width = results.rows.iter().map(|row| row.operation.name.len()).max().unwrap_or(0);
    let mut table = format!("{:width$}", "");
    for head in HEADS {
        let _ = write!(table, " {head:>13}");
    }
    table.push('\n');
    let mut group = None;
    for row in &results.rows {
        let own = Group::of(row.operation.name);
        if group.is_some() && group != own {
            table.push('\n');
        }
        group = own;
        let _ = write!(table, "{:width$}", row.operation.name);
        for cell in cells(row) {
            let _ = write!(table, " {cell:>13}");
        }
        let _ = writeln!(table, "{}", remark(row));
    }
    for (curve, points) in &results.curves {
        let points: Vec<String> =
            points.iter().map(|(&x, &cost)| format!("{}: {}", grouped(x), grouped(cost))).collect();
        let _ = write!(table, "\n{} ({}):\n  {}\n", curve.title, curve.axis, points.join("  "));
    }
    if !results.answers.is_empty() {
        table.push_str("\nmilliseconds of the machine's clock: the median, the longest, at most\n");
    }
    for (name, Answer { figure, at_most }) in &results.answers {
        let [median, max] = [figure.median, figure.max].map(|nanoseconds| nanoseconds as f64 / 1e6);
        let at_most = at_most.map_or_else(|| "–".to_owned(), grouped);
        let _ = writeln!(table, "{name:width$} {median:>13.1} {max:>13.1} {at_most:>13}");
    }
    table.push('\n');
    for (name, reason) in &results.skipped {
        let _ = writeln!(table, "not measured: {name}: {reason}");
    }
    let _ = writeln!(table, "{}", notes(results));
    table
}

/// What the table's columns mean.
fn notes(results: &Results) -> String {
    let linux = if results.linux_recorded.is_empty() {
        format!("Linux: {}, measured in this run; the lowest seen.", results.linux_kernel)
    } else {
        format!("Linux: {}, not measured now: recorded {}.", results.linux_kernel, results.linux_recorded)
    };
    format!(
        "Instructions (of size: bytes and lines), the median of many. {linux} seL4: its fastest build. \
         Linux takes: instructions, then time, as multiples of Motte's."
    )
}

fn cells(row: &Row) -> [String; 6] {
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), grouped);
    let lowest = row.linux.first();
    let own = row.figure.median as f64;
    let factor = match (lowest, row.time_ratio()) {
        (None, _) => String::new(),
        (Some(linux), None) => times(linux.figure.min as f64, own),
        (Some(linux), Some(ratio)) => {
            format!("{}, {}", times(linux.figure.min as f64, own), times(ratio, 1.0))
        }
    };
    [
        grouped(row.figure.median),
        number(row.limit.at_most),
        number(row.limit.accepted),
        number(row.sel4.as_ref().and_then(super::peers::Sel4Figure::lowest)),
        number(lowest.map(|linux| linux.figure.min)),
        factor,
    ]
}

/// What is to be said about a row.
fn remark(row: &Row) -> &'static str {
    if row.limit.is_exceeded_by(row.figure.median) {
        "  grown"
    } else if row.limit.is_missed_by(row.figure.median) {
        "  over"
    } else {
        ""
    }
}

/// The table for the book, as Markdown.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut table = String::from(
        "| operation | Motte | at most | seL4, best | seL4, stock | Linux, lowest seen |\n|---|---:|---:|---:|---:|---|\n",
    );
    for row in results.rows.iter().filter(|row| Group::of(row.operation.name) != Some(Group::Size)) {
        let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), grouped);
        let sel4 = |value: Option<u64>| match (&row.sel4, value) {
            (Some(figure), Some(value)) => {
                let note = figure.note.as_deref().map(|note| format!(", {note}")).unwrap_or_default();
                format!("{}{note}", grouped(value))
            }
            _ => "–".to_owned(),
        };
        let linux: Vec<String> =
            row.linux.iter().map(|linux| format!("{}: {}", linux.title, grouped(linux.figure.min))).collect();
        let _ = writeln!(
            table,
            "| {} (`{}`) | {} | {} | {} | {} | {} |",
            row.operation.title,
            row.operation.name,
            grouped(row.figure.median),
            number(row.limit.at_most),
            sel4(row.sel4.as_ref().and_then(|sel4| sel4.best)),
            sel4(row.sel4.as_ref().and_then(|sel4| sel4.stock)),
            if linux.is_empty() { "–".to_owned() } else { linux.join("; ") }
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::example;

    #[test]
    fn the_terminals_table_says_what_grew_and_what_is_missing() {
        let table = terminal(&example());
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(line("ipc/call_reply/0").contains("199"));
        assert!(!line("ipc/call_reply/0").ends_with("over"));
        assert!(line("ipc/call_reply/10").ends_with("grown"));
        assert!(table.contains("not measured: kernel/interrupt: the driver is not there"));
        assert!(table.contains("not measured now: recorded"));
        assert!(table.contains("1: 199  1,000: 201"), "{table}");
    }

    #[test]
    fn the_books_table_has_a_row_for_each_operation() {
        let table = markdown(&example());
        assert!(
            table.contains("| call and reply, no words (`ipc/call_reply/0`) | 199 | 200 | 412 | 427 | futex"),
            "{table}"
        );
    }
}
