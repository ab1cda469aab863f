//! Waking tasks that wait for sockets: one notification for all of them.

use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};

use motte_interfaces::error::IoError;
use motte_interfaces::net::NetClient;

use crate::io::{self, Result};
use crate::kernel::{CapSlot, Notification};
use crate::server::Tasks;
use crate::sync::{Condvar, Mutex};
use crate::thread;

use super::session::{Session, session};

/// What the tasks of one thread need to wait for sockets.
pub struct Reactor {
    /// The stack signals it.
    wake: Notification,
    /// The thread whose tasks are woken.
    home: CapSlot,
    /// Whether the stack is to be signalled when the tasks that are ready have run.
    signal_due: AtomicBool,
    signaller: Mutex<Option<Waker>>,
    /// Epochs that the watching thread has been asked to watch.
    asked: Mutex<u64>,
    more: Condvar,
}

impl Reactor {
    /// The notification that the stack signals.
    pub fn notification(&self) -> Notification {
        self.wake
    }

    /// Whether the running thread is the one whose tasks are woken.
    #[inline]
    pub fn is_here(&self) -> bool {
        thread::current().0 == self.home
    }

    /// Signals the stack when the tasks that are ready now have run, once for all that they have to tell.
    #[inline]
    pub fn signal_soon(&self) {
        self.signal_due.store(true, Ordering::Relaxed);
        if let Some(waker) = &*self.signaller.lock() {
            waker.wake_by_ref();
        }
    }

    /// The session was begun anew: its new stack is to be watched.
    pub fn watch_again(&self) {
        *self.asked.lock() += 1;
        self.more.notify_all();
    }
}

/// Has the tasks of `tasks`, which are the running thread's, woken when the sockets are ready that they wait for. Once in a program, before it
/// polls a socket.
pub fn wake_tasks(tasks: &Tasks) -> Result<()> {
    let session = session()?;
    if !tasks.are_mine() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the tasks are those of another thread"));
    }
    let event = tasks.event().map_err(|_| IoError::OutOfMemory)?;
    let reactor = Reactor {
        wake: event.notification(),
        home: thread::current().0,
        signal_due: AtomicBool::new(false),
        signaller: Mutex::new(None),
        asked: Mutex::new(1),
        more: Condvar::new(),
    };
    if session.reactor.set(reactor).is_err() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "sockets wake another thread's tasks already"));
    }
    let epoch = session.epoch();
    match session.client.wake_by(motte_interfaces::Cap(event.notification().0.0)) {
        Err(IoError::ServiceRestarted) => session.restart(epoch)?,
        other => other?,
    }
    tasks.spawn(async move {
        loop {
            event.wait().await;
            session.dispatch();
        }
    });
    tasks.spawn(async move {
        loop {
            poll_fn(|context| {
                let Some(reactor) = session.reactor.get() else { return Poll::Pending };
                let mut signaller = reactor.signaller.lock();
                if signaller.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
                    *signaller = Some(context.waker().clone());
                }
                if reactor.signal_due.swap(false, Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            session.signal();
        }
    });
    thread::try_spawn(move || watch(session))
        .map_err(|error| io::Error::other(alloc::format!("the network stack cannot be watched: {error}")))?;
    Ok(())
}

/// The thread that hears of the stack's end, and begins the session anew.
fn watch(session: &'static Session) {
    let Some(reactor) = session.reactor.get() else { return };
    let stack = NetClient::new(session.client.transport().patient());
    let mut watched = 0;
    loop {
        {
            let mut asked = reactor.asked.lock();
            while *asked == watched {
                asked = reactor.more.wait(asked);
            }
            watched = *asked;
        }
        let epoch = session.epoch();
        // It has no other answer.
        if stack.watch().is_err()
            && let Err(error) = session.restart(epoch)
        {
            log::error!("the network cannot be reached any more: {error}");
        }
    }
}
