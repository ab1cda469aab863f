//! Requests to the pipe service, those that must wait among them.
//!
//! What survives a restart of this service: nothing of what lies in a pipe; both ends then get an error at their next use.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::pipe::Pipes;
use motte_interfaces::stream::{INLINE_BYTES, SharedPages, Stream, StreamKind, Whence};
use motte_interfaces::{Bytes, Cap, Replier, Responder, Sender, badge};

use crate::pipe::{End, Pipe};

/// The most that one shared read or write moves: the buffer that it is copied through.
const CHUNK: usize = 65536;

type PipeId = u64;

#[derive(Clone, Copy, Debug)]
struct Holder {
    pipe: PipeId,
    end: End,
}

/// Where a waiting reader wants its bytes.
enum Reader {
    Inline { responder: Responder<Bytes, IoError>, length: usize },
    Shared { responder: Responder<u64, IoError>, badge: u64, offset: u64, length: usize },
}

struct WaitingReader {
    holder: (u64, u64),
    reader: Reader,
}

/// A writer that waits for room, with what it still wants to write.
struct WaitingWriter {
    holder: (u64, u64),
    responder: Responder<u64, IoError>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Entry {
    pipe: Pipe,
    readers: VecDeque<WaitingReader>,
    writers: VecDeque<WaitingWriter>,
}

/// The service. `R` answers callers, `S` has the shared pages.
pub struct PipeServer<R, S> {
    replier: R,
    shared: S,
    pipes: BTreeMap<PipeId, Entry>,
    /// (badge, handle) to the end it names. A capability's own end has handle 0.
    holders: BTreeMap<(u64, u64), Holder>,
    next: u64,
}

impl<R: Replier, S: SharedPages> PipeServer<R, S> {
    /// A service without pipes.
    pub fn new(replier: R, shared: S) -> Self {
        Self { replier, shared, pipes: BTreeMap::new(), holders: BTreeMap::new(), next: 1 }
    }

    /// Pipes that exist.
    pub fn count(&self) -> usize {
        self.pipes.len()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn hold(&mut self, badge: u64, handle: u64, pipe: PipeId, end: End) {
        self.pipes.entry(pipe).or_default().pipe.hold(end);
        self.holders.insert((badge, handle), Holder { pipe, end });
    }

    fn holder(&self, sender: &Sender, handle: u64, end: End) -> Result<Holder, IoError> {
        match self.holders.get(&(sender.badge, handle)) {
            Some(holder) if holder.end == end => Ok(*holder),
            _ => Err(IoError::BadHandle),
        }
    }

    fn release(&mut self, key: (u64, u64)) -> Result<(), IoError> {
        let holder = self.holders.remove(&key).ok_or(IoError::BadHandle)?;
        if let Some(entry) = self.pipes.get_mut(&holder.pipe) {
            // Requests that wait on this very handle end with it.
            for waiting in take_if(&mut entry.readers, |waiting| waiting.holder == key) {
                waiting.reader.fail(&mut self.replier, IoError::BadHandle);
            }
            for waiting in take_if(&mut entry.writers, |waiting| waiting.holder == key) {
                waiting.responder.answer(&mut self.replier, Err(IoError::BadHandle));
            }
            let unused = entry.pipe.release(holder.end);
            self.advance(holder.pipe);
            if unused {
                self.pipes.remove(&holder.pipe);
            }
        }
        if key.0 & badge::OBJECT != 0 {
            self.shared.detach(key.0);
        }
        Ok(())
    }

    /// Lets waiting readers and writers of a pipe go on as far as they can.
    fn advance(&mut self, pipe: PipeId) {
        let Some(entry) = self.pipes.get_mut(&pipe) else { return };
        loop {
            let mut moved = false;
            while let Some(waiting) = entry.writers.front_mut() {
                if entry.pipe.broken() {
                    let waiting = entry.writers.pop_front().expect("just seen");
                    waiting.responder.answer(&mut self.replier, Err(IoError::BrokenPipe));
                    continue;
                }
                if entry.pipe.room() == 0 {
                    break;
                }
                let taken = entry.pipe.write(&waiting.bytes);
                moved = true;
                let waiting = entry.writers.pop_front().expect("just seen");
                waiting.responder.answer(&mut self.replier, Ok(taken as u64));
            }
            while !entry.readers.is_empty() && (entry.pipe.available() > 0 || entry.pipe.ended()) {
                let waiting = entry.readers.pop_front().expect("not empty");
                waiting.reader.serve(&mut entry.pipe, &mut self.shared, &mut self.replier);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn enqueue_read(&mut self, holder: Holder, key: (u64, u64), reader: Reader) {
        if let Some(entry) = self.pipes.get_mut(&holder.pipe) {
            entry.readers.push_back(WaitingReader { holder: key, reader });
        }
        self.advance(holder.pipe);
    }

    fn enqueue_write(&mut self, holder: Holder, key: (u64, u64), bytes: Vec<u8>, responder: Responder<u64, IoError>) {
        if bytes.is_empty() {
            return responder.answer(&mut self.replier, Ok(0));
        }
        if let Some(entry) = self.pipes.get_mut(&holder.pipe) {
            entry.writers.push_back(WaitingWriter { holder: key, responder, bytes });
        }
        self.advance(holder.pipe);
    }
}

impl Reader {
    fn serve<R: Replier, S: SharedPages>(self, pipe: &mut Pipe, shared: &mut S, replier: &mut R) {
        match self {
            Self::Inline { responder, length } => {
                let mut bytes = vec![0; length.min(pipe.available())];
                pipe.read(&mut bytes);
                responder.answer(replier, Ok(Bytes(bytes)));
            }
            Self::Shared { responder, badge, offset, length } => {
                let mut bytes = vec![0; length.min(pipe.available())];
                pipe.read(&mut bytes);
                let done = shared.write(badge, offset, &bytes).map(|()| bytes.len() as u64);
                responder.answer(replier, done);
            }
        }
    }

    fn fail<R: Replier>(self, replier: &mut R, error: IoError) {
        match self {
            Self::Inline { responder, .. } => responder.answer(replier, Err(error)),
            Self::Shared { responder, .. } => responder.answer(replier, Err(error)),
        }
    }
}

/// Takes the elements that match out of a queue.
fn take_if<T>(queue: &mut VecDeque<T>, matches: impl Fn(&T) -> bool) -> Vec<T> {
    let (taken, kept) = core::mem::take(queue).into_iter().partition(|item| matches(item));
    *queue = kept;
    taken.into()
}

impl<R: Replier, S: SharedPages> Pipes for PipeServer<R, S> {
    fn create(&mut self, sender: &Sender) -> Result<(u64, u64), IoError> {
        let (pipe, reading, writing) = (self.number(), self.number(), self.number());
        self.hold(sender.badge, reading, pipe, End::Reading);
        self.hold(sender.badge, writing, pipe, End::Writing);
        Ok((reading, writing))
    }
}

impl<R: Replier, S: SharedPages> Stream for PipeServer<R, S> {
    fn attach(&mut self, sender: &Sender, first: u64, a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError> {
        self.shared.attach(sender.badge, first, [a, b, c, d])
    }

    fn read(&mut self, sender: &Sender, handle: u64, length: u64, responder: Responder<Bytes, IoError>) {
        match self.holder(sender, handle, End::Reading) {
            Ok(holder) => {
                let length = length.min(INLINE_BYTES as u64) as usize;
                self.enqueue_read(holder, (sender.badge, handle), Reader::Inline { responder, length });
            }
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn write(&mut self, sender: &Sender, handle: u64, data: &[u8], responder: Responder<u64, IoError>) {
        match self.holder(sender, handle, End::Writing) {
            Ok(holder) => self.enqueue_write(holder, (sender.badge, handle), data.to_vec(), responder),
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn read_shared(
        &mut self,
        sender: &Sender,
        handle: u64,
        offset: u64,
        length: u64,
        responder: Responder<u64, IoError>,
    ) {
        match self.holder(sender, handle, End::Reading) {
            Ok(holder) => {
                let length = length.min(CHUNK as u64) as usize;
                let reader = Reader::Shared { responder, badge: sender.badge, offset, length };
                self.enqueue_read(holder, (sender.badge, handle), reader);
            }
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn write_shared(
        &mut self,
        sender: &Sender,
        handle: u64,
        offset: u64,
        length: u64,
        responder: Responder<u64, IoError>,
    ) {
        let mut bytes = vec![0; length.min(CHUNK as u64) as usize];
        let found = self
            .holder(sender, handle, End::Writing)
            .and_then(|holder| self.shared.read(sender.badge, offset, &mut bytes).map(|()| holder));
        match found {
            Ok(holder) => self.enqueue_write(holder, (sender.badge, handle), bytes, responder),
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn seek(&mut self, _: &Sender, _: u64, _: Whence, _: i64) -> Result<u64, IoError> {
        Err(IoError::NotSeekable)
    }

    fn kind(&mut self, sender: &Sender, handle: u64) -> Result<StreamKind, IoError> {
        self.holders.get(&(sender.badge, handle)).map(|_| StreamKind::Pipe).ok_or(IoError::BadHandle)
    }

    fn duplicate(&mut self, sender: &Sender, handle: u64) -> Result<Cap, IoError> {
        let holder = *self.holders.get(&(sender.badge, handle)).ok_or(IoError::BadHandle)?;
        let badge = badge::OBJECT | self.number();
        let cap = self.shared.mint(badge)?;
        self.hold(badge, 0, holder.pipe, holder.end);
        Ok(cap)
    }

    fn close(&mut self, sender: &Sender, handle: u64) -> Result<(), IoError> {
        self.release((sender.badge, handle))
    }

    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        let keys: Vec<_> = self.holders.range((client, 0)..=(client, u64::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.release(key)?;
        }
        self.shared.detach(client);
        Ok(())
    }
}
