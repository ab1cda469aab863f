//! The supervisor from outside: started by init, and started anew by its guardian.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use motte::abi::fault::{FaultKind, FaultMessage};
use motte::abi::{Error, ObjectType, Rights};
use motte::control::PING;
use motte::interfaces::badge;
use motte::interfaces::strings::StringList;
use motte::kernel::{CapSlot, Endpoint, Frame, Notification, Reply, SchedControl, Untyped, own};
use motte::last_words::{DebugConsole, Kind, LastWords};
use motte::memory;
use motte::start_info::Header;
use motte::time::{Duration, monotonic_ns};
use motte_loader::watch::{LOOKS, Look, Pulse, Verdict, signal};
use motte_loader::{Grant, Image, LoadError, Places, Program, Source, load, system};
use motte_manifest::Component;
use motte_supervisor::former::Former;
use motte_supervisor::record::Cause;
use motte_supervisor::seen::Seen;

/// Slots of the supervisor's table beyond the fixed ones.
const DYNAMIC_SLOTS: u64 = 1024;

/// The slots of the supervisor's table for a boot image of so many pages: the first that it uses as it likes, and how many there are.
#[must_use]
pub const fn table_slots(boot_image_pages: u64) -> (u64, u64) {
    let first_dynamic = system::slots_needed(boot_image_pages);
    (first_dynamic, (first_dynamic + DYNAMIC_SLOTS).next_power_of_two())
}

/// The badge under which services know the supervisor: it may report deaths.
#[must_use]
pub const fn supervisor_badge(index: usize) -> u64 {
    badge::LIFECYCLE | (index as u64 + 1)
}

/// What is needed to start a supervisor, and to take one down.
pub struct Supervisor<'a> {
    /// Its index in the manifest.
    pub index: usize,
    /// What the manifest says of it.
    pub component: &'a Component,
    /// Its program.
    pub image: &'a Image,
    /// Pays for one supervisor.
    pub untyped: Untyped,
    /// What is held of it; the table outlives it.
    pub places: Places,
    /// A slot for the notification, of its own memory, where it shows that it does not hang.
    pub pulse: Notification,
    /// Likewise, where it is asked to.
    pub control: Notification,
    /// [`table_slots`].
    pub table_slots: (u64, u64),
    /// The registry's endpoint with the supervisor's badge, if there is a registry.
    pub registry: Option<CapSlot>,
    /// Hears of its faults.
    pub endpoint: Endpoint,
    /// Sets its budget.
    pub time_control: SchedControl,
    /// The clock page.
    pub clock: Frame,
    /// Its environment.
    pub environment: Vec<String>,
}

impl Supervisor<'_> {
    /// Starts it; `former` is how the former one ended, if there was one.
    pub fn start(&self, generation: u64, former: Option<&Former>) -> Result<(), LoadError> {
        let component = self.component;
        let former_end = former.map(|former| format!("{}={}", system::ENV_FORMER_END, former.to_text()));
        let arguments: StringList = [&component.name].into_iter().collect();
        let environment: StringList = self.environment.iter().chain(&former_end).collect();
        let registry = self.registry.map(|slot| Grant::new("registry", Source::Copy(slot, Rights::ALL)));
        let pulse = Grant::new("pulse", Source::Mint(self.pulse.0, Rights::WRITE, 1));
        let control = Grant::new("control", Source::Copy(self.control.0, Rights::ALL));
        for Notification(slot) in [self.pulse, self.control] {
            self.untyped
                .retype(ObjectType::Notification, 0, CapSlot::OWN_TABLE, slot.0, 1)
                .map_err(|error| LoadError::Kernel("a notification", error))?;
        }
        let grants: Vec<Grant> = registry.into_iter().chain([pulse, control]).collect();
        let started = load(&Program {
            image: self.image,
            untyped: self.untyped,
            places: self.places,
            keep_table: true,
            stack_memory: None,
            header: Header {
                badge: supervisor_badge(self.index),
                generation,
                slots: self.table_slots.1,
                first_free_slot: self.table_slots.0,
                stack: component.stack,
                priority: component.priority.into(),
                ..Header::default()
            },
            name: &component.name,
            directory: "/",
            arguments: arguments.strings(),
            environment: environment.strings(),
            grants: &grants,
            time_control: self.time_control,
            budget: (component.budget_ns, component.period_ns),
            further_contexts: 3,
            fault_endpoint: (self.endpoint, system::FAULT_BADGE | self.index as u64),
            clock: self.clock,
        });
        started.map(drop)
    }

    /// Waits until it ends, or hangs; returns why. An error if it cannot be awaited.
    pub fn wait_for_end(&self, reply: Reply, alarm: &Alarm) -> Result<Cause, Error> {
        let mut pulse = Pulse::default();
        alarm.set();
        loop {
            let message = match self.endpoint.receive(reply) {
                Err(Error::Cancelled) => continue,
                received => received?,
            };
            if message.info.is_notification() {
                match pulse.after(Look::at(self.places.thread, self.pulse)) {
                    Verdict::Leave => {}
                    Verdict::Ask => signal(self.control, PING),
                    Verdict::Hangs => return Ok(Cause::Silent(alarm.deadline.as_nanos() as u64)),
                }
                alarm.set();
                continue;
            }
            let Some(kind) = FaultKind::from_label(message.info.label()) else { continue };
            let fault = FaultMessage::from_words(message.words);
            return Ok(match self.places.last_words() {
                Some(LastWords { kind: Kind::Exit, status, text }) => Cause::Exit(status, text),
                Some(LastWords { kind: Kind::Panic, text, .. }) => Cause::Panic(text, fault),
                None => Cause::Fault(kind, fault),
            });
        }
    }

    /// What is seen of it when it has ended, before it is taken down.
    #[must_use]
    pub fn look_back(&self, cause: Cause, started_ns: u64) -> Former {
        let _ = self.places.thread.suspend();
        let Seen { cpu_ns, thread, last_message, registers, backtrace } =
            Seen::of(&self.places, self.component.stack, &cause);
        let left = self.places.own_memory().map_or(0, |(size, used)| size.saturating_sub(used));
        let memory = self.component.memory.saturating_sub(left);
        let time_ns = monotonic_ns();
        Former { cause, time_ns, started_ns, cpu_ns, memory, thread, last_message, registers, backtrace }
    }

    /// Takes back everything of it but its table's fixed part.
    pub fn take_down(&self) {
        let places = self.places;
        let _ = places.thread.suspend();
        if let Err(error) = self.untyped.0.revoke() {
            let _ = writeln!(DebugConsole, "guardian: the supervisor's memory could not be taken back: {error}");
        }
        for slot in [
            places.space.0,
            places.thread.0,
            places.context.0,
            places.message_buffer.0,
            places.holding.0,
            self.pulse.0,
            self.control.0,
        ] {
            let _ = CapSlot::delete(slot);
        }
        for slot in self.table_slots.0..self.table_slots.1 {
            let _ = places.table.delete(slot);
        }
    }
}

/// Wakes the guardian for the next look at the supervisor, several times within the supervisor's heartbeat.
pub struct Alarm {
    timer: Notification,
    /// The heartbeat; zero: nobody looks.
    deadline: Duration,
}

impl Alarm {
    /// Binds a notification to the current thread, which must not have one.
    pub fn new(deadline: Duration) -> Result<Self, Error> {
        let timer = memory::make(ObjectType::Notification, 0)?;
        own::THREAD.bind_notification(timer)?;
        Ok(Self { timer: Notification(timer), deadline })
    }

    fn set(&self) {
        if !self.deadline.is_zero() {
            let interval = self.deadline / LOOKS;
            let _ = self.timer.set_timer(monotonic_ns() + interval.as_nanos() as u64, 1);
        }
    }
}
