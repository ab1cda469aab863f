//! Asks services what it knows the answer to, and has the supervisor restart those that answer wrongly.
//!
//! It accuses once and ends: whoever comes after it has the program and the memory that were built. So one that is damaged itself does no
//! more than restart one service.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use motte::interfaces::Cap;
use motte::interfaces::supervisor::SupervisorClient;
use motte::kernel::CapSlot;
use motte::memory::Mapping;
use motte::service::{self, Connection};
use motte::time::monotonic_ns;
use motte::{control, env, log, slots, start, thread};
use motte_health::complaint::{Answer, Complaint, Service};
use motte_health::judge::{Judge, Provider, Verdict, blame};
use motte_health::plan::Plan;
use motte_health::questions::{
    CLOCK, FILES, LENT, LOG, Machine, PIPE, PROCESS, REGISTRY, SUPERVISOR, clock, files, log as lines, pipe, process,
    registry, supervisor,
};

motte::entry!(main);

/// The pause before all are asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// The machine, as questions see it.
struct Native {
    lent: Mapping,
}

/// How questions are sent: so that they end, answered or not, and each attempt is one.
fn bounded(connection: Connection) -> Connection {
    connection.without_repetition()
}

impl Machine for Native {
    type Transport = Connection;

    fn through(&self, cap: Cap) -> Connection {
        bounded(Connection::from(cap))
    }
    fn give_up(&self, cap: Cap) {
        slots::delete(CapSlot(cap.0));
    }
    fn pages(&self) -> [Cap; 4] {
        [0, 1, 2, 3].map(|page| Cap(self.lent.frames()[page].0.0))
    }
    fn put(&self, bytes: &[u8]) {
        self.lent.write(0, &bytes[..bytes.len().min(LENT)]);
    }
    fn get(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length.min(LENT)];
        self.lent.read(0, &mut bytes);
        bytes
    }
    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }
    fn pause(&self, milliseconds: u64) {
        control::beat();
        thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// All that questions are asked with.
struct Examiner {
    machine: Native,
    services: Vec<(Service, Connection)>,
    supervisor: Connection,
    components: Vec<supervisor::Known>,
    /// What the clock answered last.
    clock: Option<u64>,
    /// The line of the log that comes next.
    line: u64,
    /// The file that is always there was seen to be as it should be.
    is_file_known: bool,
}

impl Examiner {
    fn new(plan: &Plan) -> Result<Self, String> {
        let failed = |name: &str, error| format!("{name} cannot be reached: {error}");
        let mut services = Vec::new();
        for &service in &plan.services {
            let connection = if service == REGISTRY {
                service::registry().map(|registry| *registry.transport())
            } else {
                service::connect(service.0)
            };
            services.push((service, bounded(connection.map_err(|error| failed(service.0, error))?)));
        }
        let supervisor = service::connect(SUPERVISOR.0).map_err(|error| failed(SUPERVISOR.0, error))?;
        let lent = Mapping::new(LENT / 4096).map_err(|error| format!("there is no memory to lend: {error}"))?;
        let components = supervisor::all::<Native>(&supervisor);
        let supervisor = bounded(supervisor);
        Ok(Self {
            machine: Native { lent },
            services,
            supervisor,
            components,
            clock: None,
            line: 0,
            is_file_known: false,
        })
    }

    fn connection(&self, service: Service) -> Option<&Connection> {
        self.services.iter().find(|(known, _)| *known == service).map(|(_, connection)| connection)
    }

    /// Asks all of them, up to the first whose answer is wrong.
    fn round(&mut self, seed: u64) -> Answer {
        (0..self.services.len()).try_for_each(|index| self.ask(index, seed))
    }

    fn ask(&mut self, index: usize, seed: u64) -> Answer {
        let (service, connection) = self.services[index];
        match service {
            SUPERVISOR => supervisor::ask::<Native>(&connection, &mut self.components, seed),
            REGISTRY => match self.services.get((seed % self.services.len() as u64) as usize) {
                Some((other, held)) if *other != REGISTRY => registry::ask(&self.machine, &connection, *other, held),
                _ => Ok(()),
            },
            LOG => lines::ask(&self.machine, &connection, &mut self.line),
            CLOCK => clock::ask(&self.machine, &connection, &mut self.clock),
            PIPE => pipe::ask(&self.machine, &connection, seed),
            FILES => files::ask(&self.machine, &connection, &mut self.is_file_known, seed),
            PROCESS => match (self.connection(PIPE), self.connection(FILES)) {
                (Some(pipe), Some(files)) => {
                    process::ask(&self.machine, &process::Services { process: &connection, pipe, files }, seed)
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The component that provides a service, how it fares, and what it uses.
    fn provider(&self, service: Service) -> Option<((&str, Provider), Vec<String>)> {
        let provides = |known: &supervisor::Known| known.provides.iter().any(|name| name == service.0);
        let index = self.components.iter().position(provides)?;
        let (provider, uses) = supervisor::provider::<Native>(&self.supervisor, index, start::name()).ok()?;
        Some(((&self.components[index].name, provider), uses))
    }

    /// Has a component restarted because of a complaint about a service: its provider, or one whom that needs.
    fn accuse(&self, complaint: &Complaint, suspect: &(&str, Provider), uses: &[String]) {
        // Everybody needs the registry, and nobody says so.
        let is_needed = |service: &Service| *service == REGISTRY || uses.iter().any(|name| name == service.0);
        let needed = self.services.iter().map(|(service, _)| *service).filter(is_needed);
        let needed: Vec<_> = needed.filter_map(|service| Some(self.provider(service)?.0)).collect();
        let (component, provider) = blame(suspect, &needed);
        let what = match component == &suspect.0 {
            true => complaint.what.clone(),
            false => format!("what {} made into {}", suspect.0, complaint.what),
        };
        log::warn!("{component} answered {what}; it is to be restarted");
        if let Err(error) = SupervisorClient::new(self.supervisor).accuse(component, provider.generation, &what) {
            log::warn!("{component} is not restarted: {error}");
        }
    }
}

fn main() -> Result<(), String> {
    motte::use_kernel_log();
    let plan = Plan::parse(env::args().skip(1))?;
    let mut examiner = Examiner::new(&plan)?;
    let mut judge = Judge::default();
    loop {
        control::beat();
        let begun = monotonic_ns();
        let answer = examiner.round(begun);
        let round_ns = monotonic_ns() - begun;
        let complaint = answer.err();
        let found = complaint.as_ref().and_then(|complaint| examiner.provider(complaint.service));
        let provider = found.as_ref().map(|((_, provider), _)| *provider);
        match (judge.judge(complaint.as_ref(), provider, round_ns), complaint, found) {
            (Verdict::Failed, Some(complaint), Some((suspect, uses))) => {
                examiner.accuse(&complaint, &suspect, &uses);
                return Ok(());
            }
            (Verdict::AskAgain, ..) => thread::sleep(AGAIN),
            _ => thread::sleep(plan.pause),
        }
    }
}
