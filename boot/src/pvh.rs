//! The PVH boot protocol: how `qemu -kernel` starts an ELF kernel.
//!
//! The processor arrives in 32-bit protected mode, paging off, at the address of the ELF note
//! `XEN_ELFNOTE_PHYS32_ENTRY`, with `ebx` holding the physical address of `hvm_start_info`. The layouts are those of
//! Xen's `public/arch-x86/hvm/start_info.h`.

use crate::handover::Handover;
use crate::ranges::Range;
use crate::{PhysicalMemory, u32_at, u64_at};

/// First word of `hvm_start_info`.
pub const START_MAGIC: u32 = 0x336e_c578;

const START_INFO_BYTES: usize = 56;
const MODULE_BYTES: u64 = 32;
const MAP_ENTRY_BYTES: u64 = 24;
const COMMAND_LINE_LIMIT: usize = 4096;
const PAGE: u64 = 4096;

/// Types of the memory map, the same as those of E820.
const TYPE_RAM: u32 = 1;
const TYPE_ACPI: u32 = 3;
const TYPE_ACPI_STORAGE: u32 = 4;

/// Why what the boot loader left cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PvhError {
    /// The start information cannot be reached or does not begin with its magic number.
    NoStartInfo,
    /// The loader gave no memory map (version 0 of the protocol).
    NoMemoryMap,
    /// The memory map cannot be reached, or has more ranges than the kernel can keep.
    BadMemoryMap,
}

impl core::fmt::Display for PvhError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoStartInfo => "the boot loader left no PVH start information",
            Self::NoMemoryMap => "the boot loader gave no memory map",
            Self::BadMemoryMap => "the boot loader's memory map cannot be read",
        })
    }
}

/// Reads the start information at a physical address.
pub fn read(memory: &impl PhysicalMemory, start_info: u64) -> Result<Handover, PvhError> {
    let info = memory.bytes(start_info, START_INFO_BYTES).ok_or(PvhError::NoStartInfo)?;
    let word = |at| u32_at(info, at).unwrap_or(0);
    let double = |at| u64_at(info, at).unwrap_or(0);
    if word(0) != START_MAGIC {
        return Err(PvhError::NoStartInfo);
    }
    let (version, modules, module_list) = (word(4), word(12), double(16));
    let (command_line, acpi_root) = (double(24), double(32));
    let (map, map_entries) = (double(40), word(48));
    if version == 0 || map == 0 {
        return Err(PvhError::NoMemoryMap);
    }
    let mut handover = Handover { acpi_root, ..Handover::default() };
    read_map(memory, map, map_entries, &mut handover).ok_or(PvhError::BadMemoryMap)?;
    if modules > 0 {
        handover.image = read_module(memory, module_list);
    }
    handover.command_line = read_command_line(memory, command_line);
    Ok(handover)
}

fn read_map(memory: &impl PhysicalMemory, map: u64, entries: u32, handover: &mut Handover) -> Option<()> {
    let entry = |index: u32| {
        let raw = memory.bytes(map.checked_add(u64::from(index) * MAP_ENTRY_BYTES)?, MAP_ENTRY_BYTES as usize)?;
        Some((Range::sized(u64_at(raw, 0)?, u64_at(raw, 8)?), u32_at(raw, 16)?))
    };
    for index in 0..entries {
        let (range, kind) = entry(index)?;
        match kind {
            TYPE_RAM => handover.ram.insert(range.inward(PAGE)).ok()?,
            TYPE_ACPI | TYPE_ACPI_STORAGE => handover.firmware.insert(range.outward(PAGE)).ok()?,
            _ => {}
        }
    }
    // A page that something else has a part of is not free.
    for index in 0..entries {
        let (range, kind) = entry(index)?;
        if kind != TYPE_RAM && !range.is_empty() {
            handover.ram.remove(range.outward(PAGE)).ok()?;
        }
    }
    Some(())
}

fn read_module(memory: &impl PhysicalMemory, list: u64) -> Option<Range> {
    let raw = memory.bytes(list, MODULE_BYTES as usize)?;
    let range = Range::sized(u64_at(raw, 0)?, u64_at(raw, 8)?);
    if range.is_empty() { None } else { Some(range) }
}

fn read_command_line(memory: &impl PhysicalMemory, address: u64) -> Option<Range> {
    if address == 0 {
        return None;
    }
    let length = (0..COMMAND_LINE_LIMIT)
        .find(|&at| memory.bytes(address.wrapping_add(at as u64), 1).is_none_or(|byte| byte[0] == 0))
        .unwrap_or(COMMAND_LINE_LIMIT);
    if length == 0 { None } else { Some(Range::sized(address, length as u64)) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::test_memory::Pieces;
    use std::vec::Vec;

    fn start_info(map_entries: u32) -> Vec<u8> {
        let mut info = Vec::new();
        for word in [START_MAGIC, 1, 0, 1] {
            info.extend(word.to_le_bytes());
        }
        for address in [0x2000_u64, 0x3000, 0xf_5000, 0x4000] {
            info.extend(address.to_le_bytes());
        }
        info.extend(map_entries.to_le_bytes());
        info.extend(0_u32.to_le_bytes());
        info
    }

    fn machine(map: &[(u64, u64, u32)]) -> Pieces {
        let mut entries = Vec::new();
        for &(address, size, kind) in map {
            entries.extend(address.to_le_bytes());
            entries.extend(size.to_le_bytes());
            entries.extend(u64::from(kind).to_le_bytes());
        }
        let module: Vec<u8> = [0x10_0000_u64, 0x5000, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect();
        Pieces(std::vec![
            (0x1000, start_info(map.len() as u32)),
            (0x2000, module),
            (0x3000, b"quiet run=sh\0rest".to_vec()),
            (0x4000, entries),
        ])
    }

    #[test]
    fn the_start_information_is_read_whole() {
        let map = [(0, 0x9fc00, 1), (0x9fc00, 0x400, 2), (0x10_0000, 0x7ee_0000, 1), (0x7fe_0000, 0x2_0000, 3)];
        let handover = read(&machine(&map), 0x1000).unwrap();
        assert_eq!(handover.ram.as_slice(), [Range::new(0, 0x9f000), Range::new(0x10_0000, 0x7fe_0000)]);
        assert_eq!(handover.firmware.as_slice(), [Range::new(0x7fe_0000, 0x800_0000)]);
        assert_eq!(handover.image, Some(Range::new(0x10_0000, 0x10_5000)));
        assert_eq!(handover.command_line, Some(Range::new(0x3000, 0x300c)));
        assert_eq!(handover.acpi_root, 0xf_5000);
    }

    #[test]
    fn memory_that_is_also_reserved_is_not_free() {
        let handover = read(&machine(&[(0, 0x10000, 1), (0x4010, 0x10, 2)]), 0x1000).unwrap();
        assert_eq!(handover.ram.as_slice(), [Range::new(0, 0x4000), Range::new(0x5000, 0x10000)]);
    }

    #[test]
    fn a_missing_or_strange_start_information_is_an_error() {
        assert_eq!(read(&Pieces::default(), 0x1000).unwrap_err(), PvhError::NoStartInfo);
        let mut wrong = machine(&[]);
        wrong.0[0].1[0] = 0;
        assert_eq!(read(&wrong, 0x1000).unwrap_err(), PvhError::NoStartInfo);
        let mut old = machine(&[]);
        old.0[0].1[4] = 0;
        assert_eq!(read(&old, 0x1000).unwrap_err(), PvhError::NoMemoryMap);
        let mut lying = machine(&[(0, 0x10000, 1)]);
        lying.0[0].1[48] = 200;
        assert_eq!(read(&lying, 0x1000).unwrap_err(), PvhError::BadMemoryMap);
    }
}
