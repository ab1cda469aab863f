//! The client: its memory, its rings, its requests.
//!
//! # Trust
//! A request is copied out of the ring once and checked before anything is done with it: it lies within one attached frame, whose address the
//! kernel tells anew for every request, and within the disk. What makes no sense is answered as such. A client that spoils its rings
//! loses them, until it attaches new ones.
//!
//! # Order
//! Requests are carried out in any order, but a flush waits for the writes that came before it, and what comes after
//! waits for it to be under way.
//!
//! # Memory that goes away
//! A client's frames vanish when the client does. Before that, whoever ends it may report it (`client_gone`), and when the
//! answer is given the device uses none of them any more. The same holds when new rings are attached: of what came by the former ones
//! nothing is under way then.

use alloc::collections::BTreeMap;
use alloc::format;

use motte_interfaces::block::{Block, BlockOperation, DiskInfo};
use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::Lifecycle;
use motte_interfaces::{Cap, Responder, Sender, badge};
use motte_ring::{Consumer, Producer, RingError};
use motte_virtio::{Broken, Machine, Memory, Part};

use crate::disk::Disk;
use crate::queue::SLOTS;

/// Bytes of a frame of the client's memory, and of a request at most.
const FRAME: u64 = 2 << 20;
/// Frames that a client may attach: 1 GiB.
const MAX_FRAMES: u64 = 512;
const SECTOR: u64 = 512;

/// Requests taken from the ring in one go; then others have their turn.
const BATCH: usize = 64;

/// How often a device that broke down is started again before it is given up.
const MAX_RESTARTS: u32 = 3;

// Request kinds and status (virtio 5.2.6).
const KIND_READ: u32 = 0;
const KIND_WRITE: u32 = 1;
const KIND_FLUSH: u32 = 4;
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;

/// Completion status: done.
const DONE: u64 = 0;
/// Completion status: the device failed.
const FAILED: u64 = 1;
/// Completion status: the request makes no sense.
const SENSELESS: u64 = 2;

struct Rings<W> {
    requests: Consumer<W, 8>,
    completions: Producer<W, 2>,
    pages: [Cap; 2],
    wake: Cap,
    /// Completions were put since the client was last signalled.
    fresh: bool,
}

struct Client<W> {
    badge: u64,
    frames: BTreeMap<u64, Cap>,
    rings: Option<Rings<W>>,
}

/// A request that the device has.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    tag: u64,
    /// Which rings it came by; an answer for former ones is dropped.
    generation: u64,
    kind: u32,
    sector: u64,
}

/// A request that makes sense.
enum Request {
    Transfer { kind: u32, sector: u64, data: Part },
    Flush,
}

/// The driver.
pub struct BlockServer<M, P: Machine> {
    machine: P,
    /// None: the machine has no disk that this driver can drive.
    disk: Option<Disk<M>>,
    client: Option<Client<P::Words>>,
    /// The client's call that ends with the next completion.
    waiting: Option<Responder<(), IoError>>,
    generation: u64,
    in_flight: [Option<InFlight>; SLOTS as usize],
    writes: u32,
    /// A flush that waits for the writes before it: its tag.
    waiting_flush: Option<u64>,
    restarts: u32,
    reported: bool,
}

impl<M: Memory, P: Machine> BlockServer<M, P> {
    /// A driver of a disk that was started, or of none.
    pub fn new(machine: P, disk: Option<Disk<M>>) -> Self {
        Self {
            machine,
            disk,
            client: None,
            waiting: None,
            generation: 0,
            in_flight: [None; SLOTS as usize],
            writes: 0,
            waiting_flush: None,
            restarts: 0,
            reported: false,
        }
    }

    /// After the client's signal or the device's interrupt: takes completions, begins requests.
    pub fn work(&mut self) {
        if self.disk.is_none() || self.rings().is_none() {
            self.settle();
            return;
        }
        if let Err(error) = self.run() {
            self.machine.report(&format!("{error}; its client must attach new rings"));
            self.detach();
        }
    }

    /// After an interrupt: as [`work`](Self::work), and hears the device out if that brought nothing.
    pub fn interrupt(&mut self) {
        let before = self.pending();
        self.work();
        if self.pending() >= before && self.disk.as_ref().is_some_and(Disk::needs_reset) {
            self.recover("it asks to be reset");
        }
    }

    fn pending(&self) -> usize {
        self.in_flight.iter().flatten().count()
    }

    /// The rings, if their pages are still there.
    fn rings(&mut self) -> Option<&mut Rings<P::Words>> {
        let alive = {
            let rings = self.client.as_ref()?.rings.as_ref()?;
            rings.pages.iter().all(|page| self.machine.is_alive(*page))
        };
        if !alive {
            // The client is gone, and its memory with it.
            self.detach();
            return None;
        }
        self.client.as_mut()?.rings.as_mut()
    }

    /// Takes completions that nobody waits for.
    fn settle(&mut self) {
        if let Err(Broken) = self.finish_all() {
            self.recover("it says that requests came back that it was never given");
        }
        if let Some(queue) = self.disk.as_mut().and_then(Disk::queue) {
            queue.prepare_to_sleep();
        }
    }

    fn run(&mut self) -> Result<(), RingError> {
        let Some(rings) = self.open_rings() else { return Ok(()) };
        rings.requests.awake();
        let mut taken = 0;
        loop {
            if let Err(Broken) = self.finish_all() {
                self.recover("it says that requests came back that it was never given");
            }
            let blocked = self.begin_all(&mut taken)?;
            if let Some(disk) = &mut self.disk {
                disk.publish();
            }
            self.signal();
            if taken >= BATCH {
                self.machine.again();
                return Ok(());
            }
            let quiet = self.disk.as_mut().and_then(Disk::queue).is_none_or(|queue| queue.prepare_to_sleep());
            // While it is blocked the client need not ring: the device's interrupt goes on with its requests.
            let idle = match self.open_rings() {
                Some(rings) if !blocked => rings.requests.prepare_to_sleep()?,
                _ => true,
            };
            if quiet && idle {
                return Ok(());
            }
        }
    }

    fn open_rings(&mut self) -> Option<&mut Rings<P::Words>> {
        self.client.as_mut()?.rings.as_mut()
    }

    /// Tells the client of completions, if it waits or sleeps.
    fn signal(&mut self) {
        if let Some(rings) = self.client.as_mut().and_then(|client| client.rings.as_mut())
            && core::mem::take(&mut rings.fresh)
        {
            if let Some(waiting) = self.waiting.take() {
                self.machine.answer(waiting, Ok(()));
            } else if rings.completions.must_wake() {
                self.machine.wake(rings.wake);
            }
        }
    }

    /// Ends a wait that no completion will end.
    fn end_wait(&mut self, error: IoError) {
        if let Some(waiting) = self.waiting.take() {
            self.machine.answer(waiting, Err(error));
        }
    }

    /// Whether the client has not taken all completions; an error if nothing can come.
    fn untaken(&mut self, badge: u64) -> Result<bool, IoError> {
        if self.client.as_ref().is_none_or(|client| client.badge != badge) {
            return Err(IoError::InvalidInput);
        }
        let rings = self.rings().ok_or(IoError::InvalidInput)?;
        let room = rings.completions.room().map_err(|_| IoError::InvalidData)?;
        Ok(room < rings.completions.capacity())
    }

    /// Takes everything that came back.
    fn finish_all(&mut self) -> Result<(), Broken> {
        while let Some(queue) = self.disk.as_mut().and_then(Disk::queue) {
            let Some(completion) = queue.complete()? else { break };
            let Some(request) = self.in_flight[usize::from(completion.slot)].take() else { continue };
            if completion.status != STATUS_OK {
                self.report_failure(&request, completion.status);
            }
            self.finish(request, if completion.status == STATUS_OK { DONE } else { FAILED });
        }
        Ok(())
    }

    fn finish(&mut self, request: InFlight, status: u64) {
        if request.kind == KIND_WRITE {
            self.writes -= 1;
        }
        if request.generation == self.generation {
            self.answer(request.tag, status);
        }
    }

    /// Puts a completion. There is room: no request is taken from the ring without it.
    fn answer(&mut self, tag: u64, status: u64) {
        if let Some(rings) = self.open_rings() {
            // A ring that was spoilt meanwhile is found out when the next request is taken.
            let _ = rings.completions.push([tag, status]);
            rings.fresh = true;
        }
    }

    fn report_failure(&mut self, request: &InFlight, status: u8) {
        if core::mem::replace(&mut self.reported, true) {
            return;
        }
        let what = match request.kind {
            KIND_READ => "reading",
            KIND_WRITE => "writing",
            _ => "writing back its cache",
        };
        let why = match status {
            1 => "an input/output error",
            STATUS_UNSUPPORTED => "that it does not support this",
            _ => "a status that does not exist",
        };
        self.machine.report(&format!(
            "the disk answered {why} when {what} at sector {}; its client was told, and further failures are not logged",
            request.sector
        ));
    }

    /// Begins as many requests as there is room for. Returns whether the ring may hold more.
    fn begin_all(&mut self, taken: &mut usize) -> Result<bool, RingError> {
        loop {
            if let Some(tag) = self.waiting_flush {
                if self.writes > 0 || !self.begin(tag, Request::Flush) {
                    return Ok(true);
                }
                self.waiting_flush = None;
            }
            let full = self.disk.as_mut().and_then(Disk::queue).is_some_and(|queue| queue.is_full());
            let pending = self.pending() as u64;
            let Some(rings) = self.open_rings() else { return Ok(true) };
            if full || *taken >= BATCH || rings.completions.room()? <= pending {
                return Ok(true);
            }
            let Some(words) = rings.requests.pop()? else { return Ok(false) };
            *taken += 1;
            let tag = words[1];
            match self.check(words) {
                Some(Request::Flush) => self.waiting_flush = Some(tag),
                Some(request) => {
                    self.begin(tag, request);
                }
                None => self.answer(tag, SENSELESS),
            }
        }
    }

    /// What a request from the ring asks for, if it makes sense.
    fn check(&self, words: [u64; 8]) -> Option<Request> {
        let [operation, _, sector, offset, length, ..] = words;
        let disk = self.disk.as_ref()?;
        let kind = match operation {
            x if x == BlockOperation::Read as u64 => KIND_READ,
            x if x == BlockOperation::Write as u64 => KIND_WRITE,
            x if x == BlockOperation::Flush as u64 => return Some(Request::Flush),
            _ => return None,
        };
        let (info, block) = (disk.info(), disk.block());
        let within = offset % FRAME;
        let fits = length > 0
            && length <= FRAME - within
            && length.is_multiple_of(SECTOR * block)
            && offset.is_multiple_of(SECTOR)
            && sector.is_multiple_of(block)
            && sector.checked_add(length / SECTOR).is_some_and(|end| end <= info.sectors)
            && !(kind == KIND_WRITE && info.read_only);
        if !fits {
            return None;
        }
        let frame = *self.client.as_ref()?.frames.get(&(offset / FRAME))?;
        let address = self.machine.frame_address(frame)? + within;
        let data = Part { address, length: length as u32, device_writes: kind == KIND_READ };
        Some(Request::Transfer { kind, sector, data })
    }

    /// Hands a request to the device, or answers it where there is nothing to do. False: no room.
    fn begin(&mut self, tag: u64, request: Request) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        let needless = matches!(request, Request::Flush) && !disk.info().write_cache;
        let Some(queue) = disk.queue().filter(|_| !needless) else {
            // Without its queue the device was given up.
            self.answer(tag, if needless { DONE } else { FAILED });
            return true;
        };
        let (kind, sector, data) = match request {
            Request::Transfer { kind, sector, data } => (kind, sector, Some(data)),
            Request::Flush => (KIND_FLUSH, 0, None),
        };
        let Some(slot) = queue.submit(kind, sector, data) else { return false };
        self.writes += u32::from(kind == KIND_WRITE);
        self.in_flight[usize::from(slot)] = Some(InFlight { tag, generation: self.generation, kind, sector });
        true
    }

    /// Resets a device that cannot be believed any more, answers what it had, and starts it again unless that was tried too often.
    fn recover(&mut self, why: &str) {
        self.restarts += 1;
        let given_up = self.restarts > MAX_RESTARTS;
        let fate = if given_up { "it is given up until the driver is restarted" } else { "it is reset" };
        self.machine.report(&format!("the disk is out of order: {why}; {fate}"));
        self.restart(!given_up);
    }

    /// Resets the device, so that it uses nobody's memory, and starts it again if wanted. What it had is answered as failed.
    fn restart(&mut self, start: bool) {
        let (machine, Some(disk)) = (&self.machine, &mut self.disk) else { return };
        let result = if start { disk.start(|| machine.pause()) } else { disk.reset(|| machine.pause()) };
        if let Err(error) = result {
            machine.report(&format!("the disk does not start: {error}"));
            disk.give_up();
        }
        for slot in 0..self.in_flight.len() {
            if let Some(request) = self.in_flight[slot].take() {
                self.finish(request, FAILED);
            }
        }
        self.signal();
    }

    /// Gives the client's rings up.
    fn detach(&mut self) {
        self.generation += 1;
        self.waiting_flush = None;
        self.end_wait(IoError::InvalidInput);
        if let Some(rings) = self.client.as_mut().and_then(|client| client.rings.take()) {
            let (pages, wake) = (rings.pages, rings.wake);
            drop(rings);
            pages.into_iter().chain([wake]).for_each(|cap| self.machine.release(cap));
        }
    }

    /// Forgets the client.
    fn forget(&mut self) {
        self.detach();
        if let Some(client) = self.client.take() {
            client.frames.into_values().for_each(|frame| self.machine.release(frame));
        }
    }

    /// The client whose badge this is; another one is forgotten.
    fn client(&mut self, badge: u64) -> &mut Client<P::Words> {
        if self.client.as_ref().is_some_and(|client| client.badge != badge) {
            self.forget();
        }
        self.client.get_or_insert_with(|| Client { badge, frames: BTreeMap::new(), rings: None })
    }

    fn try_attach(&mut self, badge: u64, caps: [Cap; 3]) -> Result<Cap, IoError> {
        let [requests, completions, wake] = caps;
        let requests_words = self.machine.map(requests)?;
        let completions_words = self.machine.map(completions)?;
        let rings = Rings {
            requests: Consumer::new(requests_words).map_err(|_| IoError::InvalidInput)?,
            completions: Producer::new(completions_words).map_err(|_| IoError::InvalidInput)?,
            pages: [requests, completions],
            wake,
            fresh: false,
        };
        self.client(badge);
        self.detach();
        if self.pending() > 0 {
            // What the former rings asked for must not reach memory that by now is used for something else: nobody may have reported that the
            // client was started anew.
            self.restart(true);
        }
        self.client(badge).rings = Some(rings);
        self.drop_lost_frames();
        Ok(self.machine.doorbell())
    }

    /// A client that was started anew attaches other frames than the former one's, which are gone.
    fn drop_lost_frames(&mut self) {
        let machine = &mut self.machine;
        if let Some(client) = &mut self.client {
            let lost = client.frames.extract_if(.., |_, frame| machine.frame_address(*frame).is_none());
            let lost: alloc::vec::Vec<_> = lost.collect();
            lost.into_iter().for_each(|(_, frame)| machine.release(frame));
        }
    }
}

impl<M: Memory, P: Machine> Block for BlockServer<M, P> {
    fn info(&mut self, _: &Sender) -> Result<DiskInfo, IoError> {
        let disk = self.disk.as_mut().ok_or(IoError::NotFound)?;
        if disk.queue().is_some() { Ok(disk.info()) } else { Err(IoError::Device) }
    }

    fn attach_memory(&mut self, sender: &Sender, index: u64, frame: Cap) -> Result<(), IoError> {
        let has_rings = |client: &Client<P::Words>| client.badge == sender.badge && client.rings.is_some();
        if self.pending() > 0 && self.client.as_ref().is_some_and(has_rings) {
            // It begins anew although this driver lives: it waited in vain. A successor does better.
            panic!("the client has given up waiting for {} requests", self.pending());
        }
        // Nobody attaches to a disk of which nobody told: the bus kept silent about it. A successor asks again.
        assert!(self.disk.is_some(), "a client knows of a disk that was not found");
        if index >= MAX_FRAMES || self.machine.frame_address(frame).is_none() {
            self.machine.release(frame);
            return Err(IoError::InvalidInput);
        }
        if let Some(former) = self.client(sender.badge).frames.insert(index, frame) {
            self.machine.release(former);
        }
        Ok(())
    }

    fn attach_rings(&mut self, sender: &Sender, requests: Cap, completions: Cap, wake: Cap) -> Result<Cap, IoError> {
        let caps = [requests, completions, wake];
        let attached = match self.disk {
            None => Err(IoError::NotFound),
            Some(_) => self.try_attach(sender.badge, caps),
        };
        match attached {
            Ok(doorbell) => {
                // Requests may lie there already.
                self.work();
                Ok(doorbell)
            }
            Err(error) => {
                caps.into_iter().for_each(|cap| self.machine.release(cap));
                Err(error)
            }
        }
    }

    fn wait(&mut self, sender: &Sender, responder: Responder<(), IoError>) {
        // One call waits at a time; an older one is of a client that is gone.
        self.end_wait(IoError::Interrupted);
        match self.untaken(sender.badge) {
            Ok(false) => self.waiting = Some(responder),
            Ok(true) => self.machine.answer(responder, Ok(())),
            Err(error) => self.machine.answer(responder, Err(error)),
        }
    }
}

impl<M: Memory, P: Machine> Lifecycle for BlockServer<M, P> {
    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        if self.client.as_ref().is_some_and(|known| known.badge == client) {
            self.forget();
            if self.pending() > 0 {
                self.restart(true);
            }
        }
        Ok(())
    }
}
