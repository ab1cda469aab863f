//! Ends servers that keep the processor from others for longer than they may be silent ([`motte_supervisor::processor`]).

use motte::abi::syscall::ThreadState;
use motte::time::{Instant, monotonic_ns};
use motte_loader::system;
use motte_supervisor::processor::{INTERVAL_NS, Seen};
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::{State, Supervisor};

impl Supervisor {
    /// Looks at everybody's processor time from now on.
    pub fn watch_processor(&self) {
        let mut state = self.0.borrow_mut();
        if state.manifest.heartbeats {
            state.own_tasks.run(monotonic_ns());
            state.tasks.spawn(self.clone().end_hogs());
        }
    }

    async fn end_hogs(self) {
        let tasks = self.0.borrow().tasks.clone();
        loop {
            tasks.sleep_until(Instant::from_ns((monotonic_ns() / INTERVAL_NS + 1) * INTERVAL_NS)).await;
            let found = {
                let mut state = self.0.borrow_mut();
                state.own_tasks.run(monotonic_ns());
                for index in 0..state.components.len() {
                    let seen = state.processor_time(index);
                    state.components[index].share.note(seen);
                }
                state.hog()
            };
            if let Some((index, other)) = found {
                let (patience_ns, other) = {
                    let components = &self.0.borrow().manifest.components;
                    (components[index].restart.heartbeat_ns, components[other].name.clone())
                };
                self.end(index, &Cause::Hogged(patience_ns, other), None);
            }
        }
    }
}

impl State {
    fn processor_time(&self, index: usize) -> Option<Seen> {
        if self.components[index].kept.status != Status::Running {
            return None;
        }
        let places = system::places(index);
        let (used_ns, ..) = places.context.info().ok()?;
        let is_ready = places.thread.info().is_ok_and(|info| info.state == ThreadState::Ready as u64);
        Some(Seen { used_ns, is_ready })
    }

    fn is_more_urgent(&self, one: usize, other: usize) -> bool {
        self.manifest.components[one].priority > self.manifest.components[other].priority
    }

    /// Whether a more urgent component had nearly all of the processor a moment ago.
    pub fn is_kept_waiting(&self, index: usize) -> bool {
        (0..self.components.len()).any(|one| self.components[one].share.hogs() && self.is_more_urgent(one, index))
    }

    /// A server that keeps the processor to itself, and from whom. Whoever serves nobody may well compute as long as it likes.
    fn hog(&self) -> Option<(usize, usize)> {
        let patience = |index: usize| self.manifest.components[index].restart.heartbeat_ns;
        let is_server = |index: usize| !self.manifest.components[index].provides.is_empty() && patience(index) > 0;
        let share = |index: usize| &self.components[index].share;
        let mut all = 0..self.components.len();
        let hog = all.clone().find(|&index| share(index).hogs() && is_server(index))?;
        let starved =
            all.find(|&other| self.is_more_urgent(hog, other) && share(hog).starves(share(other), patience(hog)))?;
        Some((hog, starved))
    }
}
