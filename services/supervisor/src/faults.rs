//! From a fault message to a fault record, and to what follows.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte::abi::MessageInfo;
use motte::abi::fault::{FaultKind, FaultMessage, RESUME_STOPPED};
use motte::abi::trace::TraceEvent;
use motte::interfaces::ReplyToken;
use motte::last_words::{Kind, LastWords};
use motte::time::{counter_ns, monotonic_ns};
use motte_loader::{kept, system};
use motte_supervisor::former::Former;
use motte_supervisor::messages;
use motte_supervisor::policy::End;
use motte_supervisor::record::{Cause, Findings, Record};
use motte_supervisor::seen::Seen;
use motte_supervisor::state::{Kept, Status};

use crate::boot_files::numbers;
use crate::components::{State, Supervisor, say};
use crate::trace::Trace;

impl Supervisor {
    /// A component's thread has faulted; `token` holds it.
    pub fn faulted(&self, index: usize, kind: FaultKind, fault: FaultMessage, token: ReplyToken) {
        let cause = {
            let state = self.0.borrow();
            let status = state.components.get(index).map(|component| component.kept.status);
            if !status.is_some_and(Status::is_alive) {
                // A thread of a component that is being taken down.
                state.replies.answer_raw(token, STOPPED, [0; 6]);
                return;
            }
            match last_words_of(index) {
                Some(LastWords { kind: Kind::Exit, status, text }) => Cause::Exit(status, text),
                Some(LastWords { kind: Kind::Panic, text, .. }) => Cause::Panic(text, fault),
                None => Cause::Fault(kind, fault),
            }
        };
        self.end(index, &cause, Some(token));
    }

    /// Ends a component that runs: record, teardown, and what its policy says.
    pub fn end(&self, index: usize, cause: &Cause, token: Option<ReplyToken>) {
        let end = match cause {
            Cause::Exit(status, _) => End::Exit(*status),
            _ => End::Failure,
        };
        {
            let mut state = self.0.borrow_mut();
            let _ = system::places(index).thread.suspend();
            if !matches!(cause, Cause::Exit(0, _)) {
                state.write_record(index, cause);
            }
            state.take_down(index);
            state.doubt_kept_memory(index, cause);
            if let Some(token) = token {
                // Nobody hears this, the thread is gone; but the Reply object can hold another caller.
                state.replies.answer_raw(token, STOPPED, [0; 6]);
            }
        }
        if self.0.borrow().components[index].kept.status == Status::Stopping {
            // It was to end, and whoever wanted that said what follows.
            self.stopped(index);
        } else {
            self.ended(index, end);
        }
    }
}

/// The answer that leaves a thread stopped.
const STOPPED: MessageInfo = MessageInfo::new(RESUME_STOPPED, 0, 0);

/// Messages of a record.
const MOST_MESSAGES: usize = 8;

/// A component that fails so soon after its start, twice in a row, may do so because of what lies in its kept memory.
const EARLY_NS: u64 = 250_000_000;
/// The same for one that is said to answer wrongly: it takes a while to find that out.
const EARLY_ACCUSED_NS: u64 = 10_000_000_000;
const EARLY_FAILURES: u64 = 2;

impl State {
    /// Gives up the kept memory of a component that failed soon after each of its last starts: it may have failed because of what lies there.
    fn doubt_kept_memory(&mut self, index: usize, cause: &Cause) {
        let ran_ns = monotonic_ns().saturating_sub(self.components[index].kept.started_ns);
        // What ended by a command did not fail by itself.
        let failed = match cause {
            Cause::Exit(0, _) | Cause::Killed => false,
            Cause::Accused(..) => ran_ns < EARLY_ACCUSED_NS,
            _ => ran_ns < EARLY_NS,
        };
        let known = &mut self.components[index].kept;
        known.early_failures = if failed { known.early_failures + 1 } else { 0 };
        let described = &self.manifest.components[index];
        if known.early_failures >= EARLY_FAILURES && described.keep > 0 {
            known.early_failures = 0;
            kept::clear(index);
            say(&format!(
                "{} failed soon after each of its last {EARLY_FAILURES} starts; its kept memory is cleared",
                described.name
            ));
        }
    }

    /// Writes the fault record of a supervisor that was before this one, as its guardian saw it. Returns its number.
    pub fn record_former(&mut self, own: usize) -> Option<u64> {
        let former = Former::from_text(&motte::env::var(system::ENV_FORMER_END)?)?;
        let number = self.new_record_number();
        let component = &self.manifest.components[own];
        let (badge, info) = former.last_message;
        let record = Findings {
            number,
            time_ns: former.time_ns,
            component: &component.name,
            generation: motte::start::header().generation.saturating_sub(1),
            ran_ns: former.time_ns.saturating_sub(former.started_ns),
            cpu_ns: former.cpu_ns,
            memory: (former.memory, component.memory),
            cause: &former.cause,
            registers: former.registers,
            backtrace: &former.backtrace,
            symbols: self.files.symbols(&component.program),
            lines: self.files.lines(&component.program),
            messages: &self.traced_messages(former.thread),
            last_message: messages::last(badge, info),
        };
        self.say_and_keep(record.record());
        Some(number)
    }

    /// Writes the fault record, and puts it into the log.
    fn write_record(&mut self, index: usize, cause: &Cause) {
        let number = self.new_record_number();
        let component = &self.manifest.components[index];
        let (kept, places) = (self.components[index].kept, system::places(index));
        let seen = Seen::of(&places, component.stack, cause);
        let (badge, info) = seen.last_message;
        let now = monotonic_ns();
        let record = Findings {
            number,
            time_ns: now,
            component: &component.name,
            generation: kept.generation,
            ran_ns: now.saturating_sub(kept.started_ns),
            cpu_ns: seen.cpu_ns,
            memory: (self.memory_used(index), component.memory),
            cause,
            registers: seen.registers,
            backtrace: &seen.backtrace,
            symbols: self.files.symbols(&component.program),
            lines: self.files.lines(&component.program),
            messages: &self.traced_messages(seen.thread),
            last_message: messages::last(badge, info),
        };
        self.say_and_keep(record.record());
        self.keep(index, Kept { fault: number, ..kept });
    }

    fn say_and_keep(&mut self, record: Record) {
        record.text.lines().for_each(say);
        self.keep_record(record);
    }
}

impl State {
    /// The last messages of a thread that the trace holds.
    fn traced_messages(&self, thread: u64) -> Vec<String> {
        let [per_core, all] = numbers(system::ENV_TRACE);
        let mut events: Vec<TraceEvent> = (0..all.checked_div(per_core).unwrap_or(0))
            .filter_map(Trace::map)
            .flat_map(|trace| trace.events().collect::<Vec<_>>())
            .collect();
        events.sort_by_key(|event| event.time);
        let name = |thread| self.thread_name(thread);
        let told = |event: &TraceEvent| Some((event.time, messages::traced(event, thread, name)?));
        let mut told: Vec<_> = events.iter().rev().filter_map(told).take(MOST_MESSAGES).collect();
        told.reverse();
        told.into_iter().map(|(time, text)| format!("{} {text}", stamp(counter_ns(time)))).collect()
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

/// A time as records write it.
fn stamp(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}

/// What a component left in the page of its message buffer.
fn last_words_of(index: usize) -> Option<LastWords> {
    system::places(index).last_words()
}
