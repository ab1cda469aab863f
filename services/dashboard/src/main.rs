//! The dashboard as a component.
//!
//! What survives a restart: the token. The figures that are measured over time begin anew.
#![no_std]
#![no_main]

extern crate alloc;

mod system;

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;

use motte::abi::Error;
use motte::interfaces::dashboard::{Action, Dashboard, DashboardError, Document, dispatch_dashboard};
use motte::interfaces::supervisor::SupervisorError;
use motte::interfaces::{Bytes, Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kept::{self, Snapshots};
use motte::server::{Handler, Server, Tasks};
use motte::time::{Duration, monotonic_ns};
use motte_dashboard::documents::{Documents, piece};
use motte_dashboard::{PAGE, state, token};

use system::System;

motte::entry!(main);

/// A state is as new as this.
const FRESH_NS: u64 = 900_000_000;
/// A sample takes so many of these, or fewer if much happens: what is traced costs more.
const STEP: Duration = Duration::from_millis(50);
const MOST_STEPS: u32 = 19;
/// From the beginning of one sample to that of the next, in steps.
const PERIOD: u32 = 20;
/// Events after which a sample is enough: half of what the trace holds.
const ENOUGH: u64 = 1024;
/// When nobody has asked for so long, nobody looks.
const FORGOTTEN_NS: u64 = 3_000_000_000;
/// The page as it is reached from outside, if neither the boot loader (`WEB_ADDRESS`) nor the manifest says.
const ADDRESS: &str = "http://127.0.0.1:8080/";

struct Service {
    system: Rc<RefCell<System>>,
    tasks: Tasks,
    documents: Documents,
    made_ns: u64,
    token: String,
    is_announced: bool,
}

impl Service {
    /// Makes the documents that show the state anew, unless they are fresh.
    fn refresh(&mut self) {
        let now = monotonic_ns();
        self.system.borrow_mut().asked_ns = now;
        self.watch_traffic();
        if self.made_ns != 0 && now - self.made_ns < FRESH_NS {
            return;
        }
        let state = self.system.borrow_mut().look();
        self.documents.add(Document::State, state.to_json().into_bytes());
        self.documents.add(Document::Metrics, state.to_metrics().into_bytes());
        self.made_ns = now;
    }

    /// Samples the trace from time to time, as long as somebody asks.
    fn watch_traffic(&mut self) {
        if core::mem::replace(&mut self.system.borrow_mut().samples, true) {
            return;
        }
        let (system, tasks) = (self.system.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            while monotonic_ns() - system.borrow().asked_ns < FORGOTTEN_NS {
                let (begin, events) = system.borrow_mut().begin_sample();
                let mut steps = 0;
                while steps < MOST_STEPS && system.borrow().events() - events < ENOUGH {
                    tasks.sleep(STEP).await;
                    steps += 1;
                }
                system.borrow_mut().end_sample(begin);
                tasks.sleep(STEP * (PERIOD - steps)).await;
            }
            system.borrow_mut().samples = false;
        });
    }
}

impl Dashboard for Service {
    fn open(&mut self, _: &Sender, document: Document) -> Result<(u64, u64), DashboardError> {
        let text = match document {
            Document::Page => return Ok((1, PAGE.len() as u64)),
            Document::State | Document::Metrics => {
                self.refresh();
                return self.documents.newest(document).ok_or(DashboardError::Unavailable);
            }
            Document::Log(from) => {
                let mut system = self.system.borrow_mut();
                system.read_log();
                let (lines, next) = system.log_from(from);
                state::log_to_json(lines, next).into_bytes()
            }
            Document::Fault(number) => self.system.borrow().fault_text(number)?,
        };
        Ok(self.documents.add(document, text))
    }

    fn read(&mut self, _: &Sender, document: Document, version: u64, offset: u64) -> Result<Bytes, DashboardError> {
        let piece = match document {
            Document::Page => piece(PAGE.as_bytes(), offset),
            _ => self.documents.read(document, version, offset)?,
        };
        Ok(Bytes(piece.to_vec()))
    }

    fn act(&mut self, _: &Sender, given: &str, action: Action, component: &str) -> Result<(), DashboardError> {
        if !token::matches(&self.token, given) {
            return Err(DashboardError::WrongToken);
        }
        motte::log::info!("{action:?} {component}, as somebody with the token asked for at the page");
        let system = self.system.borrow();
        let done = match action {
            Action::Start => system.supervisor.start(component),
            Action::Stop => system.supervisor.stop(component),
            Action::Restart => system.supervisor.restart(component),
            Action::Kill => system.supervisor.kill(component),
        };
        drop(system);
        // The next look shows what came of it.
        self.made_ns = 0;
        done.map_err(|error| match error {
            SupervisorError::NotFound => DashboardError::NotFound,
            SupervisorError::Protected | SupervisorError::NotAllowed => DashboardError::Protected,
            SupervisorError::Running | SupervisorError::NotRunning | SupervisorError::StartFailed => {
                DashboardError::Conflict
            }
            SupervisorError::Unreachable => DashboardError::Unavailable,
        })
    }

    fn announce(&mut self, _: &Sender) -> Result<(), DashboardError> {
        // Where commands are run instead of a person's, the console is theirs alone.
        let is_batch = motte::env::var("MOTTE_BATCH").is_some();
        if !core::mem::replace(&mut self.is_announced, true) && !is_batch {
            let address = motte::env::var("WEB_ADDRESS").or_else(|| motte::env::args().nth(1));
            // Over the prompt that may stand there already.
            motte::println!("\r\x1b[Kopen {}?token={}", address.as_deref().unwrap_or(ADDRESS), self.token);
        }
        Ok(())
    }
}

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_dashboard(self, sender, label, request, reply, defer)
    }
}

/// The token, and whether an earlier start has printed it: that of the start before this one, if it was kept.
fn find_token() -> (String, bool) {
    let mut snapshots = kept::map().ok().flatten().map(|kept| Snapshots::new(kept.memory));
    let former = snapshots.as_ref().and_then(Snapshots::load).and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(token) = former.filter(|text| token::is_one(text)) {
        return (token, true);
    }
    let token = token::make(monotonic_ns);
    if let Some(snapshots) = &mut snapshots {
        snapshots.save(token.as_bytes());
    }
    (token, false)
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("dashboard")?;
    let (token, is_announced) = find_token();
    let system = match System::connect() {
        Ok(system) => Rc::new(RefCell::new(system)),
        Err(error) => {
            motte::log::error!("the supervisor cannot be reached: {error}");
            return Err(Error::InvalidCapability);
        }
    };
    let tasks = server.tasks();
    let mut service = Service { system, tasks, documents: Documents::default(), made_ns: 0, token, is_announced };
    Err(server.run(&mut service))
}
