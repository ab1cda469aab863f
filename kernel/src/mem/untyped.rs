//! Retype: the only way in which objects come to exist.
//!
//! An Untyped's slot holds its state. RAM is given out in ascending order up to the *watermark*; between the watermark and the *mark* (in
//! pages) it is known to be zero. When nothing derived from it is left, the watermark goes back to 0 and
//! nothing is known to be zero. Device memory has no watermark: it holds no objects, so its pieces may overlap.

use crate::Kernel;
use crate::arch::Arch;
use crate::cap::{self, lookup::TableArgument, slot};
use crate::memory::view;
use crate::object::Header;
use crate::object::notification::Notification;
use crate::object::sched_context::SchedContext;
use crate::object::space::AddressSpace;
use crate::object::table::CapTable;
use crate::object::thread::Thread;
use crate::syscall::{Failure, Patience};
use motte_abi::trace::TraceKind;
use motte_abi::{Error, ObjectType, PAGE_SIZE};
use slot::Slot;

const PAGE: u64 = PAGE_SIZE as u64;

/// What to make, and where its capabilities go.
pub(crate) struct Retype {
    /// Type of the objects.
    pub kind: ObjectType,
    /// How many.
    pub count: u64,
    /// The type's size argument.
    pub size: u64,
    /// Table that gets the capabilities.
    pub table: TableArgument,
    /// First slot.
    pub first: u64,
    /// Device memory: where in the range.
    pub offset: u64,
}

impl<A: Arch> Kernel<A> {
    /// Makes objects from an Untyped.
    pub(crate) fn retype(&self, maker: u64, untyped: &Slot, what: &Retype) -> Result<(), Failure> {
        let bytes = what.kind.bytes(what.size).ok_or(Error::InvalidArgument)?;
        if what.count == 0 || what.count > 256 {
            return Err(Error::InvalidArgument.into());
        }
        let targets = what.table.slots(self, what.first, what.count)?;
        if targets.iter().any(|slot| !slot.is_empty()) {
            return Err(Error::SlotOccupied.into());
        }
        let align = if what.kind != ObjectType::Untyped && bytes.is_power_of_two() { bytes } else { PAGE };
        let mut physical = if untyped.has(slot::DEVICE) {
            self.place_in_device(untyped, what, bytes, align)?
        } else {
            self.place_in_ram(untyped, what, bytes, align)?
        };
        for target in targets {
            self.create_object(maker, untyped, target, what.kind, bytes, physical);
            physical += bytes;
        }
        Ok(())
    }

    fn place_in_device(&self, untyped: &Slot, what: &Retype, bytes: u64, align: u64) -> Result<u64, Error> {
        if !matches!(what.kind, ObjectType::Frame | ObjectType::Untyped) {
            return Err(Error::InvalidArgument);
        }
        let start = untyped.object.get().checked_add(what.offset).ok_or(Error::InvalidArgument)?;
        if !start.is_multiple_of(align) {
            return Err(Error::Misaligned);
        }
        let end = what.offset.checked_add(bytes * what.count).ok_or(Error::InvalidArgument)?;
        if end > untyped.badge.get() { Err(Error::OutOfMemory) } else { Ok(start) }
    }

    /// Takes zeroed RAM from the watermark on. The physical address.
    fn place_in_ram(&self, untyped: &Slot, what: &Retype, bytes: u64, align: u64) -> Result<u64, Failure> {
        // What once lay in this memory may still be linked from elsewhere.
        if !self.dying.is_null() {
            self.destroy_all()?;
        }
        if !untyped.has_children() && untyped.has(slot::USED) {
            untyped.set_flag(slot::USED, false);
            untyped.extra.set(0);
            untyped.mark.set(0);
        }
        let base = untyped.object.get();
        let start = ((base + untyped.extra.get() + align - 1) & !(align - 1)) - base;
        let end = start + bytes * what.count;
        if end > untyped.badge.get() {
            return Err(Error::OutOfMemory.into());
        }
        if what.kind == ObjectType::AddressSpace && self.spaces.free() < what.count {
            return Err(Error::LimitReached.into());
        }
        if what.kind != ObjectType::Untyped {
            // The gap before an aligned object is given up first, so that an interrupted call leaves the watermark true.
            untyped.extra.set(start);
            self.zero_up_to(untyped, end)?;
        }
        untyped.extra.set(end);
        untyped.set_flag(slot::USED, true);
        Ok(base + start)
    }

    /// Makes the memory from the watermark to `end` zero, page by page.
    fn zero_up_to(&self, untyped: &Slot, end: u64) -> Result<(), Failure> {
        let watermark = untyped.extra.get();
        let mut page = u64::from(untyped.mark.get()).max(watermark / PAGE);
        let mut patience = Patience::default();
        while page * PAGE < end {
            let from = watermark.max(page * PAGE);
            page += 1;
            A::zero(untyped.object.get() + from, page * PAGE - from);
            untyped.mark.set(page as u32);
            if page * PAGE < end && patience.is_over::<A>() {
                return Err(Failure::Preempted);
            }
        }
        Ok(())
    }

    /// Makes zeroed memory an object and puts its first capability into an empty slot.
    pub(crate) fn create_object(
        &self,
        maker: u64,
        untyped: &Slot,
        target: &Slot,
        kind: ObjectType,
        bytes: u64,
        physical: u64,
    ) {
        let device = if untyped.has(slot::DEVICE) { slot::DEVICE } else { 0 };
        let parent = Some(untyped);
        match kind {
            ObjectType::Untyped => cap::create(self, target, parent, (kind, device), physical, bytes),
            ObjectType::Frame => {
                let large = if bytes > PAGE { slot::LARGE } else { 0 };
                cap::create(self, target, parent, (kind, device | large), physical, 0);
            }
            ObjectType::PageTable => cap::create(self, target, parent, (kind, 0), physical, 0),
            _ => {
                let object = self.begin_object(maker, kind, bytes, physical);
                cap::create(self, target, parent, (kind, 0), object, 0);
            }
        }
    }

    /// Makes zeroed memory an object with a header. What its capabilities name.
    pub(crate) fn begin_object(&self, maker: u64, kind: ObjectType, bytes: u64, physical: u64) -> u64 {
        // The header of an address space lies in its second page, behind the root table.
        let before = if kind == ObjectType::AddressSpace { PAGE } else { 0 };
        let address = physical + A::DIRECT_MAP + before;
        view::<Header>(self, address).begin(kind);
        match kind {
            ObjectType::CapTable => {
                view::<CapTable>(self, address).slots.set(bytes / motte_abi::object::SLOT_BYTES);
            }
            ObjectType::Thread => {
                let thread: &Thread<A> = view(self, address);
                thread.begin(self.next_thread_number());
                self.record(thread, TraceKind::ThreadCreated, 0, maker, thread.number.get());
            }
            ObjectType::SchedContext => {
                let context: &SchedContext<A> = view(self, address);
                context.timer.begin(context, kind);
            }
            ObjectType::Notification => {
                let notification: &Notification<A> = view(self, address);
                notification.timer.begin(notification, kind);
            }
            ObjectType::AddressSpace => self.begin_space(view::<AddressSpace>(self, address), physical),
            _ => {}
        }
        address
    }
}
