//! A virtio device of this machine, as the service `pci` hands it out.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use motte::abi::{Error, PAGE_SIZE, Rights};
use motte::interfaces::error::IoError;
use motte::interfaces::pci::{PciClient, PciDevice};
use motte::kernel::{CacheMode, Frame, Irq};
use motte::memory::Mapping;
use motte::server::{Event, Tasks};
use motte::service::{Connection, connect};

use crate::device::Registers;
use crate::mmio::Mapped;
use crate::structure::{Place, find};

/// The bus.
pub type Pci = PciClient<Connection>;

/// An interrupt of a device, and the event that it raises.
#[derive(Debug)]
pub struct Interrupt {
    irq: Irq,
    event: Event,
}

impl Interrupt {
    /// Binds entry `entry` of the device's MSI-X table to an event of the server's.
    pub fn bind(pci: &Pci, device: &PciDevice, entry: u16, tasks: &Tasks) -> Result<Self, String> {
        let event = tasks.event().map_err(|error| format!("there is no event for its interrupt: {error}"))?;
        let irq =
            pci.interrupt(device.address, entry.into()).map_err(|error| format!("it has no interrupt: {error}"))?;
        let irq = Irq::at(irq.0);
        irq.bind(event.notification().0).map_err(|error| format!("its interrupt cannot be bound: {error}"))?;
        Ok(Self { irq, event })
    }

    /// Whether `bits` of the server's notification tell of it. Then it is acknowledged, and what the device does from now on raises it again: look at the device
    /// afterwards.
    pub fn take(&self, bits: u64) -> bool {
        let raised = bits & self.event.bit() != 0;
        if raised {
            let _ = self.irq.acknowledge();
        }
        raised
    }
}

/// Lets a little time pass.
pub fn pause() {
    motte::thread::sleep(Duration::from_millis(1));
}

/// Where a device is, as it is written: bus, device and function.
pub fn name(device: &PciDevice) -> String {
    format!("{:02x}:{:02x}.{}", device.address >> 8, device.address >> 3 & 31, device.address & 7)
}

/// Maps the pages of one of the device's structures.
fn map(pci: &Pci, device: &PciDevice, place: Place) -> Result<Mapped, String> {
    let page = PAGE_SIZE as u64;
    let end = place.offset + place.length;
    let mut frames = Vec::new();
    for number in place.offset / page..end.div_ceil(page) {
        let frame = pci.bar_page(device.address, place.bar, number);
        let frame = frame.map_err(|error| format!("its registers cannot be had: {error}"))?;
        frames.push(Frame::at(frame.0));
    }
    let mapping = Mapping::of(frames, Rights::READ | Rights::WRITE, CacheMode::Uncached);
    let mapping = mapping.map_err(|error| format!("its registers cannot be mapped: {error}"))?;
    Ok(Mapped::new(mapping, (place.offset % page) as usize))
}

/// Maps a device's registers, `device_bytes` of them of its own configuration.
pub fn registers(pci: &Pci, device: &PciDevice, device_bytes: u64) -> Result<Registers<Mapped>, String> {
    let address = device.address;
    let found = find(device_bytes, |offset, width| pci.config_read(address, offset, width));
    let mut structures = found.map_err(|error| format!("{error}"))?;
    // The first queues' registers are all that is used.
    structures.notify.length = structures.notify.length.min(PAGE_SIZE as u64);
    Ok(Registers {
        common: map(pci, device, structures.common)?,
        notify: map(pci, device, structures.notify)?,
        notify_length: structures.notify.length,
        notify_multiplier: structures.notify_multiplier,
        device: map(pci, device, structures.device)?,
    })
}

/// Fresh memory that the device reaches too, and where its pages lie.
pub fn memory<const PAGES: usize>() -> Result<(Mapped, [u64; PAGES]), String> {
    let no_memory = |error: Error| format!("there is no memory for its queue: {error}");
    let memory = Mapping::new(PAGES).map_err(no_memory)?;
    let mut physical = [0; PAGES];
    for (address, frame) in physical.iter_mut().zip(memory.frames()) {
        *address = frame.info().map_err(no_memory)?.0;
    }
    Ok((Mapped::new(memory, 0), physical))
}

/// Starts the first device that works; `None` if there is none at all. `kind` is what it is called in the log; `start` says what it started.
///
/// # Errors
/// The bus cannot be searched, or there are devices and none can be started. Whoever was told nonsense hears something else when it starts anew.
pub fn first<T>(
    kind: &str,
    mut start: impl FnMut(&Pci, &PciDevice) -> Result<(T, String), String>,
) -> Result<Option<T>, String> {
    let connection = connect("pci").map_err(|error| format!("the PCI bus cannot be reached: {error}"))?;
    let pci: Pci = PciClient::new(connection);
    let (mut first, mut failure) = (None, None);
    for index in 0.. {
        let device = match pci.device(index) {
            Ok(device) => device,
            Err(IoError::NotFound) => break,
            Err(error) => return Err(format!("the PCI bus cannot be searched: {error}")),
        };
        let name = name(&device);
        if first.is_some() {
            motte::log::warn!("the {kind} at {name} is not used: one is served");
            continue;
        }
        match start(&pci, &device) {
            Ok((started, what)) => {
                motte::log::info!("{kind} at {name}: {what}");
                first = Some(started);
            }
            Err(error) => {
                let error = format!("the {kind} at {name} cannot be used: {error}");
                motte::log::error!("{error}");
                failure = Some(error);
            }
        }
    }
    match (first, failure) {
        (None, Some(error)) => Err(error),
        (None, None) => {
            motte::log::info!("there is no {kind} to serve");
            Ok(None)
        }
        (first, _) => Ok(first),
    }
}
