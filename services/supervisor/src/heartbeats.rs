//! Components that must show that they are alive: each signals a notification of its own, at which the supervisor looks from time to time,
//! so that it never waits for one that hangs.

use alloc::vec::Vec;

use motte::heartbeat::BEATS;
use motte::time::Duration;
use motte_loader::system;
use motte_supervisor::policy::Pulse;
use motte_supervisor::record::Cause;
use motte_supervisor::state::Status;

use crate::components::Supervisor;

impl Supervisor {
    /// Watches every component that the manifest gives a heartbeat.
    pub fn watch(&self) {
        let state = self.0.borrow();
        let watched: Vec<_> = (state.manifest.components.iter().enumerate())
            .map(|(index, component)| (index, component.restart.heartbeat_ns))
            .filter(|(_, deadline)| *deadline > 0)
            .collect();
        for (index, deadline_ns) in watched {
            state.tasks.spawn(self.clone().watch_one(index, deadline_ns));
        }
    }

    async fn watch_one(self, index: usize, deadline_ns: u64) {
        let tasks = self.0.borrow().tasks.clone();
        let mut pulse = Pulse::default();
        loop {
            tasks.sleep(Duration::from_nanos(deadline_ns) / BEATS).await;
            let kept = self.0.borrow().components[index].kept;
            let beat = system::heartbeat(index).poll().is_ok();
            if kept.status == Status::Running && pulse.is_lost(kept.generation, beat, BEATS) {
                self.end(index, &Cause::Silent(deadline_ns), None);
            }
        }
    }
}
