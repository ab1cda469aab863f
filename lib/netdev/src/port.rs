//! The stack's side of a card: which buffer is whose, the rings, and what a restart of the driver does to them.
//!
//! # Whose a buffer is
//! A buffer is free, or out in the hands of the stack as a [`Buffer`] that exists once, or lent to the card. Receive buffers go round from the card to the stack
//! and back, transmit buffers the other way; neither kind can use up the other.
//!
//! # A restart
//! The driver's successor knows nothing. What its predecessor completed is still taken; then all lent buffers are lent anew, transmit
//! buffers in the order in which they were sent. Buffers in the hands of the stack stay there.
//!
//! Nothing of what the card received is lost either: before a buffer is lent its EtherType is cleared, so that a frame which the card had written, and the
//! former driver not reported, is found in its buffer. The card was reset by then, and writes no more.
//!
//! # Trust
//! A completion that names a buffer that is not lent in that direction, or a length beyond the buffer, or a ring that makes no sense: the
//! driver is asked for new rings and none of it is believed. A driver that lies can lose, double or garble packets, which networks do
//! anyway. It could also have its card write into a buffer that it has given back; without an IOMMU it could have it write anywhere.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Deref;

use motte_interfaces::netdev::{
    Checksum, ENTRY_WORDS, ETHERNET_HEADER, NetdevInfo, ReceiveRequest, Received, TransmitRequest, Transmitted,
};
use motte_ring::{AtomicU64, Consumer, Producer, RingError};

/// The rings of one direction, as the client uses them.
#[derive(Debug)]
pub struct Rings<W> {
    /// To the driver.
    pub requests: Producer<W, ENTRY_WORDS>,
    /// From the driver.
    pub completions: Consumer<W, ENTRY_WORDS>,
}

impl<W: Deref<Target = [AtomicU64]>> Rings<W> {
    /// Over two zeroed pages.
    pub fn new(requests: W, completions: W) -> Result<Self, RingError> {
        Ok(Self { requests: Producer::new(requests)?, completions: Consumer::new(completions)? })
    }
}

/// What joins a client to a driver that runs.
#[derive(Debug)]
pub struct Attachment<W> {
    /// The card.
    pub info: NetdevInfo,
    /// From the network.
    pub receive: Rings<W>,
    /// To the network.
    pub transmit: Rings<W>,
}

/// The way to a driver.
pub trait Driver {
    /// Memory of a ring.
    type Words: Deref<Target = [AtomicU64]>;
    /// The newest attachment, if there is one that was not returned yet: at first, and after every restart.
    fn attached(&mut self) -> Option<Attachment<Self::Words>>;
    /// Whether the link is up, as last heard.
    fn link_up(&self) -> bool;
    /// Signals the driver.
    fn ring(&mut self);
    /// Asks for a new attachment: the driver spoilt this one.
    fn renew(&mut self);
}

/// How packet memory is divided: first the receive buffers, then those for transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a buffer; a power of two from 2048 on.
    pub buffer: usize,
    /// Buffers for frames from the network.
    pub receive: usize,
    /// Buffers for frames to the network.
    pub transmit: usize,
}

impl Layout {
    /// As many buffers of 2 KiB as a page of ring holds requests; they take a quarter of a 2 MiB frame.
    pub const STANDARD: Self = Self { buffer: 2048, receive: 128, transmit: 128 };

    /// Bytes that the buffers take.
    pub const fn bytes(&self) -> usize {
        (self.receive + self.transmit) * self.buffer
    }
}

/// A buffer in the hands of the stack. There is never a second one of the same bytes; it must go back to the port.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a buffer that is not given back is lost"]
pub struct Buffer {
    number: u16,
    offset: usize,
    length: usize,
}

impl Buffer {
    /// Where it begins in packet memory.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: a buffer has bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// A frame from the network.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it lies, from the first byte on.
    pub buffer: Buffer,
    /// Its bytes.
    pub length: usize,
    /// The checksum of the TCP or UDP packet in it need not be checked.
    pub checksum_good: bool,
}

/// Packet memory.
pub trait Memory {
    /// Works with a buffer's bytes. Several buffers can be worked with at a time, each by one.
    fn with<R>(&self, buffer: &mut Buffer, work: impl FnOnce(&mut [u8]) -> R) -> R;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// In the hands of the stack.
    Out,
    Lent,
}

/// The rings make no sense, or what lies in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spoilt;

impl From<RingError> for Spoilt {
    fn from(_: RingError) -> Self {
        Self
    }
}

/// What a port has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames from the network, and their bytes.
    pub received: (u64, u64),
    /// Frames to the network, and their bytes.
    pub transmitted: (u64, u64),
    /// Frames that the driver refused.
    pub refused: u64,
    /// Attachments: one more than restarts of the driver.
    pub attachments: u64,
    /// Attachments that the driver spoilt.
    pub spoilt: u64,
    /// Frames that were found in their buffers after a restart.
    pub unreported: u64,
}

/// Where a frame says what it carries. No protocol has the number 0.
const ETHERTYPE: core::ops::Range<usize> = 12..14;

/// Bytes of the frame that lies in a buffer, as far as it says so itself; `None` if there is none, or it is of a protocol that does not say.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let header = ETHERNET_HEADER as usize;
    match word(ETHERTYPE.start)? {
        // IPv4, ARP, IPv6 (IEEE 802 numbers).
        0x0800 => Some(header + usize::from(word(header + 2)?)),
        0x0806 => Some(header + 28),
        0x86dd => Some(header + 40 + usize::from(word(header + 4)?)),
        _ => None,
    }
}

/// A card and its buffers.
#[derive(Debug)]
pub struct Port<D: Driver> {
    driver: D,
    layout: Layout,
    attachment: Option<Attachment<D::Words>>,
    info: Option<NetdevInfo>,
    states: Vec<State>,
    /// By receive buffer: when it was lent, in lendings.
    lent_at: Vec<u64>,
    lendings: u64,
    /// Free buffers for transmission.
    spare: Vec<u16>,
    /// How many of them were last asked for.
    wanted: usize,
    /// Frames under way to the network, in the order in which they were sent, as requests.
    unsent: VecDeque<(u16, TransmitRequest)>,
    /// Frames that came by rings that are no more.
    left: VecDeque<Frame>,
    /// Requests of this direction were put since the driver was last looked after.
    fresh_receive: bool,
    fresh_transmit: bool,
    counters: Counters,
}

impl<D: Driver> Port<D> {
    /// A port of packet memory that is divided like that.
    pub fn new(driver: D, layout: Layout) -> Self {
        let buffers = layout.receive + layout.transmit;
        Self {
            driver,
            layout,
            attachment: None,
            info: None,
            states: alloc::vec![State::Free; buffers],
            lent_at: alloc::vec![0; layout.receive],
            lendings: 0,
            spare: (layout.receive..buffers).rev().map(|number| number as u16).collect(),
            wanted: 1,
            unsent: VecDeque::with_capacity(layout.transmit),
            left: VecDeque::new(),
            fresh_receive: false,
            fresh_transmit: false,
            counters: Counters::default(),
        }
    }

    /// The card; `None` while no driver was ever heard of.
    pub fn info(&self) -> Option<NetdevInfo> {
        self.info.map(|info| NetdevInfo { link_up: self.driver.link_up(), ..info })
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Joins a driver that was started since, if one was. To be called when the driver's side signals, before [`receive`](Self::receive).
    /// Returns whether there was one. `memory` is zeroed at first.
    pub fn refresh(&mut self, memory: &impl Memory) -> bool {
        let Some(attachment) = self.driver.attached() else { return false };
        self.drain();
        self.find_unreported(memory);
        self.counters.attachments += 1;
        self.info = Some(attachment.info);
        self.attachment = Some(attachment);
        for number in 0..self.layout.receive {
            if self.states[number] != State::Out {
                self.lend(number as u16);
            }
        }
        for index in 0..self.unsent.len() {
            let request = self.unsent[index].1;
            self.push_transmit(request);
        }
        self.flush();
        true
    }

    /// Takes what a driver completed before it went, as far as it makes sense.
    fn drain(&mut self) {
        while let Ok(Some(frame)) = self.next_frame() {
            self.left.push_back(frame);
        }
        let _ = self.try_reclaim();
        self.attachment = None;
    }

    /// Takes the frames that lie in buffers which the former driver did not hand back.
    fn find_unreported(&mut self, memory: &impl Memory) {
        let mut lent: Vec<usize> =
            (0..self.layout.receive).filter(|number| self.states[*number] == State::Lent).collect();
        // A card uses them in order.
        lent.sort_unstable_by_key(|number| self.lent_at[*number]);
        for number in lent {
            let mut buffer = self.buffer(number as u16);
            let most = buffer.length;
            if let Some(length) = memory.with(&mut buffer, |bytes| frame_length(bytes)).filter(|length| *length <= most)
            {
                self.states[number] = State::Out;
                self.counters.unreported += 1;
                self.left.push_back(Frame { buffer, length, checksum_good: false });
            }
        }
    }

    /// Does without the rings until there are others.
    fn spoilt(&mut self) {
        if self.attachment.take().is_some() {
            self.counters.spoilt += 1;
            self.driver.renew();
        }
    }

    fn buffer(&self, number: u16) -> Buffer {
        let length = self.layout.buffer;
        Buffer { number, offset: usize::from(number) * length, length }
    }

    /// The number of a buffer that was lent, among those from `first` on and before `end`.
    fn lent(&self, offset: u64, first: usize, end: usize) -> Option<u16> {
        let length = self.layout.buffer as u64;
        let number = usize::try_from(offset / length).ok()?;
        let known = offset.is_multiple_of(length) && (first..end).contains(&number);
        (known && self.states[number] == State::Lent).then_some(number as u16)
    }

    fn lend(&mut self, number: u16) {
        let request =
            ReceiveRequest { offset: u64::from(number) * self.layout.buffer as u64, length: self.layout.buffer as u32 };
        let Some(attachment) = &mut self.attachment else {
            self.states[usize::from(number)] = State::Free;
            return;
        };
        match attachment.receive.requests.push(request.words()) {
            Ok(()) => {
                self.states[usize::from(number)] = State::Lent;
                self.lendings += 1;
                self.lent_at[usize::from(number)] = self.lendings;
                self.fresh_receive = true;
            }
            Err(error) => {
                self.states[usize::from(number)] = State::Free;
                if error != RingError::Full {
                    self.spoilt();
                }
            }
        }
    }

    fn push_transmit(&mut self, request: TransmitRequest) {
        let Some(attachment) = &mut self.attachment else { return };
        // Never full: there are no more buffers than entries, and a driver that takes requests without completing them is refused here.
        match attachment.transmit.requests.push(request.words()) {
            Ok(()) => self.fresh_transmit = true,
            Err(_) => self.spoilt(),
        }
    }

    /// The next frame from the network.
    pub fn receive(&mut self) -> Option<Frame> {
        let frame = match self.left.pop_front() {
            Some(frame) => frame,
            None => match self.next_frame() {
                Ok(frame) => frame?,
                Err(Spoilt) => {
                    self.spoilt();
                    return None;
                }
            },
        };
        self.counters.received.0 += 1;
        self.counters.received.1 += frame.length as u64;
        Some(frame)
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Spoilt> {
        loop {
            let Some(attachment) = &mut self.attachment else { return Ok(None) };
            let Some(words) = attachment.receive.completions.pop()? else { return Ok(None) };
            let received = Received::of(words).ok_or(Spoilt)?;
            let number = self.lent(received.offset, 0, self.layout.receive).ok_or(Spoilt)?;
            let length = received.length as usize;
            if length > self.layout.buffer {
                return Err(Spoilt);
            }
            if length > 0 {
                self.states[usize::from(number)] = State::Out;
                let checksum_good = received.checksum_good;
                return Ok(Some(Frame { buffer: self.buffer(number), length, checksum_good }));
            }
            self.lend(number);
        }
    }

    /// Takes back what was sent.
    fn reclaim(&mut self) {
        if self.try_reclaim().is_err() {
            self.spoilt();
        }
    }

    fn try_reclaim(&mut self) -> Result<(), Spoilt> {
        loop {
            let Some(attachment) = &mut self.attachment else { return Ok(()) };
            let Some(words) = attachment.transmit.completions.pop()? else { return Ok(()) };
            let transmitted = Transmitted::of(words).ok_or(Spoilt)?;
            let (first, end) = (self.layout.receive, self.states.len());
            let number = self.lent(transmitted.offset, first, end).ok_or(Spoilt)?;
            // Mostly the first: a card sends in order.
            if let Some(index) = self.unsent.iter().position(|(unsent, _)| *unsent == number) {
                self.unsent.remove(index);
            }
            self.counters.refused += u64::from(!transmitted.sent);
            self.free(number);
        }
    }

    fn free(&mut self, number: u16) {
        self.states[usize::from(number)] = State::Free;
        self.spare.push(number);
    }

    /// An empty buffer for a frame to the network; `None` if all are under way.
    pub fn reserve(&mut self) -> Option<Buffer> {
        if self.spare.is_empty() {
            self.reclaim();
        }
        let number = self.spare.pop()?;
        self.states[usize::from(number)] = State::Out;
        Some(self.buffer(number))
    }

    /// Whether [`reserve`](Self::reserve) would find so many buffers.
    pub fn can_transmit(&mut self, frames: usize) -> bool {
        self.wanted = frames;
        if self.spare.len() < frames {
            self.reclaim();
        }
        self.spare.len() >= frames
    }

    /// Sends the first `length` bytes of a buffer; the driver hears of it with the next [`flush`](Self::flush). While there is no driver the frame
    /// waits for one.
    pub fn transmit(&mut self, buffer: Buffer, length: usize, checksum: Option<Checksum>) {
        assert!(length <= buffer.length, "a frame of {length} bytes in a buffer of {}", buffer.length);
        let request = TransmitRequest { offset: buffer.offset as u64, length: length as u16, checksum };
        self.states[usize::from(buffer.number)] = State::Lent;
        self.unsent.push_back((buffer.number, request));
        self.counters.transmitted.0 += 1;
        self.counters.transmitted.1 += length as u64;
        self.push_transmit(request);
    }

    /// Gives a buffer back: one of a frame that was looked at, or one that is not to be sent after all.
    pub fn recycle(&mut self, mut buffer: Buffer, memory: &impl Memory) {
        if usize::from(buffer.number) < self.layout.receive {
            memory.with(&mut buffer, |bytes| bytes[ETHERTYPE].fill(0));
            self.lend(buffer.number);
        } else {
            self.free(buffer.number);
        }
    }

    /// Has the driver look at what was put, if it sleeps: once after a batch.
    pub fn flush(&mut self) {
        let Some(attachment) = &self.attachment else { return };
        let (receive, transmit) = (&attachment.receive.requests, &attachment.transmit.requests);
        if core::mem::take(&mut self.fresh_transmit) && transmit.must_wake()
            || core::mem::take(&mut self.fresh_receive) && receive.must_wake()
        {
            self.driver.ring();
        }
    }

    /// Before the thread sleeps until the driver's side signals. Returns whether it may: if not, there is something to receive, or, when fewer buffers
    /// are left to transmit with than were asked for, something to take back.
    pub fn prepare_to_sleep(&mut self) -> bool {
        self.flush();
        let starved = !self.can_transmit(self.wanted);
        let Some(attachment) = &mut self.attachment else { return self.left.is_empty() };
        let mut quiet = attachment.receive.completions.prepare_to_sleep();
        if starved && quiet == Ok(true) {
            quiet = attachment.transmit.completions.prepare_to_sleep();
        }
        match quiet {
            Ok(quiet) => quiet && self.left.is_empty(),
            Err(_) => {
                self.spoilt();
                true
            }
        }
    }

    /// After the sleep: the driver need not signal any more, until the thread sleeps again.
    pub fn awake(&mut self) {
        if let Some(attachment) = &mut self.attachment {
            attachment.receive.completions.awake();
            attachment.transmit.completions.awake();
        }
    }
}
