//! Faults: calls by the kernel, in a thread's name, to the endpoint that the thread was given for them.

use super::endpoint::Sending;
use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::object::endpoint::Endpoint;
use crate::object::thread::{Fault, Inner, Outgoing, Thread};
use motte_abi::Error;
use motte_abi::fault::FaultKind;
use motte_abi::syscall::ThreadState;
use motte_abi::trace::TraceKind;

impl<A: Arch> Kernel<A> {
    /// A thread, which was ready or running, cannot go on: its fault endpoint is told, or it stops.
    pub(crate) fn raise(&self, thread: &Thread<A>, fault: Fault) {
        thread.set_fault(fault);
        self.record(thread, TraceKind::Fault, fault.kind as u64, thread.number.get(), fault.address);
        let slot = thread.slot(Inner::FaultEndpoint);
        if let Some(endpoint) = self.object_in::<Endpoint<A>>(slot) {
            let how = Sending { outgoing: Outgoing::Fault, badge: slot.badge.get(), grant: false, wait: true };
            if self.send(thread, endpoint, how).is_ok() {
                self.refresh(thread);
                return;
            }
        }
        self.stop_faulted(thread);
    }

    /// Stops a thread whose fault nobody hears of, and says so in the log.
    fn stop_faulted(&self, thread: &Thread<A>) {
        let (fault, registers) = (thread.fault(), thread.context().registers());
        self.log(format_args!(
            "thread {} stopped: {} at {:#x}, address {:#x}, code {:#x}, stack {:#x}",
            thread.number.get(),
            fault.kind,
            registers.rip,
            fault.address,
            fault.code,
            registers.rsp,
        ));
        self.block(thread, ThreadState::Faulted);
        self.refresh(thread);
    }

    /// A thread's fault found nobody (`PeerGone`), or its handler vanished before it answered (`PeerRestarted`): then the
    /// thread tries again, and most likely faults again.
    pub(crate) fn fault_unanswered(&self, thread: &Thread<A>, error: Error) {
        if error == Error::PeerRestarted {
            if thread.fault().kind == FaultKind::UnknownSyscall {
                thread.context().rewind_syscall();
            }
            self.make_ready(thread);
        } else {
            self.stop_faulted(thread);
        }
    }
}
