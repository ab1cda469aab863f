//! Threads and scheduling contexts.

use super::{Arguments, Done, Outcome, done, give};
use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::cap::lookup::check;
use crate::ipc::message::Buffer;
use crate::object::control::Surroundings;
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::sched_context::SchedContext;
use crate::object::space::AddressSpace;
use crate::object::table::CapTable;
use crate::object::thread::Thread;
use motte_abi::fault::Registers;
use motte_abi::syscall::{MAX_RANGE, SCHED_NOTIFY_EXHAUSTED};
use motte_abi::{Error, ObjectType, Rights, USER_END};

impl<A: Arch> Kernel<A> {
    /// ThreadConfigure.
    pub(super) fn call_thread_configure(
        &self,
        thread: &Thread<A>,
        [target, table, space, fault, buffer, _]: Arguments,
    ) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::MANAGE)?;
        let buffer = match buffer {
            0 => None,
            index => Some(self.capability(thread, index, ObjectType::Frame, Rights::READ | Rights::WRITE)?),
        };
        let with = Surroundings {
            table: self.optional_object::<CapTable>(thread, table, Rights::MANAGE)?,
            space: self.optional_object::<AddressSpace>(thread, space, Rights::MANAGE)?,
            fault: self.optional_object::<Endpoint<A>>(thread, fault, Rights::SEND)?,
            buffer,
        };
        done(self.configure_thread(target, &with))
    }

    /// ThreadSetPriority.
    pub(super) fn call_thread_set_priority(
        &self,
        thread: &Thread<A>,
        [target, priority, highest, context, ..]: Arguments,
    ) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::MANAGE)?;
        let limit = u64::from(thread.max_priority.get());
        if priority > limit || highest > limit {
            return Err(Error::InvalidArgument.into());
        }
        if let Some((context, _)) = self.optional_object::<SchedContext<A>>(thread, context, Rights::MANAGE)? {
            self.bind_context(target, Some(context))?;
        }
        target.max_priority.set(highest as u8);
        self.set_priority(target, priority as u8);
        Ok(Done::Plain)
    }

    /// ThreadBindSched.
    pub(super) fn call_thread_bind_sched(&self, thread: &Thread<A>, [target, context, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::MANAGE)?;
        let context = self.optional_object::<SchedContext<A>>(thread, context, Rights::MANAGE)?;
        done(self.bind_context(target, context.map(|(context, _)| context)))
    }

    /// ThreadBindNotification.
    pub(super) fn call_thread_bind_notification(
        &self,
        thread: &Thread<A>,
        [target, notification, ..]: Arguments,
    ) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::MANAGE)?;
        let notification = self.optional_object::<Notification<A>>(thread, notification, Rights::READ)?;
        done(self.bind_notification(target, notification.map(|(notification, _)| notification)))
    }

    /// ThreadReadRegisters.
    pub(super) fn call_thread_read_registers(&self, thread: &Thread<A>, [target, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::READ)?;
        let buffer = Buffer::of(thread).ok_or(Error::InvalidArgument)?;
        for (index, word) in target.context().registers().to_words().into_iter().enumerate() {
            buffer.set_word::<A>(index, word);
        }
        Ok(Done::Plain)
    }

    /// ThreadWriteRegisters.
    pub(super) fn call_thread_write_registers(&self, thread: &Thread<A>, [target, run, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::WRITE)?;
        let buffer = Buffer::of(thread).ok_or(Error::InvalidArgument)?;
        if core::ptr::eq(target, thread) {
            // The result of this very call would be lost in them.
            return Err(Error::InvalidArgument.into());
        }
        if target.waits_in_call() {
            // The end of its wait would overwrite some of them.
            return Err(Error::Busy.into());
        }
        let words = core::array::from_fn(|index| buffer.word::<A>(index));
        target.context().set_registers(&Registers::from_words(&words));
        self.unload(target);
        if run != 0 {
            self.resume(target)?;
        }
        Ok(Done::Plain)
    }

    /// ThreadResume.
    pub(super) fn call_thread_resume(&self, thread: &Thread<A>, [target, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::WRITE)?;
        done(self.resume(target))
    }

    /// ThreadSuspend.
    pub(super) fn call_thread_suspend(&self, thread: &Thread<A>, [target, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::WRITE)?;
        self.stop(target);
        Ok(Done::Plain)
    }

    /// ThreadSetTls.
    pub(super) fn call_thread_set_tls(&self, thread: &Thread<A>, [target, base, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::WRITE)?;
        if base >= USER_END {
            return Err(Error::InvalidArgument.into());
        }
        target.context().set_tls(base);
        self.unload(target);
        Ok(Done::Plain)
    }

    /// ThreadInfo.
    pub(super) fn call_thread_info(&self, thread: &Thread<A>, [target, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::READ)?;
        let time = target.own.get(self).map_or(0, |context| self.consumed(context));
        Ok(give(thread, &[target.state.get() as u64, target.number.get() << 8 | target.priority.get() as u64, time]))
    }

    /// ThreadLastMessage.
    pub(super) fn call_thread_last_message(&self, thread: &Thread<A>, [target, ..]: Arguments) -> Outcome {
        let (target, _) = self.object::<Thread<A>>(thread, target, Rights::READ)?;
        Ok(give(thread, &[target.last_badge.get(), target.last_info.get()]))
    }

    /// SchedConfigure.
    pub(super) fn call_sched_configure(
        &self,
        thread: &Thread<A>,
        [control, first, budget, period, how, table]: Arguments,
    ) -> Outcome {
        self.capability(thread, control, ObjectType::SchedControl, Rights::NONE)?;
        let table = self.table_argument(thread, table, Rights::MANAGE)?;
        let (notify, count) = (how & SCHED_NOTIFY_EXHAUSTED != 0, (how >> 8).max(1));
        if count > MAX_RANGE {
            return Err(Error::InvalidArgument.into());
        }
        let configure = |slot: u64| {
            let slot = check(table.slot(self, slot)?, ObjectType::SchedContext, Rights::MANAGE)?;
            let context = self.object_in::<SchedContext<A>>(slot).ok_or(Error::WrongType)?;
            self.configure_context(context, budget, period, notify)
        };
        configure(first)?;
        let further = (1..count).take_while(|&index| configure(first + index).is_ok()).count();
        Ok(give(thread, &[1 + further as u64]))
    }

    /// SchedInfo.
    pub(super) fn call_sched_info(&self, thread: &Thread<A>, [context, ..]: Arguments) -> Outcome {
        let (context, _) = self.object::<SchedContext<A>>(thread, context, Rights::NONE)?;
        Ok(give(thread, &[self.consumed(context), context.budget.get(), context.period.get()]))
    }

    /// Time used on a context, the running slice included.
    fn consumed(&self, context: &SchedContext<A>) -> u64 {
        let running = self.cores.iter().find(|core| core.charges(context));
        let slice = running.map_or(0, |core| A::now().saturating_sub(core.charged_at.get()));
        context.consumed.get() + slice
    }
}
