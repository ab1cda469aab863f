//! System calls: from registers to typed arguments to the function that does the work, and back.

mod memory;
mod message;
mod object;
mod thread;

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::mem::frame::MapError;
use crate::object::thread::{Fault, Thread};
use motte_abi::fault::FaultKind;
use motte_abi::{Error, Syscall};

/// Why a call did not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It failed.
    Error(Error),
    /// An interrupt waits: the call is made again afterwards and goes on where it was.
    Preempted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How long work goes on that could give way to an interrupt ([`Arch::PATIENCE`]).
#[derive(Default)]
pub(crate) struct Patience {
    steps: u32,
}

impl Patience {
    /// After each step: whether the work is to stop here.
    pub(crate) fn is_over<A: Arch>(&mut self) -> bool {
        self.steps += 1;
        self.steps.is_multiple_of(A::PATIENCE) && A::interrupt_pending()
    }
}

/// How a call ended that did not fail. Its results are in the caller's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Status 0.
    Plain,
    /// The status is written already, or will be when the caller's wait ends.
    Waits,
}

/// A call that gives no results.
fn done(result: Result<(), impl Into<Failure>>) -> Outcome {
    result.map(|()| Done::Plain).map_err(Into::into)
}

/// Leaves results in the caller's registers.
fn give<A: Arch>(thread: &Thread<A>, results: &[u64]) -> Done {
    for (index, &value) in results.iter().enumerate() {
        thread.context().set_result(index, value);
    }
    Done::Plain
}

/// Mapping failed: for want of a table, of which the first result says more.
fn failed_to_map<A: Arch>(thread: &Thread<A>, error: MapError) -> Failure {
    match error {
        MapError::Error(error) => error.into(),
        MapError::Missing(level) => {
            give(thread, &[level.into()]);
            Error::MissingTable.into()
        }
    }
}

/// What a call gives.
pub(crate) type Outcome = Result<Done, Failure>;

/// The arguments of a call: `rdi rsi rdx r8 r9 r10`.
pub(crate) type Arguments = [u64; 6];

impl<A: Arch> Kernel<A> {
    /// Does what the current thread's registers ask for.
    pub(crate) fn dispatch(&self, thread: &Thread<A>) {
        let context = thread.context();
        let number = context.syscall_number();
        let Some(call) = Syscall::from_raw(number) else {
            self.raise(thread, Fault { kind: FaultKind::UnknownSyscall, address: number, code: 0 });
            return;
        };
        self.perform(thread, call);
    }

    /// Makes this call for the current thread and leaves what it gives in its context. If the call is one of those that
    /// [`Syscall::lean_from_raw`] gives, the context need hold no registers but the arguments.
    #[inline(always)]
    pub fn perform(&self, thread: &Thread<A>, call: Syscall) {
        let context = thread.context();
        let arguments: Arguments = core::array::from_fn(|index| context.argument(index));
        let status = match self.call(thread, call, arguments) {
            Ok(Done::Waits) => return,
            Ok(Done::Plain) => 0,
            Err(Failure::Error(error)) => error as u64,
            Err(Failure::Preempted) => return context.rewind_syscall(),
        };
        context.set_status(status);
    }

    fn call(&self, thread: &Thread<A>, call: Syscall, arguments: Arguments) -> Outcome {
        use Syscall::*;
        match call {
            Call => self.call_send(thread, arguments, crate::object::thread::Outgoing::Call, true),
            TryCall => self.call_send(thread, arguments, crate::object::thread::Outgoing::Call, false),
            Send => self.call_send(thread, arguments, crate::object::thread::Outgoing::Send, true),
            TrySend => self.call_send(thread, arguments, crate::object::thread::Outgoing::Send, false),
            Receive => self.call_receive(thread, arguments, true),
            TryReceive => self.call_receive(thread, arguments, false),
            ReplyReceive => self.call_reply_receive(thread, arguments, true),
            TryReplyReceive => self.call_reply_receive(thread, arguments, false),
            Reply => self.call_reply(thread, arguments),
            Signal => self.call_signal(thread, arguments),
            Wait => self.call_wait(thread, arguments, true),
            Poll => self.call_wait(thread, arguments, false),
            Yield => {
                self.core_of(thread).end_turn();
                Ok(Done::Plain)
            }
            DebugWrite => self.call_debug_write(thread, arguments),
            TraceMessages => self.call_trace_messages(thread, arguments),

            Retype => self.call_retype(thread, arguments),
            CapCopy => self.call_cap_copy(thread, arguments),
            CapMint => self.call_cap_mint(thread, arguments),
            CapMove => self.call_cap_move(thread, arguments),
            CapDelete => self.call_cap_delete(thread, arguments),
            CapRevoke => self.call_cap_revoke(thread, arguments),
            CapIdentify => self.call_cap_identify(thread, arguments),
            UntypedInfo => self.call_untyped_info(thread, arguments),

            ThreadConfigure => self.call_thread_configure(thread, arguments),
            ThreadSetPriority => self.call_thread_set_priority(thread, arguments),
            ThreadBindSched => self.call_thread_bind_sched(thread, arguments),
            ThreadBindNotification => self.call_thread_bind_notification(thread, arguments),
            ThreadReadRegisters => self.call_thread_read_registers(thread, arguments),
            ThreadWriteRegisters => self.call_thread_write_registers(thread, arguments),
            ThreadResume => self.call_thread_resume(thread, arguments),
            ThreadSuspend => self.call_thread_suspend(thread, arguments),
            ThreadSetTls => self.call_thread_set_tls(thread, arguments),
            ThreadInfo => self.call_thread_info(thread, arguments),
            ThreadLastMessage => self.call_thread_last_message(thread, arguments),
            SchedConfigure => self.call_sched_configure(thread, arguments),
            SchedInfo => self.call_sched_info(thread, arguments),

            EndpointClose => self.call_endpoint_close(thread, arguments),
            EndpointOpen => self.call_endpoint_open(thread, arguments),
            NotificationTimer => self.call_notification_timer(thread, arguments),
            IrqCreate => self.call_irq_create(thread, arguments),
            IrqBind => self.call_irq_bind(thread, arguments),
            IrqAcknowledge => self.call_irq_acknowledge(thread, arguments),
            IrqMessage => self.call_irq_message(thread, arguments),
            IoPortCreate => self.call_port_create(thread, arguments),
            IoPortIn => self.call_port_in(thread, arguments),
            IoPortOut => self.call_port_out(thread, arguments),

            FrameMap => self.call_frame_map(thread, arguments),
            FrameUnmap => self.call_frame_unmap(thread, arguments),
            FrameInfo => self.call_frame_info(thread, arguments),
            TableMap => self.call_table_map(thread, arguments),
            TableUnmap => self.call_table_unmap(thread, arguments),
        }
    }
}
