//! The table of programs, and requests about them.
//!
//! What survives a restart of this service: everything. Programs run on, and their ends, those who watch for them, and requests that were not
//! answered find the new server in the state of the former. What it must know is written down ([`crate::state`]) before anybody is told of it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::process::{ExitStatus, Process, ProcessInfo};
use motte_interfaces::stream::{SharedPages, Stream, StreamKind, Whence};
use motte_interfaces::strings::{Pieces, Strings};
use motte_interfaces::{Bytes, Cap, Replier, Responder, Sender, badge};

use crate::request::{self, Request};
use crate::state::Change;

/// What a program started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The most memory that it may use.
    pub memory_limit: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub started_ns: u64,
}

/// What the machine is to do with a program that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its threads wait in their fault or exit already.
    Ended,
    /// It runs and is to be stopped first.
    Stop,
}

/// What the server needs of the machine. Programs are named by their number.
pub trait Machine {
    /// Loads a program with its three standard streams, which are the machine's from here on, also when it fails. `parent` is the badge of
    /// whoever starts it. It does not run before [`Machine::go`].
    fn start(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError>;
    /// Lets a program run, if it never did.
    fn go(&mut self, id: u32);
    /// Gives up the streams of a request that starts nothing.
    fn drop_streams(&mut self, streams: [Cap; 3]);
    /// Takes everything back from a program: its streams are closed, the services it used are told, its memory is revoked.
    fn end(&mut self, id: u32, how: Ending);
    /// Bytes of memory that it uses, and nanoseconds it ran.
    fn usage(&self, id: u32) -> (u64, u64);
    /// Whether it waits for something now.
    fn is_waiting(&self, id: u32) -> bool;
    /// Puts a notification where a successor finds it.
    fn keep(&mut self, notification: Cap) -> Option<Cap>;
    /// Signals a notification that was kept, and gives up the capability.
    fn signal(&mut self, notification: Cap);

    /// Writes down what a successor is to know, instead of what was written down before. False if there is no room for it.
    fn note(&mut self, state: &[u8]) -> bool;
    /// Adds to what was written down. False if there is no room for it: then everything must be written down anew.
    fn add(&mut self, change: &[u8]) -> bool;
    /// Appends what a successor must know of the memory.
    fn put(&self, out: &mut Vec<u8>);
    /// Appends what a successor must know of a program.
    fn put_program(&self, id: u32, out: &mut Vec<u8>);
    /// Takes over the memory as [`Machine::put`] described it. Whether it could.
    fn take_over(&mut self, pieces: &mut Pieces<'_>) -> bool;
    /// Takes over a program; otherwise says why not.
    fn take_over_program(&mut self, id: u32, description: &[u8]) -> Result<(), &'static str>;
    /// Takes over a notification that was kept.
    fn take_over_watch(&mut self, slot: u64) -> Option<Cap>;
    /// Everything was taken over: what is left of the predecessor goes.
    fn settle(&mut self);
    /// Tells the services that a program used that it is gone.
    fn forget(&mut self, id: u32);
}

/// The badge of nobody: the parent of a program whose end nobody will ask for.
const NOBODY: u64 = 0;

/// A program that runs.
pub(crate) struct Running {
    /// The name of its file.
    pub program: String,
    pub parent: u64,
    /// The number that its parent gave the request.
    pub ticket: u64,
    pub name: String,
    pub command: String,
    pub started: Started,
    /// It is to be ended, or this was begun.
    pub ending: Option<ExitStatus>,
}

/// One that ended.
pub(crate) struct Ended {
    pub parent: u64,
    pub ticket: u64,
    pub status: ExitStatus,
    /// Its parent knows; it is remembered in case the answer was lost.
    pub told: bool,
}

/// The programs that run, and the ends that are remembered.
#[derive(Default)]
pub(crate) struct Table {
    pub running: BTreeMap<u32, Running>,
    pub ended: BTreeMap<u32, Ended>,
}

impl Table {
    /// Who started a program that runs or has ended.
    fn parent(&self, id: u32) -> Option<u64> {
        let ended = || self.ended.get(&id).map(|ended| ended.parent);
        self.running.get(&id).map(|running| running.parent).or_else(ended)
    }

    /// The end of a program begins.
    pub fn begin_end(&mut self, id: u32, status: ExitStatus) {
        self.running.get_mut(&id).into_iter().for_each(|running| running.ending = Some(status));
    }

    /// A program has ended, and the end of another (0: of none) is forgotten.
    pub fn end(&mut self, id: u32, status: ExitStatus, forgotten: u32) {
        let Some(Running { parent, ticket, .. }) = self.running.remove(&id) else { return };
        let client = badge::FIRST_PROGRAM + u64::from(id);
        // Nobody is left to ask for the ends of its children; those that run go to its own parent.
        self.forget_ends(client);
        for child in self.running.values_mut().filter(|child| badge::client(child.parent) == client) {
            child.parent = parent;
        }
        self.ended.remove(&forgotten);
        if parent != NOBODY {
            self.ended.insert(id, Ended { parent, ticket, status, told: false });
        }
    }

    /// A client is gone: a component's programs end with it, because its successor does not know them, and they would share the terminal.
    pub fn client_gone(&mut self, client: u64) {
        self.forget_ends(client);
        for id in self.descendants(client) {
            if let Some(running) = self.running.get_mut(&id) {
                (running.ending, running.parent) = (Some(ExitStatus::Killed), NOBODY);
            }
        }
    }

    fn forget_ends(&mut self, client: u64) {
        self.ended.retain(|_, ended| badge::client(ended.parent) != client);
    }

    /// The programs that a client started, with all that those started.
    fn descendants(&self, client: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let mut clients = vec![client];
        while let Some(client) = clients.pop() {
            let children = self.running.iter().filter(|(_, child)| badge::client(child.parent) == client);
            for (&id, _) in children {
                found.push(id);
                clients.push(badge::FIRST_PROGRAM + u64::from(id));
            }
        }
        found
    }

    /// The end to be forgotten so that there is room for another: one that is known already, else the oldest; 0 if there is room.
    fn excess_end(&self) -> u32 {
        if self.ended.len() < LIMIT {
            return 0;
        }
        let told = self.ended.iter().find(|(_, ended)| ended.told).map(|(&id, _)| id);
        told.or(self.ended.keys().next().copied()).unwrap_or(0)
    }
}

/// The most programs at a time, and the most ends that are remembered.
const LIMIT: usize = 256;

/// The longest command that is shown.
const COMMAND: usize = 160;

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// What is shown of a command.
fn command(arguments: Strings<'_>) -> String {
    let mut command = String::with_capacity(COMMAND);
    for argument in arguments.iter() {
        if !command.is_empty() {
            command.push(' ');
        }
        let room = COMMAND.saturating_sub(command.len());
        command.push_str(&argument[..argument.floor_char_boundary(room)]);
        if command.len() >= COMMAND || argument.len() > room {
            break;
        }
    }
    command
}

/// The service. `R` answers callers, `S` has the shared pages.
pub struct ProcessServer<R, S, M> {
    replier: R,
    shared: S,
    pub(crate) machine: M,
    pub(crate) table: Table,
    waiting: Vec<(u32, Responder<ExitStatus, IoError>)>,
    pub(crate) watches: Vec<(u32, Cap)>,
    pub(crate) next: u32,
    /// Room in which changes are put together before they are noted.
    pub(crate) change: Vec<u8>,
}

impl<R: Replier, S: SharedPages, M: Machine> ProcessServer<R, S, M> {
    /// A server without programs.
    pub fn new(replier: R, shared: S, machine: M) -> Self {
        Self {
            replier,
            shared,
            machine,
            table: Table::default(),
            waiting: Vec::new(),
            watches: Vec::new(),
            next: 1,
            change: Vec::new(),
        }
    }

    /// The machine.
    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The name of a program that runs.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.table.running.get(&id).map(|running| running.name.as_str())
    }

    /// The name of a running program's file.
    pub fn program(&self, id: u32) -> Option<&str> {
        self.table.running.get(&id).map(|running| running.program.as_str())
    }

    /// What a running program started as.
    pub fn started(&self, id: u32) -> Option<Started> {
        self.table.running.get(&id).map(|running| running.started)
    }

    /// A program has ended: everything is taken back from it, and those who wait are told.
    pub fn ended(&mut self, id: u32, status: ExitStatus, how: Ending) {
        if !self.table.running.contains_key(&id) {
            return;
        }
        self.table.begin_end(id, status);
        // From here on a successor ends it.
        self.note(Change::Ending(id, status));
        self.machine.end(id, how);
        self.shared.detach(badge::FIRST_PROGRAM + u64::from(id));
        for (_, watch) in self.watches.extract_if(.., |(watched, _)| *watched == id) {
            self.machine.signal(watch);
        }
        let forgotten = self.table.excess_end();
        self.table.end(id, status, forgotten);
        self.note(Change::Ended(id, status, forgotten));
        for (_, responder) in self.waiting.extract_if(.., |(waited, _)| *waited == id) {
            responder.answer(&mut self.replier, Ok(status));
            self.table.ended.get_mut(&id).into_iter().for_each(|ended| ended.told = true);
        }
    }

    /// Whether [`ProcessServer::end_abandoned`] has something to do.
    pub fn has_abandoned(&self) -> bool {
        self.table.running.values().any(|running| running.ending.is_some())
    }

    /// Ends the programs of components that are gone, and those that a predecessor was about to end. Not while a request is answered:
    /// others are told of each end, and whoever reports that a component is gone may be one of them.
    pub fn end_abandoned(&mut self) {
        let ending = |(&id, running): (&u32, &Running)| Some((id, running.ending?));
        let doomed: Vec<_> = self.table.running.iter().filter_map(ending).collect();
        for (id, status) in doomed {
            self.ended(id, status, Ending::Stop);
        }
    }

    /// The program that a badge names, if it names one.
    fn number(sender: &Sender) -> u32 {
        let client = badge::client(sender.badge);
        u32::try_from(client.saturating_sub(badge::FIRST_PROGRAM)).unwrap_or(0)
    }

    fn begin(&mut self, sender: &Sender, length: u64, streams: [Cap; 3]) -> Result<u32, IoError> {
        if length > request::LONGEST {
            return Err(IoError::InvalidInput);
        }
        if self.table.running.len() >= LIMIT {
            return Err(IoError::OutOfMemory);
        }
        let mut bytes = vec![0; length as usize];
        self.shared.read(sender.badge, 0, &mut bytes)?;
        let request = request::parse(&bytes)?;
        if let Some(id) = self.already_started(sender.badge, request.ticket) {
            self.machine.drop_streams(streams);
            return Ok(id);
        }
        let id = self.next;
        let started = self.machine.start(id, sender.badge, &request, streams)?;
        self.next = self.next.checked_add(1).unwrap_or(1);
        let program = file_name(request.path).to_string();
        // A multi-call program is known by the name it was called by.
        let name = match file_name(request.called) {
            "" => program.clone(),
            called => called.to_string(),
        };
        let command = command(request.arguments);
        let (parent, ticket) = (sender.badge, request.ticket);
        self.table.running.insert(id, Running { program, parent, ticket, name, command, started, ending: None });
        if !self.note(Change::Started(id)) {
            // A successor would not know it.
            self.ended(id, ExitStatus::Killed, Ending::Stop);
            return Err(IoError::OutOfMemory);
        }
        self.machine.go(id);
        Ok(id)
    }

    /// The program that this request started already.
    fn already_started(&self, parent: u64, ticket: u64) -> Option<u32> {
        let running = self.table.running.iter().map(|(&id, running)| (id, running.parent, running.ticket));
        let ended = self.table.ended.iter().map(|(&id, ended)| (id, ended.parent, ended.ticket));
        running.chain(ended).find(|&(_, of, number)| (of, number) == (parent, ticket)).map(|(id, ..)| id)
    }

    /// Who may look at or end a program: its parent, and every component. A program does not touch what others started.
    fn may_control(sender: &Sender, parent: u64) -> bool {
        badge::client(sender.badge) < badge::FIRST_PROGRAM || badge::client(parent) == badge::client(sender.badge)
    }
}

impl<R: Replier, S: SharedPages, M: Machine> Process for ProcessServer<R, S, M> {
    fn spawn(&mut self, sender: &Sender, length: u64, input: Cap, output: Cap, error: Cap) -> Result<u32, IoError> {
        self.begin(sender, length, [input, output, error])
    }

    fn wait(&mut self, sender: &Sender, id: u32, responder: Responder<ExitStatus, IoError>) {
        match self.try_wait(sender, id) {
            Ok(None) => self.waiting.push((id, responder)),
            Ok(Some(status)) => responder.answer(&mut self.replier, Ok(status)),
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn on_end(&mut self, sender: &Sender, id: u32, notification: Cap) -> Result<(), IoError> {
        match self.table.parent(id) {
            Some(parent) if Self::may_control(sender, parent) => {}
            _ => return Err(IoError::NoSuchProcess),
        }
        let notification = self.machine.keep(notification).ok_or(IoError::OutOfMemory)?;
        if self.table.running.contains_key(&id) {
            self.watches.push((id, notification));
            self.note(Change::Watched(id, notification));
        } else {
            self.machine.signal(notification);
        }
        Ok(())
    }

    fn try_wait(&mut self, sender: &Sender, id: u32) -> Result<Option<ExitStatus>, IoError> {
        if let Some(running) = self.table.running.get(&id)
            && Self::may_control(sender, running.parent)
        {
            return Ok(None);
        }
        match self.table.ended.get_mut(&id) {
            Some(ended) if Self::may_control(sender, ended.parent) => {
                ended.told = true;
                Ok(Some(ended.status))
            }
            _ => Err(IoError::NoSuchProcess),
        }
    }

    fn kill(&mut self, _: &Sender, id: u32) -> Result<(), IoError> {
        // Who was given this service may end programs: they are all one user's.
        if !self.table.running.contains_key(&id) {
            return Err(IoError::NoSuchProcess);
        }
        self.ended(id, ExitStatus::Killed, Ending::Stop);
        Ok(())
    }

    fn list(&mut self, _: &Sender, first: u32) -> Result<Vec<ProcessInfo>, IoError> {
        let mut room = 100;
        let mut page = Vec::new();
        for (&id, running) in self.table.running.range(first..) {
            let words = 14 + running.name.len().div_ceil(8) + running.command.len().div_ceil(8);
            if words > room {
                break;
            }
            room -= words;
            let (memory, cpu_ns) = self.machine.usage(id);
            let parent = Self::number(&Sender { badge: running.parent });
            page.push(ProcessInfo {
                id,
                parent,
                name: running.name.clone(),
                state: if self.machine.is_waiting(id) { "waiting" } else { "running" }.to_string(),
                memory,
                memory_limit: running.started.memory_limit,
                cpu_ns,
                started_ns: running.started.started_ns,
                command: running.command.clone(),
            });
        }
        Ok(page)
    }

    fn own_id(&mut self, sender: &Sender) -> Result<u32, IoError> {
        Ok(Self::number(sender))
    }
}

impl<R: Replier, S: SharedPages, M: Machine> Stream for ProcessServer<R, S, M> {
    fn attach(&mut self, sender: &Sender, first: u64, a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError> {
        self.shared.attach(sender.badge, first, [a, b, c, d])
    }

    fn read(&mut self, _: &Sender, _: u64, _: u64, responder: Responder<Bytes, IoError>) {
        responder.answer(&mut self.replier, Err(IoError::Unsupported));
    }

    fn write(&mut self, _: &Sender, _: u64, _: &[u8], responder: Responder<u64, IoError>) {
        responder.answer(&mut self.replier, Err(IoError::Unsupported));
    }

    fn read_shared(&mut self, _: &Sender, _: u64, _: u64, _: u64, responder: Responder<u64, IoError>) {
        responder.answer(&mut self.replier, Err(IoError::Unsupported));
    }

    fn write_shared(&mut self, _: &Sender, _: u64, _: u64, _: u64, responder: Responder<u64, IoError>) {
        responder.answer(&mut self.replier, Err(IoError::Unsupported));
    }

    fn seek(&mut self, _: &Sender, _: u64, _: Whence, _: i64) -> Result<u64, IoError> {
        Err(IoError::Unsupported)
    }

    fn kind(&mut self, _: &Sender, _: u64) -> Result<StreamKind, IoError> {
        Err(IoError::Unsupported)
    }

    fn duplicate(&mut self, _: &Sender, _: u64) -> Result<Cap, IoError> {
        Err(IoError::Unsupported)
    }

    fn close(&mut self, _: &Sender, _: u64) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }

    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        self.shared.detach(client);
        self.table.client_gone(client);
        self.note(Change::ClientGone(client));
        Ok(())
    }
}
