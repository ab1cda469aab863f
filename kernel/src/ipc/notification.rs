//! Signals.

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::cap::slot::{SIGNALS, Slot, WAITS};
use crate::memory::view;
use crate::object::notification::Notification;
use crate::object::thread::{QueueKind, Thread};
use crate::sched::Core;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{Error, MessageInfo, Syscall};

/// What the short path makes of a call.
pub enum Short<'k> {
    /// It is done; the caller goes on, with this status.
    GoesOn(u64),
    /// Nothing is done yet: a signal that somebody waits for, or a wait for bits that are not there, through this capability.
    Switches(&'k Slot),
}

impl<A: Arch> Kernel<A> {
    /// Does a call that changes nothing about who runs, if this is one: a signal for which nobody waits, a look at a notification, a yield
    /// with nobody to yield to. `None`: nothing has been done.
    #[inline(always)]
    pub fn shortest_call(&self, core: &Core<A>, thread: &Thread<A>, number: u64, index: u64) -> Option<Short<'_>> {
        match Syscall::from_raw(number)? {
            Syscall::Signal => {
                let slot = self.slot_for(thread, index, SIGNALS)?;
                let notification: &Notification<A> = view(self, slot.object.get());
                if self.listener(notification).is_some() {
                    return Some(Short::Switches(slot));
                }
                self.set_bits(notification, notification.word.get() | slot.badge.get().max(1));
                Some(Short::GoesOn(0))
            }
            call @ (Syscall::Wait | Syscall::Poll) => {
                let slot = self.slot_for(thread, index, WAITS)?;
                let word = self.take_bits(view(self, slot.object.get()));
                if word != 0 {
                    thread.context().set_result(0, word);
                    Some(Short::GoesOn(0))
                } else if call == Syscall::Poll {
                    Some(Short::GoesOn(Error::WouldBlock as u64))
                } else {
                    Some(Short::Switches(slot))
                }
            }
            Syscall::Yield if core.ready.top() < Some(thread.priority.get()) => Some(Short::GoesOn(0)),
            _ => None,
        }
    }

    /// Does what [`Short::Switches`] is about, if the listener is more urgent than `thread`, which runs, or if another thread is ready: that
    /// one runs now. `None`: nothing has been done. The module [`super::fast`] says what need not be done here.
    #[inline(always)]
    pub fn short_switch(&self, core: &Core<A>, thread: &Thread<A>, number: u64, slot: &Slot) -> Option<&Thread<A>> {
        let notification: &Notification<A> = view(self, slot.object.get());
        if number == Syscall::Wait as u64 {
            let next = core.ready.first(self)?;
            if !self.pass_time(core, self.usable_context(next)?) {
                return None;
            }
            self.await_bits(notification, thread);
            thread.state.set(ThreadState::Waiting);
            core.ready.remove(self, next);
            return Some(next);
        }
        let listener = self.listener(notification)?;
        let more_urgent = listener.priority.get() > thread.priority.get() && listener.core.get() == thread.core.get();
        if !more_urgent || !self.pass_time(core, self.usable_context(listener)?) {
            return None;
        }
        self.hear(notification, listener, slot.badge.get().max(1));
        listener.state.set(ThreadState::Ready);
        thread.context().set_status(0);
        core.ready.insert(self, thread, true);
        Some(listener)
    }

    /// Who hears a signal at once: the first that waits on the notification, else the bound thread if it is receiving.
    #[inline(always)]
    fn listener<'k>(&'k self, notification: &Notification<A>) -> Option<&'k Thread<A>> {
        let receiving = |bound: &&Thread<A>| bound.state.get() == ThreadState::Receiving;
        notification.waiters.first(self).or_else(|| notification.bound.get(self).filter(receiving))
    }

    /// Ends the wait of the listener with these bits.
    #[inline(always)]
    fn hear(&self, notification: &Notification<A>, listener: &Thread<A>, word: u64) {
        if listener.state.get() == ThreadState::Waiting {
            listener.waits_on.clear();
            notification.waiters.pop_front(self, listener);
            listener.context().set_result(0, word);
            listener.context().set_status(0);
        } else {
            self.leave_endpoint(listener);
            self.deliver_notification(listener, word);
        }
    }

    /// Sets bits, and wakes a listener.
    pub(crate) fn signal(&self, notification: &Notification<A>, bits: u64) {
        let word = notification.word.get() | bits;
        let Some(listener) = self.listener(notification).filter(|_| word != 0) else {
            return self.set_bits(notification, word);
        };
        self.set_bits(notification, 0);
        self.hear(notification, listener, word);
        self.record_traffic(listener, TraceKind::Signal, 0, listener.number.get(), bits);
        self.make_ready(listener);
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
        self.await_bits(notification, thread);
        self.block(thread, ThreadState::Waiting);
        Ok(())
    }

    #[inline(always)]
    fn await_bits(&self, notification: &Notification<A>, thread: &Thread<A>) {
        thread.waits_on.set(Some(notification));
        notification.waiters.push_back(self, thread, QueueKind::Waiters);
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
