//! Requests to the bus, and who may make them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::Lifecycle;
use motte_interfaces::pci::{Pci, PciBar, PciDevice, PciEntry};
use motte_interfaces::{Cap, Sender, badge};

use crate::bar::{self, Window};
use crate::claims::Claims;
use crate::config::{self, COMMAND, COMMAND_BUS_MASTER, COMMAND_MEMORY, COMMAND_NO_LINE, Config};
use crate::function::{self, CAP_MSI, CAP_MSIX, CAP_VENDOR, Function};

/// What a device writes, and where, to raise an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptMessage {
    /// Physical address.
    pub address: u64,
    /// Data.
    pub data: u32,
}

/// What the service needs of the machine.
pub trait Platform {
    /// A frame of the page of device memory at a physical address.
    fn frame(&mut self, physical: u64) -> Result<Cap, IoError>;
    /// A new message-signalled interrupt, and what a device must write to raise it.
    fn interrupt(&mut self) -> Result<(Cap, InterruptMessage), IoError>;
    /// Writes a word of device memory.
    fn write(&mut self, physical: u64, value: u32) -> Result<(), IoError>;
    /// Has a person read a sentence about a device.
    fn warn(&mut self, address: u16, what: &str);
}

const PAGE: u64 = 4096;

/// MSI-X: bytes of a table entry, of which the last word's bit 0 masks it (PCI 6.8.2.6 to 6.8.2.9).
const ENTRY_BYTES: u64 = 16;
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK: u16 = 1 << 14;
const MSIX_ENTRIES: u16 = 0x7ff;

/// Vendor of virtio devices. Their vendor-specific capabilities hold a window through which configuration space reaches all their ranges
/// (virtio 1.2, 4.1.4.9).
const VIRTIO_VENDOR: u16 = 0x1af4;

/// The bus.
#[derive(Debug)]
pub struct PciServer<C, P> {
    config: C,
    platform: P,
    functions: Vec<Function>,
    claims: Claims,
    window: Window,
    /// Ranges of functions whose drivers asked, by address.
    bars: BTreeMap<u16, [PciBar; 6]>,
    /// Frames that were handed out, by physical address.
    frames: BTreeMap<u64, Cap>,
    /// Interrupts that were handed out, by function and entry.
    interrupts: BTreeMap<(u16, u64), (Cap, InterruptMessage)>,
}

/// Where a function's MSI-X table is.
struct Table {
    /// Configuration register of the capability's control word.
    control: u8,
    entries: u64,
    physical: u64,
}

impl<C: Config, P: Platform> PciServer<C, P> {
    /// Finds what is on the bus. Ranges that the firmware gave no place are put into `window`.
    pub fn new(mut config: C, platform: P, claims: Claims, window: Window) -> Self {
        let functions = function::scan(&mut config);
        Self {
            config,
            platform,
            functions,
            claims,
            window,
            bars: BTreeMap::new(),
            frames: BTreeMap::new(),
            interrupts: BTreeMap::new(),
        }
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there is nothing on the bus, not even its own bridge.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    fn device_of(function: &Function) -> PciDevice {
        PciDevice {
            address: function.address.into(),
            vendor: function.vendor,
            device: function.device,
            class: function.class,
        }
    }

    fn driver(&self, function: &Function) -> u64 {
        // Bridges are the bus's own, whoever claims them.
        if function.header == 0 { self.claims.driver(function.vendor, function.device) } else { 0 }
    }

    /// The function at `address`, if the sender drives it.
    fn own(&self, sender: &Sender, address: u64) -> Result<&Function, IoError> {
        let found = self.functions.iter().find(|function| u64::from(function.address) == address);
        let function = found.ok_or(IoError::NotFound)?;
        let driver = self.driver(function);
        if driver != 0 && driver == sender.badge { Ok(function) } else { Err(IoError::PermissionDenied) }
    }

    /// The function's ranges, measured and placed at its driver's first question.
    fn bars(&mut self, address: u16) -> Result<[PciBar; 6], IoError> {
        if let Some(bars) = self.bars.get(&address) {
            return Ok(*bars);
        }
        let found = self.functions.iter().find(|function| function.address == address);
        let function = found.ok_or(IoError::NotFound)?;
        let mut bars = bar::measure(&mut self.config, function);
        if !bar::place(&mut self.config, &self.functions, function, &mut bars, &self.window) {
            self.platform.warn(address, "the firmware gave it no address, and there is none left to give");
        }
        self.bars.insert(address, bars);
        Ok(bars)
    }

    /// Has the function answer at its memory addresses.
    fn listen(&mut self, address: u16) {
        self.command(address, COMMAND_MEMORY, 0);
    }

    fn command(&mut self, address: u16, set: u16, clear: u16) {
        let old = self.config.read_u16(address, COMMAND);
        let new = (old | set) & !clear;
        if new != old {
            self.config.write(address, COMMAND, 2, new.into());
        }
    }

    /// The function's MSI-X table; `None` if it has none that lies in memory.
    fn table(&mut self, address: u16) -> Result<Option<Table>, IoError> {
        let function = self.functions.iter().find(|function| function.address == address);
        let Some(capability) = function.and_then(|function| function.capability(CAP_MSIX)) else {
            return Ok(None);
        };
        let control = capability.offset + 2;
        let entries = u64::from(self.config.read_u16(address, control) & MSIX_ENTRIES) + 1;
        let place = self.config.read(address, capability.offset + 4);
        let bars = self.bars(address)?;
        let bar = bars.get((place & 7) as usize).filter(|bar| !bar.ports && bar.base != 0);
        let offset = u64::from(place & !7);
        let table = bar.filter(|bar| offset + entries * ENTRY_BYTES <= bar.size);
        Ok(table.map(|bar| Table { control, entries, physical: bar.base + offset }))
    }

    /// Takes memory and interrupts from a function.
    fn quieten(&mut self, address: u16) {
        self.command(address, COMMAND_NO_LINE, COMMAND_BUS_MASTER);
        let function = self.functions.iter().find(|function| function.address == address);
        if let Some(capability) = function.and_then(|function| function.capability(CAP_MSIX)) {
            self.control(address, capability.offset + 2, 0, MSIX_ENABLE);
        }
    }

    /// Sets or clears bits of the MSI-X control word.
    fn control(&mut self, address: u16, register: u8, set: u16, clear: u16) {
        let old = self.config.read_u16(address, register);
        self.config.write(address, register, 2, u32::from((old | set) & !clear));
    }
}

/// Whether a driver may write this piece of its device's configuration space.
fn writable(function: &Function, offset: u8, width: u8) -> bool {
    let range = u16::from(offset)..u16::from(offset) + u16::from(width);
    if offset < config::DEVICE_SPECIFIC {
        return (offset == config::STATUS && width == 2)
            || (offset >= config::CACHE_LINE && range.end <= u16::from(config::CACHE_LINE) + 2)
            || (offset == config::INTERRUPT_LINE && width == 1);
    }
    !function.capabilities.iter().any(|capability| {
        let guarded = matches!(capability.id, CAP_MSI | CAP_MSIX)
            || capability.id == CAP_VENDOR && function.vendor == VIRTIO_VENDOR;
        let start = u16::from(capability.offset);
        guarded && start < range.end && range.start < start + u16::from(capability.length)
    })
}

/// Checks where configuration space is to be read or written.
fn place(offset: u64, width: u64) -> Result<(u8, u8), IoError> {
    let good = matches!(width, 1 | 2 | 4) && offset < 256 && offset.is_multiple_of(width);
    if good { Ok((offset as u8, width as u8)) } else { Err(IoError::InvalidInput) }
}

impl<C: Config, P: Platform> Pci for PciServer<C, P> {
    fn device(&mut self, sender: &Sender, index: u64) -> Result<PciDevice, IoError> {
        let mut own =
            self.functions.iter().filter(|function| sender.badge != 0 && self.driver(function) == sender.badge);
        own.nth(index as usize).map(Self::device_of).ok_or(IoError::NotFound)
    }

    fn entry(&mut self, _: &Sender, index: u64) -> Result<PciEntry, IoError> {
        let function = self.functions.get(index as usize).ok_or(IoError::NotFound)?;
        Ok(PciEntry { device: Self::device_of(function), driver: self.driver(function) })
    }

    fn bar(&mut self, sender: &Sender, address: u64, bar: u64) -> Result<PciBar, IoError> {
        let address = self.own(sender, address)?.address;
        self.bars(address)?.get(bar as usize).copied().ok_or(IoError::InvalidInput)
    }

    fn bar_page(&mut self, sender: &Sender, address: u64, bar: u64, page: u64) -> Result<Cap, IoError> {
        let address = self.own(sender, address)?.address;
        let bar = *self.bars(address)?.get(bar as usize).ok_or(IoError::InvalidInput)?;
        if bar.ports || page >= bar.size.div_ceil(PAGE) {
            return Err(IoError::InvalidInput);
        }
        if bar.base == 0 {
            return Err(IoError::Device);
        }
        let physical = (bar.base & !(PAGE - 1)) + page * PAGE;
        if let Some(table) = self.table(address)?
            && physical < table.physical + table.entries * ENTRY_BYTES
            && table.physical < physical + PAGE
        {
            return Err(IoError::PermissionDenied);
        }
        if bar::is_shared(&mut self.config, &self.functions, address, physical) {
            self.platform.warn(address, "it shares a page with another device, so it cannot be handed out");
            return Err(IoError::Unsupported);
        }
        self.listen(address);
        if let Some(frame) = self.frames.get(&physical) {
            return Ok(*frame);
        }
        let frame = self.platform.frame(physical)?;
        self.frames.insert(physical, frame);
        Ok(frame)
    }

    fn config_read(&mut self, sender: &Sender, address: u64, offset: u64, width: u64) -> Result<u64, IoError> {
        let address = self.own(sender, address)?.address;
        let (offset, width) = place(offset, width)?;
        let word = u64::from(self.config.read(address, offset & !3)) >> (offset % 4 * 8);
        Ok(word & (u64::MAX >> (64 - width * 8)))
    }

    fn config_write(
        &mut self,
        sender: &Sender,
        address: u64,
        offset: u64,
        width: u64,
        value: u64,
    ) -> Result<(), IoError> {
        let function = self.own(sender, address)?;
        let address = function.address;
        let (offset, width) = place(offset, width)?;
        if !writable(function, offset, width) {
            return Err(IoError::PermissionDenied);
        }
        self.config.write(address, offset, width, value as u32);
        Ok(())
    }

    fn enable(&mut self, sender: &Sender, address: u64) -> Result<(), IoError> {
        let address = self.own(sender, address)?.address;
        self.bars(address)?;
        let table = self.table(address)?;
        self.command(address, COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_NO_LINE, 0);
        if let Some(table) = table {
            self.control(address, table.control, MSIX_ENABLE, MSIX_MASK);
        }
        Ok(())
    }

    fn disable(&mut self, sender: &Sender, address: u64) -> Result<(), IoError> {
        let address = if sender.badge & badge::LIFECYCLE != 0 {
            let found = self.functions.iter().find(|function| u64::from(function.address) == address);
            // The bus itself does not go away.
            found.filter(|function| function.header == 0).ok_or(IoError::NotFound)?.address
        } else {
            self.own(sender, address)?.address
        };
        self.quieten(address);
        Ok(())
    }

    fn interrupt(&mut self, sender: &Sender, address: u64, entry: u64) -> Result<Cap, IoError> {
        let address = self.own(sender, address)?.address;
        let Some(table) = self.table(address)? else {
            self.platform.warn(address, "it has no MSI-X table, so it can raise no interrupt here");
            return Err(IoError::Unsupported);
        };
        if entry >= table.entries {
            return Err(IoError::InvalidInput);
        }
        // A driver that was started anew gets the interrupt that the former one had.
        let (cap, message) = match self.interrupts.get(&(address, entry)) {
            Some(interrupt) => *interrupt,
            None => self.platform.interrupt()?,
        };
        self.interrupts.insert((address, entry), (cap, message));
        // Masked while it is half written.
        let at = table.physical + entry * ENTRY_BYTES;
        let words =
            [(12, 1), (0, message.address as u32), (4, (message.address >> 32) as u32), (8, message.data), (12, 0)];
        self.listen(address);
        for (offset, word) in words {
            self.platform.write(at + offset, word)?;
        }
        Ok(cap)
    }
}

impl<C: Config, P: Platform> Lifecycle for PciServer<C, P> {
    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 || client == 0 {
            return Err(IoError::PermissionDenied);
        }
        let own = self.functions.iter().filter(|function| self.driver(function) == client);
        let addresses: Vec<u16> = own.map(|function| function.address).collect();
        addresses.into_iter().for_each(|address| self.quieten(address));
        Ok(())
    }
}
