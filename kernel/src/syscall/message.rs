//! Messages and signals.

use super::{Arguments, Done, Outcome, done};
use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::ipc::endpoint::Sending;
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::reply::Reply;
use crate::object::thread::{Outgoing, Thread};
use crate::sched::TRACED;
use motte_abi::syscall::ThreadState;
use motte_abi::{Error, MessageInfo, ObjectType, Rights};

impl<A: Arch> Kernel<A> {
    /// Call, Send, TryCall, TrySend.
    pub(super) fn call_send(
        &self,
        thread: &Thread<A>,
        [endpoint, info, ..]: Arguments,
        outgoing: Outgoing,
        wait: bool,
    ) -> Outcome {
        let (endpoint, slot) = self.object::<Endpoint<A>>(thread, endpoint, Rights::SEND)?;
        let grant = slot.rights().contains(Rights::GRANT);
        self.check_message(thread, MessageInfo(info), grant)?;
        self.send(thread, endpoint, Sending { outgoing, badge: slot.badge.get(), grant, wait })?;
        // A one-way message that was taken at once leaves the sender running.
        Ok(if thread.state.get() == ThreadState::Ready { Done::Plain } else { Done::Waits })
    }

    /// Receive, TryReceive.
    pub(super) fn call_receive(&self, thread: &Thread<A>, [endpoint, _, reply, ..]: Arguments, wait: bool) -> Outcome {
        let (endpoint, _) = self.object::<Endpoint<A>>(thread, endpoint, Rights::RECEIVE)?;
        let reply = self.optional_object::<Reply<A>>(thread, reply, Rights::NONE)?;
        self.receive(thread, endpoint, reply.map(|(reply, _)| reply), wait)?;
        Ok(Done::Waits)
    }

    /// ReplyReceive, TryReplyReceive.
    pub(super) fn call_reply_receive(
        &self,
        thread: &Thread<A>,
        [endpoint, info, reply, ..]: Arguments,
        wait: bool,
    ) -> Outcome {
        let (endpoint, _) = self.object::<Endpoint<A>>(thread, endpoint, Rights::RECEIVE)?;
        let (reply, _) = self.object::<Reply<A>>(thread, reply, Rights::NONE)?;
        self.check_message(thread, MessageInfo(info), true)?;
        if !reply.receiver.is_null() {
            return Err(Error::Busy.into());
        }
        // The caller may be gone; then the answer is dropped.
        let _ = self.answer(thread, reply);
        self.receive(thread, endpoint, Some(reply), wait)?;
        Ok(Done::Waits)
    }

    /// Reply.
    pub(super) fn call_reply(&self, thread: &Thread<A>, [reply, info, ..]: Arguments) -> Outcome {
        let (reply, _) = self.object::<Reply<A>>(thread, reply, Rights::NONE)?;
        self.check_message(thread, MessageInfo(info), true)?;
        done(self.answer(thread, reply))
    }

    /// Signal.
    pub(super) fn call_signal(&self, thread: &Thread<A>, [notification, ..]: Arguments) -> Outcome {
        let (notification, slot) = self.object::<Notification<A>>(thread, notification, Rights::WRITE)?;
        self.signal(notification, slot.badge.get().max(1));
        Ok(Done::Plain)
    }

    /// Wait, Poll.
    pub(super) fn call_wait(&self, thread: &Thread<A>, [notification, ..]: Arguments, wait: bool) -> Outcome {
        let (notification, _) = self.object::<Notification<A>>(thread, notification, Rights::READ)?;
        self.wait(thread, notification, wait)?;
        Ok(Done::Waits)
    }

    /// DebugWrite.
    pub(super) fn call_debug_write(&self, thread: &Thread<A>, [_, length, ..]: Arguments) -> Outcome {
        let mut bytes = [0; 48];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(thread.context().message_words()) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let text = usize::try_from(length).ok().and_then(|length| bytes.get(..length));
        self.log.write(text.ok_or(Error::InvalidArgument)?);
        Ok(Done::Plain)
    }

    /// TraceMessages.
    pub(super) fn call_trace_messages(&self, thread: &Thread<A>, [frame, all, ..]: Arguments) -> Outcome {
        let frame = self.capability(thread, frame, ObjectType::Frame, Rights::READ)?.object.get();
        let mut rings = self.cores.iter().map(|core| core.trace.memory());
        if !rings.any(|(memory, bytes)| memory != 0 && (memory..memory + bytes).contains(&frame)) {
            return Err(Error::InvalidArgument.into());
        }
        self.cores.iter().for_each(|core| core.hinder_short(TRACED, all != 0));
        Ok(Done::Plain)
    }
}
