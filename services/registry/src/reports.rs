//! Telling services that a client is gone, without waiting for one that does not listen: a thread of its own makes the calls.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use motte::abi::{Error, Rights};
use motte::deadline::end_call;
use motte::interfaces::error::IoError;
use motte::interfaces::registry::RegistryError;
use motte::interfaces::stream::StreamClient;
use motte::interfaces::{Responder, badge};
use motte::kernel::{CapSlot, Notification, Thread};
use motte::server::{Replies, Tasks};
use motte::service::Connection;
use motte::sync::{Condvar, Mutex};
use motte::time::Instant;
use motte::{slots, thread};

/// How long whoever reports a death waits for services that do not listen.
const PATIENCE: Duration = Duration::from_millis(200);

struct Report {
    number: u64,
    client: u64,
    services: Vec<u64>,
    /// Until when services are told. Later the client may be back, and a service that heard of its end then would end what is new.
    deadline: Instant,
}

#[derive(Default)]
struct Queue {
    reports: VecDeque<Report>,
    done: Vec<u64>,
}

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    /// Signalled when a report is done.
    finished: Notification,
}

type Waiting = Rc<RefCell<BTreeMap<u64, Responder<(), RegistryError>>>>;

/// Reports that are under way.
pub struct Reports {
    worker: Option<Thread>,
    shared: Arc<Shared>,
    waiting: Waiting,
    next: u64,
    tasks: Tasks,
    replies: Replies,
}

impl Reports {
    /// Starts the thread.
    pub fn new(tasks: Tasks, replies: Replies) -> Result<Self, Error> {
        let event = tasks.event()?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            more: Condvar::new(),
            finished: event.notification(),
        });
        let theirs = shared.clone();
        let worker = match thread::try_spawn(move || work(&theirs)) {
            Ok(worker) => Some(worker.thread()),
            Err(error) => {
                log::warn!("services will not be told of clients that are gone: {error}");
                None
            }
        };
        let waiting = Waiting::default();
        let (waiters, queue, mut answers) = (waiting.clone(), shared.clone(), replies.clone());
        tasks.spawn(async move {
            loop {
                event.wait().await;
                let done = core::mem::take(&mut queue.queue.lock().done);
                for number in done {
                    let responder = waiters.borrow_mut().remove(&number);
                    if let Some(responder) = responder {
                        responder.answer(&mut answers, Ok(()));
                    }
                }
            }
        });
        Ok(Self { worker, shared, waiting, next: 0, tasks, replies })
    }

    /// Tells the services behind these endpoints that `client` is gone, then answers.
    pub fn tell(&mut self, client: u64, services: Vec<u64>, responder: Responder<(), RegistryError>) {
        let number = self.next;
        self.next += 1;
        self.waiting.borrow_mut().insert(number, responder);
        self.shared.queue.lock().reports.push_back(Report {
            number,
            client,
            services,
            deadline: Instant::now() + PATIENCE,
        });
        self.shared.more.notify_one();
        let (tasks, waiting, mut replies) = (self.tasks.clone(), self.waiting.clone(), self.replies.clone());
        let worker = self.worker;
        self.tasks.spawn(async move {
            tasks.sleep(PATIENCE).await;
            let late = waiting.borrow_mut().remove(&number);
            if let Some(responder) = late {
                responder.answer(&mut replies, Ok(()));
                // It has this report in hand, or an older one.
                worker.into_iter().for_each(end_call);
            }
        });
    }
}

/// The thread: makes the calls, one after the other.
fn work(shared: &Shared) {
    loop {
        let report = {
            let mut queue = shared.queue.lock();
            loop {
                match queue.reports.pop_front() {
                    Some(report) => break report,
                    None => queue = shared.more.wait(queue),
                }
            }
        };
        for service in report.services {
            if Instant::now() >= report.deadline {
                log::warn!("client {} is gone, and not every service could be told in time", report.client);
                break;
            }
            tell(CapSlot(service), report.client, report.deadline);
        }
        shared.queue.lock().done.push(report.number);
        let _ = shared.finished.signal();
    }
}

fn tell(service: CapSlot, client: u64, deadline: Instant) {
    let Ok(slot) = slots::allocate() else { return };
    if service.mint(slot, Rights::SEND, badge::LIFECYCLE).is_ok() {
        let service = StreamClient::new(Connection::from(slot).without_repetition());
        // A service without sessions does not know the request, and one that is gone has none.
        while service.client_gone(client) == Err(IoError::ServiceRestarted) && Instant::now() < deadline {}
    }
    slots::delete(slot);
}
