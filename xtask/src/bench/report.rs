//! The report: one page that needs nothing else, for someone who has never seen any of it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::charts;
use super::history::{self, Commit};
use super::numbers::{grouped, times};
use super::operations::Group;
use super::peers::Sel4Figure;
use super::results::{Results, Row};
use super::svg::escape;

/// Colours and text of pictures.
pub const COLOURS: &str = include_str!("colours.css");
/// The rest of the page.
const STYLE: &str = include_str!("report.css");
/// What everything else is made of.
const FIRST: &str = "ipc/call_reply/0";
/// The operations whose way through the commits is drawn.
const FOLLOWED: [&str; 7] = [
    FIRST,
    "ipc/call_reply/100",
    "ipc/signal",
    "kernel/fault",
    "kernel/thread_create",
    "file/open_read_close",
    "proc/spawn_wait",
];

/// Writes the page into `directory`; returns where it is.
pub fn write(results: &Results, directory: &Path) -> Result<PathBuf> {
    let file = directory.join("report.html");
    let page = page(results, &history::read(), history::measured_commit().as_deref());
    fs::write(&file, page).with_context(|| format!("{} could not be written", file.display()))?;
    Ok(file)
}

fn page(results: &Results, commits: &[Commit], commit: Option<&str>) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>What Motte costs</title>\n<style>\n{COLOURS}{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    page += &introduction(results, commit);
    for (group, title, words) in GROUPS {
        page += &group_section(results, group, title, words);
    }
    page += &growth_section(results);
    page += &history_section(results, commits);
    page += &table_section(results);
    page += &method_section(results);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// The groups with bars: what is said of each.
const GROUPS: [(Group, &str, &str); 8] = [
    (
        Group::Ipc,
        "Messages and signals",
        "What a microkernel is for. Every request to a driver or to the file system is one of these.",
    ),
    (
        Group::Kernel,
        "The kernel's other work",
        "Everything that programs and servers ask of the kernel besides: memory, rights, threads.",
    ),
    (Group::Proc, "Programs", "Where the kernel only helps: a server starts programs."),
    (Group::File, "Files", "The file system is a program like any other. A request to it is a message."),
    (
        Group::Disk,
        "The disk",
        "File system, cache and disk driver are programs; what passes between them is shared, not copied.",
    ),
    (Group::Recover, "Failures", "What a component that misbehaves costs those that do not."),
    (Group::Boot, "The start", "From the first instruction to the first sign of life."),
    (Group::Size, "How much there is of it", "What is small can be understood, and checked."),
];

fn introduction(results: &Results, commit: Option<&str>) -> String {
    let mut text = String::from(
        "<h1>What Motte costs</h1>\n\
         <p class=\"lead\">Motte is a microkernel operating system: the kernel only passes messages, and drivers, file system and shell \
         are separate programs that cannot harm one another. The old objection is that all those messages must be slow. So they \
         are counted, in executed instructions, beside the same work on Linux and on seL4, on the same emulated machine.</p>\n",
    );
    if let Some(row) = find(results, FIRST) {
        text += "<div class=\"facts\">\n";
        let mut fact = |class: &str, value: u64, words: &str| {
            let _ = writeln!(
                text,
                "<div class=\"fact {class}\"><b>{}</b><span class=\"soft\">{}</span></div>",
                grouped(value),
                escape(words)
            );
        };
        fact("motte", row.figure.median, "instructions from a question to its answer, between two programs, in Motte");
        if let Some(sel4) = row.sel4.as_ref().and_then(Sel4Figure::lowest) {
            fact("", sel4, "in seL4, in its fastest build");
        }
        if let Some(linux) = row.linux.first() {
            fact("", linux.figure.min, &format!("in Linux ({})", linux.title));
        }
        text += "</div>\n";
    }
    let measured = commit.map(|commit| format!(" This is commit {commit}.")).unwrap_or_default();
    let _ = writeln!(
        text,
        "<p class=\"soft\">In all pictures shorter is better, and each has a scale of its own. The tick on Motte's bar is the aim.{} {}</p>",
        escape(&measured),
        escape(&linux_words(results))
    );
    text
}

fn linux_words(results: &Results) -> String {
    if results.linux_recorded.is_empty() {
        format!(
            "Linux is Debian's {}, measured in the same run; of it the lowest that was seen is shown.",
            results.linux_kernel
        )
    } else {
        format!(
            "Linux is Debian's {}. It was not measured in this run: the figures were recorded {}.",
            results.linux_kernel, results.linux_recorded
        )
    }
}

fn find<'a>(results: &'a Results, name: &str) -> Option<&'a Row> {
    results.rows.iter().find(|row| row.operation.name == name)
}

fn group_section(results: &Results, group: Group, title: &str, words: &str) -> String {
    let rows: Vec<&Row> = results.rows.iter().filter(|row| Group::of(row.operation.name) == Some(group)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("<h2>{title}</h2>\n<p>{words}</p>\n<div class=\"cards\">\n");
    for row in rows {
        let picture = charts::bars(row).element(&described(row));
        let _ = write!(
            text,
            "<figure>\n<h3>{}</h3>\n{picture}<figcaption>{} {}</figcaption>\n</figure>\n",
            escape(row.operation.title),
            escape(row.operation.meaning),
            escape(&remarks(row))
        );
    }
    text += "</div>\n";
    text
}

/// What the bars show, in words.
fn described(row: &Row) -> String {
    let mut text = format!("{}: Motte {} {}", row.operation.title, grouped(row.figure.median), row.unit);
    if let Some(sel4) = row.sel4.as_ref().and_then(Sel4Figure::lowest) {
        let _ = write!(text, ", seL4 {}", grouped(sel4));
    }
    if let Some(linux) = row.linux.first() {
        let _ = write!(text, ", Linux {}", grouped(linux.figure.min));
    }
    text
}

/// What is to be known about one picture.
fn remarks(row: &Row) -> String {
    let mut sentences = Vec::new();
    if row.unit != "instructions" {
        sentences.push(format!("In {}.", row.unit));
    }
    if let Some(linux) = row.linux.first() {
        let factor = times(linux.figure.min as f64, row.figure.median as f64);
        let time = row.time_ratio().map(|ratio| format!(", and {} the time", times(ratio, 1.0)));
        let what = if row.unit == "instructions" { "the instructions" } else { "as much" };
        sentences.push(format!("Linux ({}): {factor} {what}{}.", linux.title, time.unwrap_or_default()));
    }
    if let Some(Sel4Figure { note: Some(note), .. }) = &row.sel4 {
        sentences.push(format!("seL4: {note}."));
    }
    if let Some(aim) = row.limit.at_most.filter(|_| row.limit.is_missed_by(row.figure.median)) {
        sentences.push(format!("Over the aim of {}.", grouped(aim)));
    }
    sentences.join(" ")
}

fn growth_section(results: &Results) -> String {
    if results.curves.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>How costs grow</h2>\n<p>A cost that is small in a small system may not stay so. Both axes are logarithmic: a level line is \
         a cost that does not grow, and one that rises evenly to the right grows with what there is.</p>\n<div class=\"cards\">\n",
    );
    for (curve, points) in &results.curves {
        let _ = write!(
            text,
            "<figure>\n<h3>{}</h3>\n{}<figcaption>{}</figcaption>\n</figure>\n",
            escape(curve.title),
            charts::growth(curve, points).element(&format!("{}: instructions over {}", curve.title, curve.axis)),
            escape(curve.meaning)
        );
    }
    text += "</div>\n";
    text
}

fn history_section(results: &Results, commits: &[Commit]) -> String {
    if commits.is_empty() {
        return String::new();
    }
    let rows: Vec<&Row> = results.rows.iter().collect();
    let picture = charts::history(commits, &rows, &FOLLOWED);
    format!(
        "<h2>Over time</h2>\n<p>What some operations cost at each commit that changed what is accepted, and now. The vertical axis is \
         logarithmic. Point at a dot to read its commit.</p>\n<div class=\"wide\">{}</div>\n",
        picture.element("What some operations cost at each commit")
    )
}

fn table_section(results: &Results) -> String {
    let mut text = String::from(
        "<h2>All figures</h2>\n<div class=\"wide\"><table>\n<tr><th>operation</th><th>Motte</th><th>least</th><th>most</th>\
         <th>measured</th><th>aim</th><th>seL4, best</th><th>seL4, stock</th><th>Linux, least</th><th>Linux, median</th></tr>\n",
    );
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), grouped);
    for row in &results.rows {
        let linux = row.linux.first();
        let cells = [
            grouped(row.figure.median),
            grouped(row.figure.min),
            grouped(row.figure.max),
            format!("{} ×", grouped(row.figure.n)),
            number(row.limit.at_most),
            number(row.sel4.as_ref().and_then(|sel4| sel4.best)),
            number(row.sel4.as_ref().and_then(|sel4| sel4.stock)),
            number(linux.map(|linux| linux.figure.min)),
            number(linux.map(|linux| linux.figure.median)),
        ];
        let _ =
            writeln!(text, "<tr><td><code>{}</code></td><td>{}</td></tr>", row.operation.name, cells.join("</td><td>"));
    }
    text += "</table></div>\n";
    for (name, reason) in &results.skipped {
        let _ = writeln!(text, "<p class=\"soft\">Not measured: {}: {}</p>", escape(name), escape(reason));
    }
    text
}

fn method_section(results: &Results) -> String {
    format!(
        "<h2>How it is measured</h2>\n\
         <p>The machine is emulated by QEMU with <code>-M q35 -cpu max -m 512 -smp 1 -icount shift=0,sleep=off</code>: one processor whose \
         counter advances by one with each executed instruction. A count is therefore the same on every host, and is not disturbed by \
         what else the host does. The median of many is shown; the stub on the user's side is counted, on both sides. Client and server \
         are in different address spaces, and the system is the one that everybody runs, with all its checks.</p>\n\
         <p>Instructions are not time: a cache miss costs more than one. They stand for it as well as a count can. Where a time is given, it \
         is a ratio of two that were measured one after the other on the same host.</p>\n\
         <p>seL4's figures: {}</p>\n\
         <p>Linux gets the processor without fast string instructions, whose every byte the emulator counts: so it copies by \
         words, and does better here. To measure all this again: <code>cargo xtask bench</code>.</p>\n",
        escape(results.sel4_source.trim())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::example;

    #[test]
    fn the_page_stands_alone_and_shows_everything() {
        let commit = Commit {
            name: "abc1234".into(),
            day: "2026-11-01".into(),
            subject: "Shorten <it>".into(),
            costs: [(FIRST.to_owned(), 400)].into(),
        };
        let page = page(&example(), &[commit], Some("abc1234 of 2026-11-01"));
        for text in
            ["What Motte costs", "call and reply, no words", "How costs grow", "Shorten &lt;it&gt;", "Not measured"]
        {
            assert!(page.contains(text), "{text} is missing");
        }
        for outside in ["<script", "<link", "<img", "@import", "url("] {
            assert!(!page.contains(outside), "{outside} points elsewhere");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
    }
}
