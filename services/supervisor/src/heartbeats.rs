//! Watches the components that the manifest gives a heartbeat, and ends those that hang ([`motte_loader::watch`]).

use motte::control::PING;
use motte::time::{Instant, monotonic_ns};
use motte_loader::system;
use motte_loader::watch::{LOOKS, Look, Progress, Pulse, Verdict, signal};
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::Supervisor;

impl Supervisor {
    /// Watches a component that was started, if the manifest gives it a heartbeat, until it ends. The supervisor itself is the guardian's to watch.
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
        let interval = (deadline_ns / u64::from(LOOKS)).max(1);
        let (mut pulse, mut progress) = (Pulse::default(), Progress::default());
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
            let places = system::places(index);
            let waits = progress.is_missing(places.thread, places.context);
            let look = match Look::at(places.thread, system::pulse(index)) {
                Look::Busy if waits => Look::WaitsForAnother,
                look => look,
            };
            match pulse.after(look) {
                Verdict::Leave => {}
                // It may be well, and had no time to say so.
                Verdict::Hangs if self.0.borrow().is_kept_waiting(index) => {}
                Verdict::Ask => signal(system::control(index), PING),
                Verdict::Hangs => {
                    self.end(index, &Cause::Silent(deadline_ns), None);
                    return;
                }
            }
        }
    }
}
