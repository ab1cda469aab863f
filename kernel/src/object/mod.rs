//! Kernel objects: what each is made of. What is done with them stands in `ipc`, `sched`, `mem` and `cap`.

pub mod control;
pub mod endpoint;
pub mod notification;
pub mod reply;
pub mod sched_context;
pub mod space;
pub mod table;
pub mod thread;

use crate::arch::Arch;
use crate::irq::IrqSource;
use crate::memory::Link;
use core::cell::Cell;
use motte_abi::ObjectType;

/// First part of every object but Frame, PageTable and Untyped, which consist of their memory alone.
#[repr(C)]
pub struct Header {
    /// Capabilities that name the object. At 0 it is destroyed.
    pub caps: Cell<u32>,
    kind: Cell<ObjectType>,
    /// Zero: a table's header must not look like a capability that serves for anything ([`table::slot_or_header`]).
    pub(crate) spare: [u8; 3],
    /// Next in the list of objects that are being destroyed.
    pub next_dying: Link<Header>,
}

impl Header {
    /// For an object outside untyped memory.
    pub const fn new(kind: ObjectType) -> Self {
        Self { caps: Cell::new(0), kind: Cell::new(kind), spare: [0; 3], next_dying: Link::null() }
    }

    /// What object it heads.
    pub fn kind(&self) -> ObjectType {
        self.kind.get()
    }

    /// Make zeroed memory the header of such an object.
    pub fn begin(&self, kind: ObjectType) {
        self.kind.set(kind);
    }
}

/// Objects with a [`Header`] in front, as a capability's type names them.
pub trait Object {
    /// The type.
    const KIND: ObjectType;
}

macro_rules! objects {
    ($($type:ty: $kind:ident $(for $arch:ident)?),*) => {
        $(impl$(<$arch: Arch>)? Object for $type {
            const KIND: ObjectType = ObjectType::$kind;
        })*
    };
}
objects! {
    table::CapTable: CapTable, space::AddressSpace: AddressSpace, thread::Thread<A>: Thread for A,
    sched_context::SchedContext<A>: SchedContext for A, endpoint::Endpoint<A>: Endpoint for A, reply::Reply<A>: Reply for A,
    notification::Notification<A>: Notification for A, IrqSource<A>: Irq for A
}

/// Whether objects of this type have a [`Header`].
pub const fn is_counted(kind: ObjectType) -> bool {
    use ObjectType::*;
    matches!(kind, CapTable | Thread | SchedContext | Endpoint | Reply | Notification | AddressSpace | Irq)
}
