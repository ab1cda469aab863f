//! Connections as tasks: each is woken by its socket, by the dashboard's answer, or because its time is over.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use motte::aio::{AsyncRead, AsyncWrite};
use motte::net::TcpStream;
use motte::server::Tasks;
use motte::time::{Duration, monotonic_ns};
use motte_httpd::calls::{Call, Reply};
use motte_httpd::connection::{Connection, Step};
use motte_httpd::site::Site;
use motte_httpd::status::Status;

use crate::files::{Files, OpenFile};
use crate::gateway::Gateway;

/// Bytes that are read at once.
const READ: usize = 4096;
/// How often it is looked whose time is over.
const SWEEP: Duration = Duration::from_secs(1);
/// Connections beyond the most, for a moment: to make room, or to say that there is none.
const BEYOND: usize = 32;

/// What is known of a connection while it waits.
struct Waiting {
    deadline: u64,
    is_idle: bool,
    waker: Waker,
}

/// What all connections share.
pub struct Server {
    site: RefCell<Site<Files>>,
    gateway: Option<Arc<Gateway>>,
    tasks: Tasks,
    most: usize,
    /// By the connections' numbers; `None` for one that runs, or is not there.
    waiting: RefCell<Vec<Option<Waiting>>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
    sweeps: Cell<bool>,
    buffer: RefCell<Vec<u8>>,
}

impl Server {
    /// Serves a site, to at most so many connections.
    pub fn new(site: Site<Files>, gateway: Option<Arc<Gateway>>, tasks: Tasks, most: usize) -> Self {
        Self {
            site: RefCell::new(site),
            gateway,
            tasks,
            most,
            waiting: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
            count: Cell::new(0),
            sweeps: Cell::new(false),
            buffer: RefCell::new(vec![0; READ]),
        }
    }

    /// Ends the connection that has been idle for longest.
    fn make_room(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let idle = waiting.iter_mut().flatten().filter(|waiting| waiting.is_idle);
        if let Some(longest) = idle.min_by_key(|waiting| waiting.deadline) {
            longest.deadline = 0;
            longest.is_idle = false;
            longest.waker.wake_by_ref();
        }
    }

    /// Wakes those whose time is over, as long as there is anybody.
    fn sweep(self: &Rc<Self>) {
        if self.sweeps.replace(true) {
            return;
        }
        let server = self.clone();
        self.tasks.spawn(async move {
            while server.count.get() > 0 {
                server.tasks.sleep(SWEEP).await;
                let now = monotonic_ns();
                let waiting = server.waiting.borrow();
                waiting.iter().flatten().filter(|waiting| waiting.deadline <= now).for_each(|w| w.waker.wake_by_ref());
            }
            server.sweeps.set(false);
        });
    }
}

/// One connection.
pub struct Serving {
    server: Rc<Server>,
    number: usize,
    stream: TcpStream,
    connection: Connection<OpenFile>,
    /// The dashboard's answer that it waits for.
    ticket: Option<u64>,
    /// The number of the last event that it saw, if it wants them.
    event: Option<u64>,
}

impl Serving {
    /// Serves a connection. `None` if there are far too many: then it is closed.
    pub fn begin(server: &Rc<Server>, stream: TcpStream) -> Option<Self> {
        let count = server.count.get();
        if count >= server.most {
            server.make_room();
        }
        if count >= server.most + BEYOND {
            return None;
        }
        server.count.set(count + 1);
        server.sweep();
        let mut waiting = server.waiting.borrow_mut();
        let number = server.free.borrow_mut().pop().unwrap_or_else(|| {
            waiting.push(None);
            waiting.len() - 1
        });
        let connection = Connection::new(monotonic_ns(), server.gateway.is_some());
        Some(Self { server: server.clone(), number, stream, connection, ticket: None, event: None })
    }

    /// Does what can be done. Ready when the connection is over.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let server = self.server.clone();
        let mut site = server.site.borrow_mut();
        let now = monotonic_ns();
        site.set_time(now);
        let former = server.waiting.borrow_mut()[self.number].take();
        if former.is_some_and(|former| former.deadline == 0) || now >= self.connection.deadline() {
            self.connection.expire(site.date(), now);
        }
        loop {
            match self.connection.step(&mut site) {
                Step::Read => {
                    let mut buffer = server.buffer.borrow_mut();
                    match self.stream.poll_read(context, &mut buffer) {
                        Poll::Ready(Ok(0)) => self.connection.ended(),
                        Poll::Ready(Ok(count)) => self.connection.received(&buffer[..count], now),
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Step::Write => {
                    let bytes = self.connection.output(&mut site);
                    if bytes.is_empty() {
                        continue;
                    }
                    match self.stream.poll_write(context, bytes) {
                        Poll::Ready(Ok(count)) => self.connection.sent(count, now),
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Step::Ask(Call::Events) => {
                    self.connection.answer_with_events(site.date(), now);
                    self.event = server.gateway.as_ref().map(|gateway| gateway.watch());
                }
                Step::Ask(call) => {
                    let asked = server.gateway.as_ref().and_then(|gateway| gateway.ask(call, context.waker()));
                    match asked {
                        Some(ticket) => self.ticket = Some(ticket),
                        None => {
                            let reply = Reply::sentence(Status::UNAVAILABLE, Status::UNAVAILABLE.sentence());
                            self.connection.answer(reply, site.date(), now);
                        }
                    }
                }
                Step::Watch => {
                    let Some(gateway) = &server.gateway else { return Poll::Ready(()) };
                    if let Some(ticket) = self.ticket {
                        let Some(reply) = gateway.take(ticket) else { return Poll::Pending };
                        self.ticket = None;
                        self.connection.answer(reply, site.date(), now);
                    } else if let Some(seen) = self.event {
                        let Some((number, event)) = gateway.event(seen, context.waker()) else { return Poll::Pending };
                        self.event = Some(number);
                        self.connection.event(&event, now);
                    } else {
                        return Poll::Ready(());
                    }
                }
                Step::Finish => {
                    let _ = self.stream.finish();
                    self.connection.finished(now);
                }
                Step::Close => return Poll::Ready(()),
            }
        }
    }
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let done = self.advance(context);
        if done.is_pending() {
            let waiting = Waiting {
                deadline: self.connection.deadline(),
                is_idle: self.connection.is_idle(),
                waker: context.waker().clone(),
            };
            self.server.waiting.borrow_mut()[self.number] = Some(waiting);
        }
        done
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(gateway) = &self.server.gateway {
            self.ticket.into_iter().for_each(|ticket| gateway.forget(ticket));
            if self.event.is_some() {
                gateway.unwatch();
            }
        }
        self.server.waiting.borrow_mut()[self.number] = None;
        self.server.free.borrow_mut().push(self.number);
        self.server.count.set(self.server.count.get() - 1);
    }
}
