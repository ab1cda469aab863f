//! The disk driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, Rights};
use motte::interfaces::block::{DiskInfo, dispatch_block};
use motte::interfaces::error::IoError;
use motte::interfaces::lifecycle::{CLIENT_GONE, dispatch_lifecycle};
use motte::interfaces::pci::PciDevice;
use motte::interfaces::{Cap, Outcome, Reader, ReplyToken, Responder, Sender, Writer};
use motte::kernel::{CapSlot, Frame, Notification};
use motte::pages::SharedWords;
use motte::server::{Event, Handler, Replies, Server};
use motte::slots;
use motte_virtio::Mapped;
use motte_virtio::pci::{self, Interrupt, Pci};
use motte_virtio_blk::{BlockServer, CONFIGURATION_BYTES, Disk, Machine, PAGES};

motte::entry!(main);

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
        pci::pause();
    }

    fn report(&self, text: &str) {
        motte::log::error!("{text}");
    }
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
        if self.interrupt.as_ref().is_some_and(|interrupt| interrupt.take(bits)) {
            self.server.interrupt();
        } else if bits & self.doorbell.bit() != 0 {
            self.server.work();
        }
    }
}

/// Takes a device over from whatever state it is in, and starts it.
fn start(pci: &Pci, device: &PciDevice, event: Event) -> Result<(Disk<Mapped>, Interrupt), String> {
    let (memory, physical) = pci::memory::<PAGES>()?;
    let mut disk = Disk::new(pci::registers(pci, device, CONFIGURATION_BYTES)?, memory, physical);
    // Before anything else: a former driver's device may still be writing.
    disk.reset(pci::pause).map_err(|error| format!("{error}"))?;
    let interrupt = Interrupt::bind(pci, device, 0, event)?;
    pci.enable(device.address).map_err(|error| format!("it cannot be enabled: {error}"))?;
    disk.start(pci::pause).map_err(|error| format!("{error}"))?;
    Ok((disk, interrupt))
}

/// What the log says of a disk.
fn describe(info: DiskInfo) -> String {
    format!(
        "{} MiB{}{}, {} requests in flight",
        info.sectors / 2048,
        if info.read_only { ", read-only" } else { "" },
        if info.write_cache { ", with a write cache" } else { "" },
        info.queue_depth
    )
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("block")?;
    let doorbell = server.tasks().event()?;
    let to_client = slots::allocate()?;
    doorbell.notification().0.copy(to_client, Rights::WRITE)?;
    let kernel = Kernel { doorbell: Cap(to_client.0), again: doorbell.notification(), replies: server.replies() };
    let tasks = server.tasks();
    let (disk, interrupt) = pci::first("disk", |pci, device| {
        let event = tasks.event().map_err(|error| format!("there is no event for its interrupt: {error}"))?;
        let (disk, interrupt) = start(pci, device, event)?;
        let what = describe(disk.info());
        Ok(((disk, interrupt), what))
    })
    .unzip();
    Err(server.run(&mut Service { server: BlockServer::new(kernel, disk), interrupt, doorbell }))
}
