//! A socket: a slot in use, its two rings, and waiting for either.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use core::task::{Context, Poll};
use core::time::Duration;

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Buffers, DatagramHeader, MOST_DATAGRAM, NetClient, header, ready, state, wants};
use motte_ring::{ByteConsumer, ByteProducer};

use crate::io::{self, ErrorKind, Result};
use crate::service::Connection;
use crate::sync::Mutex;
use crate::time::Instant;

use super::session::{Session, Slot, session};

/// No limit.
const FOREVER: u64 = u64::MAX;

/// A socket.
#[derive(Debug)]
pub struct Socket {
    session: &'static Session,
    slot: Slot,
    buffers: Buffers,
    /// The session's epoch in which it was opened.
    epoch: u64,
    receive: Mutex<ByteConsumer>,
    send: Mutex<ByteProducer>,
    nonblocking: AtomicBool,
    reading_stopped: AtomicBool,
    aborted: AtomicBool,
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

/// Which way it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// The memory of a slot's rings. Every socket that moves data has some.
fn memory(slot: &Slot) -> Result<&crate::memory::Mapping> {
    slot.memory.as_deref().ok_or_else(|| ErrorKind::NotConnected.into())
}

impl Socket {
    /// Opens a socket by `request`; returns its answer.
    pub fn open<R>(
        buffers: Buffers,
        request: impl Fn(&NetClient<Connection>, u64) -> core::result::Result<R, IoError>,
    ) -> Result<(Self, R)> {
        let session = session()?;
        let mut slot = session.take_slot(buffers)?;
        match session.open(&mut slot, request) {
            Ok((answer, epoch)) => Ok((Self::new(session, slot, buffers, epoch), answer)),
            Err(error) => {
                session.give_back(slot);
                Err(error.into())
            }
        }
    }

    /// Opens a socket by a request to the stack that knows another socket: with its successor it would make no sense.
    pub fn open_known<R>(
        &self,
        buffers: Buffers,
        request: impl Fn(&NetClient<Connection>, u64) -> core::result::Result<R, IoError>,
    ) -> core::result::Result<(Self, R), IoError> {
        let session = self.session;
        let mut slot = session.take_slot(buffers)?;
        let epoch = self.epoch;
        match session.open_in(epoch, &mut slot, request) {
            Ok(answer) => Ok((Self::new(session, slot, buffers, epoch), answer)),
            Err(error) => {
                session.give_back(slot);
                if error == IoError::ServiceRestarted {
                    session.restart(epoch)?;
                }
                Err(error)
            }
        }
    }

    /// Has the limits of another socket.
    pub fn take_options_of(&self, other: &Self) {
        self.nonblocking.store(other.nonblocking.load(Ordering::Relaxed), Ordering::Relaxed);
        self.read_timeout.store(other.read_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
        self.write_timeout.store(other.write_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn new(session: &'static Session, slot: Slot, buffers: Buffers, epoch: u64) -> Self {
        let (receive, send) = (buffers.receive as usize, buffers.send as usize);
        Self {
            session,
            slot,
            buffers,
            epoch,
            receive: Mutex::new(ByteConsumer::new(0, receive)),
            send: Mutex::new(ByteProducer::new(receive, send)),
            nonblocking: AtomicBool::new(false),
            reading_stopped: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            read_timeout: AtomicU64::new(FOREVER),
            write_timeout: AtomicU64::new(FOREVER),
        }
    }

    /// The slot's number.
    pub fn number(&self) -> usize {
        self.slot.number
    }

    /// Whether the stack that knew this socket is gone.
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.session.epoch() != self.epoch
    }

    /// The state's bits.
    #[inline]
    pub fn state(&self) -> u64 {
        self.slot.word(header::STATE).load(Ordering::Acquire)
    }

    /// Why nothing more can be received or sent, if it is an error.
    fn failure(&self, bits: u64) -> Option<io::Error> {
        if self.is_stale() {
            return Some(io::Error::new(
                ErrorKind::ConnectionReset,
                "connection reset: the network stack was restarted",
            ));
        }
        state::error(bits).map(io::Error::from)
    }

    /// Reads what is there; `None` if nothing is yet.
    pub fn try_read(&self, into: &mut [u8]) -> Result<Option<usize>> {
        let mut ring = self.receive.lock();
        // Before the ring: what the state says ended, ended behind what is in the ring by then.
        let bits = self.state();
        if ring.available(self.slot.word(header::RECEIVED)).map_err(|_| IoError::ConnectionAborted)? == 0 {
            return match self.failure(bits) {
                Some(error) => Err(error),
                None if bits & state::RECEIVED_ALL != 0 || into.is_empty() || self.reads_no_more() => Ok(Some(0)),
                None => Ok(None),
            };
        }
        let count = ring.take(memory(&self.slot)?, into);
        self.taken(&ring);
        Ok(Some(count))
    }

    /// Shows the stack what was taken, and tells it if it waits for room.
    fn taken(&self, ring: &ByteConsumer) {
        ring.publish(self.slot.word(header::TAKEN));
        fence(Ordering::SeqCst);
        if self.state() & state::WANTS_ROOM != 0 {
            self.session.tell(self.slot.number);
        }
    }

    /// Writes as much as there is room for; `None` if there is none yet.
    pub fn try_write(&self, from: &[u8]) -> Result<Option<usize>> {
        let mut ring = self.send.lock();
        let bits = self.state();
        if let Some(error) = self.failure(bits) {
            return Err(error);
        }
        if bits & state::CANNOT_SEND != 0 {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if bits & state::OPEN == 0 || !self.has_room(&mut ring, 1)? {
            return Ok(None);
        }
        let count = ring.put(memory(&self.slot)?, from);
        ring.publish(self.slot.word(header::PUT));
        self.session.tell(self.slot.number);
        Ok(Some(count))
    }

    /// Whether so many bytes fit. If not, the stack is asked to tell when they do.
    fn has_room(&self, ring: &mut ByteProducer, bytes: usize) -> Result<bool> {
        let (sent, wanted) = (self.slot.word(header::SENT), self.slot.word(header::WANTS));
        let mut fits = || ring.room(sent).map(|room| room >= bytes).map_err(|_| IoError::ConnectionAborted);
        if fits()? {
            if wanted.load(Ordering::Relaxed) & wants::ROOM != 0 {
                wanted.fetch_and(!wants::ROOM, Ordering::Relaxed);
            }
            return Ok(true);
        }
        wanted.fetch_or(wants::ROOM, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(fits()?)
    }

    /// Takes the next datagram: its address and how long it was. What does not fit is dropped. `None` if there is none.
    pub fn try_receive(&self, into: &mut [u8], keep: bool) -> Result<Option<(usize, SocketAddr)>> {
        let mut ring = self.receive.lock();
        let bits = self.state();
        let there = ring.available(self.slot.word(header::RECEIVED)).map_err(|_| IoError::ConnectionAborted)?;
        if there < DatagramHeader::BYTES {
            return self.failure(bits).map_or(Ok(None), Err);
        }
        let memory = memory(&self.slot)?;
        let mut head = [0; DatagramHeader::BYTES];
        ring.peek(memory, 0, &mut head);
        let head = DatagramHeader::from_bytes(head);
        let count = into.len().min(head.length.into());
        ring.peek(memory, DatagramHeader::BYTES, &mut into[..count]);
        if !keep {
            ring.skip(DatagramHeader::BYTES + usize::from(head.length));
            self.taken(&ring);
        }
        Ok(Some((count, head.address)))
    }

    /// Sends a datagram; `None` if there is no room yet.
    pub fn try_send(&self, address: SocketAddr, bytes: &[u8]) -> Result<Option<usize>> {
        let whole = DatagramHeader::BYTES + bytes.len();
        let length = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MOST_DATAGRAM);
        let Some(length) = length.filter(|_| whole as u64 <= self.buffers.send) else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the datagram is too long"));
        };
        let mut ring = self.send.lock();
        if let Some(error) = self.failure(self.state()) {
            return Err(error);
        }
        if !self.has_room(&mut ring, whole)? {
            return Ok(None);
        }
        let memory = memory(&self.slot)?;
        ring.put(memory, &DatagramHeader { length, address }.to_bytes());
        ring.put(memory, bytes);
        ring.publish(self.slot.word(header::PUT));
        self.session.tell(self.slot.number);
        Ok(Some(bytes.len()))
    }

    /// Has the connection end behind what was written.
    pub fn finish(&self) -> Result<()> {
        if let Some(error) = self.failure(self.state()) {
            return Err(error);
        }
        self.slot.word(header::WANTS).fetch_or(wants::FINISH, Ordering::AcqRel);
        self.session.tell(self.slot.number);
        Ok(())
    }

    /// Reads what has come, and then nothing.
    pub fn stop_reading(&self) {
        self.reading_stopped.store(true, Ordering::Relaxed);
    }

    fn reads_no_more(&self) -> bool {
        self.reading_stopped.load(Ordering::Relaxed)
    }

    /// Has the connection broken off when the socket is dropped.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    /// Tries again and again, waiting in between as long as the socket's limit allows.
    pub fn block<R>(&self, direction: Direction, mut attempt: impl FnMut() -> Result<Option<R>>) -> Result<R> {
        if let Some(result) = attempt()? {
            return Ok(result);
        }
        if self.nonblocking.load(Ordering::Relaxed) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let limit = match direction {
            Direction::Read => &self.read_timeout,
            Direction::Write => &self.write_timeout,
        };
        let deadline = match limit.load(Ordering::Relaxed) {
            FOREVER => None,
            limit => Some(Instant::now() + Duration::from_nanos(limit)),
        };
        loop {
            self.wait(direction, deadline)?;
            if let Some(result) = attempt()? {
                return Ok(result);
            }
        }
    }

    /// Waits until it is ready or something happened to it.
    pub fn wait(&self, direction: Direction, deadline: Option<Instant>) -> Result<()> {
        let timeout = match deadline {
            Some(deadline) => (deadline - Instant::now()).as_nanos() as u64,
            None => FOREVER,
        };
        if timeout == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let what = match direction {
            Direction::Read => ready::READ,
            Direction::Write => ready::WRITE,
        };
        let epoch = self.session.epoch();
        match self.session.client.wait(self.slot.number as u64, what, timeout) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) => Ok(()),
            Err(IoError::ServiceRestarted) => Ok(self.session.restart(epoch)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Tries; if it is too early, has the task woken when it is time.
    pub fn poll<R>(
        &self,
        context: &Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut() -> Result<Option<R>>,
    ) -> Poll<Result<R>> {
        if let Some(result) = attempt().transpose() {
            return Poll::Ready(result);
        }
        if self.session.reactor.get().is_none() {
            let text = "tasks cannot wait for sockets before `net::wake_tasks`";
            return Poll::Ready(Err(io::Error::new(ErrorKind::Unsupported, text)));
        }
        let who = match direction {
            Direction::Read => Session::READING,
            Direction::Write => Session::WRITING,
        };
        self.session.wake(self.slot.number, who, context);
        // What came in between was told to nobody.
        attempt().transpose().map_or(Poll::Pending, Poll::Ready)
    }

    /// As `std` has it.
    pub fn set_nonblocking(&self, on: bool) {
        self.nonblocking.store(on, Ordering::Relaxed);
    }

    /// Sets a limit to waiting; as in `std` zero is refused.
    pub fn set_timeout(&self, direction: Direction, limit: Option<Duration>) -> Result<()> {
        let place = match direction {
            Direction::Read => &self.read_timeout,
            Direction::Write => &self.write_timeout,
        };
        let nanoseconds = match limit {
            Some(Duration::ZERO) => return Err(ErrorKind::InvalidInput.into()),
            Some(limit) => u64::try_from(limit.as_nanos()).unwrap_or(FOREVER),
            None => FOREVER,
        };
        place.store(nanoseconds, Ordering::Relaxed);
        Ok(())
    }

    /// The limit to waiting.
    pub fn timeout(&self, direction: Direction) -> Option<Duration> {
        let limit = match direction {
            Direction::Read => self.read_timeout.load(Ordering::Relaxed),
            Direction::Write => self.write_timeout.load(Ordering::Relaxed),
        };
        (limit != FOREVER).then(|| Duration::from_nanos(limit))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.is_stale() {
            let slot = self.slot.number as u64;
            let aborted = self.aborted.load(Ordering::Relaxed);
            let _ = if aborted { self.session.client.abort(slot) } else { self.session.client.close(slot) };
        }
        self.session.give_back(self.slot.clone());
    }
}
