//! The components: what is known of each, and the steps from running to ended and back.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write;

use alloc::rc::Rc;

use motte::abi::boot_info::slot;
use motte::abi::{PAGE_SIZE, Rights};
use motte::interfaces::badge;
use motte::interfaces::supervisor::{FaultSummary, StateChange};
use motte::kernel::CacheMode;
use motte::last_words::DebugConsole;
use motte::memory::Mapping;
use motte::server::{Replies, Server, Tasks};
use motte::time::monotonic_ns;
use motte_loader::{Image, kept, system};
use motte_manifest::Manifest;
use motte_supervisor::own_tasks::OwnTasks;
use motte_supervisor::policy::History;
use motte_supervisor::processor::Share;
use motte_supervisor::record::Record;
use motte_supervisor::state::{COMPONENT_WORDS, HEADER_WORDS, KEPT_WORDS, Kept, MAGIC, Status};

use crate::boot_files::BootFiles;
use crate::records::Unwritten;
use crate::waiters::Waiters;
use crate::worker::Worker;

/// The component that talks to a person, or runs the commands that the system was booted for.
pub const SHELL: &str = "shell";

/// Fault records that are kept.
const MAX_RECORDS: usize = 64;

/// Changes of state that are kept.
const MAX_CHANGES: usize = 64;

/// Writes a line to the kernel's log.
pub fn say(text: &str) {
    let _ = DebugConsole.write_str(&format!("supervisor: {text}\n"));
}

/// One component, as the supervisor sees it.
pub struct Component {
    pub kept: Kept,
    pub history: History,
    /// Its program, read once.
    pub image: Option<Image>,
    /// What it takes of the processor.
    pub share: Share,
}

/// Everything of the supervisor's main thread.
pub struct State {
    pub manifest: Manifest,
    pub files: BootFiles,
    pub components: Vec<Component>,
    pub records: VecDeque<Record>,
    /// What the last of them do not say yet.
    pub unwritten: VecDeque<Unwritten>,
    pub next_record: u64,
    /// The record whose text its reporter has not ended yet.
    pub unfinished_record: Option<u64>,
    pub fault_waiters: Waiters<FaultSummary>,
    pub changes: VecDeque<StateChange>,
    pub next_change: u64,
    pub change_waiters: Waiters<StateChange>,
    pub own_tasks: OwnTasks,
    /// For whom the trace holds every message: components by badge, and all programs as one.
    pub tracers: Vec<u64>,
    /// What the successor will find.
    memory: Mapping,
    pub replies: Replies,
    pub tasks: Tasks,
    pub worker: Worker,
    /// The machine's end was asked for: nothing is restarted any more.
    pub ending: bool,
}

/// The supervisor: its state, shared with its tasks.
#[derive(Clone)]
pub struct Supervisor(pub Rc<RefCell<Box<State>>>);

/// The badge under which services know a component.
pub fn badge_of(manifest: &Manifest, index: usize) -> u64 {
    let component = index as u64 + 1;
    let reports = manifest
        .components
        .get(index)
        .is_some_and(|c| c.name == "supervisor" || c.provides.iter().any(|service| service == "process"));
    if reports { badge::LIFECYCLE | component } else { component }
}

impl Supervisor {
    /// Reads what there is: manifest, and what a predecessor left.
    pub fn new(server: &Server) -> Result<Self, String> {
        let files = BootFiles::map()?;
        let manifest = files.manifest()?;
        let memory = Mapping::of(system::STATE.to_vec(), Rights::READ | Rights::WRITE, CacheMode::Normal)
            .map_err(|error| format!("the state cannot be mapped: {error}"))?;
        let is_successor = memory.read_u64(0) == MAGIC;
        let [next_record, next_change] = [8, 16].map(|at| if is_successor { memory.read_u64(at) } else { 1 });
        let components = (0..manifest.components.len())
            .map(|index| {
                let (kept, history) = if is_successor { read_component(&memory, index) } else { Default::default() };
                Component { kept, history, image: None, share: Share::default() }
            })
            .collect();
        memory.write_u64(8, next_record);
        memory.write_u64(16, next_change);
        memory.write_u64(0, MAGIC);
        let worker = Worker::start(&manifest, server.tasks())?;
        let state = State {
            manifest,
            files,
            components,
            records: VecDeque::new(),
            unwritten: VecDeque::new(),
            next_record,
            unfinished_record: None,
            fault_waiters: Waiters::default(),
            changes: VecDeque::new(),
            next_change,
            change_waiters: Waiters::default(),
            own_tasks: OwnTasks::default(),
            tracers: Vec::new(),
            memory,
            replies: server.replies(),
            tasks: server.tasks(),
            worker,
            ending: false,
        };
        Ok(Self(Rc::new(RefCell::new(Box::new(state)))))
    }

    /// Starts what is to start: everything that starts with the system, or, after a predecessor, what it was about to start.
    pub fn begin(&self) {
        let (own, order, is_successor) = {
            let mut state = self.0.borrow_mut();
            let is_successor = state.components.iter().any(|component| component.kept.generation > 0);
            let own = state.own_index();
            if let Some(own) = own {
                let generation = motte::start::header().generation;
                let fault = state.note_former(own).unwrap_or(0);
                let kept = Kept {
                    status: Status::Running,
                    generation,
                    restarts: generation.saturating_sub(1),
                    started_ns: monotonic_ns(),
                    fault,
                    ..Kept::default()
                };
                state.keep(own, kept);
            }
            (own, state.manifest.boot_order(), is_successor)
        };
        self.write_records_soon();
        if is_successor {
            self.take_over(own);
            return;
        }
        for index in order.into_iter().filter(|index| Some(*index) != own) {
            self.start_or_say(index);
        }
    }

    /// Goes on with what a predecessor was doing.
    fn take_over(&self, own: Option<usize>) {
        say("a new supervisor takes over the running components");
        let count = self.0.borrow().components.len();
        for index in (0..count).filter(|index| Some(*index) != own) {
            let kept = self.0.borrow().components[index].kept;
            match kept.status {
                Status::Running if system::places(index).has_thread() => self.watch(index),
                // One that was being started or taken apart is in a state that nobody knows.
                Status::Running | Status::Restarting => {
                    self.0.borrow_mut().take_down(index);
                    self.restart_at(index, kept.restart_at_ns, kept.company);
                }
                Status::Stopping => self.stopped(index),
                Status::Stopped | Status::Quarantined | Status::Ended => {}
            }
        }
    }

    /// Starts a component and watches it; says why, if that fails.
    pub fn start_or_say(&self, index: usize) -> bool {
        let started = self.0.borrow_mut().start_or_say(index);
        if started {
            self.watch(index);
        }
        started
    }
}

impl State {
    /// The supervisor's own index.
    pub fn own_index(&self) -> Option<usize> {
        self.manifest.component("supervisor").map(|(index, _)| index)
    }

    /// Notes how a component fares, for a successor and for those who watch.
    pub fn keep(&mut self, index: usize, kept: Kept) {
        let former = core::mem::replace(&mut self.components[index].kept, kept);
        let words = kept.to_words().into_iter().chain(self.components[index].history.to_words());
        for (word, value) in words.enumerate() {
            self.memory.write_u64(place_of(index) + word * 8, value);
        }
        if (former.status, former.generation) != (kept.status, kept.generation) {
            self.note_change(index);
        }
    }

    /// Notes that a component's state has changed, and tells those who wait for that.
    fn note_change(&mut self, index: usize) {
        let change = StateChange {
            number: self.next_change,
            time_ns: monotonic_ns(),
            component: self.manifest.components[index].name.clone(),
            state: self.components[index].kept.status.text().into(),
            generation: self.components[index].kept.generation,
            reason: self.reason(index),
        };
        self.next_change += 1;
        self.memory.write_u64(16, self.next_change);
        if self.changes.len() == MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.answer_change_waiters();
    }

    /// Takes the number of a new record.
    pub fn new_record_number(&mut self) -> u64 {
        let number = self.next_record;
        self.next_record += 1;
        self.memory.write_u64(8, self.next_record);
        number
    }

    /// Keeps a record; the oldest goes when there are many.
    pub fn keep_record(&mut self, record: Record) {
        if self.records.len() == MAX_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
        self.answer_fault_waiters();
    }

    /// Starts a component; says why, if that fails.
    fn start_or_say(&mut self, index: usize) -> bool {
        let name = self.manifest.components[index].name.clone();
        let was_restarting = self.components[index].kept.status == Status::Restarting;
        if let Err(error) = self.start(index) {
            say(&format!("{name} could not be started: {error}"));
            self.take_down(index);
            self.leave(index, Status::Quarantined);
            return false;
        }
        if was_restarting {
            let kept = Kept { restarts: self.components[index].kept.restarts + 1, ..self.components[index].kept };
            self.keep(index, kept);
            say(&format!("{name} was restarted (generation {})", kept.generation));
        }
        true
    }

    /// Stops a component's threads and takes back all its memory and rights.
    pub fn take_down(&mut self, index: usize) {
        let places = system::places(index);
        let _ = places.thread.suspend();
        if let Err(error) = system::untyped(index).0.revoke() {
            say(&format!("memory of component {index} could not be taken back: {error}"));
        }
        let Some(component) = self.manifest.components.get(index) else { return };
        if component.keep > 0 {
            kept::withdraw(index, component.keep);
        }
        if component.keep_slots > 0 {
            // The table stays, but nothing in it that is not kept on purpose.
            for slot in slot::ADDRESS_SPACE..u64::from(component.slots - component.keep_slots) {
                let _ = places.table.delete(slot);
            }
        } else {
            let _ = places.table.0.delete();
        }
        // All of these were of its memory; a slot that the revocation left filled would be in the next start's way.
        for slot in [
            places.space.0,
            places.thread.0,
            places.context.0,
            places.message_buffer.0,
            places.holding.0,
            system::pulse(index).0,
            system::control(index).0,
        ] {
            let _ = slot.delete();
        }
    }

    /// Whether a component provides a service.
    pub fn provides(&self, index: usize, service: &str) -> bool {
        self.manifest.components.get(index).is_some_and(|c| c.provides.iter().any(|name| name == service))
    }

    /// Everybody who calls its services, now or later, is told that they are gone.
    pub fn close_services(&self, index: usize) {
        for service in self.manifest.services().filter(|service| service.provider == index) {
            let _ = system::service(service.number).close();
        }
    }

    /// Its services can be called; calls wait until it takes them.
    pub fn open_services(&self, index: usize) {
        for service in self.manifest.services().filter(|service| service.provider == index) {
            let _ = system::service(service.number).open();
        }
    }

    /// The component of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.manifest.component(name).map(|(index, _)| index)
    }
}

/// Where what is kept of a component begins, in bytes.
const fn place_of(index: usize) -> usize {
    (HEADER_WORDS + index * COMPONENT_WORDS) * 8
}

fn read_component(memory: &Mapping, index: usize) -> (Kept, History) {
    let word = |word: usize| memory.read_u64(place_of(index) + word * 8);
    let history = core::array::from_fn(|at| word(KEPT_WORDS + at));
    (Kept::from_words(core::array::from_fn(word)), History::from_words(history))
}

const _: () = assert!(place_of(system::MAX_COMPONENTS as usize) <= system::STATE.len() * PAGE_SIZE);
