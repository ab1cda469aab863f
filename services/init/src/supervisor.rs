//! The supervisor from outside: started by init, and started anew by its guardian.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use motte::abi::fault::{FaultKind, FaultMessage};
use motte::abi::syscall::ThreadState;
use motte::abi::{ObjectType, Rights};
use motte::interfaces::badge;
use motte::interfaces::strings::StringList;
use motte::kernel::{CapSlot, Endpoint, Frame, Reply, SchedControl, Untyped};
use motte::last_words::DebugConsole;
use motte::start_info::Header;
use motte_loader::{Grant, Image, LoadError, Places, Program, Source, load, system};
use motte_manifest::Component;

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
    /// Starts it.
    pub fn start(&self, generation: u64) -> Result<(), LoadError> {
        let component = self.component;
        let arguments: StringList = [&component.name].into_iter().collect();
        let environment: StringList = self.environment.iter().collect();
        let registry = self.registry.map(|slot| Grant::new("registry", Source::Copy(slot, Rights::ALL)));
        let grants: Vec<Grant> = registry.into_iter().collect();
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

    /// Whether there is one that was begun to run, even if it waits in its fault.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let thread = self.places.thread;
        thread.0.identify().is_ok_and(|(ty, ..)| ty == ObjectType::Thread)
            && thread.info().is_ok_and(|info| info.state != ThreadState::Stopped as u64)
    }

    /// Waits for its end; returns why it ended.
    #[must_use]
    pub fn wait_for_end(&self, reply: Reply) -> String {
        loop {
            let message = match self.endpoint.receive(reply) {
                Ok(message) => message,
                Err(error) => return format!("its end could not be awaited: {error}"),
            };
            let Some(kind) = FaultKind::from_label(message.info.label()) else { continue };
            let fault = FaultMessage::from_words(message.words);
            return match self.places.last_words() {
                Some(words) => format!("{} (status {})", words.text, words.status),
                None => format!("{kind} at {:#x}, address {:#x}", fault.instruction, fault.address),
            };
        }
    }

    /// Takes back everything of it but its table's fixed part.
    pub fn take_down(&self) {
        let places = self.places;
        let _ = places.thread.suspend();
        if let Err(error) = self.untyped.0.revoke() {
            let _ = writeln!(DebugConsole, "guardian: the supervisor's memory could not be taken back: {error}");
        }
        for slot in [places.space.0, places.thread.0, places.context.0, places.message_buffer.0, places.holding.0] {
            let _ = CapSlot::delete(slot);
        }
        for slot in self.table_slots.0..self.table_slots.1 {
            let _ = places.table.delete(slot);
        }
    }
}
