//! Clients: the memory that they share with the stack, and the news that pass through it.
//!
//! Everything here is the client's to write at any time; see [`motte_interfaces::net`] for what is where. Counters are checked by the rings,
//! bits of slots that the client never opened are ignored, so a client that lies harms its own sockets only.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::sync::atomic::{Ordering, fence};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Buffers, SLOTS, SLOTS_PER_PAGE, header, page, state, wants};
use motte_interfaces::net_rules::Rules;
use motte_interfaces::{Cap, Responder};
use motte_ring::{AtomicU64, Buffer, ByteConsumer, ByteProducer};

/// What the stack needs of the machine.
pub trait Machine {
    /// A page of a client's, as words. Dropped, it is unmapped, and the capability given up.
    type Words: Deref<Target = [AtomicU64]>;
    /// Pages of a client's, as bytes, likewise.
    type Bytes: Buffer;
    /// Whether a client's page is still there. When a client dies its memory goes at once, and whoever touches it faults.
    fn is_alive(&self, words: &Self::Words) -> bool;
    /// Maps a page.
    fn map_words(&mut self, page: Cap) -> Result<Self::Words, IoError>;
    /// Maps pages one after the other.
    fn map_bytes(&mut self, pages: Vec<Cap>) -> Result<Self::Bytes, IoError>;
    /// Gives a capability up.
    fn release(&mut self, cap: Cap);
    /// Signals a client.
    fn signal(&self, notification: Cap);
    /// The notification that clients signal the stack by.
    fn doorbell(&self) -> Cap;
    /// What the client with this badge may do, as the manifest or its parent says ([`motte_interfaces::net_rules`]).
    fn rules(&mut self, client: u64) -> Rules;
    /// A number that nobody can guess, or almost.
    fn random(&mut self) -> u64;
}

/// The memory of a slot.
struct Slot<M: Machine> {
    /// Pages that were lent, until there are enough to map.
    pages: Vec<Cap>,
    memory: Option<(Rc<M::Bytes>, usize)>,
    /// Number of the socket in it.
    socket: Option<u32>,
}

impl<M: Machine> Default for Slot<M> {
    fn default() -> Self {
        Self { pages: Vec::new(), memory: None, socket: None }
    }
}

/// One client.
pub struct Session<M: Machine> {
    page: M::Words,
    headers: BTreeMap<usize, Rc<M::Words>>,
    slots: Vec<Slot<M>>,
    /// What it wants to be signalled by.
    wake: Option<Cap>,
    /// It is to be signalled.
    told: bool,
    /// Calls of `watch`.
    pub watching: Vec<Responder<(), IoError>>,
    /// What it may do.
    pub rules: Rules,
    /// Pages that it has lent for slots.
    pub pages: usize,
    /// Its sockets, and the bytes of the stack's memory that they take.
    pub sockets: usize,
    /// See `sockets`.
    pub bytes: usize,
}

impl<M: Machine> Session<M> {
    /// A client's session with its first page.
    pub fn new(page: M::Words, rules: Rules) -> Self {
        Self {
            page,
            headers: BTreeMap::new(),
            slots: Vec::new(),
            wake: None,
            told: false,
            watching: Vec::new(),
            rules,
            pages: 0,
            sockets: 0,
            bytes: 0,
        }
    }

    /// Whether the client's memory is still there.
    pub fn is_alive(&self, machine: &M) -> bool {
        machine.is_alive(&self.page)
    }

    /// Takes a page of headers.
    pub fn lend_headers(&mut self, machine: &mut M, index: u64, page: Cap) -> Result<(), IoError> {
        let index = usize::try_from(index).ok().filter(|&index| index < SLOTS / SLOTS_PER_PAGE);
        let index = index.ok_or(IoError::InvalidInput)?;
        self.headers.insert(index, Rc::new(machine.map_words(page)?));
        Ok(())
    }

    fn slot(&mut self, slot: u64) -> Result<&mut Slot<M>, IoError> {
        let slot = usize::try_from(slot).ok().filter(|&slot| slot < SLOTS).ok_or(IoError::InvalidInput)?;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, Slot::default);
        }
        Ok(&mut self.slots[slot])
    }

    /// Takes four pages of a slot's.
    pub fn lend(&mut self, machine: &mut M, (slot, first): (u64, u64), pages: [Cap; 4]) -> Result<(), IoError> {
        let most = motte_interfaces::net::MOST_BUFFERS / 4096;
        let slot = self.slot(slot)?;
        if slot.socket.is_some() || first >= most {
            return Err(IoError::InvalidInput);
        }
        let mut given_back = 0;
        if first == 0 {
            given_back = slot.pages.len() + slot.memory.as_ref().map_or(0, |(_, pages)| *pages);
            slot.pages.drain(..).for_each(|page| machine.release(page));
            slot.memory = None;
        }
        let follows = slot.pages.len() as u64 == first && slot.memory.is_none();
        if follows {
            slot.pages.extend(pages);
        }
        self.pages = self.pages + if follows { pages.len() } else { 0 } - given_back;
        if follows { Ok(()) } else { Err(IoError::InvalidInput) }
    }

    /// Joins a socket to a slot: the rings of what it moves.
    pub fn join(
        &mut self,
        machine: &mut M,
        client: u64,
        slot: u64,
        socket: u32,
        buffers: Buffers,
    ) -> Result<Ends<M>, IoError> {
        let pages = buffers.pages().ok_or(IoError::InvalidInput)?;
        let number = slot as usize;
        let headers = self.headers.get(&(number / SLOTS_PER_PAGE)).ok_or(IoError::InvalidInput)?.clone();
        let place = self.slot(slot)?;
        if place.socket.is_some() {
            return Err(IoError::Busy);
        }
        if pages > 0 && place.memory.is_none() {
            if place.pages.len() != pages {
                return Err(IoError::InvalidInput);
            }
            match machine.map_bytes(core::mem::take(&mut place.pages)) {
                Ok(memory) => place.memory = Some((Rc::new(memory), pages)),
                Err(error) => {
                    self.pages -= pages;
                    return Err(error);
                }
            }
        }
        let memory = match &place.memory {
            Some((memory, mapped)) if *mapped == pages => Some(memory.clone()),
            None if pages == 0 => None,
            _ => return Err(IoError::InvalidInput),
        };
        place.socket = Some(socket);
        Ok(Ends::new(client, number, headers, memory, buffers))
    }

    /// The socket in a slot.
    pub fn socket(&self, slot: u64) -> Option<u32> {
        self.slots.get(usize::try_from(slot).ok()?)?.socket
    }

    /// Nothing is in a slot any more.
    pub fn part(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.socket = None;
        }
    }

    /// All its sockets.
    pub fn all_sockets(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| slot.socket).collect()
    }

    /// What to signal it by; returns what it was.
    pub fn wake_by(&mut self, notification: Cap) -> Option<Cap> {
        self.told = true;
        self.wake.replace(notification)
    }

    /// Takes the client's news: calls `each` with every socket that there is something new about.
    pub fn take_news(&self, mut each: impl FnMut(u32)) {
        if self.page[page::STACK_SUMMARY].load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut summary = self.page[page::STACK_SUMMARY].swap(0, Ordering::AcqRel);
        while summary != 0 {
            let word = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut bits = self.page[page::TO_STACK + word].swap(0, Ordering::AcqRel);
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(socket) = self.slots.get(slot).and_then(|slot| slot.socket) {
                    each(socket);
                }
            }
        }
    }

    /// Tells the client that there is something new about a slot; it is signalled by [`Session::signal`].
    pub fn tell(&mut self, slot: usize) {
        if self.wake.is_none() {
            return;
        }
        let (word, bit) = (slot / 64, slot % 64);
        self.page[page::TO_CLIENT + word].fetch_or(1 << bit, Ordering::AcqRel);
        if self.page[page::CLIENT_SUMMARY].fetch_or(1 << word, Ordering::AcqRel) == 0 {
            self.told = true;
        }
    }

    /// Signals the client if it has news that it was not signalled for.
    pub fn signal(&mut self, machine: &M) {
        if core::mem::take(&mut self.told)
            && let Some(wake) = self.wake
        {
            machine.signal(wake);
        }
    }

    /// Gives up what is not given up by dropping it.
    pub fn end(self, machine: &mut M) {
        self.wake.into_iter().for_each(|wake| machine.release(wake));
        self.slots.into_iter().flat_map(|slot| slot.pages).for_each(|page| machine.release(page));
    }
}

/// The stack's ends of a slot's rings.
pub struct Ends<M: Machine> {
    /// Badge of the client.
    pub client: u64,
    /// The slot's number.
    pub slot: usize,
    headers: Rc<M::Words>,
    memory: Option<Rc<M::Bytes>>,
    /// Of what was received.
    received: ByteProducer,
    /// Of what is to be sent.
    to_send: ByteConsumer,
    /// The state that the client was last shown.
    state: u64,
    buffers: Buffers,
}

/// The client's rings make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoilt;

impl From<motte_ring::RingError> for Spoilt {
    fn from(_: motte_ring::RingError) -> Self {
        Self
    }
}

impl<M: Machine> Ends<M> {
    fn new(client: u64, slot: usize, headers: Rc<M::Words>, memory: Option<Rc<M::Bytes>>, buffers: Buffers) -> Self {
        let (receive, send) = (buffers.receive as usize, buffers.send as usize);
        let (received, to_send) = (ByteProducer::new(0, receive), ByteConsumer::new(receive, send));
        Self { client, slot, headers, memory, received, to_send, state: 0, buffers }
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        &self.headers[self.slot % SLOTS_PER_PAGE * header::WORDS + word]
    }

    /// Sets the state. Returns whether that is news to the client.
    pub fn set_state(&mut self, state: u64) -> bool {
        if state == self.state {
            return false;
        }
        // That the stack waits for room is no news; the client sees it when it makes some.
        let news = (state ^ self.state) & !state::WANTS_ROOM != 0;
        self.state = state;
        self.word(header::STATE).store(state, Ordering::Release);
        news
    }

    /// The state that the client was last shown.
    pub fn state(&self) -> u64 {
        self.state
    }

    /// Bytes that there is room for in the ring of what was received. None at all: the client is asked to tell when there is.
    pub fn room(&mut self, wanted: usize) -> Result<usize, Spoilt> {
        let index = self.slot % SLOTS_PER_PAGE * header::WORDS;
        let taken = &self.headers[index + header::TAKEN];
        let room = self.received.room(taken)?;
        if room >= wanted {
            if self.state & state::WANTS_ROOM != 0 {
                self.set_state(self.state & !state::WANTS_ROOM);
            }
            return Ok(room);
        }
        self.set_state(self.state | state::WANTS_ROOM);
        fence(Ordering::SeqCst);
        Ok(self.received.room(&self.headers[index + header::TAKEN])?)
    }

    /// Bytes of the two rings.
    pub fn buffers(&self) -> Buffers {
        self.buffers
    }

    /// Puts bytes that there is room for.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        match &self.memory {
            Some(memory) => self.received.put(&**memory, bytes),
            None => 0,
        }
    }

    /// Shows the client what was put.
    pub fn publish_received(&self) {
        self.received.publish(self.word(header::RECEIVED));
    }

    /// Bytes that the client wants sent.
    pub fn to_send(&mut self) -> Result<usize, Spoilt> {
        let put = &self.headers[self.slot % SLOTS_PER_PAGE * header::WORDS + header::PUT];
        Ok(self.to_send.available(put)?)
    }

    /// Takes bytes that the client wants sent.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        match &self.memory {
            Some(memory) => self.to_send.take(&**memory, into),
            None => 0,
        }
    }

    /// Copies bytes that the client wants sent, and leaves them.
    pub fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        self.memory.as_ref().map_or(0, |memory| self.to_send.peek(&**memory, skip, into))
    }

    /// Leaves out bytes.
    pub fn skip(&mut self, count: usize) {
        self.to_send.skip(count);
    }

    /// Shows the client what was taken. Returns whether it waits for that.
    pub fn publish_sent(&self) -> bool {
        self.to_send.publish(self.word(header::SENT));
        fence(Ordering::SeqCst);
        self.word(header::WANTS).load(Ordering::Relaxed) & wants::ROOM != 0
    }

    /// Whether the connection is to end behind what is to be sent.
    pub fn wants_finish(&self) -> bool {
        self.word(header::WANTS).load(Ordering::Acquire) & wants::FINISH != 0
    }

    /// Whether the client has something to read, as far as the stack knows.
    pub fn has_unread(&mut self) -> Result<bool, Spoilt> {
        let taken = &self.headers[self.slot % SLOTS_PER_PAGE * header::WORDS + header::TAKEN];
        Ok(self.received.room(taken)? < self.buffers.receive as usize)
    }

    /// Whether the client can write at least `count` bytes.
    pub fn can_write(&mut self, count: usize) -> Result<bool, Spoilt> {
        Ok(self.to_send()? + count <= self.buffers.send as usize)
    }
}
