//! Answers.

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::object::reply::Reply;
use crate::object::thread::{Outgoing, Thread};
use motte_abi::fault::RESUME_STOPPED;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{Error, MessageInfo};

impl<A: Arch> Kernel<A> {
    /// `server` answers the caller that `reply` holds with the message in its registers, and its caller's scheduling context
    /// goes back. `PeerGone` if it holds none.
    pub(crate) fn answer(&self, server: &Thread<A>, reply: &Reply<A>) -> Result<(), Error> {
        let Some(caller) = reply.caller.get(self) else {
            self.give_back(reply);
            return Err(Error::PeerGone);
        };
        let info = MessageInfo(server.context().argument(1));
        self.record_traffic(server, TraceKind::Reply, info.0, server.number.get(), caller.number.get());
        self.give_back(reply);
        reply.caller.clear();
        caller.reply.clear();
        if caller.outgoing.get() == Outgoing::Fault {
            if info.label() == RESUME_STOPPED {
                self.block(caller, ThreadState::Stopped);
                return Ok(());
            }
        } else {
            server.grant.set(true);
            self.transfer(server, caller, 0, 0);
        }
        self.make_ready(caller);
        Ok(())
    }

    /// A Reply is destroyed: whoever it holds is told.
    pub(crate) fn destroy_reply(&self, reply: &Reply<A>) {
        self.give_back(reply);
        if let Some(caller) = reply.caller.take(self) {
            caller.reply.clear();
            self.fail_wait(caller, Error::PeerRestarted);
        }
        if let Some(receiver) = reply.receiver.get(self) {
            self.leave_endpoint(receiver);
            self.fail_wait(receiver, Error::PeerGone);
        }
    }

    /// A caller stops awaiting its reply; its scheduling context stays with the server until that answers or receives.
    pub(crate) fn abandon_reply(&self, caller: &Thread<A>) {
        if let Some(reply) = caller.reply.take(self) {
            reply.caller.clear();
            if let Some(context) = reply.lent.get(self) {
                Self::forget_lent(context, Some(caller));
            }
        }
    }
}
