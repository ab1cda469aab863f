//! The program `guardian`: starts the supervisor anew whenever it fails or hangs, and does nothing else.
//!
//! What it needs for that lies in slots that outlive it, so that the supervisor can start it anew as it does any other component: each of
//! the two brings the other back. Only if both fail at the same moment nobody does.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use motte::abi::{ObjectType, PAGE_SIZE};
use motte::boot_files::boot_image;
use motte::kernel::{CapSlot, Endpoint, Frame, Notification, Reply, SchedControl, Untyped};
use motte::last_words::DebugConsole;
use motte::time::monotonic_ns;
use motte::{env, kept, memory, start, thread};
use motte_init::supervisor::{Alarm, Supervisor, table_slots};
use motte_loader::{Image, Places, system};
use motte_manifest::Manifest;

motte::entry!(main);

/// The wait before the second restart in a row; it doubles.
const BACKOFF: Duration = Duration::from_millis(10);
/// The longest wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A supervisor that ran for so long did not fail in a row.
const STEADY: Duration = Duration::from_secs(10);

/// Where in the kept memory the supervisor's generation lies.
const GENERATION: usize = 0;
/// Where in the kept memory it says when the supervisor was started.
const STARTED: usize = 8;

fn say(text: &str) {
    let _ = DebugConsole.write_str(&format!("guardian: {text}\n"));
}

fn main() -> Result<(), String> {
    // The supervisor may be what fails, and the log waits for it.
    motte::use_kernel_log();
    let missing = |what: &str| format!("{what} is missing: the supervisor has no guardian");
    let image = boot_image().ok_or_else(|| missing("the boot image"))?;
    let manifest = image.file("manifest").ok_or_else(|| missing("the manifest"))?;
    let manifest =
        Manifest::decode(manifest.data).map_err(|error| format!("the manifest cannot be read: {error:?}"))?;
    let (index, component) = manifest.component("supervisor").ok_or_else(|| missing("a supervisor"))?;
    let file = image.file(&format!("programs/{}", component.program)).ok_or_else(|| missing("its program"))?;
    let first = start::row("boot-image").nth(file.offset / PAGE_SIZE).ok_or_else(|| missing("its program"))?;
    let program =
        Image::from_frames(file.data, first).map_err(|error| format!("the supervisor cannot be run: {error}"))?;
    let capability = |name| start::capability(name).ok_or_else(|| missing(name));
    let kept_memory = kept::map().map_err(|error| format!("{error}"))?.ok_or_else(|| missing("kept memory"))?.memory;
    let first_kept = kept::slots().start;
    let variables =
        [system::ENV_BOOT_IMAGE, system::ENV_TRACE, system::ENV_KERNEL_LOG, system::ENV_MEMORY, system::ENV_KERNEL];
    let environment: Vec<String> =
        variables.iter().filter_map(|name| Some(format!("{name}={}", env::var(name)?))).collect();
    let pages = start::row("boot-image").count() as u64;
    let supervisor = Supervisor {
        index,
        component,
        image: &program,
        untyped: Untyped::at(first_kept),
        places: Places::at(first_kept + 1),
        pulse: Notification::at(first_kept + 1 + Places::COUNT),
        control: Notification::at(first_kept + 2 + Places::COUNT),
        table_slots: table_slots(pages),
        registry: Some(CapSlot(first_kept + system::GUARDED_REGISTRY)),
        endpoint: Endpoint::at(first_kept + system::GUARDED_ENDPOINT),
        time_control: SchedControl(capability("time-control")?),
        clock: Frame(capability("clock")?),
        environment,
    };
    let reply = memory::make(ObjectType::Reply, 0).map(Reply).map_err(|error| format!("{error}"))?;
    let heartbeat = Duration::from_nanos(if manifest.heartbeats { component.restart.heartbeat_ns } else { 0 });
    let alarm = Alarm::new(heartbeat).map_err(|error| format!("the supervisor cannot be watched: {error}"))?;
    let mut backoff = Duration::ZERO;
    loop {
        let watched = motte::time::Instant::now();
        let mut former = None;
        if supervisor.places.has_thread() {
            let cause = supervisor.wait_for_end(reply, &alarm);
            let cause = cause.map_err(|error| format!("the supervisor's end cannot be awaited: {error}"))?;
            say(&format!("the supervisor failed: {}", cause.text()));
            former = Some(supervisor.look_back(cause, kept_memory.read_u64(STARTED)));
        }
        supervisor.take_down();
        backoff =
            if watched.elapsed() > STEADY { Duration::ZERO } else { (backoff * 2).clamp(BACKOFF, LONGEST_BACKOFF) };
        thread::sleep(backoff);
        // Init started the first.
        let generation = kept_memory.read_u64(GENERATION).max(1) + 1;
        kept_memory.write_u64(GENERATION, generation);
        kept_memory.write_u64(STARTED, monotonic_ns());
        if let Err(error) = supervisor.start(generation, former.as_ref()) {
            say(&format!("the supervisor could not be started: {error}"));
        }
    }
}
