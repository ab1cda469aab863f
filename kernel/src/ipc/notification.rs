//! Signals.

use crate::arch::{Arch, Context};
use crate::cap::slot::{SIGNALS, WAITS};
use crate::memory::view;
use crate::object::notification::Notification;
use crate::object::thread::{QueueKind, Thread};
use crate::sched::Core;
use crate::{Kernel, Next};
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{Error, MessageInfo, Syscall};

impl<A: Arch> Kernel<A> {
    /// Does a call that changes nothing about who runs, if this is one: a signal for which nobody waits, a look at a notification, a yield
    /// with nobody to yield to. Its status. `None`: nothing has been done.
    #[inline(always)]
    pub fn shortest_call(&self, core: &Core<A>, thread: &Thread<A>, number: u64, index: u64) -> Option<u64> {
        match Syscall::from_raw(number)? {
            Syscall::Signal => {
                let slot = self.slot_for(thread, index, SIGNALS)?;
                let notification: &Notification<A> = view(self, slot.object.get());
                let bound = notification.bound.get(self);
                if !notification.waiters.is_empty()
                    || bound.is_some_and(|bound| bound.state.get() == ThreadState::Receiving)
                {
                    return None;
                }
                notification.word.set(notification.word.get() | slot.badge.get().max(1));
                if let Some(bound) = bound {
                    bound.signalled.set(true);
                }
                Some(0)
            }
            call @ (Syscall::Wait | Syscall::Poll) => {
                let slot = self.slot_for(thread, index, WAITS)?;
                let notification: &Notification<A> = view(self, slot.object.get());
                let word = self.take_bits(notification);
                if word != 0 {
                    thread.context().set_result(0, word);
                    Some(0)
                } else if call == Syscall::Poll {
                    Some(Error::WouldBlock as u64)
                } else {
                    None
                }
            }
            Syscall::Yield if core.ready.top() < Some(thread.priority.get()) => Some(0),
            _ => None,
        }
    }

    /// Does a signal or a wait that may change who runs. What runs then; `None`: nothing has been done.
    #[inline(always)]
    pub fn short_signal(&self, core: usize, thread: &Thread<A>, number: u64, index: u64) -> Option<Next<'_, A>> {
        if number == Syscall::Signal as u64 {
            let slot = self.slot_for(thread, index, SIGNALS)?;
            self.cores[core].enter(thread);
            thread.context().set_status(0);
            self.signal(view(self, slot.object.get()), slot.badge.get().max(1));
        } else if number == Syscall::Wait as u64 {
            let slot = self.slot_for(thread, index, WAITS)?;
            self.cores[core].enter(thread);
            // There are no bits, or this would not have been the way.
            let _ = self.wait(thread, view(self, slot.object.get()), true);
        } else {
            return None;
        }
        Some(self.leave(core))
    }

    /// Sets bits, and wakes a waiter: one that waits on the notification, else the bound thread if it is receiving.
    pub(crate) fn signal(&self, notification: &Notification<A>, bits: u64) {
        let word = notification.word.get() | bits;
        if word == 0 {
            return;
        }
        if let Some(waiter) = notification.waiters.first(self) {
            self.leave_notification(waiter);
            let context = waiter.context();
            context.set_result(0, word);
            context.set_status(0);
            self.record_traffic(waiter, TraceKind::Signal, 0, waiter.number.get(), bits);
            self.make_ready(waiter);
            return;
        }
        if let Some(bound) = notification.bound.get(self)
            && bound.state.get() == ThreadState::Receiving
        {
            self.set_bits(notification, 0);
            self.leave_endpoint(bound);
            self.deliver_notification(bound, word);
            self.record_traffic(bound, TraceKind::Signal, 0, bound.number.get(), bits);
            self.make_ready(bound);
            return;
        }
        self.set_bits(notification, word);
    }

    /// Sets the word, and tells the bound thread whether it holds something.
    fn set_bits(&self, notification: &Notification<A>, word: u64) {
        notification.word.set(word);
        if let Some(bound) = notification.bound.get(self) {
            bound.signalled.set(word != 0);
        }
    }

    /// The word, which is cleared.
    pub(crate) fn take_bits(&self, notification: &Notification<A>) -> u64 {
        let word = notification.word.get();
        if word != 0 {
            self.set_bits(notification, 0);
        }
        word
    }

    /// A receive ends with the bound notification's bits.
    pub(crate) fn deliver_notification(&self, receiver: &Thread<A>, word: u64) {
        let context = receiver.context();
        context.set_message_words([word, 0, 0, 0, 0, 0]);
        context.set_result(0, 0);
        context.set_result(1, MessageInfo::new(0, 1, 0).0 | MessageInfo::NOTIFICATION);
        context.set_status(0);
    }

    /// `thread` takes the bits, or waits for some.
    pub(crate) fn wait(&self, thread: &Thread<A>, notification: &Notification<A>, wait: bool) -> Result<(), Error> {
        let word = self.take_bits(notification);
        if word != 0 {
            thread.context().set_result(0, word);
            thread.context().set_status(0);
            return Ok(());
        }
        if !wait {
            return Err(Error::WouldBlock);
        }
        thread.waits_on.set(Some(notification));
        notification.waiters.push_back(self, thread, QueueKind::Waiters);
        self.block_and_go_on(thread, ThreadState::Waiting);
        Ok(())
    }

    /// Takes a thread out of the queue of the notification that it waits on.
    pub(crate) fn leave_notification(&self, thread: &Thread<A>) {
        if let Some(notification) = thread.waits_on.take(self) {
            notification.waiters.remove(self, thread);
        }
    }

    /// Binds a notification to a thread's receives, or unbinds the thread's.
    pub(crate) fn bind_notification(
        &self,
        thread: &Thread<A>,
        notification: Option<&Notification<A>>,
    ) -> Result<(), Error> {
        if let Some(notification) = notification
            && !notification.bound.is_null()
        {
            return if notification.bound.names(thread) { Ok(()) } else { Err(Error::Busy) };
        }
        if let Some(old) = thread.notification.take(self) {
            old.bound.clear();
            thread.signalled.set(false);
        }
        if let Some(new) = notification {
            thread.notification.set(Some(new));
            new.bound.set(Some(thread));
            // The thread may be receiving already, and bits may be waiting.
            self.signal(new, 0);
        }
        Ok(())
    }
}
