//! The disk behind a driver's rings: requests out, completions in, in any order, and the driver restarted in between.
//!
//! A transfer stays in `unfinished` from [`Disk::submit`] until its completion was taken. A driver that comes back after a crash knows
//! nothing of it, so everything unfinished is sent again: reading or writing the same place twice is harmless, and the
//! memory is the device's until [`Disk::wait`] returns.
//!
//! Nothing that the driver writes is trusted: a completion with an unknown tag is ignored, and a ring that makes no sense counts
//! as a driver that is gone.

use alloc::collections::{BTreeMap, VecDeque};
use core::ops::Deref;

use motte_interfaces::block::{BlockOperation, RING_ENTRIES};
use motte_ring::{AtomicU64, Consumer, Producer, RingError};

use crate::{
    disk::{Direction, Disk, DiskError, Geometry, Ticket, Transfer},
    memory::Region,
};

/// Words of a request.
pub const REQUEST_WORDS: usize = 8;
/// Words of a completion.
pub const COMPLETION_WORDS: usize = 2;

/// How often a driver is attached anew without a single completion in between, before its requests fail.
const MOST_FRUITLESS: u32 = 8;
/// Waits without a completion after which the driver is taken for one that lies.
const MOST_EMPTY_WAITS: u32 = 64;

const STATUS_DONE: u64 = 0;
const STATUS_DEVICE_ERROR: u64 = 1;

/// Both rings of one attachment.
pub struct Rings<M> {
    /// Where requests go.
    pub requests: Producer<M, REQUEST_WORDS>,
    /// Where completions come from.
    pub completions: Consumer<M, COMPLETION_WORDS>,
}

/// The way to a block driver.
pub trait Driver {
    /// Memory of a ring.
    type Memory: Deref<Target = [AtomicU64]>;
    /// Lends the cache's memory and two new rings to the driver, the one that runs now.
    fn attach(&mut self) -> Result<Rings<Self::Memory>, DiskError>;
    /// Wakes the driver to look for requests; false if the driver that was attached is gone.
    fn ring(&mut self) -> bool;
    /// After an error or vain attempts: has the driver start anew, for it may be the driver that fails and not the disk. False if that was tried
    /// in vain.
    fn doubt(&mut self) -> bool;
    /// Sleeps until completions lie in the ring; false if the driver that was attached is gone.
    fn wait(&mut self) -> bool;
}

struct Unfinished {
    ticket: u64,
    words: [u64; REQUEST_WORDS],
}

#[derive(Default)]
struct Progress {
    left: usize,
    failed: bool,
}

/// A [`Disk`] over a [`Driver`].
pub struct RingDisk<D: Driver> {
    driver: D,
    geometry: Geometry,
    /// Whether the device must be told to make writes durable.
    write_cache: bool,
    rings: Option<Rings<D::Memory>>,
    /// By tag.
    unfinished: BTreeMap<u64, Unfinished>,
    /// Tags of those not in the ring yet.
    unsent: VecDeque<u64>,
    in_flight: u64,
    tickets: BTreeMap<u64, Progress>,
    next: u64,
    /// Attachments since the last completion.
    fruitless: u32,
}

/// Attaches to the driver; to a successor if it refuses.
fn attach<D: Driver>(driver: &mut D) -> Result<Rings<D::Memory>, DiskError> {
    loop {
        match driver.attach() {
            Err(DiskError) if driver.doubt() => {}
            result => return result,
        }
    }
}

impl<D: Driver> RingDisk<D> {
    /// Attaches to the driver.
    pub fn new(mut driver: D, geometry: Geometry, write_cache: bool) -> Result<Self, DiskError> {
        let rings = attach(&mut driver)?;
        Ok(Self {
            driver,
            geometry,
            write_cache,
            rings: Some(rings),
            unfinished: BTreeMap::new(),
            unsent: VecDeque::new(),
            in_flight: 0,
            tickets: BTreeMap::new(),
            next: 0,
            fruitless: 0,
        })
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn enqueue(&mut self, ticket: u64, operation: BlockOperation, sector: u64, offset: u64, length: u64) {
        let tag = self.number();
        let words = [operation as u64, tag, sector, offset, length, 0, 0, 0];
        self.unfinished.insert(tag, Unfinished { ticket, words });
        self.unsent.push_back(tag);
        self.tickets.entry(ticket).or_default().left += 1;
    }

    /// Takes completions.
    fn collect(&mut self) -> Result<(), RingError> {
        let Some(rings) = &mut self.rings else { return Ok(()) };
        while let Some([tag, status]) = rings.completions.pop()? {
            if status != STATUS_DONE && status != STATUS_DEVICE_ERROR {
                // The driver knows nothing of our memory: it is another than the one that we lent it to.
                return Err(RingError::Corrupt);
            }
            if status != STATUS_DONE && self.unfinished.contains_key(&tag) && self.driver.doubt() {
                return Err(RingError::Corrupt);
            }
            let Some(finished) = self.unfinished.remove(&tag) else { continue };
            self.in_flight = self.in_flight.saturating_sub(1);
            self.fruitless = 0;
            if let Some(progress) = self.tickets.get_mut(&finished.ticket) {
                progress.left = progress.left.saturating_sub(1);
                progress.failed |= status != STATUS_DONE;
            }
        }
        Ok(())
    }

    /// Puts requests into the ring as far as there is room, and wakes the driver.
    fn send(&mut self) -> Result<(), RingError> {
        let Some(rings) = &mut self.rings else { return Ok(()) };
        // The ring of completions holds as many at least.
        let most = rings.requests.capacity().min(RING_ENTRIES as u64);
        let mut sent = false;
        while self.in_flight < most
            && let Some(tag) = self.unsent.front()
        {
            let Some(request) = self.unfinished.get(tag) else {
                self.unsent.pop_front();
                continue;
            };
            match rings.requests.push(request.words) {
                Ok(()) => {}
                Err(RingError::Full) => break,
                Err(error) => return Err(error),
            }
            self.unsent.pop_front();
            self.in_flight += 1;
            sent = true;
        }
        if sent && rings.requests.must_wake() && !self.driver.ring() {
            return Err(RingError::Corrupt);
        }
        Ok(())
    }

    /// Collects and sends; attaches anew when the rings are of no use any more.
    fn advance(&mut self) {
        if self.collect().and_then(|()| self.send()).is_err() {
            self.attach_anew();
        }
    }

    /// The driver is another, or broke its rings: everything unfinished is sent again.
    fn attach_anew(&mut self) {
        // Once a driver that lives may know nothing of this client: it heard late that a former one has ended.
        if self.fruitless > 0 && self.driver.ring() {
            // It is of no use.
            self.driver.doubt();
        }
        loop {
            self.rings = None;
            self.in_flight = 0;
            self.fruitless += 1;
            if self.fruitless > MOST_FRUITLESS {
                return self.fail_all();
            }
            match attach(&mut self.driver) {
                Ok(rings) => self.rings = Some(rings),
                Err(DiskError) => return self.fail_all(),
            }
            self.unsent = self.unfinished.keys().copied().collect();
            log::info!("the disk driver was restarted; {} requests are sent again", self.unsent.len());
            if self.send().is_ok() {
                return;
            }
        }
    }

    fn fail_all(&mut self) {
        self.rings = None;
        self.unsent.clear();
        for request in core::mem::take(&mut self.unfinished).into_values() {
            if let Some(progress) = self.tickets.get_mut(&request.ticket) {
                *progress = Progress { left: 0, failed: true };
            }
        }
        log::error!("the disk driver does not answer any more");
    }

    /// Makes sure that there is a driver to ask.
    fn connected(&mut self) -> Result<(), DiskError> {
        if self.rings.is_none() {
            self.rings = Some(attach(&mut self.driver)?);
            (self.in_flight, self.fruitless) = (0, 0);
        }
        Ok(())
    }
}

impl<D: Driver> Disk for RingDisk<D> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn submit(&mut self, _memory: Region, direction: Direction, transfers: &[Transfer]) -> Result<Ticket, DiskError> {
        self.connected()?;
        let ticket = self.number();
        self.tickets.insert(ticket, Progress::default());
        let operation = match direction {
            Direction::Read => BlockOperation::Read,
            Direction::Write => BlockOperation::Write,
        };
        for transfer in transfers {
            let (offset, length) = (transfer.offset as u64, transfer.length as u64);
            self.enqueue(ticket, operation, transfer.sector, offset, length);
        }
        self.advance();
        Ok(Ticket(ticket))
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), DiskError> {
        let mut empty_waits = 0;
        loop {
            let before = self.unfinished.len();
            self.advance();
            match self.tickets.get(&ticket.0) {
                None => return Err(DiskError),
                Some(progress) if progress.left == 0 => {
                    let failed = progress.failed;
                    self.tickets.remove(&ticket.0);
                    return if failed { Err(DiskError) } else { Ok(()) };
                }
                Some(_) => {}
            }
            empty_waits = if self.unfinished.len() < before { 0 } else { empty_waits + 1 };
            if empty_waits > MOST_EMPTY_WAITS || !self.driver.wait() {
                empty_waits = 0;
                self.attach_anew();
            }
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if !self.write_cache {
            return Ok(());
        }
        self.connected()?;
        let ticket = self.number();
        self.enqueue(ticket, BlockOperation::Flush, 0, 0, 0);
        self.wait(Ticket(ticket))
    }
}
