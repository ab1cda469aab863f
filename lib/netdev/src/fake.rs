//! A card in memory, with its driver: tests deliver frames, look at what was sent, restart the driver, and have it lie.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use motte_interfaces::netdev::{
    Checksum, ENTRY_WORDS, ETHERNET_HEADER, NetdevInfo, ReceiveRequest, Received, TransmitRequest, Transmitted,
};
use motte_ring::{AtomicU64, Consumer, PAGE_WORDS, Producer};

use crate::port::{Attachment, Buffer, Driver, Layout, Memory, Rings};

/// A page of memory that both sides of a ring hold.
#[derive(Clone, Debug)]
pub struct FakeWords(Rc<[AtomicU64]>);

impl FakeWords {
    fn new() -> Self {
        Self((0..PAGE_WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Deref for FakeWords {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// Packet memory that the fake card reaches too.
#[derive(Clone, Debug)]
pub struct FakeMemory(Rc<[RefCell<Box<[u8]>>]>);

impl Memory for FakeMemory {
    fn with<R>(&self, buffer: &mut Buffer, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut bytes = self.0[buffer.offset() / buffer.len()].borrow_mut();
        work(&mut bytes)
    }
}

/// The driver's side of the rings.
#[derive(Debug)]
struct Server {
    empty: Consumer<FakeWords, ENTRY_WORDS>,
    received: Producer<FakeWords, ENTRY_WORDS>,
    frames: Consumer<FakeWords, ENTRY_WORDS>,
    transmitted: Producer<FakeWords, ENTRY_WORDS>,
}

#[derive(Debug)]
struct State {
    info: Cell<NetdevInfo>,
    layout: Layout,
    memory: FakeMemory,
    server: RefCell<Option<Server>>,
    /// What the client finds when it next asks.
    fresh: RefCell<Option<Attachment<FakeWords>>>,
    signals: Cell<usize>,
    wakes: Cell<usize>,
    renewals: Cell<usize>,
}

/// The card, as a test handles it. Clones are the same card.
#[derive(Clone, Debug)]
pub struct FakeCard(Rc<State>);

/// The card as a [`Port`](crate::Port) sees it.
#[derive(Debug)]
pub struct FakeDriver(Rc<State>);

impl Default for FakeCard {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeCard {
    /// A card that checks nothing, with a running driver.
    pub fn new() -> Self {
        let info = NetdevInfo {
            mac: 0x5254_0012_3456,
            mtu: 1500,
            link_up: true,
            depth: 128,
            transmit_checksums: false,
            receive_checksums: false,
        };
        Self::with(info, Layout::STANDARD)
    }

    /// A card as described, with a running driver.
    pub fn with(info: NetdevInfo, layout: Layout) -> Self {
        let buffers = layout.receive + layout.transmit;
        let memory = FakeMemory((0..buffers).map(|_| RefCell::new(vec![0; layout.buffer].into())).collect());
        let card = Self(Rc::new(State {
            info: Cell::new(info),
            layout,
            memory,
            server: RefCell::new(None),
            fresh: RefCell::new(None),
            signals: Cell::new(0),
            wakes: Cell::new(0),
            renewals: Cell::new(0),
        }));
        card.0.start();
        card
    }

    /// For [`Port::new`](crate::Port::new).
    pub fn driver(&self) -> FakeDriver {
        FakeDriver(self.0.clone())
    }

    /// For [`Port::new`](crate::Port::new).
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// Packet memory.
    pub fn memory(&self) -> FakeMemory {
        self.0.memory.clone()
    }

    /// A frame comes from the network. False: it is lost, for there is no driver or no empty buffer.
    pub fn deliver(&self, frame: &[u8]) -> bool {
        self.deliver_as(frame, false)
    }

    /// A frame comes, and the driver does not get round to reporting it. False: there is no empty buffer.
    pub fn deliver_unreported(&self, frame: &[u8]) -> bool {
        self.write(frame).is_some()
    }

    /// A frame comes whose checksum the card has checked.
    pub fn deliver_checked(&self, frame: &[u8]) -> bool {
        self.deliver_as(frame, true)
    }

    /// Writes a frame into an empty buffer, and says where that begins.
    fn write(&self, frame: &[u8]) -> Option<u64> {
        let mut server = self.0.server.borrow_mut();
        let words = server.as_mut()?.empty.pop().expect("the client's ring makes sense")?;
        let request = ReceiveRequest::of(words).expect("the client's request makes sense");
        assert!(request.length as usize >= self.0.info.get().mtu as usize + ETHERNET_HEADER as usize);
        let memory = &self.0.memory.0;
        memory[request.offset as usize / self.0.layout.buffer].borrow_mut()[..frame.len()].copy_from_slice(frame);
        Some(request.offset)
    }

    fn deliver_as(&self, frame: &[u8], checksum_good: bool) -> bool {
        let Some(offset) = self.write(frame) else { return false };
        let mut server = self.0.server.borrow_mut();
        let Some(server) = server.as_mut() else { return false };
        let received = Received { offset, length: frame.len() as u32, checksum_good };
        server.received.push(received.words()).expect("there is room for a completion");
        self.0.wakes.set(self.0.wakes.get() + usize::from(server.received.must_wake()));
        true
    }

    /// Takes the frames that were sent since the last call, with checksums filled in where that was asked for.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        let mut server = self.0.server.borrow_mut();
        let Some(server) = server.as_mut() else { return Vec::new() };
        let mut sent = Vec::new();
        while let Some(words) = server.frames.pop().expect("the client's ring makes sense") {
            let request = TransmitRequest::of(words).expect("the client's request makes sense");
            let memory = self.0.memory.0[request.offset as usize / self.0.layout.buffer].borrow();
            let mut frame = memory[..request.length.into()].to_vec();
            if let Some(checksum) = request.checksum {
                assert!(self.0.info.get().transmit_checksums, "the card was never said to fill in checksums");
                fill_in(&mut frame, checksum);
            }
            sent.push(frame);
            let transmitted = Transmitted { offset: request.offset, sent: true };
            server.transmitted.push(transmitted.words()).expect("there is room for a completion");
            self.0.wakes.set(self.0.wakes.get() + usize::from(server.transmitted.must_wake()));
        }
        sent
    }

    /// The driver dies. What it had is lost.
    pub fn kill(&self) {
        *self.0.server.borrow_mut() = None;
        *self.0.fresh.borrow_mut() = None;
    }

    /// A driver starts.
    pub fn start(&self) {
        self.0.start();
    }

    /// The driver dies and is there again.
    pub fn restart(&self) {
        self.kill();
        self.start();
    }

    /// The cable is plugged in or pulled out.
    pub fn set_link(&self, up: bool) {
        self.0.info.set(NetdevInfo { link_up: up, ..self.0.info.get() });
    }

    /// The driver puts any words among those for received frames.
    pub fn lie_received(&self, words: [u64; ENTRY_WORDS]) {
        if let Some(server) = self.0.server.borrow_mut().as_mut() {
            let _ = server.received.push(words);
        }
    }

    /// The driver puts any words among those for sent frames.
    pub fn lie_transmitted(&self, words: [u64; ENTRY_WORDS]) {
        if let Some(server) = self.0.server.borrow_mut().as_mut() {
            let _ = server.transmitted.push(words);
        }
    }

    /// How often the client signalled the driver.
    pub fn signals(&self) -> usize {
        self.0.signals.get()
    }

    /// How often the driver would have signalled the client.
    pub fn wakes(&self) -> usize {
        self.0.wakes.get()
    }

    /// How often the client asked for new rings.
    pub fn renewals(&self) -> usize {
        self.0.renewals.get()
    }

    /// The driver announces that it sleeps, so that the client must signal it. False: there are requests.
    pub fn sleep(&self) -> bool {
        self.0.server.borrow_mut().as_mut().is_some_and(|server| {
            let receive = server.empty.prepare_to_sleep();
            server.frames.prepare_to_sleep() == Ok(true) && receive.is_ok()
        })
    }
}

/// Adds up 16-bit words (RFC 1071) from where the card was told to, and puts the complement there.
fn fill_in(frame: &mut [u8], checksum: Checksum) {
    let start = usize::from(checksum.start);
    let mut sum = 0u32;
    for pair in frame[start..].chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let at = start + usize::from(checksum.at);
    frame[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

impl State {
    fn start(&self) {
        let pages = [(); 4].map(|()| FakeWords::new());
        let [empty, received, frames, transmitted] = pages.clone();
        *self.server.borrow_mut() = Some(Server {
            empty: Consumer::new(empty).expect("a page holds a ring"),
            received: Producer::new(received).expect("a page holds a ring"),
            frames: Consumer::new(frames).expect("a page holds a ring"),
            transmitted: Producer::new(transmitted).expect("a page holds a ring"),
        });
        let [empty, received, frames, transmitted] = pages;
        *self.fresh.borrow_mut() = Some(Attachment {
            info: self.info.get(),
            receive: Rings::new(empty, received).expect("a page holds a ring"),
            transmit: Rings::new(frames, transmitted).expect("a page holds a ring"),
        });
    }
}

impl Driver for FakeDriver {
    type Words = FakeWords;

    fn attached(&mut self) -> Option<Attachment<FakeWords>> {
        self.0.fresh.borrow_mut().take()
    }

    fn link_up(&self) -> bool {
        self.0.info.get().link_up
    }

    fn ring(&mut self) {
        self.0.signals.set(self.0.signals.get() + 1);
    }

    fn renew(&mut self) {
        self.0.renewals.set(self.0.renewals.get() + 1);
        self.0.start();
    }
}
