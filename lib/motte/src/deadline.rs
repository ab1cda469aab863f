//! Calls that are never answered, because their server has forgotten them and goes on, are ended from outside: by who holds the
//! caller's thread. The caller's stub hears of it, and repeats what is safe to repeat.

use core::time::Duration;

use motte_abi::MessageInfo;
use motte_abi::syscall::ThreadState;
use motte_interfaces::PROMPT;

use crate::kernel::Thread;

/// How often to look at a thread.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// A call is overdue that is the same at so many looks after the first.
const LOOKS: u32 = 4;
/// The same for a call that may take long, but not for ever; twice as many after each that was ended, until calls are answered again. So a
/// slow device is waited for at last, even if the machine's clock leaps while nothing runs.
const PATIENT_LOOKS: u32 = 5;

/// What was seen of one thread's calls.
///
/// A caller lends its processor time to its server, so a call for which nothing was
/// done since the last look is told by the time that the caller's context ran.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    /// The time run, and the call's description.
    call: Option<(u64, u64)>,
    looks: u32,
    /// How often a call was ended that may take long, less those that were answered since.
    ended: u32,
    /// The call was ended at the last look, so that another one is no sign of an answer.
    is_new: bool,
}

impl Deadline {
    /// Looks at a thread; whether it waits in vain. A call of a deferred method may take any time.
    pub fn look(&mut self, thread: Thread) -> bool {
        self.note(call(thread).filter(is_prompt), LOOKS)
    }

    /// Looks at a thread that must not wait for ever for anything; whether it does.
    pub fn look_patiently(&mut self, thread: Thread) -> bool {
        self.note_patiently(call(thread))
    }

    fn note_patiently(&mut self, call: Option<(u64, u64)>) -> bool {
        let is_overdue = self.note(call, PATIENT_LOOKS << self.ended.min(16));
        self.ended += u32::from(is_overdue);
        is_overdue
    }

    fn note(&mut self, call: Option<(u64, u64)>, most: u32) -> bool {
        let goes_on = call.is_some() && call == self.call;
        if !goes_on && !core::mem::take(&mut self.is_new) {
            self.ended = self.ended.saturating_sub(1);
        }
        self.looks = if goes_on { self.looks + 1 } else { 0 };
        self.call = call;
        let is_overdue = self.looks >= most;
        if is_overdue {
            (self.looks, self.is_new) = (0, true);
        }
        is_overdue
    }
}

/// The call that a thread waits in: the time that its context ran, and the call's description.
fn call(thread: Thread) -> Option<(u64, u64)> {
    let info = thread.info().ok().filter(|info| info.state == ThreadState::AwaitingReply as u64)?;
    let (_, message) = thread.last_message().ok()?;
    Some((info.nanoseconds, message.0))
}

fn is_prompt(&(_, info): &(u64, u64)) -> bool {
    MessageInfo(info).label() & PROMPT != 0
}

/// Whether a thread waits in a call that may take any time.
pub fn waits_patiently(thread: Thread) -> bool {
    call(thread).is_some_and(|call| !is_prompt(&call))
}

/// Ends the call that a thread waits in, if it waits for an answer.
pub fn end_call(thread: Thread) {
    if call(thread).is_some() {
        let _ = thread.suspend().and_then(|()| thread.resume());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_overdue_that_is_the_same_at_every_look() {
        let mut deadline = Deadline::default();
        let mut overdue = |call| deadline.note(call, 4);
        assert_eq!([Some((1, 7)); 5].map(&mut overdue), [false, false, false, false, true]);
        assert!(!overdue(Some((2, 7))), "another call, or one that is being worked on");
        assert!(!overdue(None) && !overdue(None) && !overdue(None) && !overdue(None) && !overdue(None));
    }

    #[test]
    fn a_slow_device_is_waited_for_at_last_and_a_quick_one_not_for_longer_than_before() {
        let mut deadline = Deadline::default();
        let mut looks = |call| (1..).find(|_| deadline.note_patiently(Some(call))).unwrap();
        assert_eq!([(1, 7), (2, 7), (3, 7)].map(&mut looks), [6, 11, 21], "the first look finds the call");
        assert!((4..10).all(|time| !deadline.note_patiently(Some((time, 7)))), "they are answered");
        assert_eq!((1..).find(|_| deadline.note_patiently(Some((10, 7)))), Some(6));
    }
}
