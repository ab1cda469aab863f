//! Threads from outside: configure, stop, resume.

use super::endpoint::Endpoint;
use super::space::AddressSpace;
use super::table::CapTable;
use super::thread::{Inner, Outgoing, Thread};
use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::cap::{self, slot};
use motte_abi::fault::FaultKind;
use motte_abi::syscall::ThreadState;
use motte_abi::{Error, Rights};
use slot::Slot;

/// A thread's new surroundings; capabilities of the caller.
pub(crate) struct Surroundings<'k, A: Arch> {
    /// Its table; `None` leaves what is there.
    pub table: Option<(&'k CapTable, &'k Slot)>,
    /// Its space; `None` leaves what is there.
    pub space: Option<(&'k AddressSpace, &'k Slot)>,
    /// Where its faults go; `None`: nowhere.
    pub fault: Option<(&'k Endpoint<A>, &'k Slot)>,
    /// The frame of its message buffer.
    pub buffer: Option<&'k Slot>,
}

impl<A: Arch> Kernel<A> {
    /// Gives a stopped thread its surroundings.
    pub(crate) fn configure_thread(&self, thread: &Thread<A>, with: &Surroundings<'_, A>) -> Result<(), Error> {
        if !matches!(thread.state.get(), ThreadState::Stopped | ThreadState::Faulted) {
            return Err(Error::Busy);
        }
        if with.buffer.is_some_and(|buffer| buffer.has(slot::DEVICE)) {
            return Err(Error::InvalidArgument);
        }
        if let Some((table, source)) = with.table {
            self.replace_inner(thread, Inner::Table, Some(source))?;
            thread.table.set(source.object.get());
            thread.table_slots.set(table.slots.get());
        }
        if let Some((space, source)) = with.space {
            self.replace_inner(thread, Inner::Space, Some(source))?;
            thread.space_root.set(space.root.get());
            self.unload(thread);
        }
        self.replace_inner(thread, Inner::FaultEndpoint, with.fault.map(|(_, source)| source))?;
        self.replace_inner(thread, Inner::Buffer, with.buffer)?;
        thread.buffer.set(with.buffer.map_or(0, |buffer| buffer.object.get()));
        Ok(())
    }

    fn replace_inner(&self, thread: &Thread<A>, which: Inner, source: Option<&Slot>) -> Result<(), Error> {
        let slot = thread.slot(which);
        match source {
            Some(source) => {
                self.delete(slot);
                cap::copy(self, source, slot, Rights::ALL, None)
            }
            None => {
                self.delete(slot);
                Ok(())
            }
        }
    }

    /// One of a thread's own slots is being emptied.
    pub(crate) fn thread_lost(&self, thread: &Thread<A>, slot: &Slot) {
        match thread.which(slot) {
            Some(Inner::Table) => {
                thread.table.set(0);
                thread.table_slots.set(0);
                self.stop(thread);
            }
            Some(Inner::Space) => {
                thread.space_root.set(0);
                self.unload(thread);
                self.stop(thread);
            }
            Some(Inner::Buffer) => thread.buffer.set(0),
            Some(Inner::FaultEndpoint) | None => {}
        }
    }

    /// What the machine has loaded for a thread is out of date.
    pub(crate) fn unload(&self, thread: &Thread<A>) {
        for core in &self.cores {
            if core.loaded.names(thread) {
                core.loaded.clear();
                core.unsettle();
            }
        }
    }

    /// Stops a thread, whatever it does. A wait ends with `Cancelled`; a fault that waits to be handled will be raised again.
    pub(crate) fn stop(&self, thread: &Thread<A>) {
        let state = thread.state.get();
        match state {
            ThreadState::Stopped | ThreadState::Ready => {}
            ThreadState::Faulted => {}
            ThreadState::Sending | ThreadState::Receiving => self.leave_endpoint(thread),
            ThreadState::AwaitingReply => self.abandon_reply(thread),
            ThreadState::Waiting => self.leave_notification(thread),
        }
        let sends = matches!(state, ThreadState::Sending | ThreadState::AwaitingReply);
        if sends && thread.outgoing.get() == Outgoing::Fault {
            if thread.fault().kind == FaultKind::UnknownSyscall {
                thread.context().rewind_syscall();
            }
        } else if sends || matches!(state, ThreadState::Receiving | ThreadState::Waiting) {
            thread.context().set_status(Error::Cancelled as u64);
        }
        thread.state.set(ThreadState::Stopped);
        self.refresh(thread);
    }

    /// Lets a stopped or faulted thread run.
    pub(crate) fn resume(&self, thread: &Thread<A>) -> Result<(), Error> {
        if thread.table.get() == 0 || thread.space_root.get() == 0 {
            return Err(Error::InvalidArgument);
        }
        if matches!(thread.state.get(), ThreadState::Stopped | ThreadState::Faulted) {
            self.make_ready(thread);
        }
        Ok(())
    }
}
