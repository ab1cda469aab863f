//! The short path of a message: a call to a server that waits, the answer that makes it wait again, and faults in the same way.
//!
//! All do exactly what the general path does ([`super::endpoint`], [`super::reply`], [`crate::sched`]) in the one case that
//! matters most: the other side is ready for the message, and nobody is more urgent. Everything that could stand in the way is
//! looked at first; then the state of both threads is changed, and the receiver runs. In every other case nothing has
//! been changed, and the caller takes the general path.
//!
//! Why it is short, and what stands in its way: `docs/decisions/0013-short-path.md`. What the general path does besides is not missed:
//! objects that are being destroyed wait for the next other entry (each time slice ends with one), the end of a turn is never pending in
//! user mode, and the core's `current` and `loaded` are set when the kernel is entered by another way.

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::cap::slot::{RECEIVES, REPLIES, SENDS, Slot};
use crate::memory::view;
use crate::object::endpoint::Endpoint;
use crate::object::reply::Reply;
use crate::object::sched_context::MAX_LENDING;
use crate::object::table::slot_or_header;
use crate::object::thread::{Fault, Inner, Outgoing, QueueKind, Thread};
use crate::sched::Core;
use motte_abi::fault::RESUME_STOPPED;
use motte_abi::message::REGISTER_WORDS;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{MessageInfo, Rights};

/// What the machine has to do for a message that took the short path: `to` runs now, and the message words in the registers are
/// its own, with status 0 and these results.
pub struct Handover<'k, A: Arch> {
    /// Who runs now.
    pub to: &'k Thread<A>,
    /// The badge it sees.
    pub badge: u64,
    /// The description it sees.
    pub info: u64,
}

/// What becomes of an answer.
pub enum Answer<'k, A: Arch> {
    /// The caller has it.
    Given(Handover<'k, A>),
    /// It is for this thread, which faulted. Nothing has been done.
    OfFault(&'k Thread<A>),
}

/// Whether everything travels in registers and no reserved bit is set: the low 16 bits are then the length.
#[inline(always)]
fn is_short(info: u64) -> bool {
    info as u16 <= REGISTER_WORDS as u16
}

impl<A: Arch> Kernel<A> {
    /// The slot that serves for this.
    #[inline(always)]
    pub(crate) fn slot_for<'k>(&'k self, thread: &Thread<A>, index: u64, usage: u8) -> Option<&'k Slot> {
        let slot = slot_or_header(self, thread.table.get(), thread.table_slots.get(), index)?;
        slot.serves(usage).then_some(slot)
    }

    /// The running thread of `core`, `caller`, calls with a message that fits into registers, or (`LONG`) any. `None`: by the general
    /// path.
    #[inline(always)]
    pub fn fast_call<'k, const LONG: bool>(
        &'k self,
        core: &Core<A>,
        caller: &Thread<A>,
        endpoint: u64,
        info: u64,
    ) -> Option<Handover<'k, A>> {
        if !LONG && !is_short(info) {
            return None;
        }
        let slot = self.slot_for(caller, endpoint, SENDS)?;
        let badge = A::now_known(slot.badge.get());
        let endpoint: &Endpoint<A> = view(self, slot.object.get());
        let grant = LONG && slot.rights().contains(Rights::GRANT);
        if LONG && self.check_message(caller, MessageInfo(info), grant).is_err() {
            return None;
        }
        let server = self.call_waiting(core, caller, endpoint, Outgoing::Call)?;
        let mut info = info;
        if LONG {
            caller.grant.set(grant);
            info = self.transfer_rest(caller, server, MessageInfo(info)).0;
        }
        server.last_badge.set(badge);
        server.last_info.set(info | MessageInfo::CALL);
        caller.last_info.set(info);
        Some(Handover { to: server, badge, info: info | MessageInfo::CALL })
    }

    /// The running thread of `core` faulted: its fault endpoint's server, if it waits, runs with the message in its registers.
    /// `None`: by the general path.
    #[inline(always)]
    pub fn fast_fault<'k>(&'k self, core: &Core<A>, thread: &Thread<A>, fault: Fault) -> Option<&'k Thread<A>> {
        let slot = thread.slot(Inner::FaultEndpoint);
        if !slot.serves(SENDS) {
            return None;
        }
        let (endpoint, badge) = (view(self, slot.object.get()), slot.badge.get());
        let handler = self.call_waiting(core, thread, endpoint, Outgoing::Fault)?;
        thread.set_fault(fault);
        core.trace.record::<A>(TraceKind::Fault, fault.kind as u64, thread.number.get(), fault.address);
        let (words, info) = Self::fault_message(thread, fault);
        let context = handler.context();
        context.set_message_words(words);
        context.set_result(0, badge);
        context.set_result(1, info.0 | MessageInfo::CALL);
        context.set_status(0);
        Some(handler)
    }

    /// `caller`, which runs, meets the server that waits at `endpoint`, lends it its context and waits for its answer. `None`: nothing has
    /// been done.
    #[inline(always)]
    fn call_waiting<'k>(
        &'k self,
        core: &Core<A>,
        caller: &Thread<A>,
        endpoint: &'k Endpoint<A>,
        outgoing: Outgoing,
    ) -> Option<&'k Thread<A>> {
        // Whoever waits here can take calls; no other caller waits, and the endpoint is not closed.
        let server = endpoint.receivers.first(self)?;
        let reply = server.reply.get(self)?;
        // On another core it would have to be woken there. Below others that are ready it would have to wait for them;
        // among equals it goes first, because it goes on with the caller's turn.
        if !core.ready.gives_way_to(server) {
            return None;
        }
        // The context that runs is the one that the caller would lend: it has budget, or the caller would not run. There is none
        // here while something keeps messages from the short path (`Core::hinder_short`).
        let context = core.short.get(self)?;
        if context.depth.get() >= MAX_LENDING {
            return None;
        }
        // From here on nothing fails.
        endpoint.receivers.pop_front(self, server);
        server.state.set(ThreadState::Ready);
        reply.receiver.clear();

        caller.outgoing.set(outgoing);
        caller.state.set(ThreadState::AwaitingReply);
        caller.reply.set(Some(reply));
        reply.caller.set(Some(caller));

        server.lent.set(Some(context));
        context.runner.set(Some(server));
        reply.lent.set(Some(context));
        reply.below.copy(&context.top);
        context.top.set(Some(reply));
        context.depth.set(context.depth.get() + 1);
        Some(server)
    }

    /// The running thread of `core`, `server`, answers and receives again: a caller, with a message that fits into registers or (`LONG`)
    /// any. `None`: by the general path.
    #[inline(always)]
    pub fn fast_reply_receive<'k, const LONG: bool>(
        &'k self,
        core: &Core<A>,
        server: &Thread<A>,
        endpoint: u64,
        info: u64,
        reply: u64,
    ) -> Option<Answer<'k, A>> {
        if !LONG && !is_short(info) || LONG && self.check_message(server, MessageInfo(info), true).is_err() {
            return None;
        }
        let slot = self.slot_for(server, endpoint, RECEIVES)?;
        let endpoint: &Endpoint<A> = view(self, slot.object.get());
        let slot = self.slot_for(server, reply, REPLIES)?;
        let reply: &Reply<A> = view(self, slot.object.get());
        // A Reply object with a caller has no receiver: it is free to be received with once it has been answered.
        let caller = reply.caller.get(self)?;
        if caller.outgoing.get() == Outgoing::Fault {
            return Some(Answer::OfFault(caller));
        }
        self.answer_and_wait(core, server, endpoint, reply, caller)?;
        let mut info = info;
        if LONG {
            server.grant.set(true);
            info = self.transfer_rest(server, caller, MessageInfo(info)).0;
        }
        Some(Answer::Given(Handover { to: caller, badge: 0, info }))
    }

    /// The same, where the answer is for this thread, which faulted and then goes on as it was.
    #[inline(always)]
    pub fn fast_fault_reply<'k>(
        &'k self,
        core: &Core<A>,
        server: &Thread<A>,
        endpoint: u64,
        info: u64,
        faulted: &'k Thread<A>,
    ) -> Option<&'k Thread<A>> {
        if MessageInfo(info).label() == RESUME_STOPPED {
            return None;
        }
        let slot = self.slot_for(server, endpoint, RECEIVES)?;
        self.answer_and_wait(core, server, view(self, slot.object.get()), faulted.reply.get(self)?, faulted)
    }

    /// `server`, which runs, answers the caller that `reply` holds, and waits. The caller, which runs now; `None`: nothing has been done.
    #[inline(always)]
    fn answer_and_wait<'k>(
        &'k self,
        core: &Core<A>,
        server: &Thread<A>,
        endpoint: &Endpoint<A>,
        reply: &Reply<A>,
        caller: &'k Thread<A>,
    ) -> Option<&'k Thread<A>> {
        // A message that waits is taken first, and so is what the bound notification holds.
        if endpoint.waiting.get() != 0 || server.signalled.get() {
            return None;
        }
        if !core.ready.gives_way_to(caller) {
            return None;
        }
        // The server runs on what this caller lent, and lent it to nobody else: so it goes back as it came.
        let context = core.short.get(self)?;
        if !context.top.names(reply) {
            return None;
        }
        // From here on nothing fails.
        context.top.copy(&reply.below);
        context.depth.set(context.depth.get() - 1);
        context.runner.set(Some(caller));
        reply.lent.clear();
        server.lent.clear();

        reply.caller.clear();
        caller.state.set(ThreadState::Ready);

        server.endpoint.set(Some(endpoint));
        server.reply.set(Some(reply));
        reply.receiver.set(Some(server));
        endpoint.receivers.push_back(self, server, QueueKind::Receivers);
        server.state.set(ThreadState::Receiving);
        Some(caller)
    }
}
