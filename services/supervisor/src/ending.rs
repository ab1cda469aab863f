//! What follows when a component ends, and ends in good order: restart, quarantine, and what either means for others.

use alloc::format;

use motte::control::STOP;
use motte::interfaces::supervisor::SupervisorError;
use motte::time::{Duration, Instant, monotonic_ns};
use motte_loader::system;
use motte_loader::watch::signal;
use motte_supervisor::policy::{Decision, End};
use motte_supervisor::state::{Company, Kept, Status};

use crate::components::{SHELL, State, Supervisor, badge_of, say};
use crate::power::Finish;

/// Exit status of the machine when the commands that it was booted for could not be run to their end.
const COMMANDS_FAILED: u8 = 125;

/// How long a restart waits for services to be told of the death; their registry is no more patient.
const PATIENCE: Duration = Duration::from_millis(300);

impl Supervisor {
    /// What follows the end of a component whose memory was taken back already.
    pub fn ended(&self, index: usize, end: End) {
        // The commands that the system was booted for are not run twice.
        let ran_commands = {
            let state = self.0.borrow();
            state.manifest.components[index].name == SHELL && state.files.command().is_some() && !state.ending
        };
        if ran_commands {
            say("the shell ended before its commands did");
            self.finish(Finish::PowerOff(COMMANDS_FAILED));
        }
        let (decision, name) = {
            let mut state = self.0.borrow_mut();
            let (restart, ending) = (state.manifest.components[index].restart, state.ending);
            let decision = state.components[index].history.decide(&restart, end, monotonic_ns());
            (if ending { Decision::Leave } else { decision }, state.manifest.components[index].name.clone())
        };
        match decision {
            Decision::RestartAt(deadline) => self.restart_at(index, deadline, Company::RestartWith),
            Decision::Leave => self.0.borrow_mut().leave(index, Status::Ended),
            Decision::Quarantine => {
                say(&format!("{name} failed too often and is not started again (`services start {name}` does)"));
                self.0.borrow_mut().leave(index, Status::Quarantined);
            }
            Decision::OnceMoreAt(deadline, company) => {
                let others = if company == Company::Dependencies { "what it uses" } else { "everything that needs it" };
                say(&format!("{name} failed too often: it is started once more with {others}"));
                self.restart_at(index, deadline, company);
            }
            Decision::Reboot => {
                say(&format!("{name} failed too often: the machine is started anew"));
                self.0.borrow_mut().leave(index, Status::Quarantined);
                self.finish(Finish::Reset);
            }
        }
    }

    /// Has a component that ended started again at a time, once services were told of its end, and others after it.
    pub fn restart_at(&self, index: usize, deadline: u64, company: Company) {
        let (tasks, told, generation) = {
            let mut state = self.0.borrow_mut();
            let kept = state.components[index].kept;
            state.keep(index, Kept { status: Status::Restarting, restart_at_ns: deadline.max(1), company, ..kept });
            // The registry is nobody's client, and it is who tells the others: they need not wait for it.
            let told = match state.provides(index, "registry") {
                true => None,
                false => Some(state.worker.report(badge_of(&state.manifest, index))),
            };
            (state.tasks.clone(), told, kept.generation)
        };
        let supervisor = self.clone();
        tasks.clone().spawn(async move {
            if let Some(told) = told {
                tasks.timeout(PATIENCE, told).await;
            }
            tasks.sleep_until(Instant::from_ns(deadline)).await;
            let due = {
                let state = supervisor.0.borrow();
                let kept = state.components[index].kept;
                // Somebody may have started or stopped it by command meanwhile.
                kept.status == Status::Restarting && kept.generation == generation && !state.ending
            };
            if !due {
                return;
            }
            // Whom it needs comes before it, who needs it after.
            let is_before = company == Company::Dependencies;
            if is_before {
                supervisor.restart_company(index, company);
            }
            if supervisor.start_or_say(index) && !is_before {
                supervisor.restart_company(index, company);
            }
        });
    }

    /// Starts a component that does not run, once services were told of its former end.
    pub async fn start_when_told(self, index: usize) -> Result<(), SupervisorError> {
        let (tasks, told) = {
            let state = self.0.borrow();
            (state.tasks.clone(), state.worker.idle())
        };
        tasks.timeout(PATIENCE, told).await;
        if self.0.borrow().components[index].kept.status.is_alive() {
            return Err(SupervisorError::Running);
        }
        self.0.borrow_mut().components[index].history.clear();
        if self.start_or_say(index) { Ok(()) } else { Err(SupervisorError::StartFailed) }
    }

    /// Restarts those who are to be with a component, as far as they run: in the order in which the system starts them.
    fn restart_company(&self, index: usize, company: Company) {
        let others = {
            let state = self.0.borrow();
            let with = match company {
                Company::Alone => return,
                Company::RestartWith => state.manifest.restarted_with(index),
                Company::Dependents => state.manifest.dependents(index),
                Company::Dependencies => state.manifest.dependencies(index),
            };
            let runs = |other: &usize| {
                Some(*other) != state.own_index() && state.components[*other].kept.status == Status::Running
            };
            let order = state.manifest.boot_order();
            let place = |other: &usize| order.iter().position(|one| one == other);
            let mut others: alloc::vec::Vec<usize> = with.into_iter().filter(runs).collect();
            others.sort_by_key(place);
            others
        };
        for other in others {
            {
                let state = self.0.borrow();
                let [this, that] = [other, index].map(|one| &state.manifest.components[one].name);
                say(&format!("{this} is restarted with {that}"));
            }
            self.stop(other, Some(Company::Alone));
        }
    }

    /// Ends a component that runs in good order, and starts it anew if `then` says so.
    pub fn stop(&self, index: usize, then: Option<Company>) {
        let timeout = {
            let mut state = self.0.borrow_mut();
            let kept = state.components[index].kept;
            let timeout = state.manifest.components[index].restart.stop_timeout_ns;
            let restart_at_ns = then.is_some().into();
            let company = then.unwrap_or_default();
            state.keep(index, Kept { status: Status::Stopping, restart_at_ns, company, ..kept });
            timeout
        };
        if timeout == 0 {
            self.stopped(index);
            return;
        }
        signal(system::control(index), STOP);
        let (supervisor, tasks) = (self.clone(), self.0.borrow().tasks.clone());
        let generation = self.0.borrow().components[index].kept.generation;
        tasks.clone().spawn(async move {
            tasks.sleep(Duration::from_nanos(timeout)).await;
            let kept = supervisor.0.borrow().components[index].kept;
            if kept.status == Status::Stopping && kept.generation == generation {
                let name = supervisor.0.borrow().manifest.components[index].name.clone();
                say(&format!("{name} did not end within {} ms, and is ended", timeout.div_ceil(1_000_000)));
                supervisor.stopped(index);
            }
        });
    }

    /// A component that was to end has ended, or has had its time: takes it apart.
    pub fn stopped(&self, index: usize) {
        let (restart, company) = {
            let mut state = self.0.borrow_mut();
            state.take_down(index);
            let kept = state.components[index].kept;
            (kept.restart_at_ns != 0, kept.company)
        };
        if restart {
            self.restart_at(index, monotonic_ns(), company);
        } else {
            self.0.borrow_mut().leave(index, Status::Stopped);
        }
    }
}

impl State {
    /// Leaves a component down that was taken apart: its clients are told.
    pub fn leave(&mut self, index: usize, status: Status) {
        let kept = self.components[index].kept;
        self.keep(index, Kept { status, restart_at_ns: 0, ..kept });
        self.close_services(index);
        self.worker.forget(badge_of(&self.manifest, index));
    }
}
