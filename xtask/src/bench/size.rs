//! How small the system is: from reset to the prompt, memory in use, the kernel's code and source. The default system, as a person
//! boots it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;

use super::operations::Group;
use super::protocol::Figure;
use crate::compile::{self, Profile, System};
use crate::machine::Hardware;
use crate::progress::Progress;
use crate::session::Session;
use crate::unsafe_check::rust_files;
use crate::{elf, manifest, workspace};

/// What the shell's log record of its first prompt says.
const PROMPT_RECORD: &str = "first prompt";

/// Measures those of the groups `boot` and `size` that are asked for.
pub fn measure(groups: &[Group]) -> Result<BTreeMap<String, Figure>> {
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value| figures.insert(name.to_owned(), Figure::once(value));
    if !groups.iter().any(|group| matches!(group, Group::Boot | Group::Size)) {
        return Ok(figures);
    }
    let system = compile::system(Profile::Release, &manifest::default_path())?;
    let (prompt, memory) = at_the_prompt(&system)?;
    if groups.contains(&Group::Boot) {
        add("boot/prompt", prompt);
    }
    if groups.contains(&Group::Size) {
        let kernel = fs::read(&system.kernel).context("the kernel could not be read")?;
        add("size/memory", memory);
        add("size/kernel_code", elf::code_bytes(&kernel)?);
        add("size/kernel_lines", kernel_lines()?);
    }
    Ok(figures)
}

/// Instructions from reset to the first prompt, and bytes of memory in use there.
fn at_the_prompt(system: &System) -> Result<(u64, u64)> {
    let _progress = Progress::spinner("measuring the way to the prompt");
    let disk = crate::disk::default_disk(&system.applications, crate::disk::Access::Read)?;
    let hardware = Hardware { counts_instructions: true, forgets_writes: true, ..Hardware::default() };
    let mut session = Session::boot(system, &hardware, Some(disk))?;
    let memory = memory_in_use(&session.run("free -b")?.text)?;
    let log = session.run("log")?.text;
    // Under `-icount shift=0` an instruction takes a nanosecond of the machine's time.
    let instructions =
        time_of_prompt(&log).with_context(|| format!("the log has no record of the shell's `{PROMPT_RECORD}`"))?;
    let _ = session.shutdown();
    Ok((instructions, memory))
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
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 10_u64.pow(9 - digits))
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
        let text =
            "             total        used        free       cache      kernel\nMem:    1000  400  600  100  50\n";
        assert_eq!(memory_in_use(text).unwrap(), 300);
        assert!(memory_in_use("no table").is_err());
    }

    #[test]
    fn tests_are_not_counted() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n";
        assert_eq!(lines_without_tests(text).unwrap(), 2);
    }
}
