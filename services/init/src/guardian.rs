//! Starts the supervisor, and starts it anew whenever it fails.

use alloc::format;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use motte::abi::fault::{FaultKind, FaultMessage};
use motte::abi::{ObjectType, Rights};
use motte::interfaces::strings::StringList;
use motte::kernel::{CapSlot, Frame, Reply};
use motte::last_words::DebugConsole;
use motte::start_info::Header;
use motte::{memory, slots, thread};
use motte_loader::{Grant, LoadError, Places, Program, Source, load, system};

use crate::setup::System;

/// The wait before the second restart in a row; it doubles.
const BACKOFF: Duration = Duration::from_millis(10);
/// The longest wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A supervisor that ran for so long did not fail in a row.
const STEADY: Duration = Duration::from_secs(10);

/// Starts the supervisor and guards it for ever.
pub fn guard(system: &System) {
    let (Ok(first), Ok(reply)) = (slots::allocate_range(Places::COUNT as usize), memory::make(ObjectType::Reply, 0))
    else {
        let _ = writeln!(DebugConsole, "init: there is no memory to guard the supervisor with");
        return;
    };
    let places = Places { table: system.table, ..Places::at(first.0) };
    let mut generation = 0;
    let mut backoff = Duration::ZERO;
    loop {
        generation += 1;
        let started = motte::time::Instant::now();
        match start(system, places, generation) {
            Ok(()) => {
                let cause = wait_for_fault(system, places, Reply(reply));
                let _ = writeln!(DebugConsole, "init: the supervisor failed: {cause}");
            }
            Err(error) => {
                let _ = writeln!(DebugConsole, "init: the supervisor could not be started: {error}");
            }
        }
        take_down(system, places);
        backoff =
            if started.elapsed() > STEADY { Duration::ZERO } else { (backoff * 2).clamp(BACKOFF, LONGEST_BACKOFF) };
        thread::sleep(backoff);
    }
}

fn start(system: &System, places: Places, generation: u64) -> Result<(), LoadError> {
    let Some(component) = system.manifest.components.get(system.index) else { return Ok(()) };
    let boot = system.boot;
    let environment = alloc::vec![
        format!("{}={}", system::ENV_BOOT_IMAGE, system.boot_image_bytes),
        format!("{}={} {}", system::ENV_TRACE, boot.trace_frames_per_core, system.trace_frames),
        format!("{}={}", system::ENV_KERNEL_LOG, boot.kernel_log_frames.min(system::MAX_KERNEL_LOG)),
        format!("{}={} {}", system::ENV_MEMORY, boot.memory_total, boot.memory_kernel),
        format!("{}={}.{}", system::ENV_KERNEL, boot.abi_version >> 16, boot.abi_version & 0xffff),
    ];
    let arguments: StringList = [&component.name].into_iter().collect();
    let environment: StringList = environment.iter().collect();
    let registry = system.registry.map(|slot| Grant::new("registry", Source::Copy(slot, Rights::ALL)));
    let grants: Vec<Grant> = registry.into_iter().collect();
    let started = load(&Program {
        image: &system.image,
        untyped: system.untyped,
        places,
        keep_table: true,
        stack_memory: None,
        header: Header {
            badge: motte::interfaces::badge::LIFECYCLE | (system.index as u64 + 1),
            generation,
            slots: system.table_slots,
            first_free_slot: system.first_dynamic,
            stack: component.stack,
            priority: component.priority.into(),
            ..Header::default()
        },
        name: &component.name,
        directory: "/",
        arguments: arguments.strings(),
        environment: environment.strings(),
        grants: &grants,
        time_control: system.time_control,
        budget: (component.budget_ns, component.period_ns),
        further_contexts: 3,
        fault_endpoint: (system.endpoint, system::FAULT_BADGE | system.index as u64),
        clock: Frame::at(motte::abi::boot_info::slot::CLOCK_FRAME),
    });
    started.map(drop)
}

/// Waits for the supervisor's end; returns why it ended.
fn wait_for_fault(system: &System, places: Places, reply: Reply) -> alloc::string::String {
    loop {
        let message = match system.endpoint.receive(reply) {
            Ok(message) => message,
            Err(error) => return format!("its end could not be awaited: {error}"),
        };
        let Some(kind) = FaultKind::from_label(message.info.label()) else { continue };
        let fault = FaultMessage::from_words(message.words);
        return match places.last_words() {
            Some(words) => format!("{} (status {})", words.text, words.status),
            None => format!("{kind} at {:#x}, address {:#x}", fault.instruction, fault.address),
        };
    }
}

/// Takes back everything of the supervisor but its table's fixed part.
fn take_down(system: &System, places: Places) {
    let _ = places.thread.suspend();
    if let Err(error) = system.untyped.0.revoke() {
        let _ = writeln!(DebugConsole, "init: the supervisor's memory could not be taken back: {error}");
    }
    for slot in [places.space.0, places.thread.0, places.context.0, places.message_buffer.0, places.holding.0] {
        let _ = CapSlot::delete(slot);
    }
    for slot in system.first_dynamic..system.table_slots {
        let _ = system.table.delete(slot);
    }
}
