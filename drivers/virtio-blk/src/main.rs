//! The disk driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use motte::abi::Error;
use motte::interfaces::block::{DiskInfo, dispatch_block};
use motte::interfaces::lifecycle::{CLIENT_GONE, dispatch_lifecycle};
use motte::interfaces::pci::PciDevice;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Event, Handler, Server, Tasks};
use motte_virtio::pci::{self, Interrupt, Pci};
use motte_virtio::{Kernel, Mapped};
use motte_virtio_blk::{BlockServer, CONFIGURATION_BYTES, Disk, PAGES};

motte::entry!(main);

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
fn start(pci: &Pci, device: &PciDevice, tasks: &Tasks) -> Result<(Disk<Mapped>, Interrupt), String> {
    let (memory, physical) = pci::memory::<PAGES>()?;
    let mut disk = Disk::new(pci::registers(pci, device, CONFIGURATION_BYTES)?, memory, physical);
    // Before anything else: a former driver's device may still be writing.
    disk.reset(pci::pause).map_err(|error| format!("{error}"))?;
    let interrupt = Interrupt::bind(pci, device, 0, tasks)?;
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

fn main() -> Result<(), String> {
    let no_server = |error: Error| format!("the service cannot be given: {error}");
    let mut server = Server::for_service("block").map_err(no_server)?;
    let doorbell = server.tasks().event().map_err(no_server)?;
    let kernel = Kernel::new(&server, &doorbell).map_err(no_server)?;
    let tasks = server.tasks();
    let found = pci::first("disk", |pci, device| {
        let (disk, interrupt) = start(pci, device, &tasks)?;
        let what = describe(disk.info());
        Ok(((disk, interrupt), what))
    })?;
    let (disk, interrupt) = found.unzip();
    Err(no_server(server.run(&mut Service { server: BlockServer::new(kernel, disk), interrupt, doorbell })))
}
