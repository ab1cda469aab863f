//! A network card in memory, the driver in front of it, and a stack's port.

#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::netdev::{Direction, Netdev, NetdevInfo};
use motte_interfaces::{Cap, Sender};
use motte_netdev::{Attachment, Buffer, Driver, Layout, Memory, Port, Rings};
use motte_virtio::Memory as _;
use motte_virtio::fake::{CLIENT, FRAME, FakeDevice, FakeMachine, Page, View, Window, registers, view};
use motte_virtio_net::{Card, NetServer, PAGES};

pub const CSUM: u64 = 1 << 0;
pub const GUEST_CSUM: u64 = 1 << 1;
pub const MAC: u64 = 1 << 5;
pub const STATUS: u64 = 1 << 16;
pub const EVENT_IDX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;

/// What QEMU's card offers in front of its network in user mode.
pub const USUAL: u64 = MAC | STATUS | EVENT_IDX;

pub const STACK: Sender = Sender { badge: 11 };

/// Where the queues' pages lie, in no order.
const PHYSICAL: [[u64; PAGES]; 2] = [[0x30_0000, 0x10_0000, 0x20_0000], [0x60_0000, 0x50_0000, 0x40_0000]];

pub type Device = Box<FakeDevice>;
pub type Server = NetServer<View<Device>, FakeMachine>;

/// A stack's way to the driver.
#[derive(Debug)]
pub struct Way {
    fresh: Rc<RefCell<Option<Attachment<Page>>>>,
    rung: Rc<Cell<usize>>,
    renewals: Rc<Cell<usize>>,
}

impl Driver for Way {
    type Words = Page;
    fn attached(&mut self) -> Option<Attachment<Page>> {
        self.fresh.borrow_mut().take()
    }
    fn link_up(&self) -> bool {
        true
    }
    fn ring(&mut self) {
        self.rung.set(self.rung.get() + 1);
    }
    fn renew(&mut self) {
        self.renewals.set(self.renewals.get() + 1);
    }
}

/// Memory in which no frame is looked for: that is for the tests of the port.
pub struct NoMarks;

impl Memory for NoMarks {
    fn with<R>(&self, _: &mut Buffer, work: impl FnOnce(&mut [u8]) -> R) -> R {
        work(&mut [0; 2048])
    }
}

pub struct World {
    pub device: Rc<RefCell<Device>>,
    pub machine: FakeMachine,
    pub server: Server,
    pub memory: Vec<u8>,
    pub fresh: Rc<RefCell<Option<Attachment<Page>>>>,
    pub rung: Rc<Cell<usize>>,
    pub renewals: Rc<Cell<usize>>,
}

pub fn device(features: u64) -> FakeDevice {
    let configuration = vec![0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0];
    FakeDevice::new(features, configuration, &[&PHYSICAL[0], &PHYSICAL[1]])
}

pub fn card(device: &Rc<RefCell<Device>>) -> Card<View<Device>> {
    let memory = [0, 1].map(|queue| view(device, Window::Queue(device.borrow().queues[queue].memory.clone())));
    Card::new(registers(device), memory, PHYSICAL)
}

impl World {
    pub fn new(features: u64) -> Self {
        let device = Rc::new(RefCell::new(Box::new(device(features))));
        let mut card = card(&device);
        card.start(|| {}).unwrap();
        let machine = FakeMachine::default();
        Self {
            device,
            server: NetServer::new(machine.clone(), Some(card)),
            machine,
            memory: vec![0; FRAME as usize],
            fresh: Rc::default(),
            rung: Rc::default(),
            renewals: Rc::default(),
        }
    }

    /// A port that is attached.
    pub fn port(&mut self) -> Port<Way> {
        self.attach().unwrap();
        let way = Way { fresh: self.fresh.clone(), rung: self.rung.clone(), renewals: self.renewals.clone() };
        let mut port = Port::new(way, Layout::STANDARD);
        port.refresh(&NoMarks);
        self.ring();
        port
    }

    /// Attaches memory and new rings.
    pub fn attach(&mut self) -> Result<(), IoError> {
        let info: NetdevInfo = self.server.info(&STACK)?;
        *self.machine.0.pages.borrow_mut() = Default::default();
        let pages = self.machine.0.pages.borrow().clone();
        self.server.attach_memory(&STACK, 0, Cap(10))?;
        assert_eq!(self.server.attach_rings(&STACK, Direction::Receive, Cap(1), Cap(2), Cap(5))?, Cap(99));
        assert_eq!(self.server.attach_rings(&STACK, Direction::Transmit, Cap(3), Cap(4), Cap(5))?, Cap(99));
        let [a, b, c, d] = pages;
        let (receive, transmit) = (Rings::new(a, b).unwrap(), Rings::new(c, d).unwrap());
        *self.fresh.borrow_mut() = Some(Attachment { info, receive, transmit });
        Ok(())
    }

    /// The driver works if it was signalled.
    pub fn ring(&mut self) {
        if self.rung.take() > 0 {
            self.server.work();
        }
    }

    /// The driver works if the device interrupted since `before`.
    pub fn interrupted(&mut self, before: usize) -> bool {
        let raised = self.device.borrow().interrupts > before;
        if raised {
            self.server.work();
        }
        raised
    }

    /// Writes into a stack's buffer.
    pub fn fill(&mut self, buffer: &Buffer, bytes: &[u8]) {
        self.memory[buffer.offset()..][..bytes.len()].copy_from_slice(bytes);
    }

    /// The stack sends a frame.
    pub fn send(&mut self, port: &mut Port<Way>, bytes: &[u8]) -> bool {
        let Some(buffer) = port.reserve() else { return false };
        self.fill(&buffer, bytes);
        port.transmit(buffer, bytes.len(), None);
        true
    }

    /// The device sends what it was given: the frames, with the headers before them.
    pub fn sent(&mut self) -> Vec<([u8; 12], Vec<u8>)> {
        let mut device = self.device.borrow_mut();
        device.take(1);
        let heads = std::mem::take(&mut device.queues[1].taken);
        let mut sent = Vec::new();
        for head in heads {
            let queue = &device.queues[1];
            let chain = queue.chain(head);
            let [header, packet] = chain[..] else { panic!("a header and a packet") };
            assert_eq!((header.length, header.device_writes, packet.device_writes), (12, false, false));
            let at = queue.at(header.address);
            let header = queue.memory.0.borrow()[at..at + 12].try_into().unwrap();
            let at = (packet.address - CLIENT) as usize;
            sent.push((header, self.memory[at..at + packet.length as usize].to_vec()));
            device.give_back(1, head.into(), 0);
        }
        sent
    }

    /// A frame comes from the network, and the device says of it `flags`, and that it wrote `extra` more bytes than it did. False: it has no buffer.
    pub fn deliver_as(&mut self, frame: &[u8], flags: u8, extra: i32) -> bool {
        let mut device = self.device.borrow_mut();
        device.take(0);
        if device.queues[0].taken.is_empty() {
            return false;
        }
        let queue = &mut device.queues[0];
        let head = queue.taken.remove(0);
        let chain = queue.chain(head);
        let [header, packet] = chain[..] else { panic!("a header and a packet") };
        assert_eq!((header.length, header.device_writes, packet.device_writes), (12, true, true));
        queue.memory.write_u8(queue.at(header.address), flags);
        let at = (packet.address - CLIENT) as usize;
        self.memory[at..at + frame.len()].copy_from_slice(frame);
        let written = (12 + frame.len()) as i32 + extra;
        device.give_back(0, head.into(), written as u32);
        true
    }

    pub fn deliver(&mut self, frame: &[u8]) -> bool {
        self.deliver_as(frame, 0, 0)
    }

    /// The stack takes a frame.
    pub fn receive(&mut self, port: &mut Port<Way>) -> Option<Vec<u8>> {
        let frame = port.receive()?;
        let bytes = self.memory[frame.buffer.offset()..][..frame.length].to_vec();
        port.recycle(frame.buffer, &NoMarks);
        Some(bytes)
    }
}
