//! Whether a component hangs: by looking at it from time to time, without waiting for it.
//!
//! A look asks the kernel what the first thread does. One that waits for requests is well; one that waits for another component's answer is not
//! the one that hangs. Any other is asked for a sign of life ([`motte::control`]), and hangs if it gives none within its deadline.

use motte::abi::Rights;
use motte::abi::fault::Registers;
use motte::abi::syscall::ThreadState;
use motte::kernel::{Notification, SchedContext, Thread};
use motte::slots;

/// Looks within a deadline.
pub const LOOKS: u32 = 4;

/// What a look at a component finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It waits for requests, or showed that it is alive since the last look.
    Alive,
    /// It waits for an answer of another component, or for processor time: if one hangs, it is another.
    WaitsForAnother,
    /// It computes, or waits for something else.
    Busy,
}

impl Look {
    /// Looks at a component's first thread, and at the notification that it signals when it was asked for a sign of life.
    pub fn at(thread: Thread, pulse: Notification) -> Self {
        let state = thread.info().map(|info| info.state);
        let is = |states: &[ThreadState]| states.iter().any(|&one| state == Ok(one as u64));
        if pulse.poll().is_ok() || is(&[ThreadState::Receiving]) {
            Self::Alive
        } else if is(&[ThreadState::Sending, ThreadState::AwaitingReply]) {
            Self::WaitsForAnother
        } else {
            Self::Busy
        }
    }
}

/// Whether a thread that is ready had processor time since the last look.
///
/// One that carries out a call does so on its caller's time, of which nothing is known here: its registers tell, or else it counts as one that
/// had some.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    used_ns: u64,
    registers: Option<Registers>,
}

impl Progress {
    /// Looks at a thread with a scheduling context of its own. True: it is ready, and had no time.
    pub fn is_missing(&mut self, thread: Thread, context: SchedContext) -> bool {
        let used_ns = context.info().map_or(0, |(used, ..)| used);
        let registers = thread.read_registers().ok();
        let has_run = used_ns != self.used_ns || self.registers.is_some() && registers != self.registers;
        *self = Self { used_ns, registers };
        let is_ready = thread.info().is_ok_and(|info| info.state == ThreadState::Ready as u64);
        let carries_out = thread.last_message().is_ok_and(|(_, info)| info.is_call());
        is_ready && !has_run && !carries_out
    }
}

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Leave,
    /// It is to be asked for a sign of life.
    Ask,
    /// It hangs.
    Hangs,
}

/// A component's heartbeat, as one looks at it several times within its deadline.
///
/// It counts looks and not time: when the whole machine stood still for a while, the component has not had the time either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Looks at which it was busy since it was last seen alive.
    busy: u32,
}

impl Pulse {
    /// What to do after a look. A component that is busy is asked once; it hangs if it is still busy after [`LOOKS`] looks more, without a
    /// sign of life at any.
    pub fn after(&mut self, look: Look) -> Verdict {
        match look {
            Look::Alive => self.busy = 0,
            Look::WaitsForAnother => {}
            Look::Busy => self.busy += 1,
        }
        match (look, self.busy) {
            (Look::Busy, 1) => Verdict::Ask,
            (Look::Busy, busy) if busy > LOOKS => Verdict::Hangs,
            _ => Verdict::Leave,
        }
    }
}

/// Signals a component on its control notification.
pub fn signal(control: Notification, bits: u64) {
    let Ok(slot) = slots::allocate() else { return };
    if control.0.mint(slot, Rights::WRITE, bits).is_ok() {
        let _ = Notification(slot).signal();
        slots::delete(slot);
    } else {
        slots::free(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_stays_busy_without_a_sign_of_life_hangs() {
        let mut pulse = Pulse::default();
        let mut looks = |look| pulse.after(look);
        assert_eq!(looks(Look::Busy), Verdict::Ask);
        assert!((0..3).all(|_| looks(Look::Busy) == Verdict::Leave));
        assert_eq!(looks(Look::Alive), Verdict::Leave);
        assert_eq!(looks(Look::Busy), Verdict::Ask, "a sign of life begins anew");
        assert!((0..3).all(|_| looks(Look::Busy) == Verdict::Leave));
        assert_eq!(looks(Look::Busy), Verdict::Hangs);
    }

    #[test]
    fn who_waits_for_another_does_not_hang_but_is_not_seen_alive_either() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.after(Look::Busy), Verdict::Ask);
        assert!((0..100).all(|_| pulse.after(Look::WaitsForAnother) == Verdict::Leave));
        assert!((0..3).all(|_| pulse.after(Look::Busy) == Verdict::Leave));
        assert_eq!(pulse.after(Look::Busy), Verdict::Hangs);
    }
}
