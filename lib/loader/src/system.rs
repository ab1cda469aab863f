//! Which slots of the supervisor's table hold what. Init fills them; the table outlives every supervisor, so that a new
//! one finds the components of its predecessor running.

use core::ops::Range;

use motte::kernel::{
    CapSlot, CapTable, Endpoint, Frame, IoPort, IoPortControl, IrqControl, Notification, SchedControl, Untyped,
};

use crate::load::Places;

/// The supervisor's endpoint: its service, and every component's faults (badges with [`FAULT_BADGE`]).
pub const ENDPOINT: Endpoint = Endpoint::at(64);
/// The authority over interrupts.
pub const IRQ_CONTROL: IrqControl = IrqControl::at(65);
/// The authority over ports.
pub const PORT_CONTROL: IoPortControl = IoPortControl::at(66);
/// The authority over budgets.
pub const SCHED_CONTROL: SchedControl = SchedControl::at(67);
/// The clock page.
pub const CLOCK: Frame = Frame::at(68);
/// What a supervisor leaves for its successor.
pub const STATE: [Frame; 8] = {
    let at = Frame::at;
    [at(69), at(70), at(74), at(75), at(76), at(77), at(78), at(79)]
};
/// Ports 0xf4 to 0xf7: ends QEMU with a status.
pub const EXIT_PORT: IoPort = IoPort::at(71);
/// Port 0x604: powers the machine off.
pub const POWER_PORT: IoPort = IoPort::at(72);
/// Port 0x64: restarts the machine.
pub const RESET_PORT: IoPort = IoPort::at(73);

/// Frames of the kernel's log.
pub const KERNEL_LOG: u64 = 80;
/// The most of them.
pub const MAX_KERNEL_LOG: u64 = 16;
/// Memory that is no component's quota, for the process server's programs.
pub const SPARE_MEMORY: u64 = 96;
/// The most ranges of it.
pub const MAX_SPARE_MEMORY: u64 = 8;
/// Ranges of device memory.
pub const DEVICE_MEMORY: u64 = 104;
/// The most of them.
pub const MAX_DEVICE_MEMORY: u64 = 24;
/// Endpoints of services, in the order of the manifest's numbers.
pub const SERVICES: u64 = 128;
/// The most services.
pub const MAX_SERVICES: u64 = 128;
/// What belongs to each component, [`COMPONENT_SLOTS`] slots each: its Untyped, [`Places`], its pulse, its control.
pub const COMPONENTS: u64 = 256;
/// Slots for each component.
pub const COMPONENT_SLOTS: u64 = 16;
/// The most components.
pub const MAX_COMPONENTS: u64 = 64;
/// Kept memory, two slots for each component: the Untyped that pays for it, and the table with its frames.
pub const KEPT: u64 = 1280;
/// Frames of the trace rings, cores one after the other.
pub const TRACE: u64 = 1408;
/// The most of them.
pub const MAX_TRACE: u64 = 256;
/// Frames of the boot image, mapped at [`BOOT_IMAGE_ADDRESS`] in the supervisor.
pub const BOOT_IMAGE: u64 = 1664;

/// Where the boot image is mapped in the supervisor.
pub const BOOT_IMAGE_ADDRESS: u64 = 0x40_0000_0000;

/// Set in the badge of a component's fault endpoint; the rest is its index.
pub const FAULT_BADGE: u64 = 1 << 61;

/// Environment of the supervisor: bytes of the boot image.
pub const ENV_BOOT_IMAGE: &str = "BOOT_IMAGE_BYTES";
/// Environment of the supervisor: frames of one core's trace ring, and of all cores.
pub const ENV_TRACE: &str = "TRACE_FRAMES";
/// Environment of the supervisor: frames of the kernel's log.
pub const ENV_KERNEL_LOG: &str = "KERNEL_LOG_FRAMES";
/// Environment of the supervisor: usable memory in bytes, and what the kernel keeps of it.
pub const ENV_MEMORY: &str = "MEMORY";
/// Environment of the supervisor: the kernel's version.
pub const ENV_KERNEL: &str = "KERNEL_VERSION";

/// Environment of a supervisor that was started anew: how the former one ended, as its guardian saw it.
pub const ENV_FORMER_END: &str = "FORMER_END";

/// Slots that the supervisor's table needs for a boot image of so many frames, besides those it uses as it runs.
pub const fn slots_needed(boot_image_frames: u64) -> u64 {
    BOOT_IMAGE + boot_image_frames
}

/// The Untyped of a component.
pub const fn untyped(component: usize) -> Untyped {
    Untyped::at(COMPONENTS + component as u64 * COMPONENT_SLOTS)
}

/// What is kept of a component that runs.
pub const fn places(component: usize) -> Places {
    Places::at(COMPONENTS + component as u64 * COMPONENT_SLOTS + 1)
}

/// What a component signals to show that it does not hang.
pub const fn pulse(component: usize) -> Notification {
    Notification::at(COMPONENTS + component as u64 * COMPONENT_SLOTS + 1 + Places::COUNT)
}

/// What a component is signalled by when something is wanted of it.
pub const fn control(component: usize) -> Notification {
    Notification::at(COMPONENTS + component as u64 * COMPONENT_SLOTS + 2 + Places::COUNT)
}

/// What is needed to guard the supervisor, by its index: its Untyped, [`Places`], pulse and control, and from [`GUARDED_ENDPOINT`] on the rest. Init leaves it
/// here; it then lies in the guardian's kept slots, in the same order.
pub const fn guarded(supervisor: usize) -> Range<u64> {
    let first = COMPONENTS + supervisor as u64 * COMPONENT_SLOTS;
    first..first + GUARDED_REGISTRY + 1
}

/// Where among these the endpoint lies that hears of the supervisor's faults.
pub const GUARDED_ENDPOINT: u64 = 9;
/// Where among these the registry's endpoint lies, with the supervisor's badge.
pub const GUARDED_REGISTRY: u64 = 10;

/// The Untyped of a component's kept memory.
pub const fn kept_untyped(component: usize) -> Untyped {
    Untyped::at(KEPT + component as u64 * 2)
}

/// The table with the frames of a component's kept memory, once they were made.
pub const fn kept_table(component: usize) -> CapTable {
    CapTable::at(KEPT + component as u64 * 2 + 1)
}

/// The endpoint of a service, by its number in the manifest.
pub const fn service(number: usize) -> Endpoint {
    Endpoint::at(SERVICES + number as u64)
}

/// A frame of the boot image.
pub const fn boot_image(page: u64) -> CapSlot {
    CapSlot(BOOT_IMAGE + page)
}

const _: () = assert!(Places::COUNT + 3 <= GUARDED_ENDPOINT && GUARDED_REGISTRY < COMPONENT_SLOTS);
const _: () = assert!(COMPONENTS + MAX_COMPONENTS * COMPONENT_SLOTS <= KEPT);
const _: () = assert!(KEPT + MAX_COMPONENTS * 2 <= TRACE && TRACE + MAX_TRACE <= BOOT_IMAGE);
