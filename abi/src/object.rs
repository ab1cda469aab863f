//! The types of kernel object, and what each takes of untyped memory.

/// What a capability names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectType {
    /// An empty slot.
    Null = 0,
    /// A range of physical memory from which objects are made.
    Untyped = 1,
    /// A flat table of capabilities. Size argument: number of slots, a power of two from 16 to 65,536.
    CapTable = 2,
    /// A thread of control.
    Thread = 3,
    /// The right to processor time.
    SchedContext = 4,
    /// Where synchronous messages meet.
    Endpoint = 5,
    /// The one-shot right to answer one caller.
    Reply = 6,
    /// A word of sticky bits.
    Notification = 7,
    /// The root of a page-table tree.
    AddressSpace = 8,
    /// A page table of a lower level (its level is fixed when it is mapped).
    PageTable = 9,
    /// 4 KiB of memory, or 2 MiB. Size argument: 4096 or 2097152.
    Frame = 10,
    /// One interrupt source.
    Irq = 11,
    /// A range of I/O ports.
    IoPort = 12,
    /// The authority to make `Irq` capabilities.
    IrqControl = 13,
    /// The authority to make `IoPort` capabilities.
    IoPortControl = 14,
    /// The authority to set budgets of scheduling contexts.
    SchedControl = 15,
}

impl ObjectType {
    /// The type with this number.
    pub const fn from_raw(raw: u64) -> Option<Self> {
        use ObjectType::*;
        Some(match raw {
            0 => Null,
            1 => Untyped,
            2 => CapTable,
            3 => Thread,
            4 => SchedContext,
            5 => Endpoint,
            6 => Reply,
            7 => Notification,
            8 => AddressSpace,
            9 => PageTable,
            10 => Frame,
            11 => Irq,
            12 => IoPort,
            13 => IrqControl,
            14 => IoPortControl,
            15 => SchedControl,
            _ => return None,
        })
    }

    /// Bytes of untyped memory that one object takes, also its alignment where it is a power of two (an
    /// untyped object is aligned to a page). `size` is the size argument of retype: bytes for Untyped (a
    /// multiple of a page) and Frame, slots for CapTable, ignored for the rest. `None`: cannot be made by
    /// retype, or the size is not allowed.
    pub const fn bytes(self, size: u64) -> Option<u64> {
        use ObjectType::*;
        Some(match self {
            Untyped if size >= 4096 && size.is_multiple_of(4096) && size <= 1 << 40 => size,
            CapTable if size.is_power_of_two() && size >= 16 && size <= 65536 => size * SLOT_BYTES,
            Frame if size == 4096 || size == 2 << 20 => size,
            Thread | PageTable => 4096,
            AddressSpace => 8192,
            SchedContext => 256,
            Endpoint | Reply | Notification => 128,
            _ => return None,
        })
    }
}

/// Bytes of one capability slot.
pub const SLOT_BYTES: u64 = 64;
