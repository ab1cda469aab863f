//! From a fault message to a fault record, and to what follows.

use alloc::format;

use motte::abi::MessageInfo;
use motte::abi::fault::{FaultKind, FaultMessage, RESUME_STOPPED};
use motte::interfaces::ReplyToken;
use motte::last_words::{Kind, LastWords};
use motte::time::monotonic_ns;
use motte_loader::{kept, system};
use motte_supervisor::policy::End;
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::{State, Supervisor, say};

impl Supervisor {
    /// A component's thread has faulted; `token` holds it.
    pub fn faulted(&self, index: usize, kind: FaultKind, fault: FaultMessage, token: ReplyToken) {
        let cause = {
            let state = self.0.borrow();
            let status = state.components.get(index).map(|component| component.kept.status);
            if !status.is_some_and(Status::is_alive) {
                // A thread of a component that is being taken down.
                state.replies.answer_raw(token, STOPPED, [0; 6]);
                return;
            }
            match last_words_of(index) {
                Some(LastWords { kind: Kind::Exit, status, text }) => Cause::Exit(status, text),
                Some(LastWords { kind: Kind::Panic, text, .. }) => Cause::Panic(text, fault),
                None => Cause::Fault(kind, fault),
            }
        };
        self.end(index, &cause, Some(token));
    }

    /// Ends a component that runs: record, teardown, and what its policy says.
    pub fn end(&self, index: usize, cause: &Cause, token: Option<ReplyToken>) {
        let end = match cause {
            Cause::Exit(status, _) => End::Exit(*status),
            _ => End::Failure,
        };
        {
            let mut state = self.0.borrow_mut();
            let _ = system::places(index).thread.suspend();
            if !matches!(cause, Cause::Exit(0, _)) {
                state.note_failure(index, cause);
            }
            state.take_down(index);
            state.doubt_kept_memory(index, cause);
            if let Some(token) = token {
                // Nobody hears this, the thread is gone; but the Reply object can hold another caller.
                state.replies.answer_raw(token, STOPPED, [0; 6]);
            }
        }
        self.write_records_soon();
        if self.0.borrow().components[index].kept.status == Status::Stopping {
            // It was to end, and whoever wanted that said what follows.
            self.stopped(index);
        } else {
            self.ended(index, end);
        }
    }
}

/// The answer that leaves a thread stopped.
const STOPPED: MessageInfo = MessageInfo::new(RESUME_STOPPED, 0, 0);

/// A component that fails so soon after its start, twice in a row, may do so because of what lies in its kept memory.
const EARLY_NS: u64 = 250_000_000;
/// The same for one that is said to answer wrongly: it takes a while to find that out.
const EARLY_ACCUSED_NS: u64 = 10_000_000_000;
const EARLY_FAILURES: u64 = 2;

impl State {
    /// Gives up the kept memory of a component that failed soon after each of its last starts: it may have failed because of what lies there.
    fn doubt_kept_memory(&mut self, index: usize, cause: &Cause) {
        let ran_ns = monotonic_ns().saturating_sub(self.components[index].kept.started_ns);
        // What ended by a command did not fail by itself.
        let failed = match cause {
            Cause::Exit(0, _) | Cause::Killed => false,
            Cause::Accused(..) => ran_ns < EARLY_ACCUSED_NS,
            _ => ran_ns < EARLY_NS,
        };
        let known = &mut self.components[index].kept;
        known.early_failures = if failed { known.early_failures + 1 } else { 0 };
        let described = &self.manifest.components[index];
        if known.early_failures >= EARLY_FAILURES && described.keep > 0 {
            known.early_failures = 0;
            kept::clear(index);
            say(&format!(
                "{} failed soon after each of its last {EARLY_FAILURES} starts; its kept memory is cleared",
                described.name
            ));
        }
    }
}

/// What a component left in the page of its message buffer.
fn last_words_of(index: usize) -> Option<LastWords> {
    system::places(index).last_words()
}
