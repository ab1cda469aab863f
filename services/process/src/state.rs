//! What the server writes down for its successor, and how that reads it: input like any other, because whoever wrote it failed. A program
//! whose description makes no sense ends, and nothing else does.
//!
//! It is a list of changes, from the server without programs on. Each is noted when it happens, with the few bytes that say it; when there is no
//! room left, as many changes as it takes to describe everything replace the list. The successor makes the changes again.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use motte_interfaces::process::ExitStatus;
use motte_interfaces::stream::SharedPages;
use motte_interfaces::strings::{Pieces, put_number, put_string, put_word};
use motte_interfaces::{Cap, Replier};

use crate::server::{Ended, Machine, ProcessServer, Running, Started, Table};

/// Recognises the form of what follows.
const FORM: u32 = u32::from_le_bytes(*b"PRC2");

/// The most programs that were started since everything was described, and of which nothing can be read.
const UNKNOWN: u32 = 1 << 16;

/// The kinds of changes.
const NEXT: usize = 1;
const MEMORY: usize = 2;
const STARTED: usize = 3;
const ENDING: usize = 4;
const ENDED: usize = 5;
const END: usize = 6;
const WATCHED: usize = 7;
const CLIENT_GONE: usize = 8;

/// A change, as it is noted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A program was started.
    Started(u32),
    /// The end of a program was begun.
    Ending(u32, ExitStatus),
    /// A program ended; the end of another (0: of none) is forgotten for it.
    Ended(u32, ExitStatus, u32),
    /// Somebody watches for the end of a program.
    Watched(u32, Cap),
    /// A client is gone.
    ClientGone(u64),
}

/// What a server found of its predecessor's programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Programs that go on.
    pub running: usize,
    /// Programs that ended because they could not be taken over, and why.
    pub lost: Vec<(u32, &'static str)>,
}

/// What is noted of the memory when [`Machine::put`] gives `memory`.
pub fn memory_change(memory: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(memory.len() + 8);
    put_number(&mut out, MEMORY);
    put_bytes(&mut out, memory);
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_status(out: &mut Vec<u8>, status: ExitStatus) {
    let (kind, value) = match status {
        ExitStatus::Exited(status) => (1, status as u32 as u64),
        ExitStatus::Killed => (2, 0),
        ExitStatus::Faulted(record) => (3, record),
    };
    put_number(out, kind);
    put_word(out, value);
}

fn status(pieces: &mut Pieces<'_>) -> Option<ExitStatus> {
    let (kind, value) = (pieces.number()?, pieces.word()?);
    Some(match kind {
        1 => ExitStatus::Exited(value as u32 as i32),
        2 => ExitStatus::Killed,
        3 => ExitStatus::Faulted(value),
        _ => return None,
    })
}

fn running(pieces: &mut Pieces<'_>) -> Option<Running> {
    let mut word = || pieces.word();
    let (parent, ticket) = (word()?, word()?);
    let started = Started { memory_limit: word()?, started_ns: word()? };
    let mut text = || Some(pieces.text()?.to_string());
    Some(Running { parent, ticket, started, ending: None, program: text()?, name: text()?, command: text()? })
}

/// The changes, made again.
#[derive(Default)]
struct Replayed<'a> {
    table: Table,
    next: u32,
    memory: Option<&'a [u8]>,
    /// What the machine held of each program.
    held: BTreeMap<u32, &'a [u8]>,
    /// Programs whose description makes no sense.
    unknown: Vec<u32>,
    watches: Vec<(u32, u64)>,
}

impl<'a> Replayed<'a> {
    fn new(state: &'a [u8]) -> Option<Self> {
        let pieces = &mut Pieces(state);
        (pieces.number()? == FORM).then_some(())?;
        let mut replayed = Self::default();
        while !pieces.0.is_empty() {
            if replayed.change(pieces).is_none() {
                // What follows is not known: the programs that it speaks of end, and their numbers are not given again.
                replayed.next = replayed.next.saturating_add(UNKNOWN);
                break;
            }
        }
        Some(replayed)
    }

    fn change(&mut self, pieces: &mut Pieces<'a>) -> Option<()> {
        match pieces.number()? as usize {
            NEXT => self.next = pieces.number()?,
            MEMORY => self.memory = Some(pieces.string()?),
            STARTED => {
                let (id, described, held) = (pieces.number()?, pieces.string()?, pieces.string()?);
                match running(&mut Pieces(described)) {
                    Some(running) => {
                        self.table.running.insert(id, running);
                        self.held.insert(id, held);
                    }
                    None => self.unknown.push(id),
                }
                self.next = self.next.max(id.saturating_add(1));
            }
            ENDING => {
                let (id, status) = (pieces.number()?, status(pieces)?);
                self.table.begin_end(id, status);
            }
            ENDED => {
                let (id, status, forgotten) = (pieces.number()?, status(pieces)?, pieces.number()?);
                self.unknown.retain(|unknown| *unknown != id);
                self.watches.retain(|(watched, _)| *watched != id);
                self.table.end(id, status, forgotten);
            }
            END => {
                let (id, parent, ticket) = (pieces.number()?, pieces.word()?, pieces.word()?);
                self.table.ended.insert(id, Ended { parent, ticket, status: status(pieces)?, told: false });
            }
            WATCHED => self.watches.push((pieces.number()?, pieces.word()?)),
            CLIENT_GONE => self.table.client_gone(pieces.word()?),
            _ => return None,
        }
        Some(())
    }
}

impl<R: Replier, S: SharedPages, M: Machine> ProcessServer<R, S, M> {
    /// Notes a change that was made. False if there is no room for it.
    pub(crate) fn note(&mut self, change: Change) -> bool {
        let mut out = core::mem::take(&mut self.change);
        out.clear();
        self.put_change(&mut out, change);
        let noted = self.machine.add(&out) || self.note_everything();
        self.change = out;
        noted
    }

    /// Replaces the list of changes by one that describes everything. False if there is no room for it.
    pub(crate) fn note_everything(&mut self) -> bool {
        let mut out = Vec::with_capacity(4096);
        put_number(&mut out, FORM as usize);
        put_number(&mut out, NEXT);
        put_number(&mut out, self.next as usize);
        put_number(&mut out, MEMORY);
        put_sized(&mut out, |out| self.machine.put(out));
        for (&id, running) in &self.table.running {
            self.put_change(&mut out, Change::Started(id));
            running.ending.into_iter().for_each(|status| self.put_change(&mut out, Change::Ending(id, status)));
        }
        for (&id, ended) in &self.table.ended {
            put_number(&mut out, END);
            put_number(&mut out, id as usize);
            put_word(&mut out, ended.parent);
            put_word(&mut out, ended.ticket);
            put_status(&mut out, ended.status);
        }
        self.watches.iter().for_each(|&(id, watch)| self.put_change(&mut out, Change::Watched(id, watch)));
        self.machine.note(&out)
    }

    fn put_change(&self, out: &mut Vec<u8>, change: Change) {
        match change {
            Change::Started(id) => {
                let Some(running) = self.table.running.get(&id) else { return };
                put_number(out, STARTED);
                put_number(out, id as usize);
                put_sized(out, |out| {
                    let started = running.started;
                    let words = [running.parent, running.ticket, started.memory_limit, started.started_ns];
                    words.into_iter().for_each(|word| put_word(out, word));
                    let texts = [&running.program, &running.name, &running.command];
                    texts.into_iter().for_each(|text| put_string(out, text));
                });
                put_sized(out, |out| self.machine.put_program(id, out));
            }
            Change::Ending(id, status) => {
                put_number(out, ENDING);
                put_number(out, id as usize);
                put_status(out, status);
            }
            Change::Ended(id, status, forgotten) => {
                put_number(out, ENDED);
                put_number(out, id as usize);
                put_status(out, status);
                put_number(out, forgotten as usize);
            }
            Change::Watched(id, watch) => {
                put_number(out, WATCHED);
                put_number(out, id as usize);
                put_word(out, watch.0);
            }
            Change::ClientGone(client) => {
                put_number(out, CLIENT_GONE);
                put_word(out, client);
            }
        }
    }

    /// Takes over what a predecessor wrote down. `None`: nothing of it can be read, and nothing was changed but in the machine.
    pub fn take_over(&mut self, state: &[u8]) -> Option<TakenOver> {
        let Replayed { mut table, next, memory, held, unknown, watches } = Replayed::new(state)?;
        self.machine.take_over(&mut Pieces(memory?)).then_some(())?;
        let lost = unknown.into_iter().map(|id| (id, "its description makes no sense"));
        let (mut found, mut ended) = (TakenOver { running: 0, lost: lost.collect() }, Vec::new());
        for (&id, running) in &table.running {
            let held = held.get(&id).copied().unwrap_or_default();
            if let Err(why) = self.machine.take_over_program(id, held) {
                found.lost.push((id, why));
                ended.push((id, running.ending.unwrap_or(ExitStatus::Killed)));
            }
        }
        // Their parents are told how they ended.
        ended.into_iter().for_each(|(id, status)| table.end(id, status, 0));
        for (id, slot) in watches {
            let watch = self.machine.take_over_watch(slot);
            self.watches.extend(watch.map(|watch| (id, watch)));
        }
        found.running = table.running.len();
        let last = table.running.keys().chain(table.ended.keys()).max().copied().unwrap_or(0);
        self.next = next.max(last.saturating_add(1)).max(1);
        self.table = table;
        self.machine.settle();
        // A program that was described just before it was to run has not begun yet.
        let going = self.table.running.iter().filter(|(_, running)| running.ending.is_none());
        going.for_each(|(&id, _)| self.machine.go(id));
        Some(found)
    }

    /// To be called before anything else once a predecessor's state was taken over or left. Tells the rest of the system of programs that could not
    /// be taken over; their ends are theirs who wait for them.
    pub fn report_lost(&mut self, lost: &[(u32, &'static str)]) {
        for &(id, _) in lost {
            self.machine.forget(id);
            for (_, watch) in self.watches.extract_if(.., |(watched, _)| *watched == id) {
                self.machine.signal(watch);
            }
        }
        self.note_everything();
    }
}

/// Puts what `put` appends, and before it how many bytes that are.
fn put_sized(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put_number(out, 0);
    put(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}
