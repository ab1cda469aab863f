//! The program's session with the network stack: its slots, the news that pass, and what a restart of the stack means.
//!
//! The memory and who writes what in it: see [`motte_interfaces::net`].

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Waker};

use motte_abi::Error;
use motte_interfaces::Cap;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Buffers, NetClient, SLOTS, SLOTS_PER_PAGE, header, page};

use crate::io::{self, Result};
use crate::kernel::{CapSlot, Notification};
use crate::memory::Mapping;
use crate::pages::SharedWords;
use crate::service::{Connection, Shared};
use crate::slots;
use crate::sync::{Mutex, OnceLock};

use super::reactor::Reactor;

/// How often a request is repeated whose stack is restarted again and again.
const REPETITIONS: u32 = 8;

static SESSION: OnceLock<Session> = OnceLock::new();

/// The session; begun when it is first asked for.
pub fn session() -> Result<&'static Session> {
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    static BEGINNING: Mutex<()> = Mutex::new(());
    let _guard = BEGINNING.lock();
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    static NET: Shared = Shared::new("net");
    let connection = NET.connection().map_err(io::Error::other)?;
    let session = Session::new(connection).map_err(|_| IoError::OutOfMemory)?;
    session.restart(0)?;
    Ok(SESSION.get_or_init(|| session))
}

/// A place for one socket at a time, with the memory for its rings.
#[derive(Clone, Debug)]
pub struct Slot {
    pub number: usize,
    headers: Arc<SharedWords>,
    pub memory: Option<Arc<Mapping>>,
    /// The epoch for which the memory was lent.
    lent: u64,
}

impl Slot {
    /// A word of the slot's header.
    pub fn word(&self, word: usize) -> &AtomicU64 {
        &self.headers[self.number % SLOTS_PER_PAGE * header::WORDS + word]
    }
}

struct Slots {
    headers: Vec<Arc<SharedWords>>,
    /// Slots without a socket, by the pages they have.
    free: BTreeMap<usize, Vec<Slot>>,
    made: usize,
}

/// Who is woken when something becomes readable, and writable.
type Waiting = [Option<Waker>; 2];

/// The session.
pub struct Session {
    pub client: NetClient<Connection>,
    page: SharedWords,
    slots: Mutex<Slots>,
    /// How often the session was begun: what belongs to an earlier stack has an earlier one.
    epoch: AtomicU64,
    /// Slot of the notification that the stack is signalled by.
    doorbell: AtomicU64,
    pub reactor: OnceLock<Reactor>,
    waiting: Mutex<Vec<Waiting>>,
}

impl Session {
    fn new(connection: Connection) -> core::result::Result<Self, Error> {
        Ok(Self {
            client: NetClient::new(connection),
            page: SharedWords::new()?,
            slots: Mutex::new(Slots { headers: Vec::new(), free: BTreeMap::new(), made: 0 }),
            epoch: AtomicU64::new(0),
            doorbell: AtomicU64::new(0),
            reactor: OnceLock::new(),
            waiting: Mutex::new(Vec::new()),
        })
    }

    /// The present epoch.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The stack of that epoch is gone: begins anew with its successor, unless another thread did. Whoever waits is woken, to find out.
    #[cold]
    pub fn restart(&self, epoch: u64) -> core::result::Result<(), IoError> {
        let slots = self.slots.lock();
        if self.epoch() != epoch {
            return Ok(());
        }
        let mut tries = 0;
        while let Err(error) = self.begin(&slots) {
            tries += 1;
            if error != IoError::ServiceRestarted || tries == REPETITIONS {
                return Err(error);
            }
        }
        self.epoch.store(epoch + 1, Ordering::Release);
        drop(slots);
        let waiting = core::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().flatten().flatten().for_each(Waker::wake);
        if let Some(reactor) = self.reactor.get() {
            reactor.watch_again();
        }
        Ok(())
    }

    fn begin(&self, slots: &Slots) -> core::result::Result<(), IoError> {
        self.page.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let doorbell = self.client.begin(Cap(self.page.frame().0.0))?;
        let former = self.doorbell.swap(doorbell.0, Ordering::AcqRel);
        if former != 0 {
            slots::delete(CapSlot(former));
        }
        for (index, headers) in slots.headers.iter().enumerate() {
            self.client.lend_headers(index as u64, Cap(headers.frame().0.0))?;
        }
        match self.reactor.get() {
            Some(reactor) => self.client.wake_by(Cap(reactor.notification().0.0)),
            None => Ok(()),
        }
    }

    /// A slot with pages for these buffers.
    pub fn take_slot(&self, buffers: Buffers) -> core::result::Result<Slot, IoError> {
        let pages = buffers.pages().ok_or(IoError::InvalidInput)?;
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.free.get_mut(&pages).and_then(Vec::pop) {
            return Ok(slot);
        }
        let no_memory = |_| IoError::OutOfMemory;
        let number = slots.made;
        if number == SLOTS {
            return Err(IoError::OutOfMemory);
        }
        let memory = if pages == 0 { None } else { Some(Arc::new(Mapping::new(pages).map_err(no_memory)?)) };
        if number.is_multiple_of(SLOTS_PER_PAGE) && slots.headers.len() == number / SLOTS_PER_PAGE {
            let headers = Arc::new(SharedWords::new().map_err(no_memory)?);
            let lent = self.client.lend_headers((number / SLOTS_PER_PAGE) as u64, Cap(headers.frame().0.0));
            // A stack that was restarted is lent it when the session begins anew.
            lent.or_else(|error| if error == IoError::ServiceRestarted { Ok(()) } else { Err(error) })?;
            slots.headers.push(headers);
        }
        slots.made += 1;
        Ok(Slot { number, headers: slots.headers[number / SLOTS_PER_PAGE].clone(), memory, lent: 0 })
    }

    /// A slot whose socket is closed.
    pub fn give_back(&self, slot: Slot) {
        let pages = slot.memory.as_ref().map_or(0, |memory| memory.frames().len());
        self.slots.lock().free.entry(pages).or_default().push(slot);
    }

    /// Makes a slot ready for a new socket of this epoch.
    fn prepare(&self, slot: &mut Slot, epoch: u64) -> core::result::Result<(), IoError> {
        for word in 0..header::WORDS {
            slot.word(word).store(0, Ordering::Relaxed);
        }
        if slot.lent != epoch
            && let Some(memory) = &slot.memory
        {
            for (index, four) in memory.frames().chunks_exact(4).enumerate() {
                let [a, b, c, d] = [0, 1, 2, 3].map(|at| Cap(four[at].0.0));
                self.client.lend((slot.number as u64, index as u64 * 4), a, b, c, d)?;
            }
        }
        slot.lent = epoch;
        Ok(())
    }

    /// Opens a socket in a slot by `request`, with the stack of that epoch only.
    pub fn open_in<R>(
        &self,
        epoch: u64,
        slot: &mut Slot,
        request: impl Fn(&NetClient<Connection>, u64) -> core::result::Result<R, IoError>,
    ) -> core::result::Result<R, IoError> {
        self.prepare(slot, epoch)?;
        request(&self.client, slot.number as u64)
    }

    /// Opens a socket in a slot by `request`; with the stack's successor if it is restarted meanwhile. Returns its answer, and the epoch.
    pub fn open<R>(
        &self,
        slot: &mut Slot,
        request: impl Fn(&NetClient<Connection>, u64) -> core::result::Result<R, IoError>,
    ) -> core::result::Result<(R, u64), IoError> {
        let mut tries = 0;
        loop {
            let epoch = self.epoch();
            match self.open_in(epoch, slot, &request) {
                Ok(answer) => return Ok((answer, epoch)),
                Err(IoError::ServiceRestarted) if tries < REPETITIONS => {
                    tries += 1;
                    self.restart(epoch)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the stack that there is something new about a slot.
    #[inline]
    pub fn tell(&self, slot: usize) {
        let (word, bit) = (slot / 64, slot % 64);
        self.page[page::TO_STACK + word].fetch_or(1 << bit, Ordering::AcqRel);
        if self.page[page::STACK_SUMMARY].fetch_or(1 << word, Ordering::AcqRel) != 0 {
            // Somebody signals for what was new before.
            return;
        }
        match self.reactor.get() {
            Some(reactor) if reactor.is_here() => reactor.signal_soon(),
            _ => self.signal(),
        }
    }

    /// Signals the stack.
    pub fn signal(&self) {
        // A stack that is gone is noticed by whoever waits for its answer.
        let _ = Notification::at(self.doorbell.load(Ordering::Acquire)).signal();
    }

    /// Has a task woken when there is something new about a slot: [`READING`](Self::READING) or [`WRITING`](Self::WRITING).
    pub fn wake(&self, slot: usize, what: usize, context: &Context<'_>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() <= slot {
            waiting.resize_with(slot + 1, Waiting::default);
        }
        match &mut waiting[slot][what] {
            Some(waker) if waker.will_wake(context.waker()) => {}
            place => *place = Some(context.waker().clone()),
        }
    }

    /// Index of who waits to read.
    pub const READING: usize = 0;
    /// Index of who waits to write.
    pub const WRITING: usize = 1;

    /// Takes the news from the stack, and wakes whom they concern.
    pub fn dispatch(&self) {
        let mut summary = self.page[page::CLIENT_SUMMARY].swap(0, Ordering::AcqRel);
        if summary == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        while summary != 0 {
            let word = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut bits = self.page[page::TO_CLIENT + word].swap(0, Ordering::AcqRel);
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(wakers) = waiting.get_mut(slot) {
                    wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
                }
            }
        }
    }
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}
