//! Requests to the console, those that must wait among them.
//!
//! What survives a restart of this driver: the line being typed, what was typed ahead, output that is not on its way, the modes, the size, and who is
//! told of Ctrl-C. A request that was not answered is sent again by the client's stub with the same number, and not done twice; also if this
//! driver goes on and only the answer was lost, unless somebody else has read since. Of the bytes that the last end caught on their way to
//! the line, up to 16 may be shown twice.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use motte_interfaces::console::{CONSOLE, CONSOLE_ERROR, Console, mode};
use motte_interfaces::error::IoError;
use motte_interfaces::stream::{INLINE_BYTES, SharedPages, Stream, StreamKind, Whence, is_later};
use motte_interfaces::{Bytes, Cap, Replier, Responder, Sender, badge};

use crate::discipline::{Discipline, Typed};
use crate::kept::{Description, Memory};
use crate::uart::{Ports, Uart};

/// Where a duplicate's badge says which handle it stands for: a driver that was restarted needs no memory of it.
const HANDLE_SHIFT: u32 = 48;

/// The most that one write takes.
const CHUNK: usize = 8192;

enum Reader {
    Inline { sender: u64, responder: Responder<Bytes, IoError>, length: usize },
    Shared { sender: u64, responder: Responder<u64, IoError>, offset: u64, length: usize },
}

impl Reader {
    fn length(&self) -> usize {
        match self {
            Self::Inline { length, .. } | Self::Shared { length, .. } => *length,
        }
    }

    fn serve<R: Replier, S: SharedPages>(self, bytes: Vec<u8>, shared: &mut S, replier: &mut R) {
        match self {
            Self::Inline { responder, .. } => responder.answer(replier, Ok(Bytes(bytes))),
            Self::Shared { sender, responder, offset, .. } => {
                let done = shared.write(sender, offset, &bytes).map(|()| bytes.len() as u64);
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

    fn sender(&self) -> u64 {
        match self {
            Self::Inline { sender, .. } | Self::Shared { sender, .. } => *sender,
        }
    }
}

/// A write that waits for room on its line.
struct Writer {
    sender: u64,
    number: u64,
    line: usize,
    bytes: Vec<u8>,
    responder: Responder<u64, IoError>,
}

/// The driver. `R` answers callers, `S` has the shared pages, `P` the ports of the two lines.
pub struct ConsoleServer<R, S, P> {
    replier: R,
    shared: S,
    lines: [Uart<P>; 2],
    discipline: Discipline,
    /// Each with its request's number.
    readers: VecDeque<(u64, Reader)>,
    writers: VecDeque<Writer>,
    draining: Vec<Responder<(), IoError>>,
    next: u64,
    size: (u64, u64),
    interrupt: Option<Cap>,
    memory: Box<dyn Memory>,
    /// The number of the request in hand, which a repetition has too; 0: none.
    number: u64,
    /// The last requests that wrote and read, and what they were answered.
    last_writer: (u64, u64),
    last_reader: (u64, Vec<u8>),
    /// Whether the request in hand was sent before, and not answered, and this driver was not restarted since.
    again: bool,
    /// Of each client the last requests that were answered.
    answered: BTreeMap<u64, Answered>,
}

/// A client's last requests that were answered: the number of the one that read, and number and answer of the one that wrote.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    read: u64,
    write: (u64, u64),
}

impl<R: Replier, S: SharedPages, P: Ports> ConsoleServer<R, S, P> {
    /// The driver of the two lines, after another that left this `former` description and told `interrupt` of Ctrl-C.
    pub fn new(
        replier: R,
        shared: S,
        lines: [P; 2],
        memory: Box<dyn Memory>,
        former: Option<Description>,
        interrupt: Option<Cap>,
    ) -> Self {
        let clear = former.is_none();
        let former = former.unwrap_or(Description { mode: mode::COOKED, size: (80, 24), ..Description::default() });
        let discipline = Discipline::from(&former);
        let mut lines = lines.map(|line| Uart::new(line, clear));
        for (index, (line, output)) in lines.iter_mut().zip(former.output).enumerate() {
            line.take_over(output, memory.sent(index));
        }
        let mut server = Self {
            replier,
            shared,
            lines,
            discipline,
            readers: VecDeque::new(),
            writers: VecDeque::new(),
            draining: Vec::new(),
            next: former.next.max(1),
            size: former.size,
            interrupt,
            memory,
            number: 0,
            last_writer: former.writer,
            last_reader: former.reader,
            again: false,
            answered: BTreeMap::new(),
        };
        server.transmit();
        server
    }

    /// A request of this number is in hand; `again`: one that was sent before, and not answered.
    pub fn begin(&mut self, number: u64, again: bool) {
        (self.number, self.again) = (number, again);
    }

    fn answered(&mut self, sender: u64) -> &mut Answered {
        self.answered.entry(sender).or_default()
    }

    /// Writes everything down for a successor.
    fn keep(&mut self) {
        let mut description = Description {
            size: self.size,
            next: self.next,
            output: [self.lines[0].output(), self.lines[1].output()],
            writer: self.last_writer,
            reader: self.last_reader.clone(),
            ..Description::default()
        };
        self.discipline.describe(&mut description);
        self.memory.save(&description.put());
    }

    /// Sends what waits, as far as the lines take it.
    fn transmit(&mut self) {
        let Self { lines, memory, .. } = self;
        for (index, line) in lines.iter_mut().enumerate() {
            line.transmit(|sent| memory.set_sent(index, sent));
        }
    }

    /// Sets the mode that the driver starts with.
    pub fn start_in(&mut self, mode: u64) {
        self.discipline.set_mode(mode);
        self.keep();
    }

    /// Whether there is a console at all.
    pub fn is_present(&self) -> bool {
        self.lines[0].is_present()
    }

    /// After an interrupt of line 0 or 1. Returns the notification to signal if Ctrl-C was typed.
    pub fn interrupt(&mut self, line: usize) -> Option<Cap> {
        let Self { lines, discipline, .. } = self;
        let (mut echo, mut interrupted) = (Vec::new(), false);
        if line == 0 {
            lines[0].service(|byte| interrupted |= discipline.typed(byte, &mut echo) == Typed::Interrupt);
            let newlines = discipline.mode() & mode::NEWLINES != 0;
            lines[0].queue(translate(&echo, newlines));
            self.keep();
        } else {
            lines[1].service(|_| ());
        }
        self.transmit();
        let signal = if interrupted { self.interrupt } else { None };
        self.advance();
        signal
    }

    /// Handle 0 through a duplicate, or one of the two that are open in every session.
    fn handle(&self, sender: &Sender, handle: u64) -> Result<u64, IoError> {
        match handle {
            0 if sender.badge & badge::OBJECT != 0 => Ok(badge::client(sender.badge) >> HANDLE_SHIFT),
            CONSOLE | CONSOLE_ERROR if sender.badge & badge::OBJECT == 0 => Ok(handle),
            _ => Err(IoError::BadHandle),
        }
    }

    fn line(&self, handle: u64) -> usize {
        let split = self.discipline.mode() & mode::SPLIT_ERROR != 0 && self.lines[1].is_present();
        usize::from(handle == CONSOLE_ERROR && split)
    }

    fn begin_write(
        &mut self,
        sender: &Sender,
        handle: u64,
        bytes: Result<Vec<u8>, IoError>,
        responder: Responder<u64, IoError>,
    ) {
        if self.number != 0 && self.last_writer.0 == self.number {
            return responder.answer(&mut self.replier, Ok(self.last_writer.1));
        }
        if self.again {
            let (last, count) = self.answered(sender.badge).write;
            if last == self.number {
                return responder.answer(&mut self.replier, Ok(count));
            }
            if let Some(writer) = self.writers.iter_mut().find(|writer| writer.number == self.number) {
                // Its caller does not wait there any more.
                let former = core::mem::replace(&mut writer.responder, responder);
                return former.answer(&mut self.replier, Err(IoError::Interrupted));
            }
            if !is_later(self.number, last) {
                return responder.answer(&mut self.replier, Err(IoError::ServiceRestarted));
            }
        }
        match self.handle(sender, handle).and_then(|handle| Ok((self.line(handle), bytes?))) {
            Ok((line, bytes)) => {
                let number = self.number;
                self.writers.push_back(Writer { sender: sender.badge, number, line, bytes, responder });
                self.advance();
            }
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    /// Lets readers and writers go on as far as they can.
    fn advance(&mut self) {
        let newlines = self.discipline.mode() & mode::NEWLINES != 0;
        let mut blocked = [false; 2];
        for _ in 0..self.writers.len() {
            let Some(writer) = self.writers.pop_front() else { break };
            let line = &mut self.lines[writer.line];
            // Twice the bytes, if every one of them is a line feed.
            if blocked[writer.line] || line.room() < 2 * writer.bytes.len() {
                blocked[writer.line] = true;
                self.writers.push_back(writer);
                continue;
            }
            line.queue(translate(&writer.bytes, newlines));
            self.last_writer = (writer.number, writer.bytes.len() as u64);
            self.answered.entry(writer.sender).or_default().write = self.last_writer;
            self.keep();
            self.transmit();
            writer.responder.answer(&mut self.replier, Ok(writer.bytes.len() as u64));
        }
        while self.discipline.is_ready() {
            let Some((number, reader)) = self.readers.pop_front() else { break };
            let bytes = self.discipline.take(reader.length());
            self.last_reader = (number, bytes.clone());
            self.answered(reader.sender()).read = number;
            self.keep();
            reader.serve(bytes, &mut self.shared, &mut self.replier);
        }
        if self.writers.is_empty() && self.lines.iter().all(Uart::is_idle) {
            for responder in self.draining.drain(..) {
                responder.answer(&mut self.replier, Ok(()));
            }
        }
    }

    fn begin_read(&mut self, reader: Reader) {
        if self.number != 0 && self.last_reader.0 == self.number {
            let (_, bytes) = core::mem::take(&mut self.last_reader);
            self.discipline.put_back(bytes);
            self.keep();
        } else if self.again {
            if let Some((_, waiting)) = self.readers.iter_mut().find(|(number, _)| *number == self.number) {
                // Its caller does not wait there any more.
                let former = core::mem::replace(waiting, reader);
                return former.fail(&mut self.replier, IoError::Interrupted);
            }
            if !is_later(self.number, self.answered(reader.sender()).read) {
                return reader.fail(&mut self.replier, IoError::ServiceRestarted);
            }
        }
        // Nothing is taken for pages that a former driver was lent.
        if let Reader::Shared { sender, offset, .. } = reader
            && let Err(error) = self.shared.read(sender, offset, &mut [])
        {
            return reader.fail(&mut self.replier, error);
        }
        self.readers.push_back((self.number, reader));
        self.advance();
    }

    /// Ends the waits of a sender that is gone: what is typed next is not for it.
    fn forget(&mut self, sender: u64) {
        for (number, reader) in core::mem::take(&mut self.readers) {
            if reader.sender() != sender {
                self.readers.push_back((number, reader));
                continue;
            }
            reader.fail(&mut self.replier, IoError::BadHandle);
        }
        for writer in core::mem::take(&mut self.writers) {
            if writer.sender != sender {
                self.writers.push_back(writer);
                continue;
            }
            writer.responder.answer(&mut self.replier, Err(IoError::BadHandle));
        }
        self.answered.remove(&sender);
        self.shared.detach(sender);
    }
}

/// Output as the line wants it: a line feed becomes carriage return and line feed, where asked for.
fn translate(bytes: &[u8], newlines: bool) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(move |&byte| {
        let first = if newlines && byte == b'\n' { Some(b'\r') } else { None };
        first.into_iter().chain([byte])
    })
}

impl<R: Replier, S: SharedPages, P: Ports> Console for ConsoleServer<R, S, P> {
    fn set_mode(&mut self, _: &Sender, mode: u64) -> Result<(), IoError> {
        self.discipline.set_mode(mode);
        self.keep();
        self.advance();
        Ok(())
    }

    fn mode(&mut self, _: &Sender) -> Result<u64, IoError> {
        Ok(self.discipline.mode())
    }

    fn size(&mut self, _: &Sender) -> Result<(u64, u64), IoError> {
        Ok(self.size)
    }

    fn set_size(&mut self, _: &Sender, columns: u64, rows: u64) -> Result<(), IoError> {
        if !(1..=10_000).contains(&columns) || !(1..=10_000).contains(&rows) {
            return Err(IoError::InvalidInput);
        }
        self.size = (columns, rows);
        self.keep();
        Ok(())
    }

    fn on_interrupt(&mut self, _: &Sender, notification: Cap) -> Result<(), IoError> {
        self.interrupt = Some(self.memory.replace_interrupt(self.interrupt, notification));
        Ok(())
    }

    fn drain(&mut self, _: &Sender, responder: Responder<(), IoError>) {
        self.draining.push(responder);
        self.advance();
    }
}

impl<R: Replier, S: SharedPages, P: Ports> Stream for ConsoleServer<R, S, P> {
    fn attach(&mut self, sender: &Sender, first: u64, a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError> {
        self.shared.attach(sender.badge, first, [a, b, c, d])
    }

    fn read(&mut self, sender: &Sender, handle: u64, length: u64, responder: Responder<Bytes, IoError>) {
        match self.handle(sender, handle) {
            Ok(_) => {
                let length = length.min(INLINE_BYTES as u64) as usize;
                self.begin_read(Reader::Inline { sender: sender.badge, responder, length });
            }
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn write(&mut self, sender: &Sender, handle: u64, data: &[u8], responder: Responder<u64, IoError>) {
        self.begin_write(sender, handle, Ok(data.to_vec()), responder);
    }

    fn read_shared(
        &mut self,
        sender: &Sender,
        handle: u64,
        offset: u64,
        length: u64,
        responder: Responder<u64, IoError>,
    ) {
        match self.handle(sender, handle) {
            Ok(_) => {
                let length = length.min(CHUNK as u64) as usize;
                self.begin_read(Reader::Shared { sender: sender.badge, responder, offset, length });
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
        let mut bytes = vec![0; length.min(CHUNK as u64 / 2) as usize];
        let read = self.shared.read(sender.badge, offset, &mut bytes).map(|()| bytes);
        self.begin_write(sender, handle, read, responder);
    }

    fn seek(&mut self, _: &Sender, _: u64, _: Whence, _: i64) -> Result<u64, IoError> {
        Err(IoError::NotSeekable)
    }

    fn kind(&mut self, sender: &Sender, handle: u64) -> Result<StreamKind, IoError> {
        self.handle(sender, handle)?;
        // Without input there is nobody at a terminal.
        if self.discipline.mode() & mode::NO_INPUT != 0 { Ok(StreamKind::Pipe) } else { Ok(StreamKind::Terminal) }
    }

    fn duplicate(&mut self, sender: &Sender, handle: u64) -> Result<Cap, IoError> {
        let handle = self.handle(sender, handle)?;
        let badge = badge::OBJECT | handle << HANDLE_SHIFT | self.next;
        self.next += 1;
        self.keep();
        self.shared.mint(badge)
    }

    fn close(&mut self, sender: &Sender, handle: u64) -> Result<(), IoError> {
        self.handle(sender, handle)?;
        if sender.badge & badge::OBJECT != 0 {
            self.forget(sender.badge);
        }
        Ok(())
    }

    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        self.forget(client);
        Ok(())
    }
}
