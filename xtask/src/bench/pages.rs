//! The tables in the book and the picture for those who come by, written when figures are accepted.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::charts;
use super::limits::Limits;
use super::numbers::grouped;
use super::operations::Group;
use super::peers::{LinuxFigures, Sel4};
use super::protocol::Measurements;
use super::report::COLOURS;
use super::results::{Results, Row};
use super::table;
use crate::workspace;

/// The page about costs.
const PERFORMANCE: &str = "docs/book/performance.md";
/// The page about sizes.
const SIZES: &str = "docs/book/sizes.md";
/// The picture.
const PICTURE: &str = "docs/images/performance.svg";
/// What it shows.
const SHOWN: [&str; 6] = [
    "ipc/call_reply/0",
    "ipc/signal_wait",
    "kernel/fault_map",
    "kernel/thread_create",
    "file/open_read_close",
    "disk/write_per_mib",
];
/// What stands before and after a table that is written here.
const BEGIN: &str = "<!-- written by `cargo xtask bench --accept` -->\n";
const END: &str = "<!-- end -->\n";

/// Writes them: what was accepted, beside the recorded figures of others.
pub fn write(limits: &Limits) -> Result<()> {
    let accepted = Measurements { figures: limits.accepted(), ..Measurements::default() };
    let results = Results::new(accepted, None, &LinuxFigures::recorded()?, &Sel4::read()?, limits);
    replace(PERFORMANCE, &table::markdown(&results))?;
    replace(SIZES, &sizes(&results))?;
    let shown: Vec<&Row> = results.rows.iter().filter(|row| SHOWN.contains(&row.operation.name)).collect();
    let picture = charts::poster(&shown).file("What operations cost in Motte, seL4 and Linux", COLOURS);
    let file = workspace::root().join(PICTURE);
    fs::write(&file, picture).with_context(|| format!("{PICTURE} could not be written"))
}

fn replace(page: &str, table: &str) -> Result<()> {
    let file = workspace::root().join(page);
    let text = fs::read_to_string(&file).with_context(|| format!("{page} could not be read"))?;
    let new = replaced(&text, table).with_context(|| format!("{page} has no place for its table"))?;
    fs::write(&file, new).with_context(|| format!("{page} could not be written"))
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

fn sizes(results: &Results) -> String {
    let mut table = String::from("| what | Motte | at most | Linux |\n|---|---:|---:|---:|\n");
    for row in &results.rows {
        if !matches!(Group::of(row.operation.name), Some(Group::Boot | Group::Size)) {
            continue;
        }
        let linux = row
            .linux
            .first()
            .map_or_else(String::new, |linux| format!("{} {}: {}", grouped(linux.figure.min), row.unit, linux.title));
        let at_most = row.limit.at_most.map_or_else(String::new, grouped);
        let _ = writeln!(
            table,
            "| {} | {} {} | {at_most} | {linux} |",
            row.operation.title,
            grouped(row.figure.median),
            row.unit
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_the_rest_stays() {
        let page = format!("# Title\n\n{BEGIN}old\n{END}\nMore.\n");
        let new = replaced(&page, "| new |\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\n| new |\n\n{END}\nMore.\n"));
        assert_eq!(replaced(&new, "| new |\n").unwrap(), new);
        assert!(replaced("# Title\n", "").is_none());
    }

    #[test]
    fn the_pages_have_their_places() {
        for page in [PERFORMANCE, SIZES] {
            let text = fs::read_to_string(workspace::root().join(page)).unwrap();
            assert!(replaced(&text, "").is_some(), "{page}");
        }
    }
}
