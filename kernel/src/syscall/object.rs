//! Capabilities, endpoints, notifications, interrupts and ports.

use super::{Arguments, Done, Failure, Outcome, done, give};
use crate::Kernel;
use crate::arch::Arch;
use crate::irq::IrqSource;
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::thread::Thread;
use crate::{cap, port};
use motte_abi::syscall::{IRQ_ACTIVE_LOW, IRQ_LEVEL, IRQ_LINE, IRQ_MESSAGE, MAX_RANGE};
use motte_abi::{Error, ObjectType, Rights};

impl<A: Arch> Kernel<A> {
    /// CapCopy.
    pub(super) fn call_cap_copy(
        &self,
        thread: &Thread<A>,
        [to_table, to, from_table, from, rights, count]: Arguments,
    ) -> Outcome {
        let to_table = self.table_argument(thread, to_table, Rights::MANAGE)?;
        let from_table = self.table_argument(thread, from_table, Rights::READ)?;
        if count > MAX_RANGE {
            return Err(Error::InvalidArgument.into());
        }
        let one = |index: u64| {
            let target = to_table.slot(self, to.wrapping_add(index))?;
            let source = from_table.slot(self, from.wrapping_add(index))?;
            cap::copy(self, source, target, Rights(rights as u8), None)
        };
        one(0)?;
        // Slot 0 is in no table, so none is reached by an index that wrapped around.
        let copied = (1..count).take_while(|&index| one(index).is_ok()).count();
        Ok(give(thread, &[1 + copied as u64]))
    }

    /// CapMint.
    pub(super) fn call_cap_mint(
        &self,
        thread: &Thread<A>,
        [to_table, to, from_table, from, rights, badge]: Arguments,
    ) -> Outcome {
        let target = self.table_argument(thread, to_table, Rights::MANAGE)?.slot(self, to)?;
        let source = self.table_argument(thread, from_table, Rights::READ)?.slot(self, from)?;
        done(cap::copy(self, source, target, Rights(rights as u8), Some(badge)))
    }

    /// CapMove.
    pub(super) fn call_cap_move(&self, thread: &Thread<A>, [to_table, to, from_table, from, ..]: Arguments) -> Outcome {
        let target = self.table_argument(thread, to_table, Rights::MANAGE)?.slot(self, to)?;
        let source = self.table_argument(thread, from_table, Rights::MANAGE)?.slot(self, from)?;
        done(cap::relocate(self, source, target))
    }

    /// CapDelete.
    pub(super) fn call_cap_delete(&self, thread: &Thread<A>, [table, slot, ..]: Arguments) -> Outcome {
        let slot = self.table_argument(thread, table, Rights::MANAGE)?.slot(self, slot)?;
        self.delete(slot);
        // If an interrupt comes, the rest is done when the kernel is left: the slot itself may be in use again by then.
        let _ = self.destroy_all();
        Ok(Done::Plain)
    }

    /// CapRevoke.
    pub(super) fn call_cap_revoke(&self, thread: &Thread<A>, [table, slot, ..]: Arguments) -> Outcome {
        let slot = self.table_argument(thread, table, Rights::MANAGE)?.slot(self, slot)?;
        if slot.is_empty() {
            return Err(Error::InvalidCapability.into());
        }
        done(self.revoke(slot))
    }

    /// CapIdentify.
    pub(super) fn call_cap_identify(&self, thread: &Thread<A>, [table, slot, ..]: Arguments) -> Outcome {
        let slot = self.table_argument(thread, table, Rights::READ)?.slot(self, slot)?;
        let badge = match slot.kind() {
            ObjectType::Endpoint | ObjectType::Notification => slot.badge.get(),
            _ => 0,
        };
        Ok(give(thread, &[slot.kind() as u64, slot.rights().0.into(), badge]))
    }

    /// EndpointClose.
    pub(super) fn call_endpoint_close(&self, thread: &Thread<A>, [endpoint, ..]: Arguments) -> Outcome {
        let (endpoint, _) = self.object::<Endpoint<A>>(thread, endpoint, Rights::MANAGE)?;
        endpoint.set_closed(true);
        while self.turn_away_one(endpoint) {
            if A::interrupt_pending() {
                return Err(Failure::Preempted);
            }
        }
        Ok(Done::Plain)
    }

    /// EndpointOpen.
    pub(super) fn call_endpoint_open(&self, thread: &Thread<A>, [endpoint, ..]: Arguments) -> Outcome {
        let (endpoint, _) = self.object::<Endpoint<A>>(thread, endpoint, Rights::MANAGE)?;
        endpoint.set_closed(false);
        Ok(Done::Plain)
    }

    /// NotificationTimer.
    pub(super) fn call_notification_timer(
        &self,
        thread: &Thread<A>,
        [notification, deadline, bits, ..]: Arguments,
    ) -> Outcome {
        let (notification, _) = self.object::<Notification<A>>(thread, notification, Rights::WRITE)?;
        if deadline == 0 {
            self.disarm(&notification.timer);
        } else {
            notification.timer_bits.set(bits.max(1));
            self.arm(&notification.timer, deadline, thread.core.get().into());
        }
        Ok(Done::Plain)
    }

    /// IrqCreate.
    pub(super) fn call_irq_create(
        &self,
        thread: &Thread<A>,
        [control, kind, line, table, slot, flags]: Arguments,
    ) -> Outcome {
        let control = self.capability(thread, control, ObjectType::IrqControl, Rights::NONE)?;
        let target = self.table_argument(thread, table, Rights::MANAGE)?.slot(self, slot)?;
        let line = match kind {
            IRQ_LINE => Some(line),
            IRQ_MESSAGE => None,
            _ => return Err(Error::InvalidArgument.into()),
        };
        let (level, low) = (flags & IRQ_LEVEL != 0, flags & IRQ_ACTIVE_LOW != 0);
        done(self.create_irq(control, target, line, level, low))
    }

    /// IrqBind.
    pub(super) fn call_irq_bind(&self, thread: &Thread<A>, [irq, notification, ..]: Arguments) -> Outcome {
        let (source, _) = self.object::<IrqSource<A>>(thread, irq, Rights::MANAGE)?;
        let to = self.optional_object::<Notification<A>>(thread, notification, Rights::WRITE)?;
        self.bind_irq(source, to.map(|(notification, slot)| (notification, slot.badge.get().max(1))));
        Ok(Done::Plain)
    }

    /// IrqAcknowledge.
    pub(super) fn call_irq_acknowledge(&self, thread: &Thread<A>, [irq, ..]: Arguments) -> Outcome {
        let (source, _) = self.object::<IrqSource<A>>(thread, irq, Rights::NONE)?;
        self.acknowledge_irq(source);
        Ok(Done::Plain)
    }

    /// IrqMessage.
    pub(super) fn call_irq_message(&self, thread: &Thread<A>, [irq, ..]: Arguments) -> Outcome {
        let (source, _) = self.object::<IrqSource<A>>(thread, irq, Rights::NONE)?;
        let (address, data) = self.irq_message(source)?;
        Ok(give(thread, &[address, data]))
    }

    /// IoPortCreate.
    pub(super) fn call_port_create(
        &self,
        thread: &Thread<A>,
        [control, first, count, table, slot, _]: Arguments,
    ) -> Outcome {
        let control = self.capability(thread, control, ObjectType::IoPortControl, Rights::NONE)?;
        let target = self.table_argument(thread, table, Rights::MANAGE)?.slot(self, slot)?;
        done(self.create_port(control, target, first, count))
    }

    /// IoPortIn.
    pub(super) fn call_port_in(&self, thread: &Thread<A>, [range, number, width, ..]: Arguments) -> Outcome {
        let range = self.capability(thread, range, ObjectType::IoPort, Rights::READ)?;
        let (number, width) = port::check(range, number, width)?;
        Ok(give(thread, &[A::port_in(number, width).into()]))
    }

    /// IoPortOut.
    pub(super) fn call_port_out(&self, thread: &Thread<A>, [range, number, width, value, ..]: Arguments) -> Outcome {
        let range = self.capability(thread, range, ObjectType::IoPort, Rights::WRITE)?;
        let (number, width) = port::check(range, number, width)?;
        A::port_out(number, width, value as u32);
        Ok(Done::Plain)
    }
}
