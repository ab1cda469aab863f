//! The console driver as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::rc::Rc;

use motte::abi::{Error, ObjectType};
use motte::interfaces::console::{dispatch_console, mode};
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream, number_stream};
use motte::interfaces::{AGAIN, Cap, Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kept::{self, SnapshotMemory, Snapshots};
use motte::kernel::{CapSlot, IoPort, Irq, Notification};
use motte::memory::Mapping;
use motte::pages::Pages;
use motte::server::{Event, Handler, Replies, Server};
use motte::slots;
use motte_console::{ConsoleServer, Description, Memory, Ports};

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

/// Bytes of the kept memory for how many bytes were sent; behind it lies the description.
const SENT: usize = 64;

/// What outlives the driver: its kept memory, and the first of its kept slots for the notification of Ctrl-C.
struct Kept {
    memory: Rc<Mapping>,
    description: Snapshots<Part>,
}

/// The part of the kept memory that holds the description.
struct Part(Rc<Mapping>);

impl SnapshotMemory for Part {
    fn size(&self) -> usize {
        self.0.len() - SENT
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.0.read(SENT + offset, bytes);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0.write(SENT + offset, bytes);
    }
}

impl Kept {
    fn new(memory: Mapping) -> Self {
        let memory = Rc::new(memory);
        Self { description: Snapshots::new(Part(memory.clone())), memory }
    }

    /// The notification that a former driver was given.
    fn interrupt(&self) -> Option<Cap> {
        let slot = CapSlot(kept::slots().next()?);
        slot.identify().is_ok_and(|(ty, ..)| ty == ObjectType::Notification).then_some(Cap(slot.0))
    }
}

impl Memory for Kept {
    fn save(&mut self, description: &[u8]) {
        if !self.description.save(description) {
            motte::log::warn!("there is no room to note what was typed and written");
        }
    }

    fn sent(&self, line: usize) -> u64 {
        self.memory.read_u64(line * 8)
    }

    fn set_sent(&mut self, line: usize, bytes: u64) {
        self.memory.write_u64(line * 8, bytes);
    }

    fn replace_interrupt(&mut self, former: Option<Cap>, new: Cap) -> Cap {
        if let Some(kept) = kept::slots().next() {
            let _ = CapSlot(kept).delete();
            if CapSlot::OWN_TABLE.move_to(new.0, CapSlot::OWN_TABLE, kept).is_ok() {
                slots::free(CapSlot(new.0));
                return Cap(kept);
            }
        }
        former.into_iter().for_each(|former| slots::delete(CapSlot(former.0)));
        new
    }
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
        let (again, label) = (label & AGAIN != 0, label & !AGAIN);
        if label >= STREAM_BASE {
            self.server.begin(number_stream(label, request).unwrap_or(0), again);
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
    let Some(kept) = kept::map()? else {
        motte::log::error!("the manifest gives this component no memory that outlives it (`keep`, `keep-slots`)");
        return Err(Error::OutOfMemory);
    };
    let memory = Kept::new(kept.memory);
    let former = memory.description.load().and_then(|bytes| Description::read(&bytes));
    let is_first = former.is_none();
    let lines = [line("port:0x3f8", 0x3f8), line("port:0x2f8", 0x2f8)];
    let interrupt = memory.interrupt();
    let mut console = ConsoleServer::new(server.replies(), pages, lines, Box::new(memory), former, interrupt);
    if is_first && motte::env::var("MOTTE_BATCH").is_some() {
        console.start_in(mode::NO_INPUT | mode::SPLIT_ERROR);
    }
    if !console.is_present() {
        motte::log::warn!("there is no serial line at port 0x3f8: the system has no console");
    }
    Err(server.run(&mut Service { server: console, interrupts }))
}
