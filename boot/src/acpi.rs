//! The part of ACPI that the kernel needs: processors and interrupt controllers, from the MADT (ACPI 6.5, 5.2.12).

use crate::{PhysicalMemory, u16_at, u32_at, u64_at};

/// The most processors that are remembered.
pub const MAX_PROCESSORS: usize = 64;
/// The most I/O APICs that are remembered.
pub const MAX_IO_APICS: usize = 8;
/// Interrupt lines of the ISA bus.
pub const ISA_LINES: usize = 16;

/// One I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Its first global interrupt line.
    pub first_line: u32,
}

/// Where an ISA line really arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsaLine {
    /// Global interrupt line.
    pub line: u32,
    /// Active low rather than active high, where the firmware says.
    pub active_low: bool,
    /// Level-triggered rather than edge-triggered, where the firmware says.
    pub level: bool,
}

/// Processors and interrupt controllers.
#[derive(Clone, Debug)]
pub struct Interrupts {
    /// Physical address of the local APIC's registers.
    pub local_apic: u64,
    /// Whether the machine also has the two old 8259 controllers, to be masked.
    pub has_pic: bool,
    processors: [u32; MAX_PROCESSORS],
    processor_count: usize,
    io_apics: [IoApic; MAX_IO_APICS],
    io_apic_count: usize,
    /// The ISA lines, by number.
    pub isa: [IsaLine; ISA_LINES],
}

impl Default for Interrupts {
    /// What a PC without tables has.
    fn default() -> Self {
        let mut isa = [IsaLine { line: 0, active_low: false, level: false }; ISA_LINES];
        for (index, line) in isa.iter_mut().enumerate() {
            line.line = index as u32;
        }
        Self {
            local_apic: 0xfee0_0000,
            has_pic: true,
            processors: [0; MAX_PROCESSORS],
            processor_count: 0,
            io_apics: [IoApic::default(); MAX_IO_APICS],
            io_apic_count: 0,
            isa,
        }
    }
}

impl Interrupts {
    /// A PC whose tables cannot be read: one processor, and the controllers where they usually are.
    pub fn usual() -> Self {
        let mut usual = Self::default();
        usual.add_processor(0);
        usual.add_io_apic(IoApic { address: 0xfec0_0000, first_line: 0 });
        usual
    }

    /// The local APIC numbers of the processors that can be used.
    pub fn processors(&self) -> &[u32] {
        &self.processors[..self.processor_count]
    }

    /// The I/O APICs.
    pub fn io_apics(&self) -> &[IoApic] {
        &self.io_apics[..self.io_apic_count]
    }

    fn add_processor(&mut self, id: u32) {
        if self.processor_count < MAX_PROCESSORS && !self.processors().contains(&id) {
            self.processors[self.processor_count] = id;
            self.processor_count += 1;
        }
    }

    fn add_io_apic(&mut self, apic: IoApic) {
        if self.io_apic_count < MAX_IO_APICS {
            self.io_apics[self.io_apic_count] = apic;
            self.io_apic_count += 1;
        }
    }

    /// One entry of the MADT. Entries of unknown type, or shorter than they should be, are skipped.
    fn entry(&mut self, raw: &[u8]) -> Option<()> {
        const USABLE: u32 = 1;
        match *raw.first()? {
            0 if u32_at(raw, 4)? & USABLE != 0 => self.add_processor(u32::from(*raw.get(3)?)),
            1 => {
                let (address, first_line) = (u64::from(u32_at(raw, 4)?), u32_at(raw, 8)?);
                self.add_io_apic(IoApic { address, first_line });
            }
            2 => {
                let (line, flags) = (u32_at(raw, 4)?, u16_at(raw, 8)?);
                let isa = self.isa.get_mut(usize::from(*raw.get(3)?))?;
                *isa = IsaLine { line, active_low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
            }
            5 => self.local_apic = u64_at(raw, 4)?,
            9 if u32_at(raw, 8)? & USABLE != 0 => self.add_processor(u32_at(raw, 4)?),
            _ => {}
        }
        Some(())
    }
}

const HEADER_BYTES: usize = 36;

/// A table with its header, its checksum right.
fn table(memory: &impl PhysicalMemory, address: u64) -> Option<&[u8]> {
    let length = u32_at(memory.bytes(address, HEADER_BYTES)?, 4)? as usize;
    if !(HEADER_BYTES..1 << 20).contains(&length) {
        return None;
    }
    let bytes = memory.bytes(address, length)?;
    (sum(bytes) == 0).then_some(bytes)
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// The table with this signature, from the root pointer at physical address `root`.
pub fn find_table<'m>(memory: &'m impl PhysicalMemory, root: u64, signature: &[u8; 4]) -> Option<&'m [u8]> {
    let pointer = memory.bytes(root, 20)?;
    if &pointer[..8] != b"RSD PTR " || sum(pointer) != 0 {
        return None;
    }
    let extended = pointer[15] >= 2;
    let (list, width) = match memory.bytes(root, 36) {
        Some(pointer) if extended && u64_at(pointer, 24)? != 0 => (u64_at(pointer, 24)?, 8),
        _ => (u64::from(u32_at(pointer, 16)?), 4),
    };
    let list = table(memory, list)?;
    list[HEADER_BYTES..].chunks_exact(width).find_map(|entry| {
        let address = if width == 8 { u64_at(entry, 0)? } else { u64::from(u32_at(entry, 0)?) };
        // The signature first: other tables are none of the kernel's business and need not be summed.
        (memory.bytes(address, 4)? == signature).then(|| table(memory, address))?
    })
}

/// Processors and interrupt controllers, from the root pointer at physical address `root`. `None` without a MADT.
pub fn interrupts(memory: &impl PhysicalMemory, root: u64) -> Option<Interrupts> {
    let madt = find_table(memory, root, b"APIC")?;
    let mut found = Interrupts {
        local_apic: u64::from(u32_at(madt, HEADER_BYTES)?),
        has_pic: u32_at(madt, HEADER_BYTES + 4)? & 1 != 0,
        ..Interrupts::default()
    };
    let mut rest = &madt[HEADER_BYTES + 8..];
    while let Some(&length) = rest.get(1) {
        let (entry, tail) = rest.split_at_checked(usize::from(length).max(2))?;
        let _ = found.entry(entry);
        rest = tail;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::test_memory::Pieces;
    use std::vec::Vec;

    fn with_sum(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        bytes[at] = 0_u8.wrapping_sub(sum(&bytes));
        bytes
    }

    fn sdt(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = signature.to_vec();
        bytes.extend(((HEADER_BYTES + body.len()) as u32).to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend(body);
        with_sum(bytes, 9)
    }

    fn madt() -> Vec<u8> {
        let mut body = 0xfee0_0000_u32.to_le_bytes().to_vec();
        body.extend(1_u32.to_le_bytes());
        body.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        body.extend([0, 8, 1, 3, 1, 0, 0, 0]);
        body.extend([0, 8, 2, 4, 0, 0, 0, 0]);
        body.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        body.extend([2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0]);
        body.extend([2, 10, 0, 200, 9, 0, 0, 0, 0xd, 0]);
        body.extend([0x7f, 3, 0]);
        sdt(b"APIC", &body)
    }

    fn machine(extended: bool) -> Pieces {
        let mut root = b"RSD PTR ".to_vec();
        root.resize(36, 0);
        root[15] = if extended { 2 } else { 0 };
        root[16..20].copy_from_slice(&0x2000_u32.to_le_bytes());
        root[24..32].copy_from_slice(&(if extended { 0x2800_u64 } else { 0 }).to_le_bytes());
        let first = with_sum(root[..20].to_vec(), 8);
        root[..20].copy_from_slice(&first);
        let (facp, apic) = (0x3000_u32, 0x4000_u32);
        let narrow: Vec<u8> = [facp, apic].iter().flat_map(|a| a.to_le_bytes()).collect();
        let wide: Vec<u8> = [facp, apic].iter().flat_map(|a| u64::from(*a).to_le_bytes()).collect();
        Pieces(std::vec![
            (0x1000, root),
            (0x2000, sdt(b"RSDT", &narrow)),
            (0x2800, sdt(b"XSDT", &wide)),
            (0x3000, sdt(b"FACP", &[0; 8])),
            (0x4000, madt()),
        ])
    }

    #[test]
    fn processors_controllers_and_overrides_are_found_by_either_list() {
        for extended in [false, true] {
            let found = interrupts(&machine(extended), 0x1000).unwrap();
            assert_eq!(found.local_apic, 0xfee0_0000);
            assert!(found.has_pic);
            assert_eq!(found.processors(), [0, 3]);
            assert_eq!(found.io_apics(), [IoApic { address: 0xfec0_0000, first_line: 0 }]);
            assert_eq!(found.isa[0], IsaLine { line: 2, active_low: false, level: false });
            assert_eq!(found.isa[9], IsaLine { line: 9, active_low: false, level: true });
            assert_eq!(found.isa[4], IsaLine { line: 4, active_low: false, level: false });
        }
    }

    #[test]
    fn a_damaged_table_is_no_table() {
        for damaged in 0..5 {
            let mut machine = machine(true);
            machine.0[damaged].1[8] ^= 0x55;
            let found = interrupts(&machine, 0x1000);
            assert_eq!(found.is_some(), damaged == 1 || damaged == 3, "piece {damaged}");
        }
        assert!(interrupts(&Pieces::default(), 0).is_none());
    }

    #[test]
    fn a_cut_table_never_panics() {
        let whole = madt();
        for length in HEADER_BYTES..whole.len() {
            let mut cut = whole[..length].to_vec();
            cut[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            cut[9] = 0;
            let mut machine = machine(false);
            machine.0[4].1 = with_sum(cut, 9);
            let _ = interrupts(&machine, 0x1000);
        }
    }
}
