//! The way to the dashboard: a thread of its own asks it, so that whoever only wants a file never waits for it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;

use motte::interfaces::dashboard::{DashboardClient, DashboardError, Document};
use motte::service::{self, Connection};
use motte::sync::{Condvar, Mutex};
use motte::thread::{self, SpawnError};
use motte::time::Duration;
use motte_httpd::calls::{Call, Reply};
use motte_httpd::media;
use motte_httpd::status::Status;

/// From one event to the next.
const BETWEEN_EVENTS: Duration = Duration::from_secs(1);
/// Calls that may wait.
const MOST_CALLS: usize = 256;
/// Attempts to read a document that changes meanwhile.
const ATTEMPTS: usize = 3;

/// What the thread is asked, and what it has answered.
#[derive(Default)]
struct Desk {
    calls: VecDeque<(u64, Call, Waker)>,
    replies: BTreeMap<u64, Reply>,
    tickets: u64,
    /// Whether the dashboard is to be told that the page can be reached.
    announces: bool,
    /// Connections that want events.
    watchers: usize,
    /// The newest event and its number, and who waits for the next.
    event: Option<Arc<[u8]>>,
    events: u64,
    waiting: Vec<Waker>,
}

/// The desk, at which tasks ask and the thread answers.
pub struct Gateway {
    desk: Mutex<Desk>,
    asked: Condvar,
}

impl Gateway {
    /// Starts the thread.
    pub fn start() -> Result<Arc<Self>, SpawnError> {
        let gateway = Arc::new(Self { desk: Mutex::new(Desk::default()), asked: Condvar::new() });
        let theirs = gateway.clone();
        thread::try_spawn(move || theirs.work())?;
        Ok(gateway)
    }

    /// Has the dashboard told that the page can be reached.
    pub fn announce(&self) {
        self.desk.lock().announces = true;
        self.asked.notify_all();
    }

    /// Hands a call in; the waker is woken when there is an answer. `None`: too many wait.
    pub fn ask(&self, call: Call, waker: &Waker) -> Option<u64> {
        let mut desk = self.desk.lock();
        if desk.calls.len() >= MOST_CALLS {
            return None;
        }
        desk.tickets += 1;
        let ticket = desk.tickets;
        desk.calls.push_back((ticket, call, waker.clone()));
        drop(desk);
        self.asked.notify_all();
        Some(ticket)
    }

    /// The answer, if it is there.
    pub fn take(&self, ticket: u64) -> Option<Reply> {
        self.desk.lock().replies.remove(&ticket)
    }

    /// Nobody wants the answer any more.
    pub fn forget(&self, ticket: u64) {
        let mut desk = self.desk.lock();
        desk.calls.retain(|(waiting, ..)| *waiting != ticket);
        desk.replies.remove(&ticket);
    }

    /// One more connection wants events; returns the number of the last one that it does without.
    pub fn watch(&self) -> u64 {
        let mut desk = self.desk.lock();
        desk.watchers += 1;
        let seen = desk.events;
        drop(desk);
        self.asked.notify_all();
        seen
    }

    /// One connection less wants them.
    pub fn unwatch(&self) {
        self.desk.lock().watchers -= 1;
    }

    /// The newest event, if it is newer than number `seen`, and its number. Else the waker is woken when there is one.
    pub fn event(&self, seen: u64, waker: &Waker) -> Option<(u64, Arc<[u8]>)> {
        let mut desk = self.desk.lock();
        match &desk.event {
            Some(event) if desk.events > seen => Some((desk.events, event.clone())),
            _ => {
                desk.waiting.push(waker.clone());
                None
            }
        }
    }

    /// The thread: answers, and fetches an event every second while somebody wants them.
    fn work(&self) {
        let mut dashboard = Dashboard(None);
        loop {
            let mut desk = self.desk.lock();
            if core::mem::take(&mut desk.announces) {
                drop(desk);
                let _ = dashboard.with(|dashboard| dashboard.announce());
            } else if let Some((ticket, call, waker)) = desk.calls.pop_front() {
                drop(desk);
                let reply = dashboard.reply(&call);
                self.desk.lock().replies.insert(ticket, reply);
                waker.wake();
            } else if desk.watchers == 0 {
                drop(self.asked.wait(desk));
            } else {
                drop(desk);
                let event = dashboard.event();
                let mut desk = self.desk.lock();
                desk.event = Some(event);
                desk.events += 1;
                core::mem::take(&mut desk.waiting).into_iter().for_each(Waker::wake);
                if desk.calls.is_empty() {
                    drop(self.asked.wait_timeout(desk, BETWEEN_EVENTS));
                }
            }
        }
    }
}

/// The dashboard's connection, made when it is first needed.
struct Dashboard(Option<DashboardClient<Connection>>);

impl Dashboard {
    fn with<T>(
        &mut self,
        ask: impl FnOnce(&DashboardClient<Connection>) -> Result<T, DashboardError>,
    ) -> Result<T, DashboardError> {
        if self.0.is_none() {
            let connection = service::connect("dashboard").map_err(|_| DashboardError::Unavailable)?;
            self.0 = Some(DashboardClient::new(connection));
        }
        self.0.as_ref().map_or(Err(DashboardError::Unavailable), ask)
    }

    /// A whole document.
    fn document(&mut self, document: Document) -> Result<Vec<u8>, DashboardError> {
        self.with(|dashboard| {
            let mut outcome = Err(DashboardError::Outdated);
            for _ in 0..ATTEMPTS {
                outcome = read(dashboard, document);
                if outcome != Err(DashboardError::Outdated) {
                    break;
                }
            }
            outcome
        })
    }

    fn reply(&mut self, call: &Call) -> Reply {
        let answered = match call {
            Call::Page => self.document(Document::Page).map(|body| (media::HTML, body)),
            Call::State | Call::Events => self.document(Document::State).map(|body| (media::JSON, body)),
            Call::Log { from } => self.document(Document::Log(*from)).map(|body| (media::JSON, body)),
            Call::Fault { number } => self.document(Document::Fault(*number)).map(|body| (media::TEXT, body)),
            Call::Metrics => {
                let body = self.document(Document::Metrics);
                body.map(|body| ("text/plain; version=0.0.4; charset=utf-8", body))
            }
            Call::Act { action, component, token } => {
                let done = self.with(|dashboard| dashboard.act(token, *action, component));
                done.map(|()| (media::JSON, b"{\"done\":true}\n".to_vec()))
            }
        };
        match answered {
            Ok((media, body)) => Reply { status: Status::OK, media, body: body.into() },
            Err(error) => Reply::sentence(status(error), &alloc::format!("{error}")),
        }
    }

    /// The state as an event. If it cannot be had, a line that the client passes over, so that it knows that the connection lives.
    fn event(&mut self) -> Arc<[u8]> {
        let Ok(state) = self.document(Document::State) else {
            return b": the dashboard does not answer\n\n"[..].into();
        };
        [b"event: state\ndata: ".as_slice(), &state, b"\n\n"].concat().into()
    }
}

fn read(dashboard: &DashboardClient<Connection>, document: Document) -> Result<Vec<u8>, DashboardError> {
    let (version, length) = dashboard.open(document)?;
    let mut body = Vec::with_capacity(length as usize);
    while (body.len() as u64) < length {
        let piece = dashboard.read(document, version, body.len() as u64)?;
        if piece.0.is_empty() {
            return Err(DashboardError::Outdated);
        }
        body.extend(piece.0);
    }
    Ok(body)
}

fn status(error: DashboardError) -> Status {
    match error {
        DashboardError::NotFound => Status::NOT_FOUND,
        DashboardError::WrongToken => Status::FORBIDDEN,
        DashboardError::Conflict | DashboardError::Protected => Status::CONFLICT,
        DashboardError::Unavailable | DashboardError::Outdated => Status::BAD_GATEWAY,
    }
}
