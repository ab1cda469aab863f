//! Two machines on one wire, each with a stack over a card in memory, and clients of theirs.
#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Buffers, SLOTS_PER_PAGE, header, page, state, wants};
use motte_interfaces::net_rules::Rules;
use motte_interfaces::{Cap, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Wire, Writer};
use motte_net::config::Config;
use motte_net::links::Links;
use motte_net::session::Machine;
use motte_net::stack::Stack;
use motte_netdev::Port;
use motte_netdev::fake::{FakeCard, FakeDriver, FakeMemory};
use motte_ring::{AtomicU64, Buffer, ByteConsumer, ByteProducer, PAGE_WORDS};
use smoltcp::time::Instant;

#[derive(Clone)]
pub struct Words(Rc<[AtomicU64]>);

impl Words {
    fn new() -> Self {
        Self((0..PAGE_WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Deref for Words {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// A page as the stack sees it: to touch it when its client is gone would be a page fault.
pub struct Lent(Words, Rc<Cell<bool>>);

impl Deref for Lent {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        assert!(self.1.get(), "the page of a client that is gone was touched");
        &self.0
    }
}

#[derive(Clone)]
pub struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Buffer for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.0.borrow()[at..at + into.len()]);
    }
    fn write(&self, at: usize, from: &[u8]) {
        self.0.borrow_mut()[at..at + from.len()].copy_from_slice(from);
    }
}

/// Shared words, and whether their owner still lives.
type OwnedWords = (Words, Rc<Cell<bool>>);

/// What capabilities stand for.
#[derive(Default)]
pub struct Memory {
    words: RefCell<BTreeMap<u64, OwnedWords>>,
    bytes: RefCell<BTreeMap<u64, Bytes>>,
    next: Cell<u64>,
    /// Signals by notification.
    pub signals: RefCell<BTreeMap<u64, usize>>,
    pub rules: RefCell<BTreeMap<u64, Rules>>,
}

impl Memory {
    fn cap(&self) -> Cap {
        self.next.set(self.next.get() + 1);
        Cap(self.next.get())
    }
}

pub struct Clients(pub Rc<Memory>);

impl Machine for Clients {
    type Words = Lent;
    type Bytes = Bytes;
    fn is_alive(&self, words: &Lent) -> bool {
        words.1.get()
    }
    fn map_words(&mut self, page: Cap) -> Result<Lent, IoError> {
        let (words, alive) = self.0.words.borrow().get(&page.0).cloned().ok_or(IoError::InvalidInput)?;
        Ok(Lent(words, alive))
    }
    fn map_bytes(&mut self, pages: Vec<Cap>) -> Result<Bytes, IoError> {
        self.0.bytes.borrow().get(&pages[0].0).cloned().ok_or(IoError::InvalidInput)
    }
    fn release(&mut self, _: Cap) {}
    fn signal(&self, notification: Cap) {
        *self.0.signals.borrow_mut().entry(notification.0).or_default() += 1;
    }
    fn doorbell(&self) -> Cap {
        Cap(u64::MAX)
    }
    fn rules(&mut self, client: u64) -> Rules {
        self.0.rules.borrow().get(&client).cloned().unwrap_or_else(Rules::all)
    }
    fn random(&mut self) -> u64 {
        0x1234_5678_9abc_def1
    }
}

/// Label and words of an answer.
type Answer = (u64, Vec<u64>);

/// Keeps answers by their tokens.
#[derive(Clone, Default)]
pub struct Answers(Rc<RefCell<BTreeMap<u64, Answer>>>);

impl Replier for Answers {
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut words = [0; motte_abi_words()];
        let mut writer = Writer::new(&mut words);
        let label = put(&mut writer).label().expect("an answer");
        self.0.borrow_mut().insert(token.0, (label, writer.words().to_vec()));
    }
}

const fn motte_abi_words() -> usize {
    112
}

impl Answers {
    /// The answer to a call, if there is one.
    pub fn take<R: Wire>(&self, token: u64) -> Option<Result<R, IoError>> {
        let (label, words) = self.0.borrow_mut().remove(&token)?;
        let mut reader = Reader::new(&words, &[]);
        Some(match label {
            0 => Ok(R::take(&mut reader).unwrap()),
            _ => Err(IoError::take(&mut reader).unwrap()),
        })
    }
}

pub type TestStack = Stack<Answers, Clients, FakeDriver, FakeMemory>;

/// One machine.
pub struct Host {
    pub stack: TestStack,
    pub card: FakeCard,
    pub memory: Rc<Memory>,
    pub answers: Answers,
    config: Config,
    next_token: u64,
}

pub fn config(address: &str) -> Config {
    let mut config = Config::new(32 << 20);
    config.set("ADDRESSES", address).unwrap();
    config.set("GATEWAYS", "10.0.0.9").unwrap();
    config
}

impl Host {
    pub fn new(address: &str, mac: u64) -> Self {
        Self::with(config(address), mac)
    }

    pub fn with(config: Config, mac: u64) -> Self {
        let info = motte_interfaces::netdev::NetdevInfo {
            mac,
            mtu: 1500,
            link_up: true,
            depth: 128,
            transmit_checksums: mac.is_multiple_of(2),
            receive_checksums: false,
        };
        let card = FakeCard::with(info, motte_netdev::Layout::STANDARD);
        let memory = Rc::new(Memory::default());
        let answers = Answers::default();
        let stack = start(&card, &memory, &answers, &config);
        Self { stack, card, memory, answers, config, next_token: 0 }
    }

    /// The stack is killed, and there is another.
    pub fn restart(&mut self) {
        self.card.restart();
        self.stack = start(&self.card, &self.memory, &self.answers, &self.config);
    }

    pub fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }
}

fn start(card: &FakeCard, memory: &Rc<Memory>, answers: &Answers, config: &Config) -> TestStack {
    let now = Instant::from_micros(1);
    let links = Links::new(Port::new(card.driver(), card.layout()), card.memory(), config.clone(), 7, now);
    Stack::new(answers.clone(), Clients(memory.clone()), links, config.clone(), now)
}

/// Two machines on one wire, and the time.
pub struct Net {
    pub a: Host,
    pub b: Host,
    pub now: u64,
    /// Frames that are lost: every so many.
    pub lose: Option<u64>,
    /// Frames to `b`, if they are to be kept.
    pub kept: Option<Vec<Vec<u8>>>,
    sent: u64,
}

pub use motte_interfaces::net::Net as NetRequests;

impl Net {
    pub fn new() -> Self {
        let (a, b) = (Host::new("10.0.0.1/24", 0x0200_0000_0001), Host::new("10.0.0.2/24", 0x0200_0000_0002));
        Self { a, b, now: 1000, lose: None, kept: None, sent: 0 }
    }

    /// Lets everything happen that happens without time passing.
    pub fn settle(&mut self) {
        loop {
            self.now += 10;
            let now = Instant::from_micros(self.now as i64);
            let more = self.a.stack.work(now) | self.b.stack.work(now);
            let frames = (self.a.card.sent(), self.b.card.sent());
            if frames.0.is_empty() && frames.1.is_empty() && !more {
                return;
            }
            if let Some(kept) = &mut self.kept {
                kept.extend(frames.0.iter().cloned());
            }
            for (frames, to) in [(frames.0, &self.b.card), (frames.1, &self.a.card)] {
                for frame in frames {
                    self.sent += 1;
                    if self.lose.is_none_or(|every| !self.sent.is_multiple_of(every)) {
                        to.deliver(&frame);
                    }
                }
            }
        }
    }

    /// Lets time pass, in microseconds, and everything happen that is due meanwhile.
    pub fn pass(&mut self, micros: u64) {
        let end = self.now + micros;
        loop {
            self.settle();
            let next = [self.a.stack.next_time(), self.b.stack.next_time()].into_iter().flatten().min();
            match next.filter(|&next| next < end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
        }
        self.now = self.now.max(end);
        self.settle();
    }
}

/// A client of one host.
pub struct Client {
    pub badge: u64,
    page: Words,
    headers: RefCell<Vec<Words>>,
    pub wake: Cap,
    /// Cleared when the client dies.
    pub alive: Rc<Cell<bool>>,
}

/// A client's end of a socket.
pub struct Socket {
    pub slot: u64,
    headers: Words,
    page: Words,
    bytes: Bytes,
    receive: ByteConsumer,
    send: ByteProducer,
}

pub const BUFFERS: Buffers = Buffers { receive: 8192, send: 8192 };

impl Client {
    pub fn new(host: &mut Host, badge: u64) -> Self {
        let (page, cap, sender) = (Words::new(), host.memory.cap(), Sender { badge });
        let alive = Rc::new(Cell::new(true));
        host.memory.words.borrow_mut().insert(cap.0, (page.clone(), alive.clone()));
        host.stack.begin(&sender, cap).unwrap();
        let wake = host.memory.cap();
        host.stack.wake_by(&sender, wake).unwrap();
        Self { badge, page, headers: RefCell::default(), wake, alive }
    }

    pub fn sender(&self) -> Sender {
        Sender { badge: self.badge }
    }

    /// A slot with memory for these buffers.
    pub fn slot(&self, host: &mut Host, slot: u64, buffers: Buffers) -> Socket {
        let mut headers = self.headers.borrow_mut();
        while headers.len() <= slot as usize / SLOTS_PER_PAGE {
            let (page, cap) = (Words::new(), host.memory.cap());
            host.memory.words.borrow_mut().insert(cap.0, (page.clone(), self.alive.clone()));
            host.stack.lend_headers(&self.sender(), headers.len() as u64, cap).unwrap();
            headers.push(page);
        }
        let pages = buffers.pages().unwrap();
        let bytes = Bytes(Rc::new(RefCell::new(vec![0; pages * 4096])));
        for first in (0..pages as u64).step_by(4) {
            let caps = [(); 4].map(|()| host.memory.cap());
            if first == 0 {
                host.memory.bytes.borrow_mut().insert(caps[0].0, bytes.clone());
            }
            let [a, b, c, d] = caps;
            host.stack.lend(&self.sender(), (slot, first), a, b, c, d).unwrap();
        }
        let (receive, send) = (buffers.receive as usize, buffers.send as usize);
        let socket = Socket {
            slot,
            headers: headers[slot as usize / SLOTS_PER_PAGE].clone(),
            page: self.page.clone(),
            bytes,
            receive: ByteConsumer::new(0, receive),
            send: ByteProducer::new(receive, send),
        };
        (0..header::WORDS).for_each(|word| socket.word(word).store(0, Relaxed));
        socket
    }

    pub fn connect(&self, host: &mut Host, slot: u64, to: &str) -> Result<Socket, IoError> {
        let socket = self.slot(host, slot, BUFFERS);
        host.stack.connect(&self.sender(), slot, Address(to.parse().unwrap()), BUFFERS)?;
        Ok(socket)
    }

    pub fn listen(&self, host: &mut Host, slot: u64, at: &str, backlog: u64) -> Result<Socket, IoError> {
        let socket = self.slot(host, slot, Buffers::NONE);
        NetRequests::listen(&mut host.stack, &self.sender(), slot, Address(at.parse().unwrap()), backlog, BUFFERS)?;
        Ok(socket)
    }

    pub fn accept(&self, host: &mut Host, listener: u64, slot: u64) -> Result<(Socket, SocketAddr), IoError> {
        let socket = self.slot(host, slot, BUFFERS);
        let (_, Address(peer)) = host.stack.accept(&self.sender(), listener, slot, BUFFERS)?;
        Ok((socket, peer))
    }

    pub fn bind(&self, host: &mut Host, slot: u64, at: &str) -> Result<(Socket, SocketAddr), IoError> {
        let socket = self.slot(host, slot, BUFFERS);
        let Address(local) = host.stack.bind(&self.sender(), slot, Address(at.parse().unwrap()), BUFFERS)?;
        Ok((socket, local))
    }

    pub fn close(&self, host: &mut Host, slot: u64) {
        host.stack.close(&self.sender(), slot).unwrap();
    }

    /// Slots that there is news about, which is taken.
    pub fn news(&self) -> Vec<usize> {
        let mut summary = self.page[page::CLIENT_SUMMARY].swap(0, SeqCst);
        let mut slots = Vec::new();
        while summary != 0 {
            let word = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let bits = self.page[page::TO_CLIENT + word].swap(0, SeqCst);
            slots.extend((0..64).filter(|bit| bits >> bit & 1 != 0).map(|bit| word * 64 + bit));
        }
        slots
    }

    pub fn wait(&self, host: &mut Host, slot: u64, what: u64, timeout_ns: u64) -> u64 {
        let token = host.token();
        host.stack.wait(&self.sender(), slot, what, timeout_ns, Responder::new(ReplyToken(token)));
        token
    }
}

impl Socket {
    pub fn word(&self, word: usize) -> &AtomicU64 {
        &self.headers[self.slot as usize % SLOTS_PER_PAGE * header::WORDS + word]
    }

    pub fn state(&self) -> u64 {
        self.word(header::STATE).load(Acquire)
    }

    pub fn is_open(&self) -> bool {
        self.state() & state::OPEN != 0
    }

    pub fn error(&self) -> Option<IoError> {
        state::error(self.state())
    }

    pub fn has_ended(&self) -> bool {
        self.state() & state::RECEIVED_ALL != 0
    }

    pub fn tell(&self) {
        let (word, bit) = (self.slot as usize / 64, self.slot % 64);
        self.page[page::TO_STACK + word].fetch_or(1 << bit, SeqCst);
        self.page[page::STACK_SUMMARY].fetch_or(1 << word, SeqCst);
    }

    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.send.room(&self.headers[self.slot as usize % SLOTS_PER_PAGE * header::WORDS + header::SENT]).unwrap();
        let count = self.send.put(&self.bytes, bytes);
        self.send.publish(self.word(header::PUT));
        self.tell();
        count
    }

    pub fn read(&mut self) -> Vec<u8> {
        let received = &self.headers[self.slot as usize % SLOTS_PER_PAGE * header::WORDS + header::RECEIVED];
        let mut bytes = vec![0; self.receive.available(received).unwrap()];
        self.receive.take(&self.bytes, &mut bytes);
        self.receive.publish(self.word(header::TAKEN));
        if self.state() & state::WANTS_ROOM != 0 {
            self.tell();
        }
        bytes
    }

    pub fn finish(&self) {
        self.word(header::WANTS).fetch_or(wants::FINISH, SeqCst);
        self.tell();
    }
}
