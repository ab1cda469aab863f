//! Executables: 64-bit x86 ELF, statically linked at fixed addresses. Nothing of the file is trusted.

use alloc::vec::Vec;
use core::fmt;

use motte_abi::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;

/// The most loadable segments.
const MAX_SEGMENTS: usize = 16;

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address in memory.
    pub address: u64,
    /// Bytes in memory.
    pub memory_size: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes in the file; the rest of the memory is zero.
    pub file_size: u64,
    /// The program may write it.
    pub writable: bool,
    /// The program may execute it.
    pub executable: bool,
}

impl Segment {
    /// The first page.
    pub const fn first_page(&self) -> u64 {
        self.address & !(PAGE - 1)
    }

    /// Pages in memory.
    pub const fn pages(&self) -> usize {
        ((self.address + self.memory_size).next_multiple_of(PAGE) - self.first_page()) as usize / PAGE_SIZE
    }
}

/// An executable, as far as loading it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// Address of the first instruction.
    pub entry: u64,
    /// What to load, by rising address.
    pub segments: Vec<Segment>,
}

/// Why a file is no executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// It does not begin as an ELF file does.
    NotElf,
    /// It is made for another machine or system: not 64-bit, little-endian x86-64.
    WrongMachine,
    /// It is not a static executable at fixed addresses.
    NotExecutable,
    /// A header or a segment reaches beyond the file's end.
    Truncated,
    /// A segment does not lie where a program may be, or overlaps another.
    BadAddress(u64),
    /// A segment is writable and executable.
    WritableCode(u64),
    /// It has no segment to load, or too many, or its entry lies in none that is executable.
    NoProgram,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("it is not an ELF file"),
            Self::WrongMachine => f.write_str("it is made for another machine than x86-64"),
            Self::NotExecutable => f.write_str("it is not a static executable"),
            Self::Truncated => f.write_str("the file is cut short"),
            Self::BadAddress(address) => write!(f, "its segment at {address:#x} lies where none may be"),
            Self::WritableCode(address) => {
                write!(f, "its segment at {address:#x} is both writable and executable")
            }
            Self::NoProgram => f.write_str("it holds no program to run"),
        }
    }
}

impl core::error::Error for ElfError {}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(ElfError::Truncated)
}

fn half(file: &[u8], at: usize) -> Result<u16, ElfError> {
    bytes(file, at).map(u16::from_le_bytes)
}

fn word(file: &[u8], at: usize) -> Result<u32, ElfError> {
    bytes(file, at).map(u32::from_le_bytes)
}

fn long(file: &[u8], at: usize) -> Result<u64, ElfError> {
    bytes(file, at).map(u64::from_le_bytes)
}

/// Type of a segment to load (ELF-64 specification, program header).
const PT_LOAD: u32 = 1;
/// Type of a segment that names a dynamic linker.
const PT_INTERP: u32 = 3;
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;

impl Elf {
    /// Reads the headers of `file`, which may be longer than what is checked here. `length`: how long the whole file is.
    pub fn parse(file: &[u8], length: u64) -> Result<Self, ElfError> {
        if file.get(..4) != Some(b"\x7fELF") {
            return Err(ElfError::NotElf);
        }
        let [class, encoding] = bytes(file, 4)?;
        let (kind, machine) = (half(file, 16)?, half(file, 18)?);
        if class != 2 || encoding != 1 || machine != 62 {
            return Err(ElfError::WrongMachine);
        }
        if kind != 2 {
            return Err(ElfError::NotExecutable);
        }
        let (entry, table) = (long(file, 24)?, long(file, 32)?);
        let (entry_size, count) = (half(file, 54)? as usize, half(file, 56)? as usize);
        let table = usize::try_from(table).map_err(|_| ElfError::Truncated)?;
        if entry_size < 56 {
            return Err(ElfError::Truncated);
        }
        let mut segments: Vec<Segment> = Vec::new();
        for index in 0..count {
            let at = index.checked_mul(entry_size).and_then(|o| o.checked_add(table)).ok_or(ElfError::Truncated)?;
            match word(file, at)? {
                PT_INTERP => return Err(ElfError::NotExecutable),
                PT_LOAD => {}
                _ => continue,
            }
            let flags = word(file, at + 4)?;
            let segment = Segment {
                offset: long(file, at + 8)?,
                address: long(file, at + 16)?,
                file_size: long(file, at + 32)?,
                memory_size: long(file, at + 40)?,
                writable: flags & WRITE != 0,
                executable: flags & EXECUTE != 0,
            };
            if segment.memory_size == 0 {
                continue;
            }
            check(&segment, length, segments.last())?;
            if segments.len() == MAX_SEGMENTS {
                return Err(ElfError::NoProgram);
            }
            segments.push(segment);
        }
        let holds_entry = |s: &Segment| s.executable && (s.address..s.address + s.memory_size).contains(&entry);
        if !segments.iter().any(holds_entry) {
            return Err(ElfError::NoProgram);
        }
        Ok(Self { entry, segments })
    }

    /// Pages that the segments take in memory.
    pub fn pages(&self) -> usize {
        self.segments.iter().map(Segment::pages).sum()
    }
}

fn check(segment: &Segment, file_length: u64, before: Option<&Segment>) -> Result<(), ElfError> {
    let bad = ElfError::BadAddress(segment.address);
    let file_end = segment.offset.checked_add(segment.file_size).ok_or(ElfError::Truncated)?;
    if file_end > file_length {
        return Err(ElfError::Truncated);
    }
    let end = segment.address.checked_add(segment.memory_size).ok_or(bad)?;
    let lowest = motte::layout::PROGRAM_ADDRESS.min(0x1_0000);
    let fits = segment.address >= lowest && end <= motte::layout::PROGRAM_END;
    let congruent = segment.address % PAGE == segment.offset % PAGE;
    let apart = before.is_none_or(|b| (b.address + b.memory_size).next_multiple_of(PAGE) <= segment.first_page());
    if !fits || !congruent || !apart || segment.file_size > segment.memory_size {
        return Err(bad);
    }
    if segment.writable && segment.executable {
        return Err(ElfError::WritableCode(segment.address));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;

    /// An executable of the given segments: (address, memory size, file size, flags); the file's pages follow one another.
    pub(crate) fn executable(segments: &[(u64, u64, u64, u32)]) -> Vec<u8> {
        let mut file = vec![0; PAGE_SIZE];
        file[..4].copy_from_slice(b"\x7fELF");
        file[4..6].copy_from_slice(&[2, 1]);
        file[16..20].copy_from_slice(&[2, 0, 62, 0]);
        file[24..32].copy_from_slice(&segments.first().map_or(0, |s| s.0).to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for (index, &(address, memory, size, flags)) in segments.iter().enumerate() {
            let at = 64 + index * 56;
            let offset = file.len() as u64 + address % PAGE;
            let mut put = |o: usize, v: u64| file[at + o..at + o + 8].copy_from_slice(&v.to_le_bytes());
            put(0, u64::from(PT_LOAD) | u64::from(flags) << 32);
            put(8, offset);
            put(16, address);
            put(32, size);
            put(40, memory);
            file.resize((offset + size).next_multiple_of(PAGE) as usize, 0x90);
        }
        file
    }

    fn parse(file: &[u8]) -> Result<Elf, ElfError> {
        Elf::parse(file, file.len() as u64)
    }

    #[test]
    fn a_program_is_read() {
        let file = executable(&[(0x40_0000, 0x1800, 0x1800, 5), (0x40_2000, 0x3000, 0x10, 6)]);
        let elf = parse(&file).unwrap();
        assert_eq!(elf.entry, 0x40_0000);
        assert_eq!(elf.segments.iter().map(Segment::pages).collect::<Vec<_>>(), [2, 3]);
        assert!(elf.segments[0].executable && elf.segments[1].writable);
    }

    #[test]
    fn what_is_no_program_is_refused_with_the_reason() {
        assert_eq!(parse(b"#!/bin/sh"), Err(ElfError::NotElf));
        assert_eq!(parse(&executable(&[])), Err(ElfError::NoProgram));
        assert_eq!(parse(&executable(&[(0x40_0000, 0x10, 0x10, 7)])), Err(ElfError::WritableCode(0x40_0000)));
        assert_eq!(parse(&executable(&[(0x40_0000, 0x10, 0x10, 4)])), Err(ElfError::NoProgram));
        let kernel = 0xffff_8000_0000_0000;
        assert_eq!(parse(&executable(&[(kernel, 0x10, 0x10, 5)])), Err(ElfError::BadAddress(kernel)));
        let overlapping = executable(&[(0x40_0000, 0x1001, 0x10, 5), (0x40_1000, 0x10, 0x10, 6)]);
        assert_eq!(parse(&overlapping), Err(ElfError::BadAddress(0x40_1000)));
        let mut other = executable(&[(0x40_0000, 0x10, 0x10, 5)]);
        other[18] = 183;
        assert_eq!(parse(&other), Err(ElfError::WrongMachine));
        let whole = executable(&[(0x40_0000, 0x2000, 0x2000, 5)]);
        assert_eq!(parse(&whole[..0x2000]), Err(ElfError::Truncated));
    }

    #[test]
    fn damage_never_panics() {
        let file = executable(&[(0x40_0000, 0x1800, 0x1800, 5), (0x40_2000, 0x3000, 0x10, 6)]);
        for length in 0..200 {
            let _ = parse(&file[..length]);
        }
        for at in 0..200 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let _ = parse(&damaged).map(|elf| elf.pages());
            }
        }
    }
}
