//! The interface `supervisor`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte::abi::fault::{FaultKind, FaultMessage};
use motte::abi::trace::TraceEvent as RawEvent;
use motte::interfaces::supervisor::{
    ComponentInfo, FaultSummary, MemoryInfo, StateChange, Supervisor as Interface, SupervisorError, TEXT_PIECE,
    TraceEvent, dispatch_supervisor,
};
use motte::interfaces::{Bytes, Outcome, Reader, ReplyToken, Responder, Sender, Writer, badge};
use motte::kernel::{CapSlot, Frame, Thread};
use motte::server::Handler;
use motte::slots;
use motte::time::{counter_ns, monotonic_ns};
use motte_loader::system;
use motte_manifest::{Component, Escalate, Grant, Restart, RestartPolicy};
use motte_supervisor::record::{Cause, Record};
use motte_supervisor::state::{Company, Status};

use crate::boot_files::numbers;
use crate::components::{State, Supervisor};
use crate::power::Finish;
use crate::trace::Trace;

/// Events of the trace in one answer.
const EVENTS: usize = 20;

/// Characters of the reason for a component's end, where that is only one of many things said.
const MOST_REASON: usize = 160;

/// Bytes of a record's text that somebody else reports, at the most.
const LONGEST_TEXT: usize = 16384;

impl Handler for Supervisor {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        // Only the kernel sends through the badges of fault endpoints, or the component itself, which harms itself alone.
        if sender.badge & system::FAULT_BADGE != 0 {
            let index = (sender.badge & !system::FAULT_BADGE) as usize;
            let mut words = [0; 6];
            for word in &mut words {
                *word = request.word().unwrap_or(0);
            }
            let kind = FaultKind::from_label(label).unwrap_or(FaultKind::Other);
            self.faulted(index, kind, FaultMessage::from_words(words), defer());
            return Outcome::Deferred;
        }
        // Its successor's do: it takes over what runs.
        assert!(!self.0.borrow_mut().own_tasks.are_gone(monotonic_ns()), "its own tasks do not run any more");
        dispatch_supervisor(self, sender, label, request, reply, defer)
    }
}

impl Supervisor {
    /// A component that may be stopped and started by command.
    fn find(&self, name: &str) -> Result<usize, SupervisorError> {
        let state = self.0.borrow();
        let index = state.find(name).ok_or(SupervisorError::NotFound)?;
        if Some(index) == state.own_index() { Err(SupervisorError::Protected) } else { Ok(index) }
    }

    /// Ends a component as a fault would, in this generation or in any.
    fn end_by_request(&self, name: &str, generation: Option<u64>, cause: &Cause) -> Result<(), SupervisorError> {
        let (own, found) = {
            let state = self.0.borrow();
            (state.own_index(), state.find(name))
        };
        if own.is_some() && found == own {
            // After the answer. Its guardian starts a new supervisor, which finds the components running.
            let text = cause.text();
            self.0.borrow().tasks.spawn(async move { panic!("{text}") });
            return Ok(());
        }
        let index = found.ok_or(SupervisorError::NotFound)?;
        let kept = self.0.borrow().components[index].kept;
        if kept.status != Status::Running || generation.is_some_and(|generation| generation != kept.generation) {
            return Err(SupervisorError::NotRunning);
        }
        self.end(index, cause, None);
        Ok(())
    }

    /// The component that sent a request, if it may.
    fn sender(&self, sender: &Sender, may: impl Fn(&Component) -> bool) -> Result<Component, SupervisorError> {
        let index = badge::client(sender.badge).checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let state = self.0.borrow();
        let component = index.and_then(|index| state.manifest.components.get(index));
        component.filter(|component| may(component)).cloned().ok_or(SupervisorError::NotAllowed)
    }

    fn status(&self, index: usize) -> Status {
        self.0.borrow().components[index].kept.status
    }
}

impl Interface for Supervisor {
    fn component(&mut self, _: &Sender, index: u64) -> Result<ComponentInfo, SupervisorError> {
        self.0.borrow().info(usize::try_from(index).unwrap_or(usize::MAX)).ok_or(SupervisorError::NotFound)
    }

    fn start(&mut self, _: &Sender, name: &str, responder: Responder<(), SupervisorError>) {
        let (found, supervisor) = (self.find(name), self.clone());
        let (tasks, mut replies) = {
            let state = self.0.borrow();
            (state.tasks.clone(), state.replies.clone())
        };
        tasks.spawn(async move {
            let result = match found {
                Ok(index) => supervisor.start_when_told(index).await,
                Err(error) => Err(error),
            };
            responder.answer(&mut replies, result);
        });
    }

    fn stop(&mut self, _: &Sender, name: &str) -> Result<(), SupervisorError> {
        let index = self.find(name)?;
        match self.status(index) {
            Status::Running => Supervisor::stop(self, index, None),
            Status::Restarting => self.0.borrow_mut().leave(index, Status::Stopped),
            // It is not started again after it.
            Status::Stopping => self.0.borrow_mut().components[index].kept.restart_at_ns = 0,
            _ => return Err(SupervisorError::NotRunning),
        }
        Ok(())
    }

    fn restart(&mut self, _: &Sender, name: &str) -> Result<(), SupervisorError> {
        let index = self.find(name)?;
        self.0.borrow_mut().components[index].history.clear();
        match self.status(index) {
            Status::Running => Supervisor::stop(self, index, Some(Company::RestartWith)),
            Status::Stopping => self.0.borrow_mut().components[index].kept.restart_at_ns = 1,
            _ => self.restart_at(index, monotonic_ns(), Company::RestartWith),
        }
        Ok(())
    }

    fn kill(&mut self, _: &Sender, name: &str) -> Result<(), SupervisorError> {
        self.end_by_request(name, None, &Cause::Killed)
    }

    fn accuse(&mut self, sender: &Sender, name: &str, generation: u64, reason: &str) -> Result<(), SupervisorError> {
        let by = self.sender(sender, |by| by.has(Grant::Accuse))?.name;
        self.end_by_request(name, Some(generation), &Cause::Accused(by, reason.to_string()))
    }

    fn complain(&mut self, sender: &Sender, service: &str, reason: &str) -> Result<(), SupervisorError> {
        let by = self.sender(sender, |_| true)?;
        let used = by.uses.iter().find(|used| used.service == service).ok_or(SupervisorError::NotAllowed)?;
        let name = {
            let state = self.0.borrow();
            let provider = used.provider.and_then(|index| state.manifest.components.get(usize::from(index)));
            provider.ok_or(SupervisorError::NotFound)?.name.clone()
        };
        self.end_by_request(&name, None, &Cause::Accused(by.name, reason.to_string()))
    }

    fn fault(&mut self, _: &Sender, from: u64) -> Result<FaultSummary, SupervisorError> {
        let mut state = self.0.borrow_mut();
        state.write_records();
        let record = state.records.iter().find(|record| record.number >= from);
        record.map(summary).ok_or(SupervisorError::NotFound)
    }

    fn fault_text(&mut self, _: &Sender, number: u64, offset: u64) -> Result<Bytes, SupervisorError> {
        let mut state = self.0.borrow_mut();
        state.write_records();
        let record = state.records.iter().find(|record| record.number == number).ok_or(SupervisorError::NotFound)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(record.text.len());
        let rest = &record.text.as_bytes()[offset..];
        Ok(Bytes(rest[..rest.len().min(TEXT_PIECE)].to_vec()))
    }

    fn report(&mut self, sender: &Sender, program: &str, number: u64, cause: &str) -> Result<u64, SupervisorError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(SupervisorError::NotAllowed);
        }
        let mut state = self.0.borrow_mut();
        let record = Record {
            number: state.new_record_number(),
            time_ns: monotonic_ns(),
            component: program.to_string(),
            generation: number,
            cause: cause.to_string(),
            text: String::new(),
        };
        let number = record.number;
        state.unfinished_record = Some(number);
        state.keep_record(record);
        Ok(number)
    }

    fn report_text(&mut self, sender: &Sender, number: u64, text: &[u8]) -> Result<(), SupervisorError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(SupervisorError::NotAllowed);
        }
        let mut state = self.0.borrow_mut();
        let record = state.records.back_mut().filter(|record| record.number == number);
        let record = record.ok_or(SupervisorError::NotFound)?;
        if text.is_empty() {
            state.unfinished_record = None;
            state.answer_fault_waiters();
            return Ok(());
        }
        if record.text.len() < LONGEST_TEXT {
            record.text.push_str(&String::from_utf8_lossy(text));
        }
        Ok(())
    }

    fn memory(&mut self, _: &Sender) -> Result<MemoryInfo, SupervisorError> {
        let [total, kernel] = numbers(system::ENV_MEMORY);
        let state = self.0.borrow();
        let components: u64 = (0..state.components.len()).map(|index| state.memory_used(index)).sum();
        Ok(MemoryInfo { total, used: kernel + components, kernel })
    }

    fn trace(&mut self, _: &Sender, cpu: u64, from: u64) -> Result<(u64, Vec<TraceEvent>), SupervisorError> {
        let trace = Trace::map(cpu).ok_or(SupervisorError::NotFound)?;
        let from = from.clamp(trace.oldest(), trace.written());
        let to = trace.written().min(from + EVENTS as u64);
        let event = |number| {
            let RawEvent { time, kind, a, b } = trace.event(number);
            TraceEvent { time_ns: counter_ns(time), cpu, kind, a, b }
        };
        Ok((to, (from..to).map(event).collect()))
    }

    fn kernel_version(&mut self, _: &Sender) -> Result<String, SupervisorError> {
        Ok(motte::env::var(system::ENV_KERNEL).unwrap_or_default())
    }

    fn shut_down(&mut self, _: &Sender, status: u8) -> Result<(), SupervisorError> {
        self.finish(Finish::PowerOff(status));
        Ok(())
    }

    fn reboot(&mut self, _: &Sender) -> Result<(), SupervisorError> {
        self.finish(Finish::Reset);
        Ok(())
    }

    fn next_fault(&mut self, sender: &Sender, from: u64, responder: Responder<FaultSummary, SupervisorError>) {
        let state = &mut **self.0.borrow_mut();
        state.fault_waiters.add(&mut state.replies, sender.badge, from, responder);
        state.answer_fault_waiters();
    }

    fn change(&mut self, _: &Sender, from: u64) -> Result<StateChange, SupervisorError> {
        let state = self.0.borrow();
        state.changes.iter().find(|change| change.number >= from).cloned().ok_or(SupervisorError::NotFound)
    }

    fn next_change(&mut self, sender: &Sender, from: u64, responder: Responder<StateChange, SupervisorError>) {
        let state = &mut **self.0.borrow_mut();
        state.change_waiters.add(&mut state.replies, sender.badge, from, responder);
        state.answer_change_waiters();
    }

    fn trace_messages(&mut self, sender: &Sender, all: bool) -> Result<(), SupervisorError> {
        // Components that look at it now and then do not switch off what a person has switched on, nor one another.
        let client = badge::client(sender.badge).min(badge::FIRST_PROGRAM);
        let mut state = self.0.borrow_mut();
        state.tracers.retain(|tracer| *tracer != client);
        if all {
            state.tracers.push(client);
        }
        let all = !state.tracers.is_empty();
        Frame(CapSlot(system::TRACE)).trace_messages(all).map_err(|_| SupervisorError::NotFound)
    }

    fn waits_for_device(&mut self, _: &Sender) -> Result<bool, SupervisorError> {
        Ok(self.0.borrow().waits_for_device())
    }
}

/// The beginning of a text.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn summary(record: &Record) -> FaultSummary {
    FaultSummary {
        number: record.number,
        time_ns: record.time_ns,
        component: record.component.clone(),
        generation: record.generation,
        cause: cut(&record.cause, 200),
        text_bytes: record.text.len() as u64,
    }
}

impl State {
    /// Answers those who wait for a record that is there and complete.
    pub fn answer_fault_waiters(&mut self) {
        let (records, unfinished, next) = (&self.records, self.unfinished_record, self.next_record);
        let unwritten = self.unwritten.front().map_or(u64::MAX, |unwritten| unwritten.number);
        // A reporter adds nothing to a record once there is a newer one.
        let is_complete = |r: &&Record| (Some(r.number) != unfinished || r.number + 1 != next) && r.number < unwritten;
        let find = |from| records.iter().find(|record| record.number >= from).filter(is_complete).map(summary);
        self.fault_waiters.answer(&mut self.replies, find);
    }

    /// Answers those who wait for a change that there is.
    pub fn answer_change_waiters(&mut self) {
        let changes = &self.changes;
        let find = |from| changes.iter().find(|change| change.number >= from).cloned();
        self.change_waiters.answer(&mut self.replies, find);
    }

    /// Why a component ended last, in one line; empty if it did not fail yet.
    pub fn reason(&self, index: usize) -> String {
        let fault = self.components[index].kept.fault;
        match self.records.iter().find(|record| record.number == fault) {
            _ if fault == 0 => String::new(),
            Some(record) => cut(&record.cause, MOST_REASON),
            // It is on the disk, but no longer here.
            None => format!("see fault {fault}"),
        }
    }

    fn info(&self, index: usize) -> Option<ComponentInfo> {
        let (component, known) = (self.manifest.components.get(index)?, self.components.get(index)?);
        let kept = known.kept;
        let runs = kept.status.is_alive();
        let own = self.own_index() == Some(index);
        let context = if own { motte::kernel::own::SCHED_CONTEXT } else { system::places(index).context };
        // Its table is as large as its boot image needs; of others' tables only they themselves know what is free.
        let (slots, slots_used) = match own {
            true => slots::usage(),
            false => (component.slots as usize, 0),
        };
        let (slots, slots_used) = (slots as u64, slots_used as u64);
        Some(ComponentInfo {
            name: component.name.clone(),
            state: kept.status.text().into(),
            generation: kept.generation,
            restarts: kept.restarts,
            uptime_ns: if runs { monotonic_ns().saturating_sub(kept.started_ns) } else { 0 },
            memory: self.memory_used(index),
            memory_quota: component.memory,
            slots,
            slots_used,
            restart_in_ns: match kept.status {
                Status::Restarting => kept.restart_at_ns.saturating_sub(monotonic_ns()),
                _ => 0,
            },
            fault: kept.fault,
            reason: self.reason(index),
            policy: policy(&component.restart),
            cpu_ns: if runs { context.info().map_or(0, |(used, ..)| used) } else { 0 },
            thread: if runs { self.thread_of(index).info().map_or(0, |info| info.number) } else { 0 },
            provides: component.provides.clone(),
            uses: component.uses.iter().map(|used| used.service.clone()).collect(),
        })
    }

    /// A component's first thread.
    pub fn thread_of(&self, index: usize) -> Thread {
        if self.own_index() == Some(index) { motte::thread::current() } else { system::places(index).thread }
    }

    /// Bytes of a component's quota that became objects.
    pub fn memory_used(&self, index: usize) -> u64 {
        let Some(component) = self.manifest.components.get(index) else { return 0 };
        if self.own_index() == Some(index) {
            let usage = motte::memory::usage();
            return component.memory.saturating_sub(usage.budget) + usage.used;
        }
        if !self.components[index].kept.status.is_alive() {
            return 0;
        }
        // It cannot run meanwhile: the supervisor is more urgent and does not wait.
        let left = system::places(index).own_memory().map_or(0, |(size, used)| size.saturating_sub(used));
        component.memory.saturating_sub(left)
    }
}

/// What the manifest says about restarts, in one line.
fn policy(restart: &Restart) -> String {
    let ms = |ns: u64| ns.div_ceil(1_000_000);
    if restart.policy == RestartPolicy::Never {
        return restart.policy.name().into();
    }
    let waits = format!("after {} ms to {} ms", ms(restart.backoff_ns), ms(restart.backoff_max_ns));
    let limit = format!("{} times in {} ms", restart.max_restarts, ms(restart.window_ns));
    let then = match restart.escalate {
        Escalate::Ignore => String::new(),
        other => format!(", then {}", other.name()),
    };
    format!("{} {waits}, {limit}{then}", restart.policy.name())
}
