//! Components whose call is never answered: see [`motte::deadline`]. The supervisor's own further thread is one of them. The process server
//! does the same for programs.

use alloc::format;
use alloc::vec;

use motte::deadline::{Deadline, INTERVAL, end_call, waits_patiently};
use motte::time::{Instant, monotonic_ns};
use motte_loader::system;
use motte_supervisor::state::Status;

use crate::components::{State, Supervisor, say};

impl Supervisor {
    /// Looks at the calls of all components from now on.
    pub fn watch_calls(&self) {
        let state = self.0.borrow();
        if state.manifest.heartbeats {
            state.tasks.spawn(self.clone().end_overdue_calls());
        }
    }

    async fn end_overdue_calls(self) {
        let tasks = self.0.borrow().tasks.clone();
        let interval = INTERVAL.as_nanos() as u64;
        let mut deadlines = vec![Deadline::default(); self.0.borrow().components.len()];
        let (mut own, worker) = (Deadline::default(), self.0.borrow().worker.thread());
        loop {
            tasks.sleep_until(Instant::from_ns((monotonic_ns() / interval + 1) * interval)).await;
            let state = self.0.borrow();
            let may_be_late = state.waits_for_device();
            for (index, deadline) in
                deadlines.iter_mut().enumerate().filter(|(index, _)| state.watches_calls_of(*index))
            {
                let thread = system::places(index).thread;
                let is_overdue = if state.waits_patiently(index) {
                    deadline.look_patiently(thread)
                } else {
                    deadline.look(thread) && !may_be_late
                };
                if is_overdue {
                    say(&format!(
                        "{} waited in vain for an answer: its call ends",
                        state.manifest.components[index].name
                    ));
                    end_call(thread);
                }
            }
            if own.look(worker) && !may_be_late {
                end_call(worker);
            }
        }
    }
}

impl State {
    fn watches_calls_of(&self, index: usize) -> bool {
        self.components[index].kept.status == Status::Running && self.own_index() != Some(index)
    }

    /// Whether a component that serves others waits for something that may take long, as the file server waits for the disk.
    fn waits_patiently(&self, index: usize) -> bool {
        let serves = !self.manifest.components[index].provides.is_empty();
        serves && self.watches_calls_of(index) && waits_patiently(system::places(index).thread)
    }

    /// Whether a service waits for a device, and so may all who wait for its answer.
    pub fn waits_for_device(&self) -> bool {
        (0..self.components.len()).any(|index| self.waits_patiently(index))
    }
}
