//! `cargo xtask bench --trace NAME`: the instructions of one operation in order, each with its function and source line, and how
//! many each function takes. The tool with which a path is kept short.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use object::{Object, ObjectSegment};

use super::motte::Motte;
use super::numbers::grouped;
use super::plugin::{Executed, Plugin};
use crate::elf::{self, Function};
use crate::lines::{self, DebugLines, own};
use crate::prepare::{self, Tool};

/// Of more instructions than this only the sums are printed.
const MOST_PRINTED: usize = 100_000;
/// The kernel, among programs.
const KERNEL: &str = "kernel";

/// Where an instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The program, or the kernel.
    program: String,
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
    let trace = motte.trace(operation, &plugin)?;
    let executed: Vec<&Executed> = trace.executed().collect();
    let files =
        motte.programs()?.into_iter().map(|(name, path)| Ok((name, read(&path)?))).collect::<Result<Vec<_>>>()?;
    let programs = files.iter().map(|(name, file)| Code::parse(name, file)).collect::<Result<Vec<_>>>()?;
    let file = read(motte.kernel())?;
    let kernel = Code::parse(KERNEL, &file)?;
    let stretches: Vec<&[&Executed]> = executed.chunk_by(|a, b| is_kernel(a) == is_kernel(b)).collect();
    let owners = owners(&stretches, &kernel, &programs);
    let mut places: HashMap<(Option<&str>, u64), Rc<Place>> = HashMap::new();
    let mut traced: Vec<(&Executed, Rc<Place>)> = Vec::with_capacity(executed.len());
    for (stretch, owner) in stretches.iter().zip(owners) {
        for &executed in *stretch {
            let known = places.entry((owner.map(|code| code.name), executed.address));
            traced.push((executed, known.or_insert_with(|| Rc::new(place(executed, owner))).clone()));
        }
    }
    print!("{}", text(operation, &traced));
    Ok(())
}

fn read(program: &Path) -> Result<Vec<u8>> {
    std::fs::read(program).with_context(|| format!("{} could not be read", program.display()))
}

/// The upper half of the address space is the kernel's.
const fn is_kernel(executed: &Executed) -> bool {
    executed.address >> 63 == 1
}

/// Who executed each stretch between two changes of side. All programs lie at the same addresses: it is one that has these
/// instructions there. Where several have, for a stretch is short, it is the one that is seen most elsewhere.
fn owners<'c, 'a>(
    stretches: &[&[&Executed]],
    kernel: &'c Code<'a>,
    programs: &'c [Code<'a>],
) -> Vec<Option<&'c Code<'a>>> {
    let candidates: Vec<Vec<&Code>> = stretches
        .iter()
        .map(|stretch| {
            if is_kernel(stretch[0]) {
                return vec![kernel];
            }
            programs.iter().filter(|program| stretch.iter().all(|executed| program.has(executed))).collect()
        })
        .collect();
    let mut certain: BTreeMap<&str, usize> = BTreeMap::new();
    for (stretch, candidates) in stretches.iter().zip(&candidates) {
        if let [only] = candidates[..] {
            *certain.entry(only.name).or_default() += stretch.len();
        }
    }
    let seen = |code: &&Code| certain.get(code.name).copied().unwrap_or(0);
    candidates.into_iter().map(|candidates| candidates.into_iter().max_by_key(seen)).collect()
}

fn place(executed: &Executed, code: Option<&Code>) -> Place {
    code.map_or_else(
        || Place { program: "?".into(), function: "?".into(), compiled: "?".into(), line: String::new() },
        |code| code.place(executed.address),
    )
}

/// A program that knows of its instructions where they come from.
struct Code<'a> {
    name: &'a str,
    segments: Vec<(u64, &'a [u8])>,
    functions: Vec<Function>,
    lines: DebugLines<'a>,
}

impl<'a> Code<'a> {
    fn parse(name: &'a str, program: &'a [u8]) -> Result<Self> {
        let elf = object::File::parse(program).with_context(|| format!("{name} is not understood"))?;
        let lines = lines::read(&elf)?;
        let segments = elf.segments().filter_map(|segment| Some((segment.address(), segment.data().ok()?))).collect();
        Ok(Self { name, segments, functions: elf::functions(program)?, lines })
    }

    /// Whether it has this instruction at this address.
    fn has(&self, executed: &Executed) -> bool {
        self.segments.iter().any(|&(address, data)| {
            let offset = executed.address.checked_sub(address).and_then(|offset| usize::try_from(offset).ok());
            offset.and_then(|offset| data.get(offset..)).is_some_and(|code| code.starts_with(&executed.bytes))
        })
    }

    fn place(&self, address: u64) -> Place {
        let program = self.name.to_owned();
        let after = self.functions.partition_point(|function| function.address <= address);
        let compiled = after.checked_sub(1).map_or_else(|| "?".to_owned(), |index| self.functions[index].name.clone());
        // From the innermost inlined function to the one that was compiled, the first of the project's own.
        let mut frames = self.lines.find_frames(address).skip_all_loads().ok();
        while let Some(Ok(Some(frame))) = frames.as_mut().map(|frames| frames.next()) {
            let Some(location) = frame.location else { continue };
            let Some(file) = location.file.and_then(own) else { continue };
            let function = frame.function.and_then(|function| Some(plain(&function.raw_name().ok()?)));
            let line = format!("{file}:{}", location.line.unwrap_or(0));
            return Place { program, function: function.unwrap_or_else(|| compiled.clone()), compiled, line };
        }
        Place { program, function: compiled.clone(), compiled, line: String::new() }
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

/// All that is printed.
fn text(operation: &str, traced: &[(&Executed, Rc<Place>)]) -> String {
    let mut text = format!("{operation}: {} instructions\n\n", grouped(traced.len() as u64));
    if traced.len() <= MOST_PRINTED {
        print_instructions(&mut text, traced);
    }
    text += "\nby program:\n";
    text += &sums(traced, |_| String::new());
    text += "\nby function in whose source they are written:\n";
    text += &sums(traced, |place| {
        let file = place.line.rsplit_once(':').map_or("", |(file, _)| file);
        format!("{}  {file}", place.function)
    });
    text += "\nby function that they were compiled into:\n";
    text += &sums(traced, |place| place.compiled.clone());
    text
}

/// Each instruction, with its place where that differs from the one before.
fn print_instructions(text: &mut String, traced: &[(&Executed, Rc<Place>)]) {
    let width = traced.iter().map(|(_, place)| place.program.len()).max().unwrap_or(0);
    let mut last = None;
    for (index, (executed, place)) in traced.iter().enumerate() {
        let Executed { address, text: code, .. } = executed;
        let _ = write!(text, "{:>6} {:<width$} {address:>16x}  {code:<44}", index + 1, place.program);
        if last.is_none_or(|last: &Rc<Place>| **last != **place) {
            let _ = write!(text, " {}  {}", place.function, place.line);
        }
        last = Some(place);
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
}

/// How many instructions each program or function has, most first.
fn sums(traced: &[(&Executed, Rc<Place>)], function: impl Fn(&Place) -> String) -> String {
    let width = traced.iter().map(|(_, place)| place.program.len()).max().unwrap_or(0);
    let mut places: HashMap<*const Place, (&Place, u64)> = HashMap::new();
    for (_, place) in traced {
        places.entry(Rc::as_ptr(place)).or_insert((place, 0)).1 += 1;
    }
    let mut counts: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for (place, count) in places.into_values() {
        *counts.entry((&place.program, function(place))).or_default() += count;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    let mut text = String::new();
    for ((program, name), count) in counts {
        let share = count * 100 / traced.len().max(1) as u64;
        let line = format!("{:>9} {share:>3} %  {program:<width$} {name}", grouped(count));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(address: u64, bytes: &[u8], text: &str) -> Executed {
        Executed { address, bytes: bytes.to_vec(), text: text.to_owned() }
    }

    fn place(program: &str, function: &str, compiled: &str, line: &str) -> Place {
        Place { program: program.into(), function: function.into(), compiled: compiled.into(), line: line.into() }
    }

    #[test]
    fn a_place_is_said_once_and_functions_are_summed() {
        let code = [
            executed(0x40_1000, &[0x0f, 5], "syscall"),
            executed(u64::MAX - 9, &[0x0f, 1, 0xf8], "swapgs"),
            executed(u64::MAX - 6, &[0x90], "nop"),
        ];
        let entry = Rc::new(place(KERNEL, "load", "entry", "kernel/src/entry.rs:7"));
        let call = Rc::new(place("bench", "call", "main", "lib/call.rs:3"));
        let traced = [(&code[0], call), (&code[1], entry.clone()), (&code[2], entry)];
        let text = text("ipc/signal", &traced);
        assert!(text.starts_with("ipc/signal: 3 instructions\n"), "{text}");
        assert_eq!(text.matches("kernel/src/entry.rs:7").count(), 1);
        for sum in [
            "by program:\n        2  66 %  kernel\n        1  33 %  bench\n",
            "        2  66 %  kernel load  kernel/src/entry.rs\n        1  33 %  bench  call  lib/call.rs\n",
            "        2  66 %  kernel entry\n        1  33 %  bench  main\n",
        ] {
            assert!(text.contains(sum), "{sum} is missing:\n{text}");
        }
    }

    #[test]
    fn an_instruction_of_this_program_has_its_function_and_line() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let functions = elf::functions(&own).unwrap();
        let this = functions.iter().find(|function| function.name.ends_with("trace::plain")).unwrap();
        let code = [Code::parse("xtask", &own).unwrap()];
        let place = code[0].place(this.address);
        assert!(place.compiled.ends_with("trace::plain"), "{place:?}");
        assert!(place.line.starts_with("xtask/src/bench/trace.rs:"), "{place:?}");

        let (address, data) = code[0].segments.iter().find(|(_, data)| data.len() > 16).unwrap();
        let ours = executed(*address + 8, &data[8..12], "");
        let other = executed(*address + 8, &[!data[8]], "");
        let both = [&ours, &other];
        let found = owners(&[&both[..1], &both], &code[0], &code);
        assert_eq!(found.iter().map(|owner| owner.map(|code| code.name)).collect::<Vec<_>>(), [Some("xtask"), None]);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(plain("leave<motte_kernel::arch::x86_64::X86>"), "leave");
        assert_eq!(plain("<impl at x>"), "<impl at x>");
    }
}
