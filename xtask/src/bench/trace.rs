//! `cargo xtask bench --trace NAME`: the instructions of one operation in order, each with its function and source line, and how
//! many each function takes. The tool with which a path is kept short.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use addr2line::Context as Lines;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use anyhow::{Context, Result};
use object::{Object, ObjectSection};

use super::motte::Motte;
use super::numbers::grouped;
use super::plugin::{Executed, Plugin};
use crate::elf::{self, Function};
use crate::prepare::{self, Tool};
use crate::workspace;

/// Where an instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Whether it belongs to the kernel.
    is_kernel: bool,
    /// The function in whose source it is written. What it takes from the language's own library counts as its own.
    function: String,
    /// The function that it was compiled into.
    compiled: String,
    /// File and line.
    line: String,
}

/// Traces one operation and prints what was executed.
pub fn run(operation: &str) -> Result<()> {
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem])?;
    let plugin = Plugin::prepare().context("nothing can be traced, for the plugin cannot be used")?;
    let motte = Motte::prepare()?;
    let executed = motte.trace(operation, &plugin)?;
    let (kernel, program) = motte.programs();
    let (kernel, program) = (read(kernel)?, read(&program)?);
    let (kernel, program) = (Code::parse(&kernel)?, Code::parse(&program)?);
    let place = |executed: &Executed| {
        // The upper half of the address space is the kernel's.
        let is_kernel = executed.address >> 63 == 1;
        let code = if is_kernel { &kernel } else { &program };
        code.place(executed.address, is_kernel)
    };
    let traced: Vec<(&Executed, Place)> =
        executed.iter().map(|executed| (executed, place(executed))).collect();
    print!("{}", text(operation, &traced));
    Ok(())
}

fn read(program: &Path) -> Result<Vec<u8>> {
    std::fs::read(program).with_context(|| format!("{} could not be read", program.display()))
}

/// A program that knows of its instructions where they come from.
struct Code<'a> {
    functions: Vec<Function>,
    lines: Lines<EndianSlice<'a, LittleEndian>>,
}

impl<'a> Code<'a> {
    fn parse(program: &'a [u8]) -> Result<Self> {
        let elf = object::File::parse(program)?;
        let section = |id: SectionId| -> Result<_> {
            let data = elf.section_by_name(id.name()).and_then(|section| section.data().ok());
            Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
        };
        let lines = Lines::from_dwarf(Dwarf::load(section)?)?;
        Ok(Self { functions: elf::functions(program)?, lines })
    }

    fn place(&self, address: u64, is_kernel: bool) -> Place {
        let after = self.functions.partition_point(|function| function.address <= address);
        let compiled =
            after.checked_sub(1).map_or_else(|| "?".to_owned(), |index| self.functions[index].name.clone());
        // From the innermost inlined function to the one that was compiled, the first of the project's own.
        let mut frames = self.lines.find_frames(address).skip_all_loads().ok();
        while let Some(Ok(Some(frame))) = frames.as_mut().map(|frames| frames.next()) {
            let Some(location) = frame.location else { continue };
            let Some(file) = location.file.and_then(own) else { continue };
            let function = frame.function.and_then(|function| Some(plain(&function.raw_name().ok()?)));
            let line = format!("{file}:{}", location.line.unwrap_or(0));
            return Place {
                is_kernel,
                function: function.unwrap_or_else(|| compiled.clone()),
                compiled,
                line,
            };
        }
        Place { is_kernel, function: compiled.clone(), compiled, line: String::new() }
    }
}

/// A function's name as in the source, without what it is generic over.
fn plain(mangled: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(mangled));
    match name.find('<') {
        Some(at) if at > 0 => name[..at].to_owned(),
        _ => name,
    }
}

/// A file of the project, from its root.
fn own(file: &str) -> Option<&str> {
    Some(file.strip_prefix(workspace::root().to_str()?)?.trim_start_matches('/'))
}

/// All that is printed.
fn text(operation: &str, traced: &[(&Executed, Place)]) -> String {
    let kernel = traced.iter().filter(|(_, place)| place.is_kernel).count();
    let mut text = format!(
        "{operation}: {} instructions, {} of the kernel's and {} of programs'\n\n",
        grouped(traced.len() as u64),
        grouped(kernel as u64),
        grouped((traced.len() - kernel) as u64)
    );
    let mut last = None;
    for (index, (executed, place)) in traced.iter().enumerate() {
        let side = if place.is_kernel { "kernel" } else { "user" };
        let _ = write!(text, "{:>6} {side:<6} {:>16x}  {:<44}", index + 1, executed.address, executed.text);
        if last != Some(place) {
            let _ = write!(text, " {}  {}", place.function, place.line);
        }
        last = Some(place);
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    text += "\nby function in whose source they are written:\n";
    text += &sums(traced, |place| {
        let file = place.line.rsplit_once(':').map_or("", |(file, _)| file);
        format!("{}  {file}", place.function)
    });
    text += "\nby function that they were compiled into:\n";
    text += &sums(traced, |place| place.compiled.clone());
    text
}

/// How many instructions each function has, most first.
fn sums(traced: &[(&Executed, Place)], function: impl Fn(&Place) -> String) -> String {
    let mut counts: BTreeMap<(bool, String), u64> = BTreeMap::new();
    for (_, place) in traced {
        *counts.entry((place.is_kernel, function(place))).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    let mut text = String::new();
    for ((is_kernel, name), count) in counts {
        let share = count * 100 / traced.len().max(1) as u64;
        let side = if is_kernel { "kernel" } else { "user" };
        let _ = writeln!(text, "{:>7} {share:>3} %  {side:<6} {}", grouped(count), name.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(address: u64, text: &str) -> Executed {
        Executed { address, text: text.to_owned() }
    }

    fn place(is_kernel: bool, function: &str, compiled: &str, line: &str) -> Place {
        Place { is_kernel, function: function.into(), compiled: compiled.into(), line: line.into() }
    }

    #[test]
    fn a_place_is_said_once_and_functions_are_summed() {
        let code = [
            executed(0x40_1000, "syscall"),
            executed(u64::MAX - 9, "swapgs"),
            executed(u64::MAX - 6, "movq %rsp, %gs:8"),
        ];
        let entry = place(true, "load", "entry", "kernel/src/entry.rs:7");
        let traced = [
            (&code[0], place(false, "call", "main", "lib/call.rs:3")),
            (&code[1], entry.clone()),
            (&code[2], entry),
        ];
        let text = text("ipc/signal", &traced);
        assert!(
            text.starts_with("ipc/signal: 3 instructions, 2 of the kernel's and 1 of programs'\n"),
            "{text}"
        );
        assert_eq!(text.matches("kernel/src/entry.rs:7").count(), 1);
        assert!(
            text.contains(
                "      2  66 %  kernel load  kernel/src/entry.rs\n      1  33 %  user   call  lib/call.rs\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("      2  66 %  kernel entry\n      1  33 %  user   main\n"), "{text}");
    }

    #[test]
    fn an_address_of_this_program_has_its_function_and_line() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let functions = elf::functions(&own).unwrap();
        let this = functions.iter().find(|function| function.name.ends_with("trace::own")).unwrap();
        let place = Code::parse(&own).unwrap().place(this.address, false);
        assert!(place.compiled.ends_with("trace::own"), "{place:?}");
        assert!(place.line.starts_with("xtask/src/bench/trace.rs:"), "{place:?}");
    }

    #[test]
    fn names_are_plain_and_files_begin_at_the_root() {
        assert_eq!(plain("leave<motte_kernel::arch::x86_64::X86>"), "leave");
        assert_eq!(plain("<impl at x>"), "<impl at x>");
        let file = workspace::root().join("kernel/src/main.rs");
        assert_eq!(own(&file.to_string_lossy()), Some("kernel/src/main.rs"));
        assert_eq!(own("/rustc/0123/library/core/src/ptr/mod.rs"), None);
    }
}
