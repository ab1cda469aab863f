//! Who runs: priorities, round-robin within one, and scheduling contexts with enforced budgets.
//!
//! A core runs its ready thread of highest priority that has a context with budget. Time is charged to the context when
//! the running context changes and at timer interrupts, so a call, which lends its context, reads no clock.

pub mod lending;
pub mod queue;
pub mod timer;

use crate::arch::{Arch, MachineCore};
use crate::memory::Link;
use crate::object::notification::Notification;
use crate::object::sched_context::SchedContext;
use crate::object::thread::{Fault, QueueKind, Thread};
use crate::trace::TraceRing;
use crate::{Kernel, Next};
use core::cell::Cell;
use core::ptr;
use motte_abi::fault::FaultKind;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;
use motte_abi::{Error, ObjectType};
use queue::ReadyQueues;
use timer::{TimerHeap, TimerNode};

/// The state of one core.
#[repr(C)]
pub struct Core<A: Arch> {
    /// What the machine keeps for the core.
    pub machine: A::Core,
    /// In the kernel: the thread that runs, in no queue. Set when the kernel is entered, because the short path of messages
    /// leaves it alone.
    pub current: Link<Thread<A>>,
    /// The context that time is charged to.
    pub(crate) context: Link<SchedContext<A>>,
    /// The same, or null while messages may not take the short path.
    pub short: Link<SchedContext<A>>,
    /// Why they may not: bits.
    pub(crate) hindrances: Cell<u8>,
    /// Since when.
    pub charged_at: Cell<u64>,
    /// The current thread's turn is over: others of its priority go first.
    rotate: Cell<bool>,
    /// Whether anything has changed that could make another thread run, or time be charged otherwise, since the kernel was left.
    unsettled: Cell<bool>,
    /// Threads that could run.
    pub ready: ReadyQueues<A>,
    /// What happens at a time.
    pub timers: TimerHeap,
    /// Whether the next deadline may have changed.
    timer_changed: Cell<bool>,
    /// The deadline that the machine was given.
    programmed: Cell<u64>,
    /// The thread that the machine was switched to last. Set as `current`.
    pub(crate) loaded: Link<Thread<A>>,
    /// Events.
    pub trace: TraceRing,
}

impl<A: Arch> Core<A> {
    /// The kernel is entered out of this thread.
    pub fn enter(&self, thread: &Thread<A>) {
        self.current.set(Some(thread));
        self.loaded.set(Some(thread));
    }

    /// Whether time is charged to this context.
    pub(crate) fn charges(&self, context: &SchedContext<A>) -> bool {
        self.context.names(context)
    }

    /// The kernel must look again at who runs.
    pub(crate) fn unsettle(&self) {
        self.unsettled.set(true);
    }

    /// The current thread's turn is over.
    pub(crate) fn end_turn(&self) {
        self.rotate.set(true);
        self.unsettle();
    }

    /// A deadline came or went.
    fn change_timers(&self) {
        self.timer_changed.set(true);
        self.unsettle();
    }

    /// Charge to this context from now on.
    pub(crate) fn set_context(&self, context: Option<&SchedContext<A>>) {
        self.context.set(context);
        self.unsettle();
        self.set_short();
    }

    /// Keeps messages from the short path for a reason, or no longer for this one.
    pub fn hinder_short(&self, reason: u8, hinders: bool) {
        let others = self.hindrances.get() & !reason;
        self.hindrances.set(if hinders { others | reason } else { others });
        self.set_short();
    }

    fn set_short(&self) {
        if self.hindrances.get() == 0 {
            self.short.copy(&self.context);
        } else {
            self.short.clear();
        }
    }

    pub(crate) const fn new() -> Self {
        Self {
            machine: A::Core::NEW,
            current: Link::null(),
            context: Link::null(),
            short: Link::null(),
            hindrances: Cell::new(0),
            charged_at: Cell::new(0),
            rotate: Cell::new(false),
            unsettled: Cell::new(true),
            ready: ReadyQueues::new(),
            timers: TimerHeap::new(),
            timer_changed: Cell::new(false),
            programmed: Cell::new(u64::MAX),
            loaded: Link::null(),
            trace: TraceRing::new(),
        }
    }
}

/// Why messages may not take the short path: a thread uses the floating-point unit, which must be kept from the next one.
pub const FPU_IN_USE: u8 = 1;
/// Why messages may not take the short path: they are traced.
pub const TRACED: u8 = 2;
/// Why messages may not take the short path: the machine leaves the kernel by the general path only.
pub const MACHINE: u8 = 4;

/// The most deadlines handled at one timer interrupt; the rest come with the next, at once.
const MAX_DEADLINES: usize = 32;

impl<A: Arch> Kernel<A> {
    /// The core that a thread runs on.
    pub(crate) fn core_of(&self, thread: &Thread<A>) -> &Core<A> {
        &self.cores[usize::from(thread.core.get()) % crate::MAX_CORES]
    }

    /// The context that a thread may run on now: the one lent to it, else its own, if it has budget left.
    #[inline(always)]
    pub(crate) fn usable_context<'k>(&'k self, thread: &Thread<A>) -> Option<&'k SchedContext<A>> {
        [&thread.lent, &thread.own]
            .into_iter()
            .filter_map(|link| link.get(self))
            .find(|context| context.runner.names(thread) && context.remaining.get() > 0)
    }

    /// Puts a thread into the ready queue or takes it out, as its state and contexts now say.
    pub(crate) fn refresh(&self, thread: &Thread<A>) {
        let core = self.core_of(thread);
        let context = self.usable_context(thread);
        let ready = thread.state.get() == ThreadState::Ready && context.is_some() && !core.current.names(thread);
        match thread.queue.get() {
            QueueKind::Ready if !ready => {
                core.ready.remove(self, thread);
                core.unsettle();
            }
            QueueKind::None if ready => {
                // Who goes on with the running context also goes on with its turn.
                let front = context.is_some_and(|context| core.charges(context));
                core.ready.insert(self, thread, front);
                core.unsettle();
            }
            _ if core.current.names(thread) => core.unsettle(),
            _ => {}
        }
    }

    /// Makes a thread one that does not run, for this reason.
    pub(crate) fn block(&self, thread: &Thread<A>, state: ThreadState) {
        thread.state.set(state);
        self.core_of(thread).unsettle();
    }

    /// Lets a thread that waited run.
    pub(crate) fn make_ready(&self, thread: &Thread<A>) {
        thread.state.set(ThreadState::Ready);
        if !self.overtake(thread) {
            self.refresh(thread);
        }
    }

    /// Makes a thread that has become ready the current one, if it is more urgent than that and nothing else has changed: what
    /// `choose` would do, without looking at anyone else. Whether it was done.
    fn overtake(&self, thread: &Thread<A>) -> bool {
        let core = self.core_of(thread);
        if let Some(current) = core.current.get(self).filter(|_| !core.unsettled.get())
            && thread.priority.get() > current.priority.get()
            && self.usable_context(thread).is_some_and(|context| self.pass_time(core, context))
        {
            core.ready.insert(self, current, true);
            core.current.set(Some(thread));
            return true;
        }
        false
    }

    /// Changes a thread's priority.
    pub(crate) fn set_priority(&self, thread: &Thread<A>, priority: u8) {
        if thread.queue.get() == QueueKind::Ready {
            self.core_of(thread).ready.remove(self, thread);
        }
        thread.priority.set(priority);
        self.refresh(thread);
    }

    /// Ends this entry into the kernel: decides what runs on the core, and tells the machine what that needs.
    #[inline(always)]
    pub fn leave(&self, core: &Core<A>) -> Next<'_, A> {
        match core.current.get(self) {
            Some(current) if !core.unsettled.get() && core.loaded.names(current) => Next::Run(current.context()),
            _ => self.settle(core),
        }
    }

    /// Finds out what runs on the core.
    #[inline(never)]
    fn settle(&self, core: &Core<A>) -> Next<'_, A> {
        if !core.unsettled.get()
            && let Some(current) = core.current.get(self)
        {
            debug_assert!(self.choose(core).is_some_and(|chosen| ptr::eq(chosen, current)));
            self.switch_to(core, current);
            return Next::Run(current.context());
        }
        if !self.dying.is_null() {
            self.destroy_some();
        }
        let mut next = self.choose(core);
        if next.is_none() {
            // Nobody waits for the processor: finish destroying.
            while !self.dying.is_null() && !A::interrupt_pending() {
                self.destroy_some();
            }
            next = self.choose(core);
        }
        core.unsettled.set(!self.dying.is_null());
        let Some(thread) = next else {
            self.program_timer(core);
            return Next::Idle;
        };
        self.switch_to(core, thread);
        Next::Run(thread.context())
    }

    /// Tells the machine what running this thread needs.
    #[inline(never)]
    fn switch_to(&self, core: &Core<A>, thread: &Thread<A>) {
        if !core.loaded.names(thread) {
            let from = core.loaded.get(self).map_or(0, |thread| thread.number.get());
            self.record_traffic(thread, TraceKind::Switch, 0, from, thread.number.get());
            core.loaded.set(Some(thread));
            A::switch(thread.context());
            A::activate(thread.space_root.get());
        }
        self.program_timer(core);
    }

    /// Makes the thread that should run the current one, and its context the charged one.
    fn choose<'k>(&'k self, core: &Core<A>) -> Option<&'k Thread<A>> {
        loop {
            let ready = core.current.get(self).filter(|thread| thread.state.get() == ThreadState::Ready);
            let runnable = ready.and_then(|thread| Some((thread, self.usable_context(thread)?)));
            let keep = runnable.is_some_and(|(thread, _)| match core.ready.top() {
                None => true,
                Some(top) => {
                    let own = thread.priority.get();
                    own > top || own == top && !core.rotate.get()
                }
            });
            let first = || core.ready.first(self).and_then(|first| Some((first, self.usable_context(first)?)));
            let next = if keep { runnable } else { first() };
            let context = next.map(|(_, context)| context);
            let other = context.map(ptr::from_ref) != core.context.get(self).map(ptr::from_ref);
            if other && self.change_context(core, context) {
                // A budget ended with the change, and that may have made others ready: look again.
                continue;
            }
            let rotate = core.rotate.replace(false);
            let next = next.map(|(thread, _)| thread);
            if !keep {
                core.current.clear();
                if let Some(thread) = next {
                    core.ready.remove(self, thread);
                }
                if let Some((preempted, _)) = runnable {
                    core.ready.insert(self, preempted, !rotate);
                }
                core.current.set(next);
            }
            return next;
        }
    }

    /// Charges to another context from now on. Whether the one before turned out to be used up: then to none yet.
    #[inline]
    fn change_context(&self, core: &Core<A>, to: Option<&SchedContext<A>>) -> bool {
        let now = A::now();
        if self.charge(core, now) {
            core.set_context(None);
            return true;
        }
        if let Some(context) = to
            && now >= context.refill_at.get()
        {
            context.fill(now);
        }
        core.set_context(to);
        core.charged_at.set(now);
        if to.is_some_and(|to| now.saturating_add(to.remaining.get()) < core.programmed.get()) {
            core.change_timers();
        }
        false
    }

    /// Charges to `to` from now on, if that is all there is to do: no budget ends or begins anew, the timer need not come sooner, nothing
    /// hinders the short path. Whether it was done; if not, nothing has been.
    #[inline(always)]
    pub(crate) fn pass_time(&self, core: &Core<A>, to: &SchedContext<A>) -> bool {
        let now = A::now();
        let Some(from) = core.short.get(self) else { return false };
        let (elapsed, left) = (now - core.charged_at.get(), from.remaining.get());
        if elapsed >= left || now >= to.refill_at.get() || now + to.remaining.get() < core.programmed.get() {
            return false;
        }
        from.consumed.set(from.consumed.get() + elapsed);
        from.remaining.set(left - elapsed);
        core.charged_at.set(now);
        core.context.set(Some(to));
        core.short.set(Some(to));
        true
    }

    /// Charges the time since the last charge to the running context. Whether its budget has come to its end.
    #[inline(always)]
    pub(crate) fn charge(&self, core: &Core<A>, now: u64) -> bool {
        let Some(context) = core.context.get(self) else { return false };
        let elapsed = now.saturating_sub(core.charged_at.replace(now));
        context.consumed.set(context.consumed.get() + elapsed);
        context.remaining.set(context.remaining.get().saturating_sub(elapsed));
        let ended = context.remaining.get() == 0 && !context.timer.is_armed();
        if ended {
            self.exhaust(core, context, now);
        }
        ended
    }

    /// A context's budget is used up.
    #[cold]
    fn exhaust(&self, core: &Core<A>, context: &SchedContext<A>, now: u64) {
        core.end_turn();
        if context.is_unlimited() || now >= context.refill_at.get() {
            return context.fill(now);
        }
        let Some(runner) = context.runner.get(self) else { return };
        core.trace.record::<A>(TraceKind::Exhausted, 0, runner.number.get(), 0);
        self.arm(&context.timer, context.refill_at.get(), runner.core.get().into());
        if context.tell.get() && context.thread.names(runner) && runner.state.get() == ThreadState::Ready {
            self.raise(runner, Fault { kind: FaultKind::BudgetExhausted, address: 0, code: 0 });
        } else {
            self.refresh(runner);
        }
    }

    /// Arms a deadline on a core, in place of an earlier one.
    pub(crate) fn arm(&self, node: &TimerNode, deadline: u64, core: usize) {
        self.disarm(node);
        let core_state = &self.cores[core % crate::MAX_CORES];
        core_state.timers.insert(self, node, deadline, core);
        core_state.change_timers();
    }

    /// Disarms a deadline, if it is armed.
    pub(crate) fn disarm(&self, node: &TimerNode) {
        if node.is_armed() {
            let core = &self.cores[node.core()];
            core.timers.remove(self, node);
            core.change_timers();
        }
    }

    /// The core's timer interrupt.
    pub(crate) fn timer_interrupt(&self, core: &Core<A>) {
        let now = A::now();
        core.programmed.set(u64::MAX);
        core.change_timers();
        self.charge(core, now);
        for _ in 0..MAX_DEADLINES {
            let Some(node) = core.timers.first(self).filter(|node| node.deadline() <= now) else { break };
            core.timers.remove(self, node);
            if node.kind() == ObjectType::SchedContext {
                self.refill(node.owner(self), now);
            } else {
                let notification: &Notification<A> = node.owner(self);
                self.signal(notification, notification.timer_bits.get());
            }
        }
    }

    /// A new period begins for a context whose budget was used up.
    fn refill(&self, context: &SchedContext<A>, now: u64) {
        let next = context.refill_at.get().saturating_add(context.period.get());
        context.refill_at.set(if next > now { next } else { now.saturating_add(context.period.get()) });
        context.remaining.set(context.budget.get());
        if let Some(runner) = context.runner.get(self) {
            self.refresh(runner);
        }
    }

    fn program_timer(&self, core: &Core<A>) {
        if !core.timer_changed.replace(false) {
            return;
        }
        let deadline = core.timers.first(self).map_or(u64::MAX, TimerNode::deadline);
        let slice = core
            .context
            .get(self)
            .map_or(u64::MAX, |context| core.charged_at.get().saturating_add(context.remaining.get()));
        let deadline = deadline.min(slice);
        // An earlier one that is programmed stays. When it comes this is done again: rarely, while slices follow each other all the time.
        if deadline < core.programmed.get() {
            core.programmed.set(deadline);
            A::set_timer(deadline);
        }
    }

    /// Sets budget and period of a context; the new budget is there at once.
    pub(crate) fn configure_context(
        &self,
        context: &SchedContext<A>,
        budget: u64,
        period: u64,
        tell: bool,
    ) -> Result<(), Error> {
        /// Below this a budget would be used up by entering and leaving the kernel.
        const MIN_BUDGET: u64 = 10_000;
        if budget < MIN_BUDGET || budget > period || period > 1 << 50 {
            return Err(Error::InvalidArgument);
        }
        for core in &self.cores {
            if core.charges(context) {
                self.charge(core, A::now());
                core.change_timers();
            }
        }
        self.disarm(&context.timer);
        context.budget.set(budget);
        context.period.set(period);
        context.fill(A::now());
        context.tell.set(tell);
        if let Some(runner) = context.runner.get(self) {
            self.refresh(runner);
        }
        Ok(())
    }

    /// Binds a context to a thread, or unbinds the thread's.
    pub(crate) fn bind_context(&self, thread: &Thread<A>, context: Option<&SchedContext<A>>) -> Result<(), Error> {
        if let Some(context) = context
            && !context.thread.is_null()
        {
            return if context.thread.names(thread) { Ok(()) } else { Err(Error::Busy) };
        }
        if let Some(old) = thread.own.get(self) {
            self.unbind_context(old);
        }
        if let Some(context) = context {
            thread.own.set(Some(context));
            context.thread.set(Some(thread));
            context.runner.set(Some(thread));
        }
        self.refresh(thread);
        Ok(())
    }

    /// Takes a context away from its thread and from everyone that thread lent it to.
    pub(crate) fn unbind_context(&self, context: &SchedContext<A>) {
        self.withdraw(context);
        context.runner.clear();
        if let Some(thread) = context.thread.take(self) {
            thread.own.clear();
            self.refresh(thread);
        }
    }
}
