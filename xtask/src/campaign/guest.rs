//! What runs in a machine, seen from outside: its address spaces, who lives in each, and their memory.
//!
//! Nothing in the machine helps with it. The kernel's table of address spaces is found in its data by what it holds: entries of an id,
//! whose low bits are the entry's index, and a root table. Who lives in a space is told by its start information, which every
//! component and program has at the same address.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol, SymbolKind};

use motte::layout::START_INFO_ADDRESS;
use motte::start_info::StartInfo;

use super::gdb::{Gdb, Registers, register};

/// Where the kernel maps physical memory.
const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// Where the lower half ends, in which programs lie.
const USER_END: u64 = 1 << 47;
/// Entries in the kernel's table of address spaces, and bytes of one.
const SPACES: u64 = 4096;
const SPACE_BYTES: usize = 16;
/// A page of low memory, which the kernel never hands out: for a component's own copy of a page of its code.
const SPARE_PAGE: u64 = 0x8_0000;

const PAGE: u64 = 4096;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A running component or program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Physical address of the root of its page tables.
    pub root: u64,
    /// The kernel's name for the space, never used twice.
    pub id: u64,
    /// The component's or program's name.
    pub name: String,
    /// The badge under which services know it.
    pub badge: u64,
    /// Slots of its capability table.
    pub slots: u64,
    /// Bytes of its first thread's stack.
    pub stack: u64,
}

impl Space {
    /// Whether it is a component of the manifest, and not a program.
    #[must_use]
    pub const fn is_component(&self) -> bool {
        self.badge & 0xffff_ffff < 0x1000
    }
}

/// Where a page is mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    /// Physical address of the page table's entry.
    entry: u64,
    /// The entry.
    value: u64,
    /// Physical address of the byte asked for.
    physical: u64,
}

/// A page of code that was replaced by a copy.
#[derive(Clone, Copy, Debug)]
pub struct CodeChange {
    entry: u64,
    former: u64,
    changed: u64,
}

/// A machine that can be stopped, and what lies where in it.
#[derive(Debug)]
pub struct Guest {
    gdb: Gdb,
    breakpoints: Vec<u64>,
    /// Where the kernel's table of address spaces lies.
    spaces: u64,
    /// Who was found in which space, by its id.
    known: HashMap<u64, Space>,
}

/// The kernel's static data in which its table of address spaces lies, and where its system calls begin.
#[derive(Clone, Copy, Debug)]
pub struct KernelPlaces {
    data: (u64, u64),
    system_call: u64,
}

impl KernelPlaces {
    /// Reads them out of the kernel's file.
    pub fn read(kernel: &Path) -> Result<Self> {
        let file = std::fs::read(kernel).with_context(|| format!("{} could not be read", kernel.display()))?;
        let elf = ElfFile64::<Endianness>::parse(&*file).context("the kernel is no ELF file")?;
        let largest = elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data).max_by_key(ObjectSymbol::size);
        let data = largest.context("the kernel's file has no symbols")?;
        let entry = elf.symbols().find(|symbol| symbol.name() == Ok("short_syscall_entry"));
        let system_call = entry.context("the kernel's file does not say where system calls begin")?.address();
        Ok(Self { data: (data.address(), data.size()), system_call })
    }
}

impl Guest {
    /// Takes over a machine in which components run. It runs on afterwards.
    pub fn new(mut gdb: Gdb, kernel: &KernelPlaces) -> Result<Self> {
        gdb.set_breakpoint(kernel.system_call)?;
        gdb.resume()?;
        ensure!(gdb.wait(Duration::from_secs(60))?, "nobody in the machine makes a system call");
        gdb.clear_breakpoint(kernel.system_call)?;
        let root = gdb.registers()?.cr3;
        let (start, length) = kernel.data;
        let data = gdb.read(start, length as usize)?;
        let spaces = find_table(&data, start, root).context("the kernel's table of address spaces was not found")?;
        gdb.resume()?;
        Ok(Self { gdb, breakpoints: Vec::new(), spaces, known: HashMap::new() })
    }

    /// Stops the machine.
    pub fn stop(&mut self) -> Result<()> {
        self.gdb.interrupt()
    }

    /// Lets it run, without breakpoints.
    pub fn resume(&mut self) -> Result<()> {
        for address in std::mem::take(&mut self.breakpoints) {
            self.gdb.clear_breakpoint(address)?;
        }
        self.gdb.resume()
    }

    /// The registers as they are.
    pub fn registers(&mut self) -> Result<Registers> {
        self.gdb.registers()
    }

    /// Sets one of [`register`].
    pub fn set_register(&mut self, number: usize, value: u64) -> Result<()> {
        self.gdb.set_register(number, value)
    }

    /// Sets all general registers.
    pub fn set_registers(&mut self, registers: &Registers) -> Result<()> {
        registers.general.iter().enumerate().try_for_each(|(number, &value)| self.gdb.set_register(number, value))
    }

    /// All components and programs that run.
    pub fn spaces(&mut self) -> Result<Vec<Space>> {
        let table = self.gdb.read(self.spaces, SPACES as usize * SPACE_BYTES)?;
        let mut found = Vec::new();
        for (id, root) in entries(&table) {
            found.extend(self.space(id, root)?);
        }
        Ok(found)
    }

    /// The component with this name, if it runs.
    pub fn component(&mut self, name: &str) -> Result<Option<Space>> {
        Ok(self.spaces()?.into_iter().find(|space| space.is_component() && space.name == name))
    }

    /// Takes everything from the first program, init, that it has mapped: as dead as a program can be that nobody holds. It is the oldest,
    /// and has no start information, which all others have.
    pub fn empty_init(&mut self) -> Result<()> {
        let table = self.gdb.read(self.spaces, SPACES as usize * SPACE_BYTES)?;
        let (_, root) = entries(&table).min_by_key(|&(id, _)| id).context("no program runs")?;
        ensure!(self.read(root, START_INFO_ADDRESS, 1)?.is_none(), "the oldest program is not init");
        self.gdb.write_memory(DIRECT_MAP + root, &[0; PAGE as usize / 2])
    }

    /// Whether a space is still what it was.
    pub fn is_alive(&mut self, space: &Space) -> Result<bool> {
        let entry = self.spaces + space.id % SPACES * SPACE_BYTES as u64;
        let bytes = self.gdb.read(entry, SPACE_BYTES)?;
        Ok(entries(&bytes).any(|(id, root)| (id, root) == (space.id, space.root)))
    }

    fn space(&mut self, id: u64, root: u64) -> Result<Option<Space>> {
        if let Some(known) = self.known.get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(beginning) = self.read(root, START_INFO_ADDRESS, 16)? else { return Ok(None) };
        let Some(length) = StartInfo::length(&beginning) else { return Ok(None) };
        let Some(bytes) = self.read(root, START_INFO_ADDRESS, length)? else { return Ok(None) };
        let Some(information) = StartInfo::parse(&bytes) else { return Ok(None) };
        let header = information.header;
        let space = Space {
            root,
            id,
            name: information.name().to_owned(),
            badge: header.badge,
            slots: header.slots,
            stack: header.stack,
        };
        self.known.insert(id, space.clone());
        Ok(Some(space))
    }

    /// Memory of a space; `None` if some of it is not mapped.
    pub fn read(&mut self, root: u64, address: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = address + bytes.len() as u64;
            let Some(mapping) = self.find(root, at)? else { return Ok(None) };
            let some = (length - bytes.len()).min((PAGE - at % PAGE) as usize);
            bytes.extend(self.gdb.read(DIRECT_MAP + mapping.physical, some)?);
        }
        Ok(Some(bytes))
    }

    /// A word of a space's memory, at a multiple of 8.
    pub fn word(&mut self, root: u64, address: u64) -> Result<Option<u64>> {
        let bytes = self.read(root, address, 8)?;
        Ok(bytes.and_then(|bytes| bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))))
    }

    /// Changes a word of a space's memory.
    pub fn set_word(&mut self, root: u64, address: u64, value: u64) -> Result<()> {
        let mapping = self.find(root, address)?.context("memory to change is not mapped")?;
        self.gdb.write_memory(DIRECT_MAP + mapping.physical, &value.to_le_bytes())
    }

    /// Addresses of the writable pages that a space has in a range.
    pub fn pages(&mut self, root: u64, range: std::ops::Range<u64>) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        // Tables of the lowest two levels in the range, one entry of the third level after the other.
        let mut at = range.start;
        while at < range.end {
            let (span, table) = self.table(root, at)?;
            let Some(table) = table else {
                at = (at / span + 1) * span;
                continue;
            };
            if span == PAGE {
                let entries = self.gdb.read(DIRECT_MAP + table, PAGE as usize)?;
                let first = at & !(512 * PAGE - 1);
                for (index, entry) in entries.chunks_exact(8).enumerate() {
                    let entry = entry.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    let address = first + index as u64 * PAGE;
                    if entry & (PRESENT | WRITABLE) == PRESENT | WRITABLE && range.contains(&address) {
                        pages.push(address);
                    }
                }
                at = first + 512 * PAGE;
            } else {
                pages.extend((0..span / PAGE).map(|page| at / span * span + page * PAGE));
                at = (at / span + 1) * span;
            }
        }
        Ok(pages)
    }

    /// For the address: the page table of the lowest level and the size of a page; or the size of the large page that is mapped there; or,
    /// with no table, how much is not mapped.
    fn table(&mut self, root: u64, address: u64) -> Result<(u64, Option<u64>)> {
        let mut table = root;
        for level in (2..=4).rev() {
            let span = PAGE << (9 * (level - 1));
            let entry = self.physical_word(table + address / span % 512 * 8)?;
            match entry {
                entry if entry & PRESENT == 0 => return Ok((span, None)),
                entry if level < 4 && entry & LARGE != 0 => return Ok((span, Some(entry & ADDRESS))),
                entry => table = entry & ADDRESS,
            }
        }
        Ok((PAGE, Some(table)))
    }

    fn find(&mut self, root: u64, address: u64) -> Result<Option<Mapping>> {
        let (span, Some(table)) = self.table(root, address)? else { return Ok(None) };
        if span > PAGE {
            let physical = (table & !(span - 1)) + address % span;
            return Ok(Some(Mapping { entry: 0, value: 0, physical }));
        }
        let entry = table + address / PAGE % 512 * 8;
        let value = self.physical_word(entry)?;
        let mapping = Mapping { entry, value, physical: (value & ADDRESS) + address % PAGE };
        Ok((value & PRESENT != 0).then_some(mapping))
    }

    fn physical_word(&mut self, physical: u64) -> Result<u64> {
        let bytes = self.gdb.read(DIRECT_MAP + physical, 8)?;
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("memory could not be read")
    }

    /// Changes code of one running instance. The frames of a program's code are shared by all who run it and outlive them, as a
    /// program's file does; so the instance gets a copy of the page, with the change in it.
    pub fn change_code(&mut self, root: u64, address: u64, code: &[u8]) -> Result<Option<CodeChange>> {
        let page = address & !(PAGE - 1);
        let Some(mapping) = self.find(root, page)? else { return Ok(None) };
        let at = (address - page) as usize;
        if mapping.entry == 0 || at + code.len() > PAGE as usize {
            return Ok(None);
        }
        let mut copy = self.gdb.read(DIRECT_MAP + mapping.physical, PAGE as usize)?;
        copy[at..at + code.len()].copy_from_slice(code);
        self.gdb.write_memory(DIRECT_MAP + SPARE_PAGE, &copy)?;
        let changed = mapping.value & !ADDRESS | SPARE_PAGE;
        self.set_entry(mapping.entry, changed)?;
        Ok(Some(CodeChange { entry: mapping.entry, former: mapping.value, changed }))
    }

    /// Takes a change of code back, if the space is still there.
    pub fn restore_code(&mut self, space: &Space, change: &CodeChange) -> Result<()> {
        if self.is_alive(space)? && self.physical_word(change.entry)? == change.changed {
            self.set_entry(change.entry, change.former)?;
        }
        Ok(())
    }

    fn set_entry(&mut self, entry: u64, value: u64) -> Result<()> {
        self.gdb.write_memory(DIRECT_MAP + entry, &value.to_le_bytes())?;
        // Loading the root again makes the processor forget what it remembers of page tables.
        let root = self.gdb.register(register::CR3)?;
        self.gdb.set_register(register::CR3, root)
    }

    /// Lets the machine run until `wanted` of the registers, at one of the addresses in this space; false if that does not happen in time.
    /// The machine is stopped then in either case.
    pub fn run_to(
        &mut self,
        root: u64,
        addresses: &[u64],
        limit: Duration,
        wanted: impl Fn(&Registers) -> bool,
    ) -> Result<bool> {
        for address in self.breakpoints.clone() {
            if !addresses.contains(&address) {
                self.gdb.clear_breakpoint(address)?;
                self.breakpoints.retain(|&set| set != address);
            }
        }
        for &address in addresses {
            if !self.breakpoints.contains(&address) {
                self.gdb.set_breakpoint(address)?;
                self.breakpoints.push(address);
            }
        }
        let deadline = Instant::now() + limit;
        loop {
            self.gdb.resume()?;
            if !self.gdb.wait(deadline.saturating_duration_since(Instant::now()))? {
                self.gdb.interrupt()?;
                return Ok(false);
            }
            let registers = self.gdb.registers()?;
            if registers.cr3 == root && addresses.contains(&registers.rip()) && wanted(&registers) {
                return Ok(true);
            }
            // A breakpoint that is not stepped over would be hit again at once.
            self.gdb.step()?;
        }
    }

    /// Executes the instruction at which a space's thread stands, which has `length` bytes: the whole of a system call or of an
    /// exception too. Returns where it is then; `None` if it does not come back in time.
    pub fn step(&mut self, root: u64, length: u64, limit: Duration) -> Result<Option<u64>> {
        let from = self.gdb.register(register::RIP)?;
        self.gdb.step()?;
        let to = self.gdb.register(register::RIP)?;
        if to < USER_END {
            return Ok(Some(to));
        }
        let came_back = self.run_to(root, &[from, from + length], limit, |_| true)?;
        Ok(if came_back { Some(self.gdb.register(register::RIP)?) } else { None })
    }
}

/// The entries of a part of the kernel's table that are in use: id and root.
fn entries(table: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    table.chunks_exact(SPACE_BYTES).map(move |entry| (word(entry), word(&entry[8..]))).filter(|&(_, root)| root != 0)
}

/// Where the table of address spaces lies in the kernel's data, which begins at `start`: one of its entries has this root.
fn find_table(data: &[u8], start: u64, root: u64) -> Option<u64> {
    let word = |at: usize| data.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
    (8..data.len()).step_by(8).filter(|&at| word(at) == Some(root)).find_map(|at| {
        let index = word(at - 8)? % SPACES;
        let begin = (at - 8).checked_sub(index as usize * SPACE_BYTES)?;
        let table = data.get(begin..begin + SPACES as usize * SPACE_BYTES)?;
        let mut numbered = table.chunks_exact(SPACE_BYTES).zip(0..SPACES);
        let is_table = numbered.all(|(entry, number)| match entries(entry).next() {
            Some((id, root)) => id % SPACES == number && root % PAGE == 0,
            None => true,
        });
        is_table.then_some(start + begin as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_address_spaces_is_found_by_what_it_holds() {
        const BEFORE: usize = 640;
        let mut data = vec![0; BEFORE + SPACES as usize * SPACE_BYTES + 64];
        let mut put = |at: usize, value: u64| data[at..at + 8].copy_from_slice(&value.to_le_bytes());
        // A root that stands elsewhere too.
        put(64, 0x7000);
        for (index, root) in [(0, 0x5000), (3, 0x7000), (9, 0x9000)] {
            put(BEFORE + index * SPACE_BYTES, SPACES + index as u64);
            put(BEFORE + index * SPACE_BYTES + 8, root);
        }
        assert_eq!(find_table(&data, 0x1000, 0x7000), Some(0x1000 + BEFORE as u64));
        assert_eq!(find_table(&data, 0x1000, 0x8000), None);
    }
}
