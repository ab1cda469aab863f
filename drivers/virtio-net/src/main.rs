//! The network driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use motte::abi::Error;
use motte::interfaces::lifecycle::{CLIENT_GONE, dispatch_lifecycle};
use motte::interfaces::netdev::{NetdevInfo, dispatch_netdev};
use motte::interfaces::pci::PciDevice;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Event, Handler, Server, Tasks};
use motte_virtio::pci::{self, Interrupt, Pci};
use motte_virtio::{Kernel, Mapped};
use motte_virtio_net::{CONFIGURATION_BYTES, CONFIGURATION_VECTOR, Card, NetServer, QUEUE_VECTOR};

motte::entry!(main);

/// The card's interrupts.
struct Interrupts {
    queues: Interrupt,
    configuration: Interrupt,
}

struct Service {
    server: NetServer<Mapped, Kernel>,
    interrupts: Option<Interrupts>,
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
            dispatch_netdev(&mut self.server, sender, label, request, reply, defer)
        }
    }

    fn notified(&mut self, bits: u64) {
        let mut work = bits & self.doorbell.bit() != 0;
        if let Some(interrupts) = &self.interrupts {
            work |= interrupts.queues.take(bits);
            if interrupts.configuration.take(bits) {
                self.server.configuration_changed();
            }
        }
        if work {
            self.server.work();
        }
    }
}

/// Takes a device over from whatever state it is in, and starts it.
fn start(pci: &Pci, device: &PciDevice, tasks: &Tasks) -> Result<(Card<Mapped>, Interrupts), String> {
    let (receive, receive_at) = pci::memory()?;
    let (transmit, transmit_at) = pci::memory()?;
    let registers = pci::registers(pci, device, CONFIGURATION_BYTES)?;
    let mut card = Card::new(registers, [receive, transmit], [receive_at, transmit_at]);
    // Before anything else: a former driver's device may still be writing.
    card.reset(pci::pause).map_err(|error| format!("{error}"))?;
    let interrupts = Interrupts {
        queues: Interrupt::bind(pci, device, QUEUE_VECTOR, tasks)?,
        configuration: Interrupt::bind(pci, device, CONFIGURATION_VECTOR, tasks)?,
    };
    pci.enable(device.address).map_err(|error| format!("it cannot be enabled: {error}"))?;
    card.start(pci::pause).map_err(|error| format!("{error}"))?;
    Ok((card, interrupts))
}

/// What the log says of a card.
fn describe(info: NetdevInfo) -> String {
    let [a, b, c, d, e, f] = info.mac_bytes();
    format!(
        "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, link {}, {} packets in flight each way{}",
        if info.link_up { "up" } else { "down" },
        info.depth,
        if info.transmit_checksums { ", with checksums" } else { "" },
    )
}

fn main() -> Result<(), String> {
    let no_server = |error: Error| format!("the service cannot be given: {error}");
    let mut server = Server::for_service("netdev").map_err(no_server)?;
    let doorbell = server.tasks().event().map_err(no_server)?;
    let kernel = Kernel::new(&server, &doorbell).map_err(no_server)?;
    let tasks = server.tasks();
    let found = pci::first("network card", |pci, device| {
        let (card, interrupts) = start(pci, device, &tasks)?;
        let what = describe(card.info());
        Ok(((card, interrupts), what))
    })?;
    let (card, interrupts) = found.unzip();
    Err(no_server(server.run(&mut Service { server: NetServer::new(kernel, card), interrupts, doorbell })))
}
