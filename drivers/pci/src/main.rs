//! The PCI bus as a component.
//!
//! It starts with the ports of configuration space (`port:0xcf8`), the authority over interrupts, and Untyped capabilities to device
//! memory; the latter two are known by their type, whatever their names. `PCI_CLAIMS` in the environment says who drives what ([`Claims`]).
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use motte::abi::boot_info::slot;
use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::interfaces::error::IoError;
use motte::interfaces::lifecycle::{CLIENT_GONE, dispatch_lifecycle};
use motte::interfaces::pci::dispatch_pci;
use motte::interfaces::{Cap, Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::{CacheMode, CapSlot, Frame, IoPort, Irq, IrqControl, Untyped};
use motte::memory::Mapping;
use motte::server::{Handler, Server};
use motte::slots;
use motte_pci::{Claims, Config, InterruptMessage, PciServer, Platform, Window, selector};

motte::entry!(main);

const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;

/// Where ranges without a place are put: below the firmware and the interrupt controllers, above where PCs keep other things.
const WINDOW: Window = 0xf000_0000..0xfe00_0000;

/// The two ports.
struct Ports(IoPort);

impl Config for Ports {
    fn read(&mut self, address: u16, offset: u8) -> u32 {
        let selected = self.0.write(CONFIG_ADDRESS, 4, selector(address, offset));
        // A bus that cannot be reached is empty.
        selected.and_then(|()| self.0.read(CONFIG_DATA, 4)).unwrap_or(u32::MAX)
    }

    fn write(&mut self, address: u16, offset: u8, width: u8, value: u32) {
        let selected = self.0.write(CONFIG_ADDRESS, 4, selector(address, offset));
        let port = CONFIG_DATA + u16::from(offset % 4);
        let _ = selected.and_then(|()| self.0.write(port, width.into(), value));
    }
}

/// Device memory and interrupts.
struct Machine {
    /// Physical address, size, capability.
    memory: Vec<(u64, u64, Untyped)>,
    interrupts: Option<IrqControl>,
    /// Pages that hold MSI-X tables, by physical address.
    tables: BTreeMap<u64, Mapping>,
}

impl Machine {
    fn make_frame(&self, physical: u64) -> Result<Frame, Error> {
        let page = PAGE_SIZE as u64;
        let holds = |range: &&(u64, u64, Untyped)| physical >= range.0 && physical - range.0 + page <= range.1;
        let (base, _, untyped) = self.memory.iter().find(holds).ok_or(Error::InvalidCapability)?;
        let slot = slots::allocate()?;
        let offset = physical - base;
        match untyped.retype_at(ObjectType::Frame, page, CapSlot::OWN_TABLE, slot.0, 1, offset) {
            Ok(()) => Ok(Frame(slot)),
            Err(error) => {
                slots::free(slot);
                Err(error)
            }
        }
    }

    fn make_interrupt(&self) -> Result<(Irq, InterruptMessage), Error> {
        let control = self.interrupts.ok_or(Error::InvalidCapability)?;
        let slot = slots::allocate()?;
        let made = control.message(CapSlot::OWN_TABLE, slot.0).and_then(|()| Irq(slot).message());
        match made {
            Ok((address, data)) => Ok((Irq(slot), InterruptMessage { address, data: data as u32 })),
            Err(error) => {
                slots::delete(slot);
                Err(error)
            }
        }
    }
}

impl Platform for Machine {
    fn frame(&mut self, physical: u64) -> Result<Cap, IoError> {
        self.make_frame(physical).map(|frame| Cap(frame.0.0)).map_err(|error| {
            motte::log::error!("device memory at {physical:#x} cannot be handed out: {error}");
            IoError::Other
        })
    }

    fn interrupt(&mut self) -> Result<(Cap, InterruptMessage), IoError> {
        self.make_interrupt().map(|(irq, message)| (Cap(irq.0.0), message)).map_err(|error| {
            motte::log::error!("no message-signalled interrupt can be made: {error}");
            IoError::Other
        })
    }

    fn write(&mut self, physical: u64, value: u32) -> Result<(), IoError> {
        let page = physical & !(PAGE_SIZE as u64 - 1);
        if !self.tables.contains_key(&page) {
            let mapped = self
                .make_frame(page)
                .and_then(|frame| Mapping::of(vec![frame], Rights::READ | Rights::WRITE, CacheMode::Uncached));
            let mapping = mapped.map_err(|error| {
                motte::log::error!("the MSI-X table at {physical:#x} cannot be mapped: {error}");
                IoError::Other
            })?;
            self.tables.insert(page, mapping);
        }
        self.tables[&page].write_u32((physical - page) as usize, value);
        Ok(())
    }

    fn warn(&mut self, address: u16, what: &str) {
        let (bus, device, function) = (address >> 8, address >> 3 & 31, address & 7);
        motte::log::warn!("PCI device {bus:02x}:{device:02x}.{function}: {what}");
    }
}

/// What the component started with, by type.
fn machine() -> Machine {
    let mut machine = Machine { memory: Vec::new(), interrupts: None, tables: BTreeMap::new() };
    for (_, cap) in motte::start::capabilities("") {
        match cap.identify() {
            Ok((ObjectType::Untyped, ..)) if cap.0 != slot::UNTYPED => {
                // Only device memory tells its address.
                if let Ok((base, size, _)) = Untyped(cap).info()
                    && base != 0
                {
                    machine.memory.push((base, size, Untyped(cap)));
                }
            }
            Ok((ObjectType::IrqControl, ..)) => machine.interrupts = Some(IrqControl(cap)),
            _ => {}
        }
    }
    machine
}

struct Service(PciServer<Ports, Machine>);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        if label == CLIENT_GONE {
            dispatch_lifecycle(&mut self.0, sender, label, request, reply, defer)
        } else {
            dispatch_pci(&mut self.0, sender, label, request, reply, defer)
        }
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("pci")?;
    let ports = motte::start::capability("port:0xcf8").ok_or(Error::InvalidCapability)?;
    let text = motte::env::var("PCI_CLAIMS").unwrap_or_default();
    let claims = Claims::parse(&text, |piece| motte::log::warn!("PCI_CLAIMS: '{piece}' makes no sense"));
    let pci = PciServer::new(Ports(IoPort(ports)), machine(), claims, WINDOW);
    if pci.is_empty() {
        motte::log::warn!("there is nothing on the PCI bus");
    }
    Err(server.run(&mut Service(pci)))
}
