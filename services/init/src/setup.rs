//! From boot information and manifest to a supervisor's table that holds all authority.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte::abi::boot_image::BootImage;
use motte::abi::boot_info::{BootInfo, INIT_SLOTS, UntypedDescription, slot};
use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::kernel::{CapSlot, CapTable, Endpoint, Frame, IoPortControl, Notification, SchedControl, Untyped};
use motte::{memory, slots, start};
use motte_init::supervisor::{Supervisor, supervisor_badge, table_slots};
use motte_init::{Range, place};
use motte_loader::{Image, Places, kept, system};
use motte_manifest::Manifest;

/// Bytes that init keeps for itself: its heap, endpoints, and what else it makes.
const OWN_MEMORY: u64 = 1 << 20;

/// Makes an error a sentence.
fn failed(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {error}")
}

/// The boot image, mapped by the kernel.
fn boot_image(boot: &'static BootInfo) -> Result<BootImage<'static>, String> {
    // SAFETY: the kernel maps the boot image there, read-only and for good.
    let bytes =
        unsafe { core::slice::from_raw_parts(boot.boot_image_address as *const u8, boot.boot_image_size as usize) };
    BootImage::parse(bytes).map_err(|error| format!("the boot image is damaged: {error:?}"))
}

/// Does everything, up to the supervisor's start.
pub fn start_system() -> Result<(), String> {
    let boot = start::boot_info().ok_or("the kernel's boot information is missing")?;
    let image = boot_image(boot)?;
    let manifest = image.file("manifest").ok_or("the boot image holds no manifest")?;
    let manifest =
        Manifest::decode(manifest.data).map_err(|error| format!("the manifest cannot be read: {error:?}"))?;
    let (index, supervisor) = manifest.component("supervisor").ok_or("the manifest names no supervisor")?;
    let program = format!("programs/{}", supervisor.program);
    let file = image.file(&program).ok_or_else(|| format!("the boot image holds no {program}"))?;
    let first_frame = CapSlot(boot.boot_image_slot + (file.offset / PAGE_SIZE) as u64);
    let program = Image::from_frames(file.data, first_frame)
        .map_err(|error| format!("the supervisor's program cannot be run: {error}"))?;

    let mut ranges = ranges(boot);
    let pages = boot.boot_image_size.div_ceil(PAGE_SIZE as u64);
    let table_slots = table_slots(pages);
    let table = take_own_memory(&mut ranges, table_slots.1)?;
    let untyped = share_memory(&manifest, index, &mut ranges, table)?;
    share_devices(boot, table)?;
    let trace_frames = boot.trace_frames_per_core * boot.processors_online;
    give_authority(boot, table, pages, trace_frames)?;
    let registry = make_endpoints(&manifest, index, table)?;
    let endpoint = memory::make(ObjectType::Endpoint, 0).map(Endpoint).map_err(failed("an endpoint"))?;
    let first = slots::allocate_range(Places::COUNT as usize + 2).map_err(failed("slots"))?;
    let places = Places { table, ..Places::at(first.0) };
    let supervisor = Supervisor {
        index,
        component: supervisor,
        image: &program,
        untyped,
        places,
        pulse: Notification::at(first.0 + Places::COUNT),
        control: Notification::at(first.0 + Places::COUNT + 1),
        table_slots,
        registry,
        endpoint,
        time_control: SchedControl::at(slot::SCHED_CONTROL),
        clock: Frame::at(slot::CLOCK_FRAME),
        environment: environment(boot, trace_frames.min(system::MAX_TRACE)),
    };
    supervisor.start(1, None).map_err(|error| format!("the supervisor cannot be started: {error}"))?;
    hand_over(&supervisor)
}

/// The environment of the supervisor.
fn environment(boot: &BootInfo, trace_frames: u64) -> Vec<String> {
    alloc::vec![
        format!("{}={}", system::ENV_BOOT_IMAGE, boot.boot_image_size),
        format!("{}={} {}", system::ENV_TRACE, boot.trace_frames_per_core, trace_frames),
        format!("{}={}", system::ENV_KERNEL_LOG, boot.kernel_log_frames.min(system::MAX_KERNEL_LOG)),
        format!("{}={} {}", system::ENV_MEMORY, boot.memory_total, boot.memory_kernel),
        format!("{}={}.{}", system::ENV_KERNEL, boot.abi_version >> 16, boot.abi_version & 0xffff),
    ]
}

/// Puts what a guardian needs into the supervisor's table; it cannot run before: init is more urgent.
fn hand_over(supervisor: &Supervisor<'_>) -> Result<(), String> {
    let (places, first) = (supervisor.places, system::guarded(supervisor.index).start);
    let held = [
        places.table.0,
        places.space.0,
        places.thread.0,
        places.context.0,
        places.message_buffer.0,
        places.holding.0,
        supervisor.pulse.0,
        supervisor.control.0,
    ];
    let to_registry = supervisor.registry.map(|slot| (slot, system::GUARDED_REGISTRY));
    let copies =
        held.into_iter().zip(1..).chain([(supervisor.endpoint.0, system::GUARDED_ENDPOINT)]).chain(to_registry);
    for (slot, to) in copies {
        let copied = CapSlot::OWN_TABLE.copy(slot.0, places.table, first + to, Rights::ALL);
        copied.map_err(failed("what guards the supervisor"))?;
    }
    let moved = CapSlot::OWN_TABLE.move_to(supervisor.untyped.0.0, places.table, first);
    moved.map_err(failed("the supervisor's memory"))
}

/// The ranges that the kernel described.
fn described(boot: &BootInfo) -> &[UntypedDescription] {
    &boot.untyped[..(boot.untyped_count as usize).min(boot.untyped.len())]
}

/// Ranges of memory, with what is free in them.
fn ranges(boot: &BootInfo) -> Vec<Range> {
    let memory = described(boot).iter().filter(|range| range.device == 0);
    memory
        .filter_map(|range| {
            let (_, size, used) = Untyped::at(range.slot).info().ok()?;
            let free = size.saturating_sub(used.next_multiple_of(PAGE_SIZE as u64));
            Some(Range { slot: range.slot, free })
        })
        .collect()
}

/// Makes the supervisor's table, and sets memory aside for init.
fn take_own_memory(ranges: &mut [Range], table_slots: u64) -> Result<CapTable, String> {
    let largest = ranges.iter_mut().max_by_key(|range| range.free).ok_or("the machine has no memory")?;
    let needed = OWN_MEMORY + table_slots * motte::abi::object::SLOT_BYTES;
    if largest.free < needed || table_slots > INIT_SLOTS * 4 {
        return Err(format!("the machine has too little memory: init alone needs {} KiB", needed / 1024));
    }
    let source = Untyped::at(largest.slot);
    let own = slots::allocate().map_err(failed("a slot"))?;
    source
        .retype(ObjectType::Untyped, OWN_MEMORY, CapSlot::OWN_TABLE, own.0, 1)
        .map_err(failed("init's own memory"))?;
    memory::set_source(Untyped(own));
    let table = slots::allocate().map_err(failed("a slot"))?;
    source
        .retype(ObjectType::CapTable, table_slots, CapSlot::OWN_TABLE, table.0, 1)
        .map_err(failed("the supervisor's table"))?;
    // Both are page aligned and a whole number of pages.
    largest.free -= needed;
    Ok(CapTable(table))
}

/// Makes every component's Untyped, and makes what is left spare. Returns the supervisor's.
fn share_memory(
    manifest: &Manifest,
    supervisor: usize,
    ranges: &mut [Range],
    table: CapTable,
) -> Result<Untyped, String> {
    let count = manifest.components.len();
    let keeping = manifest.components.iter().enumerate().filter(|(_, component)| component.keep > 0);
    let keeping: Vec<(usize, u64)> = keeping
        .map(|(index, component)| {
            let own_slots = if component.keep_slots > 0 { component.slots.into() } else { 0 };
            (index, kept::bytes(component.keep, own_slots))
        })
        .collect();
    let quotas: Vec<u64> = (manifest.components.iter().map(|component| component.memory))
        .chain(keeping.iter().map(|(_, bytes)| *bytes))
        .collect();
    let places = place(&quotas, ranges).map_err(|error| {
        let index = if error.index < count { error.index } else { keeping[error.index - count].0 };
        let name = manifest.components.get(index).map_or("?", |component| component.name.as_str());
        format!("{name}: {error}")
    })?;
    let own = slots::allocate().map_err(failed("a slot"))?;
    for (index, component) in manifest.components.iter().enumerate() {
        let (to_table, to_slot) =
            if index == supervisor { (CapSlot::OWN_TABLE, own) } else { (table, system::untyped(index).0) };
        Untyped::at(places[index])
            .retype(ObjectType::Untyped, component.memory, to_table, to_slot.0, 1)
            .map_err(|error| format!("the memory of {}: {error}", component.name))?;
    }
    for (&(index, bytes), &place) in keeping.iter().zip(&places[count..]) {
        Untyped::at(place)
            .retype(ObjectType::Untyped, bytes, table, system::kept_untyped(index).0.0, 1)
            .map_err(|error| format!("the kept memory of {}: {error}", manifest.components[index].name))?;
    }
    let worthwhile = ranges.iter().filter(|range| range.free >= 64 * 1024);
    for (index, range) in worthwhile.take(system::MAX_SPARE_MEMORY as usize).enumerate() {
        let to = system::SPARE_MEMORY + index as u64;
        let free = Untyped::at(range.slot).info().map(|(_, size, used)| size - used.next_multiple_of(PAGE_SIZE as u64));
        let free = free.map_err(failed("spare memory"))?;
        Untyped::at(range.slot).retype(ObjectType::Untyped, free, table, to, 1).map_err(failed("spare memory"))?;
    }
    Ok(Untyped(own))
}

/// Moves the ranges of device memory into the supervisor's table.
fn share_devices(boot: &BootInfo, table: CapTable) -> Result<(), String> {
    let devices = described(boot).iter().filter(|range| range.device != 0);
    for (index, range) in devices.take(system::MAX_DEVICE_MEMORY as usize).enumerate() {
        CapSlot::OWN_TABLE
            .move_to(range.slot, table, system::DEVICE_MEMORY + index as u64)
            .map_err(failed("device memory"))?;
    }
    Ok(())
}

/// Puts everything else that the supervisor holds into its table.
fn give_authority(boot: &BootInfo, table: CapTable, pages: u64, trace_frames: u64) -> Result<(), String> {
    let copy = |from: u64, to: CapSlot, rights: Rights| {
        CapSlot::OWN_TABLE.copy(from, table, to.0, rights).map_err(failed("the supervisor's authority"))
    };
    copy(slot::IRQ_CONTROL, system::IRQ_CONTROL.0, Rights::ALL)?;
    copy(slot::IO_PORT_CONTROL, system::PORT_CONTROL.0, Rights::ALL)?;
    copy(slot::SCHED_CONTROL, system::SCHED_CONTROL.0, Rights::ALL)?;
    copy(slot::CLOCK_FRAME, system::CLOCK.0, Rights::READ)?;
    for frame in system::STATE {
        let made = memory::make_frames(1, PAGE_SIZE).map_err(failed("the supervisor's state"))?;
        copy(made.0, frame.0, Rights::ALL)?;
    }
    for index in 0..boot.kernel_log_frames.min(system::MAX_KERNEL_LOG) {
        copy(boot.kernel_log_slot + index, CapSlot(system::KERNEL_LOG + index), Rights::READ)?;
    }
    for index in 0..trace_frames.min(system::MAX_TRACE) {
        copy(boot.trace_slot + index, CapSlot(system::TRACE + index), Rights::READ)?;
    }
    for page in 0..pages {
        copy(boot.boot_image_slot + page, system::boot_image(page), Rights::READ | Rights::EXECUTE)?;
    }
    let control = IoPortControl::at(slot::IO_PORT_CONTROL);
    for (port, first, count) in
        [(system::EXIT_PORT, 0xf4, 4), (system::POWER_PORT, 0x604, 2), (system::RESET_PORT, 0x64, 1)]
    {
        control.create(first, count, table, port.0.0).map_err(failed("the ports that end the machine"))?;
    }
    Ok(())
}

/// Makes an endpoint for every service; returns the registry's with the supervisor's badge.
fn make_endpoints(manifest: &Manifest, supervisor: usize, table: CapTable) -> Result<Option<CapSlot>, String> {
    let mut registry = None;
    for service in manifest.services() {
        let endpoint = memory::make(ObjectType::Endpoint, 0).map_err(failed("an endpoint"))?;
        let to = system::service(service.number).0.0;
        let give = |to| CapSlot::OWN_TABLE.copy(endpoint.0, table, to, Rights::ALL).map_err(failed("an endpoint"));
        if service.number as u64 >= system::MAX_SERVICES {
            return Err(format!("the manifest has more than {} services", system::MAX_SERVICES));
        }
        give(to)?;
        if service.name == "supervisor" {
            give(system::ENDPOINT.0.0)?;
        }
        if service.name == "registry" {
            let badged = slots::allocate().map_err(failed("a slot"))?;
            endpoint
                .mint(badged, Rights::SEND | Rights::GRANT, supervisor_badge(supervisor))
                .map_err(failed("the registry's endpoint"))?;
            registry = Some(badged);
        }
    }
    Ok(registry)
}
