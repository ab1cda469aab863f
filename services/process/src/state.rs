//! What the server writes down for its successor, and how that reads it: input like any other, because whoever wrote it failed. A program
//! whose description makes no sense ends, and nothing else does.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use motte_interfaces::Replier;
use motte_interfaces::process::ExitStatus;
use motte_interfaces::stream::SharedPages;
use motte_interfaces::strings::{Pieces, put_number, put_string, put_word};

use crate::server::{Ended, Machine, ProcessServer, Running, Started};

/// Recognises the form of what follows.
const FORM: u32 = u32::from_le_bytes(*b"PRC1");

/// What a server found of its predecessor's programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Programs that go on.
    pub running: usize,
    /// Programs that ended because they could not be taken over, and why.
    pub lost: Vec<(u32, &'static str)>,
}

fn put_status(out: &mut Vec<u8>, status: Option<ExitStatus>) {
    let (kind, value) = match status {
        None => (0, 0),
        Some(ExitStatus::Exited(status)) => (1, status as u32 as u64),
        Some(ExitStatus::Killed) => (2, 0),
        Some(ExitStatus::Faulted(record)) => (3, record),
    };
    put_number(out, kind);
    put_word(out, value);
}

fn status(pieces: &mut Pieces<'_>) -> Option<Option<ExitStatus>> {
    let (kind, value) = (pieces.number()?, pieces.word()?);
    Some(match kind {
        0 => None,
        1 => Some(ExitStatus::Exited(value as u32 as i32)),
        2 => Some(ExitStatus::Killed),
        3 => Some(ExitStatus::Faulted(value)),
        _ => return None,
    })
}

fn running(pieces: &mut Pieces<'_>) -> Option<Running> {
    let mut word = || pieces.word();
    let (parent, ticket) = (word()?, word()?);
    let started = Started { memory_limit: word()?, started_ns: word()? };
    let ending = status(pieces)?;
    let mut text = || Some(pieces.text()?.to_string());
    Some(Running { parent, ticket, started, ending, program: text()?, name: text()?, command: text()? })
}

impl<R: Replier, S: SharedPages, M: Machine> ProcessServer<R, S, M> {
    /// Writes everything down. False if there is no room for it.
    pub(crate) fn note(&mut self) -> bool {
        let mut out = Vec::with_capacity(2048);
        put_number(&mut out, FORM as usize);
        put_number(&mut out, self.next as usize);
        self.machine.put(&mut out);
        put_number(&mut out, self.running.len());
        let mut part = Vec::new();
        for (&id, running) in &self.running {
            put_number(&mut out, id as usize);
            part.clear();
            for word in [running.parent, running.ticket, running.started.memory_limit, running.started.started_ns] {
                put_word(&mut part, word);
            }
            put_status(&mut part, running.ending);
            for text in [&running.program, &running.name, &running.command] {
                put_string(&mut part, text);
            }
            put_bytes(&mut out, &part);
            part.clear();
            self.machine.put_program(id, &mut part);
            put_bytes(&mut out, &part);
        }
        put_number(&mut out, self.ended.len());
        for (&id, ended) in &self.ended {
            put_number(&mut out, id as usize);
            put_word(&mut out, ended.parent);
            put_word(&mut out, ended.ticket);
            put_status(&mut out, Some(ended.status));
        }
        put_number(&mut out, self.watches.len());
        for (id, watch) in &self.watches {
            put_number(&mut out, *id as usize);
            put_word(&mut out, watch.0);
        }
        self.machine.note(&out)
    }

    /// Takes over what a predecessor wrote down. `None`: nothing of it can be read, and nothing was changed but in the machine.
    pub fn take_over(&mut self, state: &[u8]) -> Option<TakenOver> {
        let pieces = &mut Pieces(state);
        (pieces.number()? == FORM).then_some(())?;
        let next = pieces.number()?;
        self.machine.take_over(pieces).then_some(())?;
        let mut found = TakenOver::default();
        let mut programs = BTreeMap::new();
        for _ in 0..pieces.number()? {
            let (id, described, held) = (pieces.number()?, pieces.string()?, pieces.string()?);
            let taken = match running(&mut Pieces(described)) {
                Some(running) => self.machine.take_over_program(id, held).map(|()| running),
                None => Err("its description makes no sense"),
            };
            match taken {
                Ok(running) => drop(programs.insert(id, running)),
                Err(why) => found.lost.push((id, why)),
            }
        }
        let mut ended = BTreeMap::new();
        for _ in 0..pieces.number()? {
            let (id, parent, ticket) = (pieces.number()?, pieces.word()?, pieces.word()?);
            let status = status(pieces)??;
            ended.insert(id, Ended { parent, ticket, status, told: false });
        }
        for _ in 0..pieces.number()? {
            let (id, slot) = (pieces.number()?, pieces.word()?);
            let watch = self.machine.take_over_watch(slot);
            self.watches.extend(watch.map(|watch| (id, watch)));
        }
        found.running = programs.len();
        let last = programs.keys().chain(ended.keys()).max().copied().unwrap_or(0);
        self.next = next.max(last.saturating_add(1)).max(1);
        (self.running, self.ended) = (programs, ended);
        self.machine.settle();
        // A program that was described just before it was to run has not begun yet.
        let going = self.running.iter().filter(|(_, running)| running.ending.is_none());
        going.for_each(|(&id, _)| self.machine.go(id));
        Some(found)
    }

    /// Tells the rest of the system of programs that could not be taken over; their ends are theirs who wait for them.
    pub fn report_lost(&mut self, lost: &[(u32, &'static str)]) {
        for &(id, _) in lost {
            self.machine.forget(id);
            for (_, watch) in self.watches.extract_if(.., |(watched, _)| *watched == id) {
                self.machine.signal(watch);
            }
        }
        self.note();
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}
