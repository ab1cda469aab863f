//! A thread for what must wait: telling services that a client is gone, and the orderly end.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use motte::abi::Rights;
use motte::interfaces::badge;
use motte::interfaces::fs::FilesClient;
use motte::interfaces::registry::RegistryClient;
use motte::kernel::{CapSlot, Notification, Thread};
use motte::server::Tasks;
use motte::service::{self, Connection};
use motte::sync::{Condvar, Mutex};
use motte::{slots, thread};
use motte_loader::system;
use motte_manifest::Manifest;

/// Number of jobs whose end nobody waits for.
const NOBODY: u64 = 0;
/// Ends of jobs that are remembered; whoever waits asks at once, unless it has lost patience.
const MAX_DONE: usize = 64;

enum Job {
    /// Tell services that this client is gone.
    Gone(u64),
    /// Have the file system write everything back.
    ShutDown,
    /// Be there when all before it is done.
    Nothing,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(u64, Job)>,
    done: Vec<u64>,
}

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    finished: Notification,
    /// The file server's endpoint, if there is one.
    files: Option<CapSlot>,
}

#[derive(Default)]
struct Local {
    next: u64,
    /// Numbers of jobs that are done and that somebody will ask for.
    done: Vec<u64>,
    wakers: Vec<Waker>,
}

/// The worker, as the main thread sees it.
#[derive(Clone)]
pub struct Worker {
    thread: Thread,
    shared: Arc<Shared>,
    local: Rc<RefCell<Local>>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(manifest: &Manifest, tasks: Tasks) -> Result<Self, String> {
        let event = tasks.event().map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            more: Condvar::new(),
            finished: event.notification(),
            files: manifest.service("fs").map(|service| system::service(service.number).0),
        });
        let theirs = shared.clone();
        let worker = thread::try_spawn(move || work(&theirs)).map_err(|error| error.to_string())?;
        let local: Rc<RefCell<Local>> = Rc::default();
        let (queue, state) = (shared.clone(), local.clone());
        tasks.spawn(async move {
            loop {
                event.wait().await;
                let done = core::mem::take(&mut queue.queue.lock().done);
                let wakers = {
                    let mut local = state.borrow_mut();
                    local.done.extend(done);
                    let surplus = local.done.len().saturating_sub(MAX_DONE);
                    local.done.drain(..surplus);
                    core::mem::take(&mut local.wakers)
                };
                wakers.into_iter().for_each(Waker::wake);
            }
        });
        Ok(Self { thread: worker.thread(), shared, local })
    }

    /// The thread.
    pub const fn thread(&self) -> Thread {
        self.thread
    }

    fn give(&self, job: Job) -> Pending {
        let number = {
            let mut local = self.local.borrow_mut();
            local.next += 1;
            local.next
        };
        self.shared.queue.lock().jobs.push_back((number, job));
        self.shared.more.notify_one();
        Pending { worker: self.clone(), number }
    }

    /// Has services told that a client is gone; ready when they were.
    pub fn report(&self, client: u64) -> Pending {
        self.give(Job::Gone(badge::client(client)))
    }

    /// Ready when everything is done that it was given before.
    pub fn idle(&self) -> Pending {
        self.give(Job::Nothing)
    }

    /// Has services told that a client is gone; nobody waits for it.
    pub fn forget(&self, client: u64) {
        self.shared.queue.lock().jobs.push_back((NOBODY, Job::Gone(badge::client(client))));
        self.shared.more.notify_one();
    }

    /// Has the file system write everything back; ready when it did, or cannot.
    pub fn shut_down(&self) -> Pending {
        self.give(Job::ShutDown)
    }
}

/// A job: ready when it is done. One that nobody waits for any more, and that was not begun, is left out: a service that hears of a client's
/// end when the client is back would end what is new.
pub struct Pending {
    worker: Worker,
    number: u64,
}

impl Future for Pending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut local = self.worker.local.borrow_mut();
        match local.done.iter().position(|done| *done == self.number) {
            Some(index) => {
                local.done.remove(index);
                Poll::Ready(())
            }
            None => {
                local.wakers.push(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.worker.shared.queue.lock().jobs.retain(|(number, _)| *number != self.number);
    }
}

/// The thread.
fn work(shared: &Shared) {
    loop {
        let (number, job) = {
            let mut queue = shared.queue.lock();
            loop {
                match queue.jobs.pop_front() {
                    Some(job) => break job,
                    None => queue = shared.more.wait(queue),
                }
            }
        };
        match job {
            Job::Gone(client) => {
                if let Ok(registry) = service::registry() {
                    // It answers before long, whether services listen or not. Told later, they would end what the client's successor has.
                    let registry = RegistryClient::new(registry.transport().without_repetition());
                    let _ = registry.client_gone(client);
                }
            }
            Job::ShutDown => shut_down_files(shared.files),
            Job::Nothing => {}
        }
        if number != NOBODY {
            shared.queue.lock().done.push(number);
            let _ = shared.finished.signal();
        }
    }
}

fn shut_down_files(files: Option<CapSlot>) {
    let Some(files) = files else { return };
    let Ok(slot) = slots::allocate() else { return };
    if files.mint(slot, Rights::SEND | Rights::GRANT, motte::start::header().badge).is_ok() {
        let _ = FilesClient::new(Connection::from(slot)).shut_down();
    }
    slots::delete(slot);
}
