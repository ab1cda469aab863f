//! A capability: one slot of 64 bytes, in a table or inside a thread.
//!
//! Besides what it names, a slot carries its place in the derivation forest (see [`super::derive`]).

use crate::memory::Link;
use core::cell::Cell;
use motte_abi::{ObjectType, Rights};

/// Flag: an untyped range or frame of device memory.
pub const DEVICE: u8 = 1;
/// Flag: a frame of 2 MiB.
pub const LARGE: u8 = 2;
/// Flag: this slot lies inside a thread ([`crate::object::thread::Thread`]).
pub const INTERNAL: u8 = 4;
/// Flag: objects were made from this untyped range since its watermark was last 0.
pub const USED: u8 = 8;

/// One capability. All zeros is an empty slot.
///
/// | type | `object` | `badge` | `extra` | `mark` |
/// |---|---|---|---|---|
/// | Untyped | physical base | bytes | watermark | pages known to be zero |
/// | Frame | physical address | space id it is mapped in, or 0 | address it is mapped at | |
/// | PageTable | physical address | space id it is mapped in, or 0 | address, level in the low bits | |
/// | Endpoint, Notification | kernel address | badge | | |
/// | IoPort | first port | number of ports | | |
/// | other objects | kernel address | | | |
#[repr(C, align(64))]
pub struct Slot {
    /// See the table above.
    pub mark: Cell<u32>,
    kind: Cell<ObjectType>,
    rights: Cell<Rights>,
    flags: Cell<u8>,
    /// What it can be used for in the calls that have a short path: type and rights in one.
    uses: Cell<u8>,
    /// See the table above.
    pub object: Cell<u64>,
    /// See the table above.
    pub badge: Cell<u64>,
    /// See the table above.
    pub extra: Cell<u64>,
    pub(crate) parent: Link<Slot>,
    pub(crate) child: Link<Slot>,
    pub(crate) prev: Link<Slot>,
    pub(crate) next: Link<Slot>,
}

/// Use: an endpoint that may be sent to.
pub const SENDS: u8 = 1;
/// Use: an endpoint that may be received from.
pub const RECEIVES: u8 = 2;
/// Use: a Reply object.
pub const REPLIES: u8 = 4;
/// Use: a notification that may be signalled.
pub const SIGNALS: u8 = 8;
/// Use: a notification that may be waited for.
pub const WAITS: u8 = 16;

/// What a capability with this type and these rights can be used for.
fn uses(kind: ObjectType, rights: Rights) -> u8 {
    let with = |right, bit| if rights.contains(right) { bit } else { 0 };
    match kind {
        ObjectType::Endpoint => with(Rights::SEND, SENDS) | with(Rights::RECEIVE, RECEIVES),
        ObjectType::Reply => REPLIES,
        ObjectType::Notification => with(Rights::WRITE, SIGNALS) | with(Rights::READ, WAITS),
        _ => 0,
    }
}

// A table's header in its place must serve for nothing.
const _: () = assert!(core::mem::offset_of!(Slot, uses) == core::mem::offset_of!(crate::object::Header, spare) + 2);

const _: () = assert!(size_of::<Slot>() as u64 == motte_abi::object::SLOT_BYTES);

impl Slot {
    /// What it names.
    #[inline(always)]
    pub fn kind(&self) -> ObjectType {
        self.kind.get()
    }

    /// What it allows.
    #[inline(always)]
    pub fn rights(&self) -> Rights {
        self.rights.get()
    }

    /// Whether it can be used for this: `SENDS` and the others.
    #[inline(always)]
    pub fn serves(&self, usage: u8) -> bool {
        self.uses.get() & usage != 0
    }

    /// Whether it holds no capability.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.kind.get() == ObjectType::Null
    }

    /// Whether this flag is set.
    #[inline(always)]
    pub fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    /// Whether anything is derived from it.
    pub fn has_children(&self) -> bool {
        !self.child.is_null()
    }

    /// Fill an empty slot; links and `INTERNAL` stay.
    pub(crate) fn fill(&self, kind: ObjectType, rights: Rights, flags: u8, object: u64, badge: u64) {
        debug_assert!(self.is_empty());
        self.kind.set(kind);
        self.rights.set(rights);
        self.uses.set(uses(kind, rights));
        self.flags.set(self.flags.get() & INTERNAL | flags);
        self.mark.set(0);
        self.object.set(object);
        self.badge.set(badge);
        self.extra.set(0);
    }

    /// Fill an empty slot with what `source` names, with at most its rights.
    pub(crate) fn fill_from(&self, source: &Slot, rights: Rights) {
        let badge = if matches!(source.kind(), ObjectType::Frame) { 0 } else { source.badge.get() };
        let flags = source.flags.get() & !INTERNAL;
        self.fill(source.kind(), source.rights().intersection(rights), flags, source.object.get(), badge);
    }

    /// Fill an empty slot with all of `source`, mapping and watermark included.
    pub(crate) fn fill_moved(&self, source: &Slot) {
        self.fill_from(source, Rights::ALL);
        self.badge.set(source.badge.get());
        self.extra.set(source.extra.get());
        self.mark.set(source.mark.get());
    }

    /// Empty it; `INTERNAL` stays.
    pub(crate) fn empty(&self) {
        self.kind.set(ObjectType::Null);
        self.rights.set(Rights::NONE);
        self.uses.set(0);
        self.flags.set(self.flags.get() & INTERNAL);
        for link in [&self.parent, &self.child, &self.prev, &self.next] {
            link.clear();
        }
        for cell in [&self.object, &self.badge, &self.extra] {
            cell.set(0);
        }
        self.mark.set(0);
    }

    /// Take rights away.
    pub(crate) fn restrict(&self, rights: Rights) {
        self.rights.set(self.rights().intersection(rights));
        self.uses.set(uses(self.kind(), self.rights()));
    }

    /// Set or clear a flag.
    pub(crate) fn set_flag(&self, flag: u8, set: bool) {
        self.flags.set(self.flags.get() & !flag | if set { flag } else { 0 });
    }

    /// The size of the frame that it names.
    pub fn frame_bytes(&self) -> u64 {
        if self.has(LARGE) { motte_abi::LARGE_PAGE_SIZE as u64 } else { motte_abi::PAGE_SIZE as u64 }
    }
}
