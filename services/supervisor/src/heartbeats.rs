//! Components that hang are found by looking at them from time to time, without waiting for any.
//!
//! A look asks the kernel what the first thread does. One that waits for requests is well; one that waits for another component's answer is not
//! the one that hangs. Any other is asked for a sign of life ([`motte::control`]), and hangs if it gives none within its deadline.

use motte::abi::syscall::ThreadState;
use motte::control::PING;
use motte::time::{Instant, monotonic_ns};
use motte_loader::system;
use motte_supervisor::policy::{Look, Pulse, Verdict};
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::{State, Supervisor};

/// Looks within a deadline.
const LOOKS: u32 = 4;

impl Supervisor {
    /// Watches a component that was started, if the manifest gives it a heartbeat, until it ends.
    pub fn watch(&self, index: usize) {
        let state = self.0.borrow();
        let deadline_ns = state.manifest.components[index].restart.heartbeat_ns;
        if state.manifest.heartbeats && deadline_ns > 0 && state.own_index() != Some(index) {
            let generation = state.components[index].kept.generation;
            state.tasks.spawn(self.clone().watch_generation(index, generation, deadline_ns));
        }
    }

    async fn watch_generation(self, index: usize, generation: u64, deadline_ns: u64) {
        let tasks = self.0.borrow().tasks.clone();
        let interval = deadline_ns / u64::from(LOOKS);
        let mut pulse = Pulse::default();
        loop {
            // At multiples of the interval, so that one wake-up serves several components.
            tasks.sleep_until(Instant::from_ns((monotonic_ns() / interval + 1) * interval)).await;
            let kept = self.0.borrow().components[index].kept;
            if kept.generation != generation || !kept.status.is_alive() {
                return;
            }
            if kept.status != Status::Running {
                // Whoever stops it waits no longer than its manifest says.
                continue;
            }
            match pulse.after(generation, look(index), LOOKS) {
                Verdict::Leave => {}
                Verdict::Ask => State::signal(index, PING),
                Verdict::Hangs => {
                    self.end(index, &Cause::Silent(deadline_ns), None);
                    return;
                }
            }
        }
    }
}

/// Looks at a component.
fn look(index: usize) -> Look {
    let state = system::places(index).thread.info().map(|info| info.state);
    let is = |states: &[ThreadState]| states.iter().any(|&one| state == Ok(one as u64));
    if system::pulse(index).poll().is_ok() || is(&[ThreadState::Receiving]) {
        Look::Alive
    } else if is(&[ThreadState::Sending, ThreadState::AwaitingReply]) {
        Look::WaitsForAnother
    } else {
        Look::Busy
    }
}
