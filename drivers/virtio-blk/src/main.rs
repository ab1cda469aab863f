//! The disk driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, PAGE_SIZE, Rights};
use motte::interfaces::block::dispatch_block;
use motte::interfaces::error::IoError;
use motte::interfaces::pci::{PciClient, PciDevice};
use motte::interfaces::{Cap, Outcome, Reader, ReplyToken, Responder, Sender, Writer};
use motte::kernel::{CacheMode, CapSlot, Frame, Irq, Notification};
use motte::memory::Mapping;
use motte::pages::SharedWords;
use motte::server::{Event, Handler, Replies, Server};
use motte::service::{Connection, connect};
use motte::slots;
use motte_virtio_blk::{BlockServer, CLIENT_GONE, Disk, Machine, PAGES, Place, Registers, dispatch_lifecycle, find};

use crate::mmio::Mapped;

mod mmio;

motte::entry!(main);

type Pci = PciClient<Connection>;

/// The kernel, as the driver needs it.
struct Kernel {
    /// The client's capability to signal this driver.
    doorbell: Cap,
    /// The same signal, for the driver itself.
    again: Notification,
    replies: Replies,
}

impl Machine for Kernel {
    type Words = SharedWords;

    fn map(&mut self, page: Cap) -> Result<SharedWords, IoError> {
        SharedWords::of(Frame::at(page.0)).map_err(|_| IoError::InvalidInput)
    }

    fn frame_address(&self, frame: Cap) -> Option<u64> {
        let (address, size, _) = Frame::at(frame.0).info().ok()?;
        (size == LARGE_PAGE_SIZE as u64).then_some(address)
    }

    fn is_alive(&self, cap: Cap) -> bool {
        CapSlot(cap.0).identify().is_ok_and(|(ty, ..)| ty != ObjectType::Null)
    }

    fn release(&mut self, cap: Cap) {
        slots::delete(CapSlot(cap.0));
    }

    fn wake(&self, notification: Cap) {
        let _ = Notification::at(notification.0).signal();
    }

    fn answer(&mut self, waiting: Responder<(), IoError>, result: Result<(), IoError>) {
        waiting.answer(&mut self.replies, result);
    }

    fn doorbell(&self) -> Cap {
        self.doorbell
    }

    fn again(&self) {
        let _ = self.again.signal();
    }

    fn pause(&self) {
        motte::thread::sleep(Duration::from_millis(1));
    }

    fn report(&self, text: &str) {
        motte::log::error!("{text}");
    }
}

/// The interrupt, and the event that it raises.
struct Interrupt {
    irq: Irq,
    event: Event,
}

struct Service {
    server: BlockServer<Mapped, Kernel>,
    interrupt: Option<Interrupt>,
    doorbell: Event,
}

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
            dispatch_lifecycle(&mut self.server, sender, label, request, reply, defer)
        } else {
            dispatch_block(&mut self.server, sender, label, request, reply, defer)
        }
    }

    fn notified(&mut self, bits: u64) {
        let raised = self.interrupt.as_ref().filter(|interrupt| bits & interrupt.event.bit() != 0);
        if let Some(interrupt) = raised {
            // First, so that what the device does from now on is not missed.
            let _ = interrupt.irq.acknowledge();
            self.server.interrupt();
        } else if bits & self.doorbell.bit() != 0 {
            self.server.work();
        }
    }
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

/// Takes a device over from whatever state it is in, and starts it.
fn start(pci: &Pci, device: &PciDevice, event: Event) -> Result<(Disk<Mapped>, Interrupt), String> {
    let address = device.address;
    let found = find(|offset, width| pci.config_read(address, offset, width));
    let mut structures = found.map_err(|error| format!("{error}"))?;
    // Only the first queue's register is used.
    structures.notify.length = structures.notify.length.min(PAGE_SIZE as u64);
    let registers = Registers {
        common: map(pci, device, structures.common)?,
        notify: map(pci, device, structures.notify)?,
        notify_length: structures.notify.length,
        notify_multiplier: structures.notify_multiplier,
        device: map(pci, device, structures.device)?,
    };
    let no_memory = |error: Error| format!("there is no memory for its queue: {error}");
    let memory = Mapping::new(PAGES).map_err(no_memory)?;
    let mut physical = [0; PAGES];
    for (address, frame) in physical.iter_mut().zip(memory.frames()) {
        *address = frame.info().map_err(no_memory)?.0;
    }
    let mut disk = Disk::new(registers, Mapped::new(memory, 0), physical);
    let pause = || motte::thread::sleep(Duration::from_millis(1));
    // Before anything else: a former driver's device may still be writing.
    disk.reset(pause).map_err(|error| format!("{error}"))?;
    let irq = pci.interrupt(address, 0).map_err(|error| format!("it has no interrupt: {error}"))?;
    let irq = Irq::at(irq.0);
    irq.bind(event.notification().0).map_err(|error| format!("its interrupt cannot be bound: {error}"))?;
    pci.enable(address).map_err(|error| format!("it cannot be enabled: {error}"))?;
    disk.start(pause).map_err(|error| format!("{error}"))?;
    Ok((disk, Interrupt { irq, event }))
}

/// The first disk that works.
fn first_disk(server: &Server) -> Result<Option<(Disk<Mapped>, Interrupt)>, Error> {
    let pci: Pci = match connect("pci") {
        Ok(connection) => PciClient::new(connection),
        Err(error) => {
            motte::log::error!("there is no disk: the PCI bus cannot be reached: {error}");
            return Ok(None);
        }
    };
    let mut disk = None;
    for index in 0.. {
        let device = match pci.device(index) {
            Ok(device) => device,
            Err(IoError::NotFound) => break,
            Err(error) => {
                motte::log::error!("the PCI bus cannot be searched: {error}");
                break;
            }
        };
        let (bus, slot, function) = (device.address >> 8, device.address >> 3 & 31, device.address & 7);
        if disk.is_some() {
            motte::log::warn!("the disk at {bus:02x}:{slot:02x}.{function} is not used: one disk is served");
            continue;
        }
        match start(&pci, &device, server.tasks().event()?) {
            Ok((started, interrupt)) => {
                let info = started.info();
                motte::log::info!(
                    "disk at {bus:02x}:{slot:02x}.{function}: {} MiB{}{}, {} requests in flight",
                    info.sectors / 2048,
                    if info.read_only { ", read-only" } else { "" },
                    if info.write_cache { ", with a write cache" } else { "" },
                    info.queue_depth
                );
                disk = Some((started, interrupt));
            }
            Err(error) => {
                motte::log::error!("the disk at {bus:02x}:{slot:02x}.{function} cannot be used: {error}")
            }
        }
    }
    Ok(disk)
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("block")?;
    let doorbell = server.tasks().event()?;
    let to_client = slots::allocate()?;
    doorbell.notification().0.copy(to_client, Rights::WRITE)?;
    let kernel = Kernel { doorbell: Cap(to_client.0), again: doorbell.notification(), replies: server.replies() };
    let (disk, interrupt) = first_disk(&server)?.unzip();
    if disk.is_none() {
        motte::log::info!("there is no disk to serve");
    }
    Err(server.run(&mut Service { server: BlockServer::new(kernel, disk), interrupt, doorbell }))
}
