//! The two devices: the network card behind its driver, and the loop back to this machine.
//!
//! Checksums of TCP and UDP are this module's: verified before a frame reaches smoltcp ([`crate::frame`]), filled in as it leaves, or left to the card
//! where it can.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroUsize};

use motte_interfaces::netdev;
use motte_netdev::{Buffer, Driver, Frame, Memory, Port};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::time::Instant;

use crate::frame::{ETHERNET, fill_checksum};
use crate::merge::Run;
use crate::remind::Last;
use crate::split::{BURST, LARGEST, Large};

/// Largest packet of the loop.
pub const LOOP_MTU: usize = 16384;
/// Packets that the loop holds; more are lost, as on any network.
const LOOP_PACKETS: usize = 256;

fn checksums() -> ChecksumCapabilities {
    let mut checksums = ChecksumCapabilities::default();
    checksums.tcp = Checksum::None;
    checksums.udp = Checksum::None;
    checksums
}

/// The network card.
pub struct Card<D: Driver, M> {
    /// The driver's rings.
    pub port: Port<D>,
    /// Packet memory.
    pub memory: M,
    /// The frame that is being looked at.
    incoming: Option<Frame>,
    /// What came right after it in the same connection, made one with it.
    run: Run,
    /// Place for a frame that is to be cut.
    large: Vec<u8>,
    /// How the last frame began that was sent since this was emptied.
    pub last: Last,
    /// A frame could not be sent, for no buffer was free.
    pub exhausted: bool,
    mtu: usize,
    offload: bool,
}

impl<D: Driver, M: Memory> Card<D, M> {
    /// A card behind `port`.
    pub fn new(port: Port<D>, memory: M) -> Self {
        Self {
            port,
            memory,
            incoming: None,
            run: Run::default(),
            large: vec![0; LARGEST],
            last: Last::default(),
            exhausted: false,
            mtu: 1500,
            offload: false,
        }
    }

    /// Looks at what is known of the card.
    pub fn look(&mut self) {
        if let Some(info) = self.port.info() {
            self.mtu = usize::from(info.mtu).clamp(1280, 1500);
            self.offload = info.transmit_checksums;
        }
    }

    /// Largest packet.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Whether there are buffers for whatever a socket sends at once.
    pub fn can_transmit(&mut self) -> bool {
        self.port.can_transmit(BURST)
    }

    fn sender(&mut self) -> CardTx<'_, D, M> {
        let Self { port, memory, large, last, exhausted, offload, .. } = self;
        CardTx { port, memory, run: None, large, last, exhausted, offload: *offload, cut: None }
    }

    /// Sends a frame some times. Returns whether there was room.
    pub fn repeat(&mut self, frame: &[u8], times: usize) -> bool {
        let mut sender = self.sender();
        (0..times).all(|_| {
            let buffer = sender.reserve(frame.len());
            buffer.map(|buffer| sender.send(buffer, frame.len(), |bytes| bytes.copy_from_slice(frame))).is_some()
        })
    }

    /// Has a frame looked at next.
    pub fn hold(&mut self, frame: Frame) {
        self.incoming = Some(frame);
    }

    /// Makes a frame one with the segment that is to be looked at next, if it goes on with that. Returns it if it does not.
    pub fn join(&mut self, mut frame: Frame) -> Option<Frame> {
        let Some(before) = self.incoming.as_mut() else { return Some(frame) };
        let (memory, run) = (&self.memory, &mut self.run);
        let (length, before_length, check) = (frame.length, before.length, !frame.checksum_good);
        let joined = memory.with(&mut frame.buffer, |next| {
            memory.with(&mut before.buffer, |before| run.add(&before[..before_length], &next[..length], check))
        });
        if !joined {
            return Some(frame);
        }
        self.port.recycle(frame.buffer, &self.memory);
        None
    }

    /// Whether what is to be looked at was made of several segments with data.
    pub fn holds_run(&self) -> bool {
        self.run.has_several()
    }

    /// Gives the frame that was looked at back to the card.
    pub fn recycle(&mut self) {
        self.run.clear();
        if let Some(frame) = self.incoming.take() {
            self.port.recycle(frame.buffer, &self.memory);
        }
    }
}

/// A frame to look at.
pub struct CardRx<'a, M> {
    memory: &'a M,
    frame: &'a mut Frame,
    run: &'a Run,
}

/// The right to send a frame.
pub struct CardTx<'a, D: Driver, M> {
    port: &'a mut Port<D>,
    memory: &'a M,
    /// What is answered.
    run: Option<&'a Run>,
    large: &'a mut Vec<u8>,
    last: &'a mut Last,
    exhausted: &'a mut bool,
    offload: bool,
    /// How much data the frames have that it is to be cut into, if it is.
    cut: Option<NonZeroU16>,
}

impl<D: Driver, M: Memory> CardTx<'_, D, M> {
    /// Sends a frame that `work` makes in a buffer.
    fn send<R>(&mut self, mut buffer: Buffer, length: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let offload = self.offload;
        let (result, missing) = self.memory.with(&mut buffer, |bytes| {
            let frame = &mut bytes[..length];
            let result = work(frame);
            self.last.note(frame);
            (result, fill_checksum(frame.get_mut(ETHERNET..).unwrap_or_default(), offload))
        });
        let checksum = missing
            .filter(|_| offload)
            .map(|missing| netdev::Checksum { start: (ETHERNET + missing.start) as u16, at: missing.at as u16 });
        self.port.transmit(buffer, length, checksum);
        result
    }

    /// Sends a large frame, cut into several. Those for which there is no room are lost, as on any network.
    fn send_cut(&mut self, frame: &[u8], most: usize) {
        let Some(large) = Large::of(frame) else { return };
        for (place, data) in large.pieces(most) {
            let length = large.length(data);
            let Some(buffer) = self.reserve(length) else { return };
            self.send(buffer, length, |frame| large.write(place, data, frame));
        }
    }

    /// A buffer for a frame of so many bytes, if there is one.
    fn reserve(&mut self, length: usize) -> Option<Buffer> {
        let buffer = self.port.reserve();
        *self.exhausted |= buffer.is_none();
        let buffer = buffer?;
        if length > buffer.len() {
            self.port.recycle(buffer, self.memory);
            return None;
        }
        Some(buffer)
    }
}

impl<D: Driver, M: Memory> phy::Device for Card<D, M> {
    type RxToken<'a>
        = CardRx<'a, M>
    where
        Self: 'a;
    type TxToken<'a>
        = CardTx<'a, D, M>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(CardRx<'_, M>, CardTx<'_, D, M>)> {
        let Self { port, memory, incoming, run, large, last, exhausted, offload, .. } = self;
        let frame = incoming.as_mut()?;
        run.finish();
        let (memory, run, offload) = (&*memory, &*run, *offload);
        let answer = CardTx { port, memory, run: Some(run), large, last, exhausted, offload, cut: None };
        Some((CardRx { memory, frame, run }, answer))
    }

    fn transmit(&mut self, _: Instant) -> Option<CardTx<'_, D, M>> {
        if !self.can_transmit() {
            self.exhausted = true;
            return None;
        }
        Some(self.sender())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(LARGEST);
        capabilities.checksum = checksums();
        capabilities
    }
}

impl<M: Memory> phy::RxToken for CardRx<'_, M> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        if !self.run.is_empty() {
            return work(self.run.bytes());
        }
        let length = self.frame.length;
        self.memory.with(&mut self.frame.buffer, |bytes| work(&bytes[..length]))
    }
}

impl<D: Driver, M: Memory> phy::TxToken for CardTx<'_, D, M> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, length: usize, work: F) -> R {
        if let Some(most) = self.cut {
            let mut place = core::mem::take(self.large);
            place.resize(place.len().max(length), 0);
            let result = work(&mut place[..length]);
            self.send_cut(&place[..length], most.get().into());
            *self.large = place;
            return result;
        }
        if let Some(run) = self.run.filter(|run| !run.is_empty()) {
            let mut frame = vec![0; length];
            let result = work(&mut frame);
            for _ in 0..run.answers(&frame) {
                let Some(buffer) = self.reserve(length) else { break };
                self.send(buffer, length, |bytes| bytes.copy_from_slice(&frame));
            }
            return result;
        }
        match self.reserve(length) {
            Some(buffer) => self.send(buffer, length, work),
            // An answer for which there is no room is lost, as on any network.
            None => work(&mut vec![0; length]),
        }
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.cut = meta.segmentation_offload_size;
    }
}

/// The loop back to this machine.
#[derive(Debug, Default)]
pub struct Loop {
    /// Packets under way.
    pub packets: VecDeque<Vec<u8>>,
    /// The packet that is being looked at.
    pub incoming: Option<Vec<u8>>,
}

/// A packet to look at.
pub struct LoopRx(Vec<u8>);

/// The right to send a packet.
pub struct LoopTx<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::Device for Loop {
    type RxToken<'a> = LoopRx;
    type TxToken<'a> = LoopTx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(LoopRx, LoopTx<'_>)> {
        let packet = self.incoming.take()?;
        Some((LoopRx(packet), LoopTx(&mut self.packets)))
    }

    fn transmit(&mut self, _: Instant) -> Option<LoopTx<'_>> {
        (self.packets.len() < LOOP_PACKETS).then_some(LoopTx(&mut self.packets))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = LOOP_MTU;
        capabilities.checksum = checksums();
        capabilities
    }
}

impl phy::RxToken for LoopRx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

impl phy::TxToken for LoopTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut packet = vec![0; length];
        let result = work(&mut packet);
        if self.0.len() < LOOP_PACKETS {
            self.0.push_back(packet);
        }
        result
    }
}
