//! `cargo xtask bench size`: how small the system is, as a table for the book.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;

use crate::compile::{self, Profile, System};
use crate::machine::Hardware;
use crate::prepare::{self, Tool};
use crate::session::Session;
use crate::unsafe_check::rust_files;
use crate::{elf, manifest, workspace};

/// The table's place in the book.
const PAGE: &str = "docs/book/sizes.md";
/// What the shell's log record of its first prompt says.
const PROMPT_RECORD: &str = "first prompt";

/// One row of the table.
struct Row {
    what: &'static str,
    value: u64,
    unit: &'static str,
    limit: u64,
    others: &'static str,
}

impl Row {
    const fn is_within(&self) -> bool {
        self.value <= self.limit
    }
}

/// Measures, prints the table and writes it into the book. Fails when a figure is over its limit.
pub fn size() -> Result<()> {
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem])?;
    let system = compile::system(Profile::Release, &manifest::default_path())?;
    let rows = measure(&system)?;
    let page = page(&rows);
    let file = workspace::root().join(PAGE);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&file, &page).with_context(|| format!("{PAGE} could not be written"))?;
    print!("{page}");
    let over: Vec<&str> = rows.iter().filter(|row| !row.is_within()).map(|row| row.what).collect();
    if !over.is_empty() {
        bail!("over the limit: {}", over.join("; "));
    }
    Ok(())
}

fn measure(system: &System) -> Result<Vec<Row>> {
    // As a person boots it, but for time that counts instructions.
    let disk = crate::disk::default_disk(&system.applications, crate::disk::Access::Read)?;
    let hardware = Hardware { counts_instructions: true, forgets_writes: true, ..Hardware::default() };
    let mut session = Session::boot(system, &hardware, Some(disk))?;
    let memory = memory_in_use(&session.run("free -b")?.text)?;
    let log = session.run("log")?.text;
    let nanoseconds = time_of_prompt(&log)
        .with_context(|| format!("the log has no record of the shell's `{PROMPT_RECORD}`"))?;
    let _ = session.shutdown();
    let kernel = fs::read(&system.kernel).context("the kernel could not be read")?;
    Ok(vec![
        Row {
            what: "instructions from reset to the first prompt, waits included",
            // Under `-icount shift=0` an instruction takes a nanosecond of the machine's time.
            value: nanoseconds,
            unit: "",
            limit: 200_000_000,
            others: "Linux to its first process: 1,586,000,000",
        },
        Row {
            what: "memory in use at the prompt, file cache aside",
            value: memory,
            unit: "bytes",
            limit: 24 << 20,
            others: "Linux: about 73 MiB",
        },
        Row {
            what: "the kernel's machine code",
            value: elf::code_bytes(&kernel)?,
            unit: "bytes",
            limit: 100 << 10,
            others: "",
        },
        Row {
            what: "the kernel's source without tests",
            value: kernel_lines()?,
            unit: "lines",
            limit: 9000,
            others: "seL4's build: 27,800",
        },
    ])
}

/// Used less cache, from `free -b`: the columns after the heading are total, used, free, cache, kernel.
fn memory_in_use(text: &str) -> Result<u64> {
    let cells: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("Mem:"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|cell| cell.parse().ok())
        .collect();
    let &[_, used, _, cache, ..] = cells.as_slice() else { bail!("`free -b` is not understood:\n{text}") };
    Ok(used.saturating_sub(cache))
}

/// The time of the shell's record, in nanoseconds since reset; a record begins with `[SECONDS.FRACTION]`.
fn time_of_prompt(log: &str) -> Option<u64> {
    let line = log.lines().find(|line| line.contains(PROMPT_RECORD))?;
    let stamp = line.split_once('[')?.1.split_once(']')?.0.trim();
    let (seconds, fraction) = stamp.split_once('.')?;
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    Some(
        seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 10_u64.pow(9 - digits),
    )
}

/// Lines of the kernel and of what hands over to it, without tests and without the architecture that only tests use.
fn kernel_lines() -> Result<u64> {
    let mut lines = 0;
    for folder in ["kernel/src", "boot/src"] {
        let mut files = Vec::new();
        rust_files(&workspace::root().join(folder), &mut files)?;
        for file in files {
            if !is_test_file(&file) {
                let text = fs::read_to_string(&file)?;
                lines += lines_without_tests(&text).with_context(|| format!("{}", file.display()))?;
            }
        }
    }
    Ok(lines)
}

fn is_test_file(file: &Path) -> bool {
    file.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        let name = name.strip_suffix(".rs").unwrap_or(&name);
        name == "tests" || name == "test" || name == "mock" || name.ends_with("_tests")
    })
}

/// All lines but those of items under `#[cfg(test)]`.
fn lines_without_tests(text: &str) -> Result<u64> {
    let file = syn::parse_file(text)?;
    let mut lines = text.lines().count();
    for item in &file.items {
        if attributes(item).iter().any(is_test_only) {
            let span = item.span();
            lines -= span.end().line - span.start().line + 1;
        }
    }
    Ok(lines as u64)
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test_only(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
}

/// A number with its digits in groups of three.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn page(rows: &[Row]) -> String {
    let mut page = String::from(
        "# How small it is\n\nMeasured by `cargo xtask bench size`: one processor, 512 MiB, the default system and disk, \
         QEMU with `-icount shift=0,sleep=off`, where time is the number of instructions.\n\n\
         | what | Motte | at most | elsewhere |\n|---|---:|---:|---|\n",
    );
    for row in rows {
        let unit = if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) };
        page += &format!(
            "| {} | {}{unit} | {}{unit} | {} |\n",
            row.what,
            grouped(row.value),
            grouped(row.limit),
            row.others
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompts_time_is_read_from_the_log() {
        let log = "[    0.000123] info  kernel: booted\n[    0.152000] info  shell: first prompt\n";
        assert_eq!(time_of_prompt(log), Some(152_000_000));
        assert_eq!(time_of_prompt("[ 1.5] info shell: bye\n"), None);
    }

    #[test]
    fn memory_is_used_less_cache() {
        let text = "             total        used        free       cache      kernel\nMem:    1000  400  600  100  50\n";
        assert_eq!(memory_in_use(text).unwrap(), 300);
        assert!(memory_in_use("no table").is_err());
    }

    #[test]
    fn tests_are_not_counted() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n";
        assert_eq!(lines_without_tests(text).unwrap(), 2);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_586_000_000), "1,586,000,000");
        assert_eq!(grouped(12), "12");
        assert_eq!(grouped(123_456), "123,456");
    }
}
