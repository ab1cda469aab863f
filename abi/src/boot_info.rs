//! What `init` starts with: capabilities in fixed slots, and a page that describes them.
//!
//! The kernel maps a [`BootInfo`] page read-only into init and passes its address in `rdi`, the address of
//! init's message buffer in `rsi`. Every address range is in init's own address space.

/// Slots of a component's table that have a fixed meaning. Init has all of the first group; a component started from the
/// manifest has those that its start information names.
pub mod slot {
    /// Never valid.
    pub const NULL: u64 = 0;
    /// The component's own capability table.
    pub const CAP_TABLE: u64 = 1;
    /// Its own address space.
    pub const ADDRESS_SPACE: u64 = 2;
    /// Its first thread.
    pub const THREAD: u64 = 3;
    /// The scheduling context of its first thread.
    pub const SCHED_CONTEXT: u64 = 4;
    /// The frame of the message buffer.
    pub const MESSAGE_BUFFER: u64 = 5;
    /// Its remaining memory budget (init: see `BootInfo::untyped`).
    pub const UNTYPED: u64 = 6;
    /// Init only: the control capabilities.
    pub const IRQ_CONTROL: u64 = 8;
    /// Init only.
    pub const IO_PORT_CONTROL: u64 = 9;
    /// Init only.
    pub const SCHED_CONTROL: u64 = 10;
    /// The clock page ([`crate::clock`]), a read-only frame.
    pub const CLOCK_FRAME: u64 = 11;
    /// The kernel log ([`crate::trace::KernelLog`]), first of `BootInfo::kernel_log_frames` read-only frames from `BootInfo::kernel_log_slot`.
    pub const FIRST_FREE: u64 = 16;
}

/// Slots of init's capability table.
pub const INIT_SLOTS: u64 = 16384;

/// One range of untyped memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct UntypedDescription {
    /// Slot of the Untyped capability in init's table.
    pub slot: u64,
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// 1 for device memory (not RAM, never zeroed, mapped uncached), else 0.
    pub device: u64,
}

/// The most untyped ranges that the kernel hands over.
pub const MAX_UNTYPED: usize = 64;

/// Recognises a [`BootInfo`].
pub const BOOT_INFO_MAGIC: u64 = u64::from_le_bytes(*b"motteBI1");

/// What the kernel tells init.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// [`BOOT_INFO_MAGIC`].
    pub magic: u64,
    /// Kernel ABI version: major << 16 | minor.
    pub abi_version: u64,
    /// Processors that run, and processors that the machine has.
    pub processors_online: u64,
    /// Processors that the machine has.
    pub processors_present: u64,
    /// Usable memory in bytes, and what the kernel itself keeps.
    pub memory_total: u64,
    /// Bytes that the kernel keeps: its image, tables and logs.
    pub memory_kernel: u64,
    /// Address of the boot image in init (read-only), page aligned; its bytes.
    pub boot_image_address: u64,
    /// Bytes of the boot image.
    pub boot_image_size: u64,
    /// First slot of the boot image's 4 KiB frames (readable, executable), in order.
    pub boot_image_slot: u64,
    /// Address of the kernel command line in init; its bytes.
    pub command_line_address: u64,
    /// Bytes of the command line, no final zero.
    pub command_line_size: u64,
    /// First slot and number of the frames of the kernel log.
    pub kernel_log_slot: u64,
    /// Number of frames.
    pub kernel_log_frames: u64,
    /// First slot and number of frames of the trace rings, cores one after the other.
    pub trace_slot: u64,
    /// Frames of one core's trace ring.
    pub trace_frames_per_core: u64,
    /// First slot that the kernel left empty; all above are empty too.
    pub first_free_slot: u64,
    /// First address above everything the kernel mapped into init.
    pub first_free_address: u64,
    /// Nanoseconds of the monotonic clock when the kernel had started.
    pub kernel_started_ns: u64,
    /// Physical address of the ACPI root pointer, or 0.
    pub acpi_rsdp: u64,
    /// How many of `untyped` count.
    pub untyped_count: u64,
    /// Free memory and device memory.
    pub untyped: [UntypedDescription; MAX_UNTYPED],
}

const _: () = assert!(size_of::<BootInfo>() <= crate::PAGE_SIZE);
