//! Ends servers that keep the processor from others for longer than they may be silent ([`motte_supervisor::processor`]).

use alloc::vec;

use motte::abi::syscall::ThreadState;
use motte::time::{Instant, monotonic_ns};
use motte_loader::system;
use motte_supervisor::processor::{INTERVAL_NS, Seen, Share};
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::{State, Supervisor};

impl Supervisor {
    /// Looks at everybody's processor time from now on.
    pub fn watch_processor(&self) {
        let state = self.0.borrow();
        if state.manifest.heartbeats {
            state.tasks.spawn(self.clone().end_hogs());
        }
    }

    async fn end_hogs(self) {
        let tasks = self.0.borrow().tasks.clone();
        let mut shares = vec![Share::default(); self.0.borrow().components.len()];
        loop {
            tasks.sleep_until(Instant::from_ns((monotonic_ns() / INTERVAL_NS + 1) * INTERVAL_NS)).await;
            let found = {
                let state = self.0.borrow();
                for (index, share) in shares.iter_mut().enumerate() {
                    share.note(state.processor_time(index));
                }
                state.hog(&shares)
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

    /// A server that keeps the processor to itself, and from whom. Whoever serves nobody may well compute as long as it likes.
    fn hog(&self, shares: &[Share]) -> Option<(usize, usize)> {
        let components = &self.manifest.components;
        let patience = |index: usize| components[index].restart.heartbeat_ns;
        let is_server = |index: &usize| !components[*index].provides.is_empty() && patience(*index) > 0;
        let index = (0..shares.len()).find(|index| shares[*index].hogs() && is_server(index))?;
        let is_starved = |other: &usize| {
            components[*other].priority < components[index].priority
                && shares[index].starves(&shares[*other], patience(index))
        };
        Some((index, (0..shares.len()).find(is_starved)?))
    }
}
