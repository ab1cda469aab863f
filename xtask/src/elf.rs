//! What the boot image takes from a program's file: its loadable part and a compact symbol table.

use anyhow::{Context, Result, bail};
use motte_abi::symbols;
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind, SymbolKind};

/// Where the ELF header says how large it is, and where its section table is (ELF-64, "File header").
const SECTION_TABLE_OFFSET: std::ops::Range<usize> = 0x28..0x30;
const SECTION_TABLE_SIZES: std::ops::Range<usize> = 0x3a..0x40;

fn parse(program: &[u8]) -> Result<ElfFile64<'_, Endianness>> {
    ElfFile64::parse(program).context("not an ELF program for a 64-bit machine")
}

/// The program without debug information, symbols and section table: only what is loaded.
pub fn loadable(program: &[u8]) -> Result<Vec<u8>> {
    let elf = parse(program)?;
    let end = elf.segments().map(|segment| segment.file_range()).map(|(at, size)| at + size).max();
    let Some(end) = end else { bail!("the program has nothing to load") };
    let mut bytes = program.get(..usize::try_from(end)?).context("the program's file is cut short")?.to_vec();
    if bytes.len() < SECTION_TABLE_SIZES.end {
        bail!("the program's file is cut short");
    }
    bytes[SECTION_TABLE_OFFSET].fill(0);
    bytes[SECTION_TABLE_SIZES].fill(0);
    Ok(bytes)
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it begins.
    pub address: u64,
    /// Its bytes; 0 for hand-written assembly, which has no sizes.
    pub size: u64,
    /// Its name as in the source.
    pub name: String,
}

/// The functions of a program, by address.
pub fn functions(program: &[u8]) -> Result<Vec<Function>> {
    let elf = parse(program)?;
    let mut functions: Vec<Function> = elf
        .symbols()
        .filter(|symbol| is_function(&elf, symbol))
        .filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            let name = format!("{:#}", rustc_demangle::demangle(name));
            Some(Function { address: symbol.address(), size: symbol.size(), name })
        })
        .collect();
    // Of several symbols at one address the largest names the function.
    functions.sort_by(|a, b| (a.address, b.size, &a.name).cmp(&(b.address, a.size, &b.name)));
    functions.dedup_by_key(|function| function.address);
    Ok(functions)
}

/// Whether a symbol names a function, or a label in hand-written assembly.
fn is_function(elf: &ElfFile64<'_, Endianness>, symbol: &ElfSymbol64<'_, '_, Endianness>) -> bool {
    let is_in_code = || {
        let section = symbol.section_index().and_then(|index| elf.section_by_index(index).ok());
        section.is_some_and(|section| section.kind() == SectionKind::Text)
    };
    match symbol.kind() {
        SymbolKind::Text => symbol.is_definition(),
        SymbolKind::Unknown | SymbolKind::Label => is_in_code(),
        _ => false,
    }
}

/// The symbol table of a program, in the format of [`motte_abi::symbols`].
pub fn symbol_table(program: &[u8]) -> Result<Vec<u8>> {
    let functions = functions(program)?;
    let mut records: Vec<(u64, &str)> = Vec::with_capacity(functions.len() * 2);
    for (index, Function { address, size, name }) in functions.iter().enumerate() {
        records.push((*address, name));
        let next = functions.get(index + 1).map_or(u64::MAX, |function| function.address);
        // Hand-written assembly has no sizes: such a function reaches to the next one.
        if *size > 0 && address + size < next {
            records.push((address + size, ""));
        }
    }
    let mut table = Vec::new();
    symbols::encode(records.into_iter(), |piece| table.extend_from_slice(piece));
    Ok(table)
}

/// Bytes of machine code in a program.
pub fn code_bytes(program: &[u8]) -> Result<u64> {
    let elf = parse(program)?;
    Ok(elf.sections().filter(|section| section.kind() == SectionKind::Text).map(|section| section.size()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn the_loadable_part_still_has_its_segments_and_no_sections() {
        let program = own_program();
        let small = loadable(&program).unwrap();
        assert!(small.len() < program.len());
        let elf = parse(&small).unwrap();
        assert_eq!(elf.segments().count(), parse(&program).unwrap().segments().count());
        assert_eq!(elf.entry(), parse(&program).unwrap().entry());
        assert_eq!(elf.sections().count(), 0);
    }

    #[test]
    fn the_symbol_table_names_a_function_of_this_program() {
        let program = own_program();
        let table = symbol_table(&program).unwrap();
        let symbols = symbols::Symbols::parse(&table).unwrap();
        let elf = parse(&program).unwrap();
        let this = elf
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains("symbol_table")) && symbol.size() > 0)
            .unwrap();
        let found = symbols.find(this.address() + 1).unwrap();
        assert!(found.name.contains("symbol_table"), "{found}");
        assert!(code_bytes(&program).unwrap() > 1000);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(loadable(b"#!/bin/sh\n").is_err());
        assert!(symbol_table(b"").is_err());
    }
}
