//! The client: its memory, its rings, its packets.
//!
//! # Trust
//! A request is copied out of the ring once and checked before the device sees it: it lies within one attached frame. A client that spoils its
//! rings, or lends what it has not attached, loses them until it attaches new ones. What the device claims is checked as well: one that
//! says that it used what it was not given, or wrote more than there was room for, is reset.
//!
//! # Batches
//! Everything is done in rounds: take what came back, hand on what was asked for, tell both sides once. To send costs no interrupt while
//! less than half of the queue is in flight, for what was sent is taken back in the next round anyway; and the client's empty buffers cost no
//! signal while the device has half a queue of them.
//!
//! # Memory that goes away
//! A client's frames vanish when the client does. Before that, whoever ends it reports it (`client_gone`), and when the answer is given
//! the device uses none of them any more.

use alloc::format;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::Lifecycle;
use motte_interfaces::netdev::{
    Checksum, Direction, ENTRY_WORDS, ETHERNET_HEADER, Netdev, NetdevInfo, ReceiveRequest, Received, TransmitRequest,
    Transmitted,
};
use motte_interfaces::{Cap, Responder, Sender, badge};
use motte_ring::{Consumer, Producer, RingError};
use motte_virtio::{Broken, Machine, Memory};

use crate::card::{Card, MTU};
use crate::packets::SLOTS;

/// Bytes of a frame of the client's memory.
const FRAME: u64 = 2 << 20;
/// Frames that a client may attach.
const MAX_FRAMES: u64 = 16;

/// Requests taken from the rings in one go; then others have their turn.
const BATCH: usize = 256;

/// How often a device that broke down is started again before it is given up.
const MAX_RESTARTS: u32 = 3;

const DIRECTIONS: [Direction; 2] = [Direction::Receive, Direction::Transmit];

struct Rings<W> {
    requests: Consumer<W, ENTRY_WORDS>,
    completions: Producer<W, ENTRY_WORDS>,
    caps: [Cap; 3],
    /// Completions were put since the client was last looked after.
    fresh: bool,
}

impl<W> Rings<W> {
    fn wake(&self) -> Cap {
        self.caps[2]
    }
}

struct Client<W> {
    badge: u64,
    /// Each with its physical address.
    frames: Vec<Option<(Cap, u64)>>,
    rings: [Option<Rings<W>>; 2],
}

/// A client's buffer that the device has.
#[derive(Clone, Copy, Debug, Default)]
struct Lent {
    offset: u64,
    length: u32,
}

/// The driver.
pub struct NetServer<M, P: Machine> {
    machine: P,
    /// None: the machine has no card that this driver can drive.
    card: Option<Card<M>>,
    client: Option<Client<P::Words>>,
    /// The client's call that ends with the next change of the link, and whether it knows the link as up.
    watching: Option<(Responder<bool, IoError>, bool)>,
    /// By direction and slot.
    lent: [[Lent; SLOTS as usize]; 2],
    restarts: u32,
}

impl<M: Memory, P: Machine> NetServer<M, P> {
    /// A driver of a card that was started, or of none.
    pub fn new(machine: P, card: Option<Card<M>>) -> Self {
        let lent = [[Lent::default(); SLOTS as usize]; 2];
        Self { machine, card, client: None, watching: None, lent, restarts: 0 }
    }

    /// After the client's signal or the device's interrupt: takes packets that came and buffers whose packets were sent, hands on others.
    pub fn work(&mut self) {
        match self.run() {
            Ok(()) => {}
            Err(Trouble::Device(why)) => self.recover(why),
            Err(Trouble::Client(why)) => {
                self.machine.report(&format!("{why}; the network stack must attach new rings"));
                self.detach_rings();
            }
        }
    }

    /// After the interrupt for changes of the configuration: tells the client of its link.
    pub fn configuration_changed(&mut self) {
        let Some(card) = &self.card else { return };
        if card.needs_reset() {
            return self.recover("it asks to be reset");
        }
        let up = card.link_up();
        if let Some((watching, _)) = self.watching.take_if(|(_, known)| *known != up) {
            self.machine.answer(watching, Ok(up));
        }
    }

    fn run(&mut self) -> Result<(), Trouble> {
        for rings in self.client.iter_mut().flat_map(|client| client.rings.iter_mut().flatten()) {
            rings.requests.awake();
        }
        let mut taken = 0;
        loop {
            self.finish_received()?;
            self.finish_transmitted()?;
            if self.is_joined() {
                taken += self.begin_receive()? + self.begin_transmit()?;
            }
            if let Some(card) = &mut self.card {
                card.publish();
            }
            self.tell_client();
            if taken >= BATCH {
                self.machine.again();
                return Ok(());
            }
            if self.prepare_to_sleep()? {
                return Ok(());
            }
        }
    }

    /// Whether the client attached both directions, and there is a device to serve them.
    fn is_joined(&mut self) -> bool {
        self.client.as_ref().is_some_and(|client| client.rings.iter().all(Option::is_some))
            && self.card.as_mut().is_some_and(|card| card.packets(Direction::Receive).is_some())
    }

    fn rings(&mut self, direction: Direction) -> Option<&mut Rings<P::Words>> {
        self.client.as_mut()?.rings[direction as usize].as_mut()
    }

    /// Hands packets that came to the client.
    fn finish_received(&mut self) -> Result<(), Trouble> {
        while let Some(card) = &mut self.card {
            let checks = card.checks_checksums();
            let Some(packets) = card.packets(Direction::Receive) else { break };
            let Some(arrived) = packets.arrived(checks)? else { break };
            let lent = self.lent[Direction::Receive as usize][usize::from(arrived.slot)];
            if arrived.length > lent.length {
                return Err(Trouble::Device("it says that it wrote more than there was room for"));
            }
            // What is shorter than a header is no frame: the buffer goes back unused.
            let length = if u64::from(arrived.length) < ETHERNET_HEADER { 0 } else { arrived.length };
            let received = Received { offset: lent.offset, length, checksum_good: arrived.checksum_good };
            self.complete(Direction::Receive, received.words());
        }
        Ok(())
    }

    /// Gives the client buffers back whose packets were sent.
    fn finish_transmitted(&mut self) -> Result<(), Trouble> {
        while let Some(packets) = self.card.as_mut().and_then(|card| card.packets(Direction::Transmit)) {
            let Some(slot) = packets.sent()? else { break };
            let offset = self.lent[Direction::Transmit as usize][usize::from(slot)].offset;
            self.complete(Direction::Transmit, Transmitted { offset, sent: true }.words());
        }
        Ok(())
    }

    fn complete(&mut self, direction: Direction, words: [u64; ENTRY_WORDS]) {
        if let Some(rings) = self.rings(direction) {
            // There is room, for a client that takes its completions before it lends the buffers again; others lose a buffer.
            let _ = rings.completions.push(words);
            rings.fresh = true;
        }
    }

    /// Hands the client's empty buffers to the device. Returns how many.
    fn begin_receive(&mut self) -> Result<usize, Trouble> {
        let (Some(client), Some(card)) = (&mut self.client, &mut self.card) else { return Ok(0) };
        let [Some(rings), _] = &mut client.rings else { return Ok(0) };
        let least = ETHERNET_HEADER + u64::from(MTU);
        let Some(packets) = card.packets(Direction::Receive) else { return Ok(0) };
        let mut taken = 0;
        while !packets.is_full()
            && let Some(words) = rings.requests.pop()?
        {
            let place = ReceiveRequest::of(words).filter(|request| u64::from(request.length) >= least);
            let place = place.and_then(|request| {
                Some((address(&client.frames, request.offset, request.length.into())?, request.length))
            });
            let (at, length) = place.ok_or(Trouble::Client("the network stack lent what is no buffer"))?;
            if let Some(slot) = packets.submit(at, length) {
                self.lent[Direction::Receive as usize][usize::from(slot)] = Lent { offset: words[0], length };
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Hands the client's packets to the device. Returns how many.
    fn begin_transmit(&mut self) -> Result<usize, Trouble> {
        let (Some(client), Some(card)) = (&mut self.client, &mut self.card) else { return Ok(0) };
        let [_, Some(rings)] = &mut client.rings else { return Ok(0) };
        let fills = card.fills_checksums();
        let most = ETHERNET_HEADER + u64::from(MTU);
        let Some(packets) = card.packets(Direction::Transmit) else { return Ok(0) };
        let mut taken = 0;
        while !packets.is_full()
            && let Some(words) = rings.requests.pop()?
        {
            taken += 1;
            let request = TransmitRequest::of(words).filter(|request| {
                let length = u64::from(request.length);
                // The checksum lies in the packet; two bytes are written at its place.
                let inside = |checksum: Checksum| u64::from(checksum.start) + u64::from(checksum.at) + 2 <= length;
                (ETHERNET_HEADER..=most).contains(&length)
                    && request.checksum.is_none_or(|checksum| fills && inside(checksum))
            });
            let slot = request.and_then(|request| {
                let length = u32::from(request.length);
                let at = address(&client.frames, request.offset, length.into())?;
                if fills {
                    packets.submit_with_checksum(at, length, request.checksum)
                } else {
                    packets.submit(at, length)
                }
            });
            match slot {
                Some(slot) => {
                    self.lent[Direction::Transmit as usize][usize::from(slot)] = Lent { offset: words[0], length: 0 };
                }
                None => {
                    let _ = rings.completions.push(Transmitted { offset: words[0], sent: false }.words());
                    rings.fresh = true;
                }
            }
        }
        Ok(taken)
    }

    /// Signals the client, if there is something for it and it sleeps.
    fn tell_client(&mut self) {
        let Some(client) = &mut self.client else { return };
        for rings in client.rings.iter_mut().flatten() {
            if core::mem::take(&mut rings.fresh) && rings.completions.must_wake() {
                self.machine.wake(rings.wake());
            }
        }
    }

    /// Announces to both sides that this driver sleeps. Returns whether it may.
    fn prepare_to_sleep(&mut self) -> Result<bool, Trouble> {
        let joined = self.is_joined();
        let mut quiet = true;
        let mut wants_buffers = false;
        if let Some(packets) = self.card.as_mut().and_then(|card| card.packets(Direction::Receive)) {
            wants_buffers = packets.in_flight() < packets.capacity() / 2;
            quiet &= packets.prepare_to_sleep(1);
        }
        if let Some(packets) = self.card.as_mut().and_then(|card| card.packets(Direction::Transmit)) {
            if packets.in_flight() < packets.capacity() / 2 {
                packets.prepare_to_ignore();
            } else {
                quiet &= packets.prepare_to_sleep((packets.capacity() / 4).max(1));
            }
        }
        for direction in DIRECTIONS {
            // A queue that is full goes on when something comes back.
            let full =
                self.card.as_mut().and_then(|card| card.packets(direction)).is_none_or(|packets| packets.is_full());
            if joined
                && !full
                && (direction == Direction::Transmit || wants_buffers)
                && let Some(rings) = self.rings(direction)
            {
                quiet &= rings.requests.prepare_to_sleep()?;
            }
        }
        Ok(quiet)
    }

    /// Resets a device that cannot be believed any more, and starts it again unless that was tried too often.
    fn recover(&mut self, why: &str) {
        self.restarts += 1;
        let given_up = self.restarts > MAX_RESTARTS;
        let fate = if given_up { "it is given up until the driver is restarted" } else { "it is reset" };
        self.machine.report(&format!("the network card is out of order: {why}; {fate}"));
        self.restart(!given_up);
        // What the client had lent is gone: it lends it anew.
        self.detach_rings();
    }

    /// Resets the device, so that it uses nobody's memory, and starts it again if wanted.
    fn restart(&mut self, start: bool) {
        let (machine, Some(card)) = (&self.machine, &mut self.card) else { return };
        let result = if start { card.start(|| machine.pause()) } else { card.reset(|| machine.pause()) };
        if let Err(error) = result {
            machine.report(&format!("the network card does not start: {error}"));
            card.give_up();
        }
    }

    /// Has the device give back what it has.
    fn take_back(&mut self) {
        let lent = |direction| {
            let packets = self.card.as_mut().and_then(|card| card.packets(direction));
            packets.is_some_and(|packets| packets.in_flight() > 0)
        };
        if DIRECTIONS.into_iter().any(lent) {
            self.restart(true);
        }
    }

    /// Gives the client's rings up, and has the client hear of it.
    fn detach_rings(&mut self) {
        self.take_back();
        if let Some((watching, _)) = self.watching.take() {
            self.machine.answer(watching, Err(IoError::Interrupted));
        }
        for direction in DIRECTIONS {
            self.drop_rings(direction);
        }
    }

    fn drop_rings(&mut self, direction: Direction) {
        let rings = self.client.as_mut().and_then(|client| client.rings[direction as usize].take());
        if let Some(rings) = rings {
            let caps = rings.caps;
            drop(rings);
            caps.into_iter().for_each(|cap| self.machine.release(cap));
        }
    }

    /// Forgets the client.
    fn forget(&mut self) {
        self.detach_rings();
        let frames = self.client.take().into_iter().flat_map(|client| client.frames).flatten();
        frames.for_each(|(frame, _)| self.machine.release(frame));
    }

    /// The client whose badge this is; another one is forgotten.
    fn client(&mut self, badge: u64) -> &mut Client<P::Words> {
        if self.client.as_ref().is_some_and(|client| client.badge != badge) {
            self.forget();
        }
        self.client.get_or_insert_with(|| Client { badge, frames: Vec::new(), rings: [None, None] })
    }

    fn try_attach_memory(&mut self, badge: u64, index: u64, frame: Cap) -> Result<(), IoError> {
        self.working_card()?;
        let address = self.machine.frame_address(frame).filter(|_| index < MAX_FRAMES).ok_or(IoError::InvalidInput)?;
        // A client attaches memory before rings: what it lent by former rings is void.
        if self.client(badge).rings.iter().any(Option::is_some) {
            self.detach_rings();
        }
        let frames = &mut self.client(badge).frames;
        let index = index as usize;
        frames.resize(frames.len().max(index + 1), None);
        if let Some((former, _)) = frames[index].replace((frame, address)) {
            self.machine.release(former);
        }
        Ok(())
    }

    fn try_attach_rings(&mut self, badge: u64, direction: Direction, caps: [Cap; 3]) -> Result<Cap, IoError> {
        self.working_card()?;
        let [requests, completions, _] = caps;
        let rings = Rings {
            requests: Consumer::new(self.machine.map(requests)?).map_err(|_| IoError::InvalidInput)?,
            completions: Producer::new(self.machine.map(completions)?).map_err(|_| IoError::InvalidInput)?,
            caps,
            fresh: false,
        };
        if self.client(badge).rings[direction as usize].is_some() {
            self.detach_rings();
        }
        self.client(badge).rings[direction as usize] = Some(rings);
        Ok(self.machine.doorbell())
    }

    /// The card, if there is one that works.
    fn working_card(&mut self) -> Result<&mut Card<M>, IoError> {
        let card = self.card.as_mut().ok_or(IoError::NotFound)?;
        if card.packets(Direction::Receive).is_some() { Ok(card) } else { Err(IoError::Device) }
    }
}

/// Where the device finds `length` bytes from `offset` on; `None` if they do not lie within one attached frame.
fn address(frames: &[Option<(Cap, u64)>], offset: u64, length: u64) -> Option<u64> {
    let within = offset % FRAME;
    let (_, base) = frames.get(usize::try_from(offset / FRAME).ok()?)?.as_ref()?;
    (length <= FRAME - within).then_some(base + within)
}

/// Why work cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Device(&'static str),
    Client(&'static str),
}

impl From<Broken> for Trouble {
    fn from(_: Broken) -> Self {
        Self::Device("it says that packets came or went that it was never given")
    }
}

impl From<RingError> for Trouble {
    fn from(_: RingError) -> Self {
        Self::Client("the network stack corrupted its rings")
    }
}

impl<M: Memory, P: Machine> Netdev for NetServer<M, P> {
    fn info(&mut self, _: &Sender) -> Result<NetdevInfo, IoError> {
        self.working_card().map(|card| card.info())
    }

    fn attach_memory(&mut self, sender: &Sender, index: u64, frame: Cap) -> Result<(), IoError> {
        let attached = self.try_attach_memory(sender.badge, index, frame);
        if attached.is_err() {
            self.machine.release(frame);
        }
        attached
    }

    fn attach_rings(
        &mut self,
        sender: &Sender,
        direction: Direction,
        requests: Cap,
        completions: Cap,
        wake: Cap,
    ) -> Result<Cap, IoError> {
        let caps = [requests, completions, wake];
        let attached = self.try_attach_rings(sender.badge, direction, caps);
        match attached {
            // Requests may lie there already.
            Ok(_) => self.work(),
            Err(_) => caps.into_iter().for_each(|cap| self.machine.release(cap)),
        }
        attached
    }

    fn detach(&mut self, sender: &Sender) -> Result<(), IoError> {
        if self.client.as_ref().is_some_and(|client| client.badge == sender.badge) {
            self.forget();
        }
        Ok(())
    }

    fn watch(&mut self, sender: &Sender, link_up: bool, responder: Responder<bool, IoError>) {
        // One call watches at a time; an older one is of a client that is gone.
        if let Some((older, _)) = self.watching.take() {
            self.machine.answer(older, Err(IoError::Interrupted));
        }
        let known = self.client.as_ref().is_some_and(|client| client.badge == sender.badge);
        let joined = known && self.is_joined();
        match self.card.as_ref().filter(|_| joined).map(Card::link_up) {
            None => self.machine.answer(responder, Err(IoError::InvalidInput)),
            Some(up) if up != link_up => self.machine.answer(responder, Ok(up)),
            Some(_) => self.watching = Some((responder, link_up)),
        }
    }
}

impl<M: Memory, P: Machine> Lifecycle for NetServer<M, P> {
    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        if self.client.as_ref().is_some_and(|known| known.badge == client) {
            self.forget();
        }
        Ok(())
    }
}
