//! The console driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use motte::abi::Error;
use motte::interfaces::console::{dispatch_console, mode};
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::{IoPort, Irq, Notification};
use motte::pages::Pages;
use motte::server::{Event, Handler, Replies, Server};
use motte_console::{ConsoleServer, Ports};

motte::entry!(main);

/// The registers of one line.
struct Line {
    ports: Option<IoPort>,
    first: u16,
}

impl Ports for Line {
    fn read(&mut self, register: u8) -> u8 {
        // Absent hardware reads as ones.
        self.ports.and_then(|ports| ports.read_u8(self.first + u16::from(register)).ok()).unwrap_or(0xff)
    }

    fn write(&mut self, register: u8, value: u8) {
        if let Some(ports) = self.ports {
            let _ = ports.write_u8(self.first + u16::from(register), value);
        }
    }
}

/// A line's interrupt, and the event that it raises.
struct Interrupt {
    irq: Irq,
    event: Event,
}

struct Service {
    server: ConsoleServer<Replies, Pages, Line>,
    interrupts: [Option<Interrupt>; 2],
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
        if label >= STREAM_BASE {
            dispatch_stream(&mut self.server, sender, label, request, reply, defer)
        } else {
            dispatch_console(&mut self.server, sender, label, request, reply, defer)
        }
    }

    fn notified(&mut self, bits: u64) {
        for (line, interrupt) in self.interrupts.iter().enumerate() {
            let Some(interrupt) = interrupt else { continue };
            if bits & interrupt.event.bit() == 0 {
                continue;
            }
            if let Some(cap) = self.server.interrupt(line) {
                let _ = Notification::at(cap.0).signal();
            }
            let _ = interrupt.irq.acknowledge();
        }
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("console")?;
    let line = |name: &str, first| Line { ports: motte::start::capability(name).map(IoPort), first };
    let pages = Pages::new(server.endpoint(), server.replies());
    let mut interrupts = [None, None];
    for (interrupt, name) in interrupts.iter_mut().zip(["irq:4", "irq:3"]) {
        let Some(slot) = motte::start::capability(name) else { continue };
        let event = server.tasks().event()?;
        let irq = Irq(slot);
        irq.bind(event.notification().0)?;
        *interrupt = Some(Interrupt { irq, event });
    }
    let mut console = ConsoleServer::new(server.replies(), pages, line("port:0x3f8", 0x3f8), line("port:0x2f8", 0x2f8));
    if motte::env::var("MOTTE_BATCH").is_some() {
        console.start_in(mode::NO_INPUT | mode::SPLIT_ERROR);
    }
    if !console.is_present() {
        motte::log::warn!("there is no serial line at port 0x3f8: the system has no console");
    }
    Err(server.run(&mut Service { server: console, interrupts }))
}
