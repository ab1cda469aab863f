//! Deleting and revoking capabilities, and destroying the objects whose last capability is gone.
//!
//! Nothing here recurses: an object without capabilities goes into the kernel's list of dying objects, and is
//! destroyed from there step by step, each step bounded. Deleting a table's slots may add further objects to
//! the list. Memory is not reused while the list holds anything ([`Kernel::destroy_all`] is retype's first act), and whoever leaves the
//! kernel does a few steps, so that nobody waits for ever on a dying object.

use super::derive;
use super::slot::{INTERNAL, Slot};
use crate::Kernel;
use crate::arch::Arch;
use crate::memory::{address_of, view, view_in_row};
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::reply::Reply;
use crate::object::sched_context::SchedContext;
use crate::object::space::AddressSpace;
use crate::object::table::CapTable;
use crate::object::thread::{Inner, Thread};
use crate::object::{Header, is_counted};
use crate::sched::Core;
use crate::syscall::{Failure, Patience};
use motte_abi::trace::TraceKind;
use motte_abi::{Error, ObjectType};

/// Steps done whenever the kernel is left while objects are dying.
const STEPS_AT_LEAVE: usize = 8;
/// Slots of a dying table looked at in one step.
const SLOTS_A_STEP: u64 = 64;

impl<A: Arch> Kernel<A> {
    /// Deletes a capability, if there is one: constant time. Its object, if this was the last, begins to die.
    pub(crate) fn delete(&self, slot: &Slot) {
        match slot.kind() {
            ObjectType::Null => return,
            ObjectType::Frame => drop(self.unmap_frame(slot)),
            ObjectType::PageTable => drop(self.detach_table(slot)),
            kind if is_counted(kind) => {
                let header: &Header = view(self, slot.object.get());
                header.caps.set(header.caps.get() - 1);
                if header.caps.get() == 0 {
                    self.begin_dying(header);
                }
            }
            _ => {}
        }
        if slot.has(INTERNAL) {
            // A thread fills one page, so the slot's page is its thread.
            let thread: &Thread<A> = view(self, address_of(slot) & !4095);
            self.thread_lost(thread, slot);
        }
        derive::remove(self, slot);
        slot.empty();
    }

    /// Deletes everything derived from a capability, and destroys what that leaves without capabilities.
    pub(crate) fn revoke(&self, slot: &Slot) -> Result<(), Failure> {
        let mut patience = Patience::default();
        while let Some(child) = derive::first_child(self, slot) {
            self.delete(child);
            if patience.is_over::<A>() {
                return Err(Failure::Preempted);
            }
        }
        self.destroy_all()
    }

    fn begin_dying(&self, header: &Header) {
        header.next_dying.copy(&self.dying);
        self.dying.set(Some(header));
        self.cores.iter().for_each(Core::unsettle);
    }

    /// Destroys all dying objects. `Preempted` if an interrupt came first; calling it again goes on.
    pub(crate) fn destroy_all(&self) -> Result<(), Failure> {
        let mut patience = Patience::default();
        while self.destroy_step() {
            if patience.is_over::<A>() {
                return Err(Failure::Preempted);
            }
        }
        Ok(())
    }

    /// Does a bounded part of destroying the dying objects.
    pub(crate) fn destroy_some(&self) {
        for _ in 0..STEPS_AT_LEAVE {
            if !self.destroy_step() {
                return;
            }
        }
    }

    /// One step. Whether there was anything to do.
    fn destroy_step(&self) -> bool {
        let Some(header) = self.dying.get(self) else { return false };
        self.dying.copy(&header.next_dying);
        header.next_dying.clear();
        if !self.destroy_part(header) {
            self.begin_dying(header);
        }
        true
    }

    /// Does a bounded part of destroying one object. Whether it is done.
    fn destroy_part(&self, header: &Header) -> bool {
        let address = address_of(header);
        match header.kind() {
            ObjectType::CapTable => self.empty_table(view(self, address)),
            ObjectType::Thread => {
                self.destroy_thread(view(self, address));
                true
            }
            ObjectType::SchedContext => {
                self.destroy_context(view(self, address));
                true
            }
            ObjectType::Endpoint => !self.empty_endpoint_one(view::<Endpoint<A>>(self, address)),
            ObjectType::Reply => {
                self.destroy_reply(view::<Reply<A>>(self, address));
                true
            }
            ObjectType::Notification => self.destroy_notification(view(self, address)),
            ObjectType::AddressSpace => {
                self.destroy_space(view::<AddressSpace>(self, address));
                true
            }
            ObjectType::Irq => {
                self.destroy_irq(view(self, address));
                true
            }
            _ => true,
        }
    }

    fn empty_table(&self, table: &CapTable) -> bool {
        let (base, slots) = (address_of(table), table.slots.get());
        let mut index = table.cursor.get() + 1;
        let end = slots.min(index + SLOTS_A_STEP);
        while index < end {
            let slot: &Slot = view_in_row(self, base, index as usize);
            index += 1;
            if !slot.is_empty() {
                self.delete(slot);
                break;
            }
        }
        table.cursor.set(index - 1);
        index == slots
    }

    fn destroy_thread(&self, thread: &Thread<A>) {
        self.record(thread, TraceKind::ThreadDestroyed, 0, thread.number.get(), 0);
        self.stop(thread);
        for core in &self.cores {
            if core.current.names(thread) {
                core.current.clear();
                core.unsettle();
            }
        }
        self.unload(thread);
        A::retire(thread.context());
        self.give_back_lent(thread);
        if let Some(own) = thread.own.get(self) {
            self.unbind_context(own);
        }
        if let Some(notification) = thread.notification.take(self) {
            notification.bound.clear();
        }
        for which in [Inner::Table, Inner::Space, Inner::FaultEndpoint, Inner::Buffer] {
            self.delete(thread.slot(which));
        }
    }

    fn destroy_context(&self, context: &SchedContext<A>) {
        self.disarm(&context.timer);
        self.unbind_context(context);
        for core in &self.cores {
            if core.charges(context) {
                core.set_context(None);
            }
        }
    }

    fn destroy_notification(&self, notification: &Notification<A>) -> bool {
        if let Some(waiter) = notification.waiters.first(self) {
            self.leave_notification(waiter);
            self.fail_wait(waiter, Error::PeerGone);
            return false;
        }
        self.disarm(&notification.timer);
        if let Some(thread) = notification.bound.take(self) {
            thread.notification.clear();
            thread.signalled.set(false);
        }
        self.forget_notification(notification);
        true
    }
}
