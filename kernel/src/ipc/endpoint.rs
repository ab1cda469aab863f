//! Sending to and receiving from endpoints.

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::object::endpoint::Endpoint;
use crate::object::reply::Reply;
use crate::object::thread::{Outgoing, QueueKind, Thread};
use crate::sched::queue::Queue;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{Error, MessageInfo};

/// What a thread sends, and how.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    /// What.
    pub outgoing: Outgoing,
    /// Badge of the capability it sends through.
    pub badge: u64,
    /// Whether capabilities may go along.
    pub grant: bool,
    /// Whether to wait for a receiver.
    pub wait: bool,
}

impl<A: Arch> Kernel<A> {
    /// `sender` sends the message in its registers (or its fault). On return it has been taken, or the sender waits in the
    /// endpoint's queue; the sender of a call then awaits the reply. A finished one-way send has set its status.
    pub(crate) fn send(&self, sender: &Thread<A>, endpoint: &Endpoint<A>, how: Sending) -> Result<(), Error> {
        if endpoint.is_closed() {
            return Err(Error::PeerGone);
        }
        let receiver = endpoint.receivers.first(self).or_else(|| match how.outgoing {
            Outgoing::Send => endpoint.plain_receivers.first(self),
            Outgoing::Call | Outgoing::Fault => None,
        });
        sender.outgoing.set(how.outgoing);
        sender.badge.set(how.badge);
        sender.grant.set(how.grant);
        if let Some(receiver) = receiver {
            let reply = receiver.reply.get(self);
            self.leave_endpoint(receiver);
            self.deliver(sender, receiver, reply);
            self.make_ready(receiver);
            return Ok(());
        }
        if !how.wait {
            return Err(Error::WouldBlock);
        }
        self.block(sender, ThreadState::Sending);
        let (queue, kind) = match how.outgoing {
            Outgoing::Send => (&endpoint.senders, QueueKind::Senders),
            Outgoing::Call | Outgoing::Fault => (&endpoint.callers, QueueKind::Callers),
        };
        self.enter_endpoint(sender, endpoint, queue, kind);
        Ok(())
    }

    /// `receiver` takes a message from the endpoint, or what its bound notification holds, or waits for either. With
    /// `reply` it can take calls.
    pub(crate) fn receive(
        &self,
        receiver: &Thread<A>,
        endpoint: &Endpoint<A>,
        reply: Option<&Reply<A>>,
        wait: bool,
    ) -> Result<(), Error> {
        if let Some(reply) = reply
            && !(reply.caller.is_null() && reply.receiver.is_null())
        {
            return Err(Error::Busy);
        }
        if let Some(reply) = reply {
            // What its last caller, now gone, had lent.
            self.give_back(reply);
        }
        if receiver.signalled.get()
            && let Some(notification) = receiver.notification.get(self)
        {
            self.give_back_lent(receiver);
            self.deliver_notification(receiver, self.take_bits(notification));
            return Ok(());
        }
        let one_way = endpoint.senders.first(self);
        let call = reply.and_then(|_| endpoint.callers.first(self));
        let sender = match (one_way, call) {
            (Some(a), Some(b)) => Some(if a.ticket.get() < b.ticket.get() { a } else { b }),
            (one, other) => one.or(other),
        };
        if let Some(sender) = sender {
            self.give_back_lent(receiver);
            self.leave_endpoint(sender);
            self.deliver(sender, receiver, reply);
            if sender.outgoing.get() == Outgoing::Send {
                self.make_ready(sender);
            }
            return Ok(());
        }
        if !wait {
            return Err(Error::WouldBlock);
        }
        self.block(receiver, ThreadState::Receiving);
        self.give_back_lent(receiver);
        let (queue, kind) = match reply {
            Some(_) => (endpoint.any_receivers(), QueueKind::Receivers),
            None => (&endpoint.plain_receivers, QueueKind::PlainReceivers),
        };
        if let Some(reply) = reply {
            reply.receiver.set(Some(receiver));
        }
        receiver.reply.set(reply);
        self.enter_endpoint(receiver, endpoint, queue, kind);
        Ok(())
    }

    /// The message of `sender` reaches `receiver`; neither is in a queue. A caller then awaits its reply.
    fn deliver(&self, sender: &Thread<A>, receiver: &Thread<A>, reply: Option<&Reply<A>>) {
        let outgoing = sender.outgoing.get();
        let is_call = outgoing != Outgoing::Send;
        let flags = if is_call { MessageInfo::CALL } else { 0 };
        self.transfer(sender, receiver, sender.badge.get(), flags);
        if outgoing == Outgoing::Call {
            let info = sender.context().argument(1);
            receiver.last_badge.set(sender.badge.get());
            receiver.last_info.set(info | flags);
            sender.last_info.set(info);
        }
        let kind = if is_call { TraceKind::Call } else { TraceKind::Send };
        self.record_traffic(receiver, kind, sender.context().argument(1), sender.number.get(), receiver.number.get());
        match reply {
            Some(reply) if is_call => {
                self.block(sender, ThreadState::AwaitingReply);
                sender.reply.set(Some(reply));
                reply.caller.set(Some(sender));
                self.lend(sender, receiver, reply);
            }
            _ => sender.context().set_status(0),
        }
    }

    fn enter_endpoint(&self, thread: &Thread<A>, endpoint: &Endpoint<A>, queue: &Queue<A>, kind: QueueKind) {
        // A thread that faults when its budget ends may still be in the ready queue.
        self.refresh(thread);
        thread.endpoint.set(Some(endpoint));
        thread.ticket.set(self.next_ticket());
        if matches!(kind, QueueKind::Senders | QueueKind::Callers) {
            endpoint.waiting.set(endpoint.waiting.get() + 1);
        }
        queue.push_back(self, thread, kind);
    }

    /// Takes a thread out of the endpoint queue that it is in, and a receiver's hands off its Reply object.
    pub(crate) fn leave_endpoint(&self, thread: &Thread<A>) {
        let kind = thread.queue.get();
        if matches!(kind, QueueKind::None | QueueKind::Ready | QueueKind::Waiters) {
            return;
        }
        let Some(endpoint) = thread.endpoint.take(self) else { return };
        let queue = match kind {
            QueueKind::Senders => &endpoint.senders,
            QueueKind::Receivers => endpoint.any_receivers(),
            QueueKind::PlainReceivers => &endpoint.plain_receivers,
            _ => &endpoint.callers,
        };
        if matches!(kind, QueueKind::Senders | QueueKind::Callers) {
            endpoint.waiting.set(endpoint.waiting.get() - 1);
        }
        queue.remove(self, thread);
        if kind == QueueKind::Receivers
            && let Some(reply) = thread.reply.take(self)
        {
            reply.receiver.clear();
        }
    }

    /// Ends a thread's wait with an error; a faulted thread's wait in the manner of faults.
    pub(crate) fn fail_wait(&self, thread: &Thread<A>, error: Error) {
        let sends = matches!(thread.state.get(), ThreadState::Sending | ThreadState::AwaitingReply);
        if sends && thread.outgoing.get() == Outgoing::Fault {
            self.fault_unanswered(thread, error);
            return;
        }
        thread.context().set_status(error as u64);
        self.make_ready(thread);
    }

    /// Turns away whoever sends or calls, one at a time. Whether anyone was there.
    pub(crate) fn turn_away_one(&self, endpoint: &Endpoint<A>) -> bool {
        let Some(thread) = endpoint.senders.first(self).or_else(|| endpoint.callers.first(self)) else {
            return false;
        };
        self.leave_endpoint(thread);
        self.fail_wait(thread, Error::PeerGone);
        true
    }

    /// Turns away one thread of a dying endpoint. Whether anyone was there.
    pub(crate) fn empty_endpoint_one(&self, endpoint: &Endpoint<A>) -> bool {
        if self.turn_away_one(endpoint) {
            return true;
        }
        let receiver = endpoint.any_receivers().first(self).or_else(|| endpoint.plain_receivers.first(self));
        if let Some(thread) = receiver {
            self.leave_endpoint(thread);
            self.fail_wait(thread, Error::PeerGone);
        }
        receiver.is_some()
    }
}
