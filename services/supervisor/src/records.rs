//! Fault records. What only the component itself shows is noted when it ends; the record is written when what ended is there again, for that
//! takes milliseconds, with the lines of the backtrace and their way to a serial line.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use motte::abi::trace::TraceEvent;
use motte::time::{counter_ns, monotonic_ns};
use motte_loader::system;
use motte_supervisor::former::Former;
use motte_supervisor::messages;
use motte_supervisor::record::{Cause, Findings, Record};
use motte_supervisor::seen::Seen;
use motte_supervisor::state::Kept;

use crate::boot_files::numbers;
use crate::components::{State, Supervisor, say};
use crate::trace::Trace;

/// Messages of a record.
const MOST_MESSAGES: usize = 8;
/// When a record is written, unless somebody asks for it before.
const WRITTEN_AFTER: Duration = Duration::from_millis(20);

/// A failure of which only number, component and cause are in a record yet.
pub struct Unwritten {
    pub number: u64,
    index: usize,
    time_ns: u64,
    generation: u64,
    ran_ns: u64,
    memory: u64,
    cause: Cause,
    seen: Seen,
    /// The last events of the trace that its first thread has part in.
    events: Vec<TraceEvent>,
}

impl Supervisor {
    /// Has the records written that are not yet, in a while.
    pub fn write_records_soon(&self) {
        let (supervisor, tasks) = (self.clone(), self.0.borrow().tasks.clone());
        tasks.clone().spawn(async move {
            tasks.sleep(WRITTEN_AFTER).await;
            supervisor.0.borrow_mut().write_records();
        });
    }
}

impl State {
    /// Notes the end of a supervisor that was before this one, as its guardian saw it. Returns the record's number.
    pub fn note_former(&mut self, own: usize) -> Option<u64> {
        let former = Former::from_text(&motte::env::var(system::ENV_FORMER_END)?)?;
        let number = self.new_record_number();
        self.note(Unwritten {
            number,
            index: own,
            time_ns: former.time_ns,
            generation: motte::start::header().generation.saturating_sub(1),
            ran_ns: former.time_ns.saturating_sub(former.started_ns),
            memory: former.memory,
            events: last_events(former.thread),
            cause: former.cause,
            seen: Seen {
                cpu_ns: former.cpu_ns,
                thread: former.thread,
                last_message: former.last_message,
                registers: former.registers,
                backtrace: former.backtrace,
            },
        });
        Some(number)
    }

    /// Notes that a component has failed, before it is taken apart.
    pub fn note_failure(&mut self, index: usize, cause: &Cause) {
        let number = self.new_record_number();
        let (kept, places) = (self.components[index].kept, system::places(index));
        let seen = Seen::of(&places, self.manifest.components[index].stack, cause);
        let now = monotonic_ns();
        self.note(Unwritten {
            number,
            index,
            time_ns: now,
            generation: kept.generation,
            ran_ns: now.saturating_sub(kept.started_ns),
            memory: self.memory_used(index),
            cause: cause.clone(),
            events: last_events(seen.thread),
            seen,
        });
        self.keep(index, Kept { fault: number, ..kept });
    }

    fn note(&mut self, unwritten: Unwritten) {
        let record = Record {
            number: unwritten.number,
            time_ns: unwritten.time_ns,
            component: self.manifest.components[unwritten.index].name.clone(),
            generation: unwritten.generation,
            cause: unwritten.cause.text(),
            text: String::new(),
        };
        say(&format!("fault {}: {} (generation {})", record.number, record.component, record.generation));
        say(&format!("  cause: {}", record.cause));
        self.unwritten.push_back(unwritten);
        self.keep_record(record);
    }

    /// Writes what is not written yet, into records and log.
    pub fn write_records(&mut self) {
        while let Some(unwritten) = self.unwritten.pop_front() {
            let Record { number, text, .. } = self.written(&unwritten);
            say(&format!("more of fault {number}:"));
            // The log has the number and the cause already.
            text.lines().skip(2).for_each(say);
            if let Some(record) = self.records.iter_mut().find(|record| record.number == number) {
                record.text = text;
            }
        }
        self.answer_fault_waiters();
    }

    fn written(&self, unwritten: &Unwritten) -> Record {
        let component = &self.manifest.components[unwritten.index];
        let seen = &unwritten.seen;
        let (badge, info) = seen.last_message;
        Findings {
            number: unwritten.number,
            time_ns: unwritten.time_ns,
            component: &component.name,
            generation: unwritten.generation,
            ran_ns: unwritten.ran_ns,
            cpu_ns: seen.cpu_ns,
            memory: (unwritten.memory, component.memory),
            cause: &unwritten.cause,
            registers: seen.registers,
            backtrace: &seen.backtrace,
            symbols: self.files.symbols(&component.program),
            lines: self.files.lines(&component.program),
            messages: &self.told(&unwritten.events, seen.thread),
            last_message: messages::last(badge, info),
        }
        .record()
    }

    /// Messages of a thread, each in one line.
    fn told(&self, events: &[TraceEvent], thread: u64) -> Vec<String> {
        let name = |thread| self.thread_name(thread);
        let told = |event: &TraceEvent| {
            Some(format!("{} {}", stamp(counter_ns(event.time)), messages::traced(event, thread, name)?))
        };
        events.iter().filter_map(told).collect()
    }

    /// The component that a thread is the first of, or its number.
    fn thread_name(&self, number: u64) -> String {
        let is_first = |index: &usize| {
            let alive = self.components[*index].kept.status.is_alive();
            alive && self.thread_of(*index).info().is_ok_and(|info| info.number == number)
        };
        match (0..self.components.len()).find(is_first) {
            Some(index) => self.manifest.components[index].name.clone(),
            None => format!("thread {number}"),
        }
    }
}

/// The last messages of a thread that the trace holds, the latest last.
fn last_events(thread: u64) -> Vec<TraceEvent> {
    let [per_core, all] = numbers(system::ENV_TRACE);
    let mut events = Vec::new();
    for trace in (0..all.checked_div(per_core).unwrap_or(0)).filter_map(Trace::map) {
        events.extend(trace.latest().filter(|event| messages::is_of(event, thread)).take(MOST_MESSAGES));
    }
    events.sort_by_key(|event| event.time);
    let first = events.len().saturating_sub(MOST_MESSAGES);
    events.split_off(first)
}

/// A time as records write it.
fn stamp(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}
