//! Requests to the pipe service, those that must wait among them.
//!
//! What survives a restart of this service: pipes, the bytes in them, and who holds which end ([`Rings`]). A request that was not answered is
//! sent again by the client's stub with the same number: one that had been carried out is answered with what it did, and not done twice. That
//! is so, too, if this service goes on and only the answer was lost; but bytes that were read, and overwritten since, it cannot give again.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::pipe::Pipes;
use motte_interfaces::stream::{INLINE_BYTES, SharedPages, Stream, StreamKind, Whence, is_later};
use motte_interfaces::strings::{Pieces, put_word};
use motte_interfaces::{Bytes, Cap, Replier, Responder, Sender, badge};

use crate::pipe::{End, Pipe, Rings};

/// The most that one shared read or write moves: the buffer that it is copied through.
const CHUNK: usize = 65536;

type PipeId = u64;

#[derive(Clone, Copy, Debug)]
struct Holder {
    pipe: PipeId,
    end: End,
    last: Done,
}

/// What the last request of a holder did: the number, and which bytes it moved.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    number: u64,
    from: u64,
    count: usize,
}

/// Where a waiting reader wants its bytes.
enum Reader {
    Inline { responder: Responder<Bytes, IoError>, length: usize },
    Shared { responder: Responder<u64, IoError>, badge: u64, offset: u64, length: usize },
}

struct WaitingReader {
    holder: (u64, u64),
    number: u64,
    reader: Reader,
}

/// A writer that waits for room, with what it still wants to write.
struct WaitingWriter {
    holder: (u64, u64),
    number: u64,
    responder: Responder<u64, IoError>,
    bytes: Vec<u8>,
}

struct Entry {
    pipe: Pipe,
    readers: VecDeque<WaitingReader>,
    writers: VecDeque<WaitingWriter>,
}

/// The service. `R` answers callers, `S` has the shared pages, `M` the pipes' bytes.
pub struct PipeServer<R, S, M> {
    replier: R,
    shared: S,
    rings: M,
    pipes: BTreeMap<PipeId, Entry>,
    /// (badge, handle) to the end it names. A capability's own end has handle 0.
    holders: BTreeMap<(u64, u64), Holder>,
    next: u64,
    /// The number of the request in hand, which a repetition has too; 0: none.
    number: u64,
    /// Whether it was sent before, and not answered, and this service was not restarted since.
    again: bool,
    /// The last request that changed who holds what, and its answer.
    last: (u64, [u64; 2]),
}

impl<R: Replier, S: SharedPages, M: Rings> PipeServer<R, S, M> {
    /// A service without pipes.
    pub fn new(replier: R, shared: S, rings: M) -> Self {
        Self {
            replier,
            shared,
            rings,
            pipes: BTreeMap::new(),
            holders: BTreeMap::new(),
            next: 1,
            number: 0,
            again: false,
            last: (0, [0; 2]),
        }
    }

    /// Takes over the pipes that a former service described; what makes no sense is left out. Returns how many there are.
    pub fn take_over(&mut self, description: &[u8]) -> usize {
        let mut pieces = Pieces(description);
        let mut head = [0; 4];
        head.fill_with(|| pieces.word().unwrap_or(0));
        let [next, number, first, second] = head;
        (self.next, self.last) = (next.max(1), (number, [first, second]));
        let mut holder = || Some((pieces.word()?, pieces.word()?, pieces.word()?, pieces.word()?, pieces.word()?));
        while let Some((badge, handle, pipe, ring, end)) = holder() {
            let end = if end == 0 { End::Reading } else { End::Writing };
            self.next = self.next.max(handle.max(pipe).saturating_add(1));
            let ring = usize::try_from(ring).unwrap_or(usize::MAX);
            let is_free = |pipes: &BTreeMap<PipeId, Entry>| pipes.values().all(|entry| entry.pipe.ring() != ring);
            if !self.pipes.contains_key(&pipe)
                && ring < self.rings.count()
                && is_free(&self.pipes)
                && let Some(found) = Pipe::found(ring, &self.rings)
            {
                self.pipes.insert(pipe, Entry::new(found));
            }
            if self.pipes.get(&pipe).is_some_and(|entry| entry.pipe.ring() == ring) {
                self.hold(badge, handle, pipe, end);
            }
        }
        self.pipes.len()
    }

    /// Describes who holds what, for a successor, and what the request in hand is answered. False if there is no room for that.
    fn note(&mut self, answer: [u64; 2]) -> bool {
        self.last = (self.number, answer);
        let mut out = Vec::with_capacity(32 + self.holders.len() * 40);
        [self.next, self.number, answer[0], answer[1]].into_iter().for_each(|word| put_word(&mut out, word));
        for ((badge, handle), holder) in &self.holders {
            let ring = self.pipes.get(&holder.pipe).map_or(usize::MAX, |entry| entry.pipe.ring());
            for word in [*badge, *handle, holder.pipe, ring as u64, u64::from(holder.end == End::Writing)] {
                put_word(&mut out, word);
            }
        }
        self.rings.save(&out)
    }

    /// A request of this number is in hand; `again`: one that was sent before, and not answered.
    pub fn begin(&mut self, number: u64, again: bool) {
        (self.number, self.again) = (number, again);
    }

    /// What the request in hand did before it came again; an error if that is not known.
    fn done(&self, holder: Holder) -> Result<Option<Done>, IoError> {
        match holder.last {
            _ if !self.again => Ok(None),
            last if last.number == self.number => Ok(Some(last)),
            last if is_later(self.number, last.number) => Ok(None),
            _ => Err(IoError::ServiceRestarted),
        }
    }

    /// What the request in hand was answered before it came again.
    fn repeated(&self) -> Option<[u64; 2]> {
        (self.number != 0 && self.last.0 == self.number).then_some(self.last.1)
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
        if let Some(entry) = self.pipes.get_mut(&pipe)
            && self.holders.insert((badge, handle), Holder { pipe, end, last: Done::default() }).is_none()
        {
            entry.pipe.hold(end);
        }
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
        self.note([0; 2]);
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
                let [from, _] = entry.pipe.positions();
                let count = entry.pipe.write(&mut self.rings, waiting.number, &waiting.bytes);
                moved = true;
                let waiting = entry.writers.pop_front().expect("just seen");
                note(&mut self.holders, waiting.holder, Done { number: waiting.number, from, count });
                waiting.responder.answer(&mut self.replier, Ok(count as u64));
            }
            while !entry.readers.is_empty() && (entry.pipe.available() > 0 || entry.pipe.ended()) {
                let waiting = entry.readers.pop_front().expect("not empty");
                let [_, from] = entry.pipe.positions();
                let bytes = entry.pipe.read(&mut self.rings, waiting.number, waiting.reader.length());
                note(&mut self.holders, waiting.holder, Done { number: waiting.number, from, count: bytes.len() });
                waiting.reader.serve(bytes, &mut self.shared, &mut self.replier);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn enqueue_read(&mut self, holder: Holder, key: (u64, u64), reader: Reader) {
        let number = self.number;
        let done = self.done(holder);
        if let Some(entry) = self.pipes.get_mut(&holder.pipe) {
            match done {
                Ok(None) => {}
                Ok(Some(Done { from, count, .. })) => {
                    return match entry.pipe.taken(&self.rings, from, count) {
                        Some(bytes) => reader.serve(bytes, &mut self.shared, &mut self.replier),
                        None => reader.fail(&mut self.replier, IoError::ServiceRestarted),
                    };
                }
                Err(error) => return reader.fail(&mut self.replier, error),
            }
            if self.again
                && let Some(waiting) = entry.readers.iter_mut().find(|waiting| waiting.number == number)
            {
                // Its caller does not wait there any more.
                let former = core::mem::replace(&mut waiting.reader, reader);
                return former.fail(&mut self.replier, IoError::Interrupted);
            }
            entry.pipe.repeat_read(&mut self.rings, number);
            // Nothing is taken for pages that a former service was lent.
            if let Reader::Shared { badge, offset, .. } = reader
                && let Err(error) = self.shared.read(badge, offset, &mut [])
            {
                return reader.fail(&mut self.replier, error);
            }
            entry.readers.push_back(WaitingReader { holder: key, number, reader });
        }
        self.advance(holder.pipe);
    }

    /// What the request in hand wrote before it came again, if it is the last that wrote to this pipe, or through this handle.
    fn written(&self, holder: Holder) -> Result<Option<u64>, IoError> {
        let written_by = |entry: &Entry| entry.pipe.written_by(&self.rings, self.number);
        let count = match self.pipes.get(&holder.pipe).and_then(written_by) {
            None => self.done(holder)?.map(|done| done.count),
            count => count,
        };
        Ok(count.map(|count| count as u64))
    }

    fn enqueue_write(&mut self, holder: Holder, key: (u64, u64), bytes: Vec<u8>, responder: Responder<u64, IoError>) {
        if bytes.is_empty() {
            return responder.answer(&mut self.replier, Ok(0));
        }
        let number = self.number;
        if let Some(entry) = self.pipes.get_mut(&holder.pipe) {
            if self.again
                && let Some(waiting) = entry.writers.iter_mut().find(|waiting| waiting.number == number)
            {
                // Its caller does not wait there any more.
                let former = core::mem::replace(&mut waiting.responder, responder);
                return former.answer(&mut self.replier, Err(IoError::Interrupted));
            }
            entry.writers.push_back(WaitingWriter { holder: key, number, responder, bytes });
        }
        self.advance(holder.pipe);
    }
}

impl Entry {
    fn new(pipe: Pipe) -> Self {
        Self { pipe, readers: VecDeque::new(), writers: VecDeque::new() }
    }
}

impl Reader {
    /// The most bytes that it wants.
    fn length(&self) -> usize {
        match self {
            Self::Inline { length, .. } | Self::Shared { length, .. } => *length,
        }
    }

    fn serve<R: Replier, S: SharedPages>(self, bytes: Vec<u8>, shared: &mut S, replier: &mut R) {
        match self {
            Self::Inline { responder, .. } => responder.answer(replier, Ok(Bytes(bytes))),
            Self::Shared { responder, badge, offset, .. } => {
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

/// Notes what a holder's last request did.
fn note(holders: &mut BTreeMap<(u64, u64), Holder>, key: (u64, u64), done: Done) {
    if let Some(holder) = holders.get_mut(&key) {
        holder.last = done;
    }
}

/// Takes the elements that match out of a queue.
fn take_if<T>(queue: &mut VecDeque<T>, matches: impl Fn(&T) -> bool) -> Vec<T> {
    let (taken, kept) = core::mem::take(queue).into_iter().partition(|item| matches(item));
    *queue = kept;
    taken.into()
}

impl<R: Replier, S: SharedPages, M: Rings> Pipes for PipeServer<R, S, M> {
    fn create(&mut self, sender: &Sender) -> Result<(u64, u64), IoError> {
        if let Some([reading, writing]) = self.repeated() {
            return Ok((reading, writing));
        }
        let is_free = |ring: &usize| self.pipes.values().all(|entry| entry.pipe.ring() != *ring);
        let ring = (0..self.rings.count()).find(is_free).ok_or(IoError::OutOfMemory)?;
        // The ends in a row, as the interface says.
        let (pipe, reading, writing) = (self.number(), self.number(), self.number());
        self.pipes.insert(pipe, Entry::new(Pipe::new(ring, &mut self.rings)));
        self.hold(sender.badge, reading, pipe, End::Reading);
        self.hold(sender.badge, writing, pipe, End::Writing);
        if !self.note([reading, writing]) {
            self.release((sender.badge, reading))?;
            self.release((sender.badge, writing))?;
            return Err(IoError::OutOfMemory);
        }
        Ok((reading, writing))
    }
}

impl<R: Replier, S: SharedPages, M: Rings> Stream for PipeServer<R, S, M> {
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
        let holder = self.holder(sender, handle, End::Writing);
        match holder.and_then(|holder| Ok((holder, self.written(holder)?))) {
            Ok((_, Some(count))) => responder.answer(&mut self.replier, Ok(count)),
            Ok((holder, None)) => self.enqueue_write(holder, (sender.badge, handle), data.to_vec(), responder),
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
        let begun = self.holder(sender, handle, End::Writing).and_then(|holder| {
            let written = self.written(holder)?;
            if written.is_none() {
                self.shared.read(sender.badge, offset, &mut bytes)?;
            }
            Ok((holder, written))
        });
        match begun {
            Ok((_, Some(count))) => responder.answer(&mut self.replier, Ok(count)),
            Ok((holder, None)) => self.enqueue_write(holder, (sender.badge, handle), bytes, responder),
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
        if let Some([badge, _]) = self.repeated() {
            return self.shared.mint(badge);
        }
        let badge = badge::OBJECT | self.number();
        let cap = self.shared.mint(badge)?;
        self.hold(badge, 0, holder.pipe, holder.end);
        if !self.note([badge, 0]) {
            self.release((badge, 0))?;
            return Err(IoError::OutOfMemory);
        }
        Ok(cap)
    }

    fn close(&mut self, sender: &Sender, handle: u64) -> Result<(), IoError> {
        match self.release((sender.badge, handle)) {
            // An end that is still held was not closed, whatever the request's number: who reads from it would wait for ever.
            Err(_) if self.repeated().is_some() => Ok(()),
            released => released,
        }
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
