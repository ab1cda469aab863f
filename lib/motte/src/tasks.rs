//! Tasks beside a server: futures that run between requests, woken by bits of the bound notification, by time, by one another, or by
//! other threads.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use motte_abi::{Error, ObjectType, Rights};

use crate::kernel::{CapSlot, Notification};
use crate::sync::SpinLock;
use crate::time::Instant;
use crate::{control, memory, slots, thread};

/// Bit of the bound notification: the timer.
const TIMER_BIT: u32 = 63;
/// Bit of the bound notification: another thread woke a task.
const WAKE_BIT: u32 = 62;
/// Bits for events: the others are the timer's, the waking threads' and the supervisor's.
const EVENT_BITS: u32 = 60;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that are to run, which any thread may add to.
#[derive(Debug)]
struct Ready {
    queue: SpinLock<VecDeque<u64>>,
    /// Signals [`WAKE_BIT`].
    wake: Notification,
    /// The thread that runs the tasks.
    home: CapSlot,
    /// Whether tasks are to run, or the kernel's timer is to be looked after; asked before every receive.
    work: AtomicBool,
}

impl Ready {
    fn push(&self, task: u64) {
        self.queue.lock().push_back(task);
        self.work.store(true, Ordering::Release);
    }
}

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.task);
        if thread::current().0 != self.ready.home {
            let _ = self.ready.wake.signal();
        }
    }
}

#[derive(Debug, Default)]
struct EventState {
    /// Signals that nobody waited for yet.
    pending: bool,
    waker: Option<Waker>,
    claimed: bool,
}

struct Inner {
    notification: Notification,
    /// A task is taken out while it runs.
    tasks: BTreeMap<u64, Option<Task>>,
    next_task: u64,
    events: [EventState; EVENT_BITS as usize],
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    /// The deadline that the kernel was told; 0 for none.
    armed: u64,
}

/// The tasks and events of one thread. Clones name the same.
#[derive(Clone)]
pub struct Tasks {
    inner: Rc<RefCell<Inner>>,
    ready: Arc<Ready>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({})", self.inner.borrow().tasks.len())
    }
}

impl Tasks {
    /// Binds a notification to the running thread: the one that the supervisor signals, or a new one.
    pub(crate) fn new() -> Result<Self, Error> {
        let notification = match control::take() {
            Some(control) => control,
            None => Notification(memory::make(ObjectType::Notification, 0)?),
        };
        thread::bind_to_current(notification)?;
        let wake = slots::allocate()?;
        notification.0.mint(wake, Rights::WRITE, 1 << WAKE_BIT)?;
        let ready = Ready {
            queue: SpinLock::new(VecDeque::new()),
            wake: Notification(wake),
            home: thread::current().0,
            work: AtomicBool::new(false),
        };
        let inner = Inner {
            notification,
            tasks: BTreeMap::new(),
            next_task: 0,
            events: core::array::from_fn(|_| EventState::default()),
            timers: BTreeMap::new(),
            next_timer: 0,
            armed: 0,
        };
        Ok(Self { inner: Rc::new(RefCell::new(inner)), ready: Arc::new(ready) })
    }

    /// Starts a task; it first runs before the server next waits.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut inner = self.inner.borrow_mut();
        let task = inner.next_task;
        inner.next_task += 1;
        inner.tasks.insert(task, Some(Box::pin(future)));
        self.ready.push(task);
    }

    /// A new event: a bit of the bound notification. `LimitReached` when all 60 are in use.
    pub fn event(&self) -> Result<Event, Error> {
        let mut inner = self.inner.borrow_mut();
        let bit = inner.events.iter().position(|event| !event.claimed).ok_or(Error::LimitReached)?;
        let slot = slots::allocate()?;
        inner.notification.0.mint(slot, Rights::WRITE | Rights::READ, 1 << bit)?;
        inner.events[bit] = EventState { claimed: true, ..EventState::default() };
        Ok(Event { tasks: self.clone(), bit: bit as u32, signal: Notification(slot) })
    }

    /// Waits until the monotonic clock shows `deadline`.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep { tasks: self.clone(), deadline: deadline.as_ns(), key: None }
    }

    /// Waits for `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(Instant::now() + duration)
    }

    /// Waits for a future, but not longer than `duration`; `None` if the time was up.
    pub async fn timeout<T>(&self, duration: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = core::pin::pin!(future);
        let mut sleep = core::pin::pin!(self.sleep(duration));
        core::future::poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            sleep.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// Whether tasks are to run, or the kernel's timer to be looked after.
    #[inline]
    pub(crate) fn have_work(&self) -> bool {
        self.ready.work.load(Ordering::Acquire)
    }

    /// Runs tasks until none is ready, and arms the timer.
    pub(crate) fn run(&self) {
        // Before the queue is looked at: what another thread adds later sets it again.
        self.ready.work.store(false, Ordering::SeqCst);
        loop {
            let next = self.ready.queue.lock().pop_front();
            match next {
                Some(task) => self.run_task(task),
                None => {
                    self.expire_timers();
                    if self.ready.queue.lock().is_empty() {
                        return;
                    }
                }
            }
        }
    }

    fn run_task(&self, task: u64) {
        let future = self.inner.borrow_mut().tasks.get_mut(&task).and_then(Option::take);
        // One that was woken twice may have ended.
        let Some(mut future) = future else { return };
        let waker = Waker::from(Arc::new(TaskWaker { task, ready: self.ready.clone() }));
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut inner = self.inner.borrow_mut();
        if ended {
            inner.tasks.remove(&task);
            // What the future held may use this object as it is dropped.
            drop(inner);
            drop(future);
        } else {
            inner.tasks.insert(task, Some(future));
        }
    }

    /// Wakes whom the time has come for; has the kernel signal at the next deadline.
    fn expire_timers(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.timers.is_empty() {
            return;
        }
        let now = Instant::now().as_ns();
        while let Some(entry) = inner.timers.first_entry() {
            if entry.key().0 > now {
                let deadline = entry.key().0;
                if inner.armed != deadline {
                    inner.armed = deadline;
                    let _ = inner.notification.set_timer(deadline, 1 << TIMER_BIT);
                }
                return;
            }
            entry.remove().wake();
        }
    }

    /// Waits for a signal, where no server waits for requests.
    pub(crate) fn wait(&self) {
        let notification = self.inner.borrow().notification;
        if let Ok(bits) = notification.wait() {
            self.notified(bits);
            if bits & control::STOP != 0 {
                crate::exit(0);
            }
        }
    }

    /// Whether the running thread is the one whose tasks these are.
    pub(crate) fn are_mine(&self) -> bool {
        thread::current().0 == self.ready.home
    }

    /// Notes which bits came, and answers the supervisor; returns those that no event has claimed a task for.
    pub(crate) fn notified(&self, bits: u64) -> u64 {
        if bits & control::PING != 0 {
            control::beat();
        }
        let mut inner = self.inner.borrow_mut();
        if bits & 1 << TIMER_BIT != 0 {
            // It has fired; the next run arms it anew.
            inner.armed = 0;
            self.ready.work.store(true, Ordering::Release);
        }
        let events = bits & ((1 << EVENT_BITS) - 1);
        let (mut left, mut rest) = (events, events);
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            let event = &mut inner.events[bit as usize];
            if event.claimed {
                event.pending = true;
                if let Some(waker) = event.waker.take() {
                    rest &= !(1 << bit);
                    waker.wake();
                }
            }
        }
        rest
    }
}

/// A source of signals: an interrupt, a ring's other side, another thread.
///
/// A task waits for it by [`Event::wait`]; if none does, the bit goes to [`crate::server::Handler::notified`], and a task that waits later finds it
/// pending.
#[derive(Debug)]
pub struct Event {
    tasks: Tasks,
    bit: u32,
    signal: Notification,
}

impl Event {
    /// The notification whose signal is this event: bind an interrupt to it, or give a copy to whoever signals.
    pub fn notification(&self) -> Notification {
        self.signal
    }

    /// The event's bit in [`crate::server::Handler::notified`].
    pub fn bit(&self) -> u64 {
        1 << self.bit
    }

    /// Waits for a signal; several that came meanwhile count as one. One task at a time waits.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        core::future::poll_fn(|context| {
            let mut inner = self.tasks.inner.borrow_mut();
            let event = &mut inner.events[self.bit as usize];
            if core::mem::take(&mut event.pending) {
                return Poll::Ready(());
            }
            event.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        slots::delete(self.signal.0);
        self.tasks.inner.borrow_mut().events[self.bit as usize] = EventState::default();
    }
}

/// The future of [`Tasks::sleep`].
pub struct Sleep {
    tasks: Tasks,
    deadline: u64,
    key: Option<(u64, u64)>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep({})", self.deadline)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now().as_ns() >= self.deadline {
            return Poll::Ready(());
        }
        let key = {
            let mut inner = self.tasks.inner.borrow_mut();
            let key = self.key.unwrap_or_else(|| {
                inner.next_timer += 1;
                (self.deadline, inner.next_timer)
            });
            inner.timers.insert(key, context.waker().clone());
            self.tasks.ready.work.store(true, Ordering::Release);
            key
        };
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.tasks.inner.borrow_mut().timers.remove(&key);
        }
    }
}
