//! Interrupts of devices as notifications.
//!
//! Each source has a device vector of its own. When it fires it is masked (a line) or held back (a message) until it is acknowledged;
//! a message that arrives meanwhile is delivered then.

use crate::Kernel;
use crate::arch::Arch;
use crate::cap::{self, slot::Slot};
use crate::memory::{Link, address_of};
use crate::object::Header;
use crate::object::notification::Notification;
use core::cell::Cell;
use motte_abi::{Error, ObjectType};

/// The most device vectors that a machine may have.
pub const MAX_SOURCES: usize = 224;

/// What a source is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Not in use.
    Free,
    /// This line of the interrupt controller.
    Line(u64),
    /// A device writes a message.
    Message,
}

/// One source. Lies in the kernel, not in untyped memory.
#[repr(C)]
pub struct IrqSource<A: Arch> {
    header: Header,
    wiring: Cell<Wiring>,
    vector: Cell<usize>,
    /// Who is told; `bits` which bits.
    notification: Link<Notification<A>>,
    bits: Cell<u64>,
    /// Fired, and not yet acknowledged.
    held: Cell<bool>,
    /// Fired again while held.
    again: Cell<bool>,
}

impl<A: Arch> IrqSource<A> {
    pub(crate) const fn new() -> Self {
        Self {
            header: Header::new(ObjectType::Irq),
            wiring: Cell::new(Wiring::Free),
            vector: Cell::new(0),
            notification: Link::null(),
            bits: Cell::new(0),
            held: Cell::new(false),
            again: Cell::new(false),
        }
    }

    fn mask(&self, masked: bool) {
        if let Wiring::Line(line) = self.wiring.get() {
            A::mask_line(line, masked);
        }
    }
}

impl<A: Arch> Kernel<A> {
    fn sources(&self) -> &[IrqSource<A>] {
        &self.irqs[..A::VECTORS.min(MAX_SOURCES)]
    }

    /// Makes a source and puts its capability into the empty slot `target`.
    pub(crate) fn create_irq(
        &self,
        control: &Slot,
        target: &Slot,
        line: Option<u64>,
        level: bool,
        low: bool,
    ) -> Result<(), Error> {
        if !target.is_empty() {
            return Err(Error::SlotOccupied);
        }
        if let Some(line) = line
            && self.sources().iter().any(|source| source.wiring.get() == Wiring::Line(line))
        {
            return Err(Error::Busy);
        }
        let free = self.sources().iter().enumerate().find(|(_, source)| source.wiring.get() == Wiring::Free);
        let (vector, source) = free.ok_or(Error::LimitReached)?;
        let wiring = match line {
            Some(line) if A::connect_line(line, vector, level, low) => Wiring::Line(line),
            Some(_) => return Err(Error::InvalidArgument),
            None if A::message_for(vector).is_some() => Wiring::Message,
            None => return Err(Error::Unsupported),
        };
        source.wiring.set(wiring);
        source.vector.set(vector);
        source.held.set(false);
        source.again.set(false);
        cap::create(self, target, Some(control), (ObjectType::Irq, 0), address_of(source), 0);
        Ok(())
    }

    /// Tells `notification` with these bits from now on and unmasks, or masks and tells nobody.
    pub(crate) fn bind_irq(&self, source: &IrqSource<A>, to: Option<(&Notification<A>, u64)>) {
        source.notification.set(to.map(|(notification, _)| notification));
        source.bits.set(to.map_or(0, |(_, bits)| bits));
        source.held.set(false);
        source.again.set(false);
        source.mask(to.is_none());
    }

    /// The driver has handled the interrupt.
    pub(crate) fn acknowledge_irq(&self, source: &IrqSource<A>) {
        source.held.set(false);
        if source.again.replace(false) {
            self.fire(source);
        } else if !source.notification.is_null() {
            source.mask(false);
        }
    }

    /// The address and data of a message-signalled source.
    pub(crate) fn irq_message(&self, source: &IrqSource<A>) -> Result<(u64, u64), Error> {
        match source.wiring.get() {
            Wiring::Message => A::message_for(source.vector.get()).ok_or(Error::Unsupported),
            _ => Err(Error::InvalidArgument),
        }
    }

    /// A device vector was raised.
    pub(crate) fn device_interrupt(&self, vector: usize) {
        if let Some(source) = self.sources().get(vector)
            && source.wiring.get() != Wiring::Free
        {
            self.fire(source);
        }
    }

    fn fire(&self, source: &IrqSource<A>) {
        source.mask(true);
        if source.held.replace(true) {
            // A message, or an edge-triggered line; a level-triggered one is masked.
            source.again.set(true);
        } else if let Some(notification) = source.notification.get(self) {
            self.signal(notification, source.bits.get());
        }
    }

    /// The last capability to a source is gone.
    pub(crate) fn destroy_irq(&self, source: &IrqSource<A>) {
        self.bind_irq(source, None);
        source.wiring.set(Wiring::Free);
    }

    /// No source tells this notification any more.
    pub(crate) fn forget_notification(&self, notification: &Notification<A>) {
        for source in self.sources() {
            if source.notification.names(notification) {
                self.bind_irq(source, None);
            }
        }
    }
}
