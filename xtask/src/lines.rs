//! Which line of the source an instruction comes from, as a program's debug information says.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use addr2line::Context as Lines;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use anyhow::{Context, Result};
use motte_abi::lines::{self, Row};
use object::{Object, ObjectSection};

use crate::workspace;

/// What a program's debug information says of lines.
pub type DebugLines<'a> = Lines<EndianSlice<'a, LittleEndian>>;

/// Reads a program's debug information.
pub fn read<'a>(elf: &object::File<'a>) -> Result<DebugLines<'a>> {
    let section = |id: SectionId| -> Result<_> {
        let data = elf.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    };
    Ok(Lines::from_dwarf(Dwarf::load(section)?)?)
}

/// A file of the project, from its root.
pub fn own(file: &str) -> Option<&str> {
    Some(file.strip_prefix(workspace::root().to_str()?)?.trim_start_matches('/'))
}

/// A file as a record names it: one of the project from its root, one of a library from the library's folder.
fn short(file: &str) -> &str {
    let after = |mark: &str| file.split_once(mark).map(|(_, rest)| rest);
    let in_registry = || after("/registry/src/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    own(file).or_else(in_registry).or_else(|| after("/library/")).unwrap_or(file)
}

/// The file and line to name for an address: of the functions that were compiled into one there, the innermost of the project's own, or that one
/// itself.
fn place<'l>(lines: &'l DebugLines<'_>, address: u64) -> Option<(&'l str, u32)> {
    let mut frames = lines.find_frames(address).skip_all_loads().ok()?;
    let mut found = None;
    while let Ok(Some(frame)) = frames.next() {
        let Some((file, line)) = frame.location.and_then(|location| Some((location.file?, location.line?))) else {
            continue;
        };
        found = Some((file, line));
        if own(file).is_some() {
            break;
        }
    }
    found
}

/// The line table of a program, in the format of [`motte_abi::lines`].
pub fn table(program: &[u8]) -> Result<Vec<u8>> {
    let elf = object::File::parse(program).context("the program is not understood")?;
    let lines = read(&elf)?;
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut files: Vec<&str> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |address, place| {
        if rows.last().is_none_or(|&(_, last)| last != place) {
            rows.push((address, place));
        }
    };
    let mut end = 0;
    // Each compilation unit's are in order, the units are not.
    let mut locations: Vec<_> = lines.find_location_range(1, u64::MAX)?.collect();
    locations.sort_by_key(|&(address, ..)| address);
    for (address, length, location) in locations {
        if address < end {
            continue;
        }
        if address > end {
            add(end, None);
        }
        let exact = location.file.zip(location.line).filter(|(file, _)| own(file).is_some());
        let place = exact.or_else(|| place(&lines, address)).map(|(file, line)| {
            let file = short(file);
            let number = *numbers.entry(file).or_insert_with(|| {
                files.push(file);
                files.len() - 1
            });
            (number, line)
        });
        add(address, place);
        end = address + length;
    }
    add(end, None);
    let mut bytes = Vec::new();
    lines::encode(files.iter().copied(), &rows, |piece| bytes.extend_from_slice(piece));
    Ok(bytes)
}

/// [`table`] of a program that lies in a file, kept in another beside it until the program is built anew.
pub fn kept_table(path: &Path, program: &[u8]) -> Result<Vec<u8>> {
    let kept = path.with_extension("lines");
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    if let (Ok(of_program), Ok(of_table)) = (time(path), time(&kept))
        && of_table > of_program
        && let Ok(table) = fs::read(&kept)
    {
        return Ok(table);
    }
    let table = table(program).with_context(|| format!("the lines of {}", path.display()))?;
    fs::write(&kept, &table).with_context(|| format!("{} could not be written", kept.display()))?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    #[test]
    fn a_function_of_this_program_has_its_file_and_line() {
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let functions = elf::functions(&program).unwrap();
        let this = functions.iter().find(|function| function.name.ends_with("lines::table")).unwrap();
        let table = table(&program).unwrap();
        let line = lines::Lines::parse(&table).unwrap().find(this.address).unwrap();
        assert_eq!(line.file, "xtask/src/lines.rs");
        let source = fs::read_to_string(workspace::root().join(line.file)).unwrap();
        assert!(source.lines().nth(line.line as usize - 1).unwrap().contains("fn table"), "{line}");
    }

    #[test]
    fn files_are_named_from_where_a_reader_knows_them() {
        let file = workspace::root().join("kernel/src/main.rs");
        assert_eq!(short(&file.to_string_lossy()), "kernel/src/main.rs");
        assert_eq!(short("/x/registry/src/index.crates.io-1/smoltcp-0.14.0/src/lib.rs"), "smoltcp-0.14.0/src/lib.rs");
        assert_eq!(short("/rustc/0123/library/core/src/ptr/mod.rs"), "core/src/ptr/mod.rs");
        assert_eq!(short("entry.s"), "entry.s");
    }
}
