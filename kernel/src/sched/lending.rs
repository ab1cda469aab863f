//! Scheduling contexts that travel along calls and back.
//!
//! A context that is lent has a stack of Replies ([`SchedContext`]): who lent it, in order. It goes back to the
//! caller of a Reply when that is answered or destroyed or when the server receives again; whoever got it further up the
//! stack loses it then.

use crate::Kernel;
use crate::arch::Arch;
use crate::object::reply::Reply;
use crate::object::sched_context::{MAX_LENDING, SchedContext};
use crate::object::thread::Thread;

impl<A: Arch> Kernel<A> {
    /// `from` calls `to`, which will answer through `reply`: lends the context that `from` runs on.
    pub(crate) fn lend(&self, from: &Thread<A>, to: &Thread<A>, reply: &Reply<A>) {
        let any = || {
            let links = [&from.lent, &from.own].into_iter();
            links.filter_map(|link| link.get(self)).find(|context| context.runner.names(from))
        };
        let Some(context) = self.usable_context(from).or_else(any) else { return };
        if !to.lent.is_null() || context.depth.get() >= MAX_LENDING {
            return;
        }
        to.lent.set(Some(context));
        context.runner.set(Some(to));
        reply.lent.set(Some(context));
        reply.below.copy(&context.top);
        context.top.set(Some(reply));
        context.depth.set(context.depth.get() + 1);
    }

    /// Takes the top off a context's stack. Its caller, if there still is one, and whether there was a top.
    fn pop_lender<'k>(&'k self, context: &SchedContext<A>) -> Option<(&'k Reply<A>, Option<&'k Thread<A>>)> {
        let top = context.top.get(self)?;
        context.top.copy(&top.below);
        context.depth.set(context.depth.get() - 1);
        top.below.clear();
        top.lent.clear();
        Some((top, top.caller.get(self)))
    }

    /// Gives the context that came with the call of `reply`, if any, back to its caller; to the next lender below if
    /// the caller is gone; at last to its owner.
    pub(crate) fn give_back(&self, reply: &Reply<A>) {
        let Some(context) = reply.lent.get(self) else { return };
        let mut target = None;
        let mut reached = false;
        while let Some((top, caller)) = self.pop_lender(context) {
            reached |= core::ptr::eq(top, reply);
            if reached && caller.is_some() {
                target = caller;
                break;
            }
            Self::forget_lent(context, caller);
        }
        self.hand_to(context, target.or_else(|| context.thread.get(self)));
    }

    /// The server receives again: what was lent to it goes back.
    pub(crate) fn give_back_lent(&self, server: &Thread<A>) {
        if let Some(context) = server.lent.get(self)
            && context.runner.names(server)
            && let Some(top) = context.top.get(self)
        {
            self.give_back(top);
        }
    }

    /// Takes a context back from everyone it was lent to.
    pub(crate) fn withdraw(&self, context: &SchedContext<A>) {
        while let Some((_, caller)) = self.pop_lender(context) {
            Self::forget_lent(context, caller);
        }
        self.hand_to(context, context.thread.get(self));
    }

    /// A context will not come back to this thread, to which it was lent.
    pub(crate) fn forget_lent(context: &SchedContext<A>, thread: Option<&Thread<A>>) {
        if let Some(thread) = thread
            && thread.lent.names(context)
        {
            thread.lent.clear();
        }
    }

    fn hand_to(&self, context: &SchedContext<A>, target: Option<&Thread<A>>) {
        let before = context.runner.get(self);
        Self::forget_lent(context, before);
        context.runner.set(target);
        for thread in [before, target].into_iter().flatten() {
            self.refresh(thread);
        }
    }
}
