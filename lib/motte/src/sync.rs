//! Locks and conditions between the threads of a component.
//!
//! [`RawLock`] spins and yields: for the heap and short sections. [`Mutex`] and [`Condvar`] park the waiting thread on its own
//! notification, first come, first served.

use alloc::collections::VecDeque;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use core::time::Duration;

use motte_abi::Error;
use talc::lock_api;

use crate::kernel::Notification;
use crate::thread::{self, TIMER, WAKE};
use crate::{arch, kernel, time};

/// A lock without a queue.
#[derive(Debug)]
pub struct RawLock(AtomicBool);

// SAFETY: `lock` returns only to the one whose exchange changed the flag from free to taken.
unsafe impl lock_api::RawMutex for RawLock {
    // The initial value of a lock is meant to be copied.
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        let mut tries = 0;
        while !self.try_lock() {
            tries += 1;
            if tries % 64 == 0 {
                kernel::yield_now();
            } else {
                arch::relax();
            }
        }
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A value behind a [`RawLock`].
pub type SpinLock<T> = lock_api::Mutex<RawLock, T>;

/// Threads that wait.
type Queue = SpinLock<VecDeque<Notification>>;

/// Waits on the thread's own notification until another wakes it. Whoever put itself into a queue parks once, and is woken once.
fn park() {
    let Ok(notification) = thread::park_notification() else {
        kernel::yield_now();
        return;
    };
    loop {
        match notification.wait() {
            Ok(bits) if bits & WAKE != 0 => return,
            Ok(_) | Err(Error::Cancelled) => {}
            Err(_) => return,
        }
    }
}

fn wake(notification: Notification) {
    let _ = notification.signal();
}

/// Nobody has the mutex.
const FREE: u8 = 0;
/// Somebody has it, and nobody waits.
const LOCKED: u8 = 1;
/// Somebody has it, and others may wait.
const CONTENDED: u8 = 2;

/// A value that one thread at a time may use.
///
/// As long as nobody waits, taking it and giving it free are one atomic operation each (U. Drepper, "Futexes Are Tricky", 2011, mutex 2).
pub struct Mutex<T: ?Sized> {
    state: AtomicU8,
    waiters: Queue,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one thread at a time reach the value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), waiters: SpinLock::new(VecDeque::new()), value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until it is free, and takes it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if !self.try_take() {
            self.wait();
        }
        MutexGuard { mutex: self }
    }

    /// Takes it, after somebody else gave it free. The state then says that others may wait, since it is not known who else is in the queue.
    #[cold]
    fn wait(&self) {
        loop {
            let Ok(notification) = thread::park_notification() else {
                if self.state.swap(CONTENDED, Ordering::SeqCst) == FREE {
                    return;
                }
                kernel::yield_now();
                continue;
            };
            {
                // Whoever gives it free and sees that others may wait looks at the queue, which this thread is in by then.
                let mut waiters = self.waiters.lock();
                if self.state.swap(CONTENDED, Ordering::SeqCst) == FREE {
                    return;
                }
                waiters.push_back(notification);
            }
            park();
        }
    }

    /// Takes it if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.try_take().then_some(MutexGuard { mutex: self })
    }

    #[inline]
    fn try_take(&self) -> bool {
        self.state.compare_exchange(FREE, LOCKED, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn release(&self) {
        if self.state.swap(FREE, Ordering::SeqCst) == CONTENDED {
            self.wake_next();
        }
    }

    #[cold]
    fn wake_next(&self) {
        let next = self.waiters.lock().pop_front();
        if let Some(waiter) = next {
            wake(waiter);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&&*guard).finish(),
            None => f.write_str("Mutex(locked)"),
        }
    }
}

/// The lock is held while this lives.
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.release();
    }
}

/// Where threads wait for something to become true.
pub struct Condvar {
    waiters: Queue,
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { waiters: SpinLock::new(VecDeque::new()) }
    }

    /// Gives the lock free, waits to be notified, and takes it again. May return without a reason.
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex;
        let Ok(notification) = thread::park_notification() else {
            drop(guard);
            kernel::yield_now();
            return mutex.lock();
        };
        self.waiters.lock().push_back(notification);
        drop(guard);
        park();
        mutex.lock()
    }

    /// As [`wait`](Self::wait), for `duration` at most. True if the time was up.
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let mutex = guard.mutex;
        let deadline = time::monotonic_ns().saturating_add(duration.as_nanos() as u64).max(1);
        let Ok(notification) = thread::park_notification() else { return (guard, true) };
        self.waiters.lock().push_back(notification);
        drop(guard);
        let _ = notification.set_timer(deadline, TIMER);
        let mut woken = false;
        while !woken && time::monotonic_ns() < deadline {
            woken = notification.wait().map_or(true, |bits| bits & WAKE != 0);
        }
        let _ = notification.set_timer(0, TIMER);
        if !woken {
            let mut waiters = self.waiters.lock();
            match waiters.iter().position(|waiter| *waiter == notification) {
                Some(index) => drop(waiters.remove(index)),
                None => {
                    // Taken from the queue meanwhile: the signal is there or about to be.
                    drop(waiters);
                    park();
                    woken = true;
                }
            }
        }
        (mutex.lock(), !woken)
    }

    /// Wakes one thread.
    pub fn notify_one(&self) {
        let next = self.waiters.lock().pop_front();
        if let Some(waiter) = next {
            wake(waiter);
        }
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        let waiters = core::mem::take(&mut *self.waiters.lock());
        waiters.into_iter().for_each(wake);
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

/// A value that is made once, by whoever first asks.
pub struct OnceLock<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by the one thread that changed the state from empty to busy, and shared only afterwards.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: as for the value.
unsafe impl<T: Send> Send for OnceLock<T> {}

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

impl<T> OnceLock<T> {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != READY {
            return None;
        }
        // SAFETY: ready means written, and it is never written again.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// Puts a value in; gives it back if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.state.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(value);
        }
        // SAFETY: this thread alone got from empty to busy, and nobody reads before ready.
        unsafe { *self.value.get() = Some(value) };
        self.state.store(READY, Ordering::Release);
        Ok(())
    }

    /// The value; `make` is called if there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            if self.state.load(Ordering::Acquire) == EMPTY {
                // Two may make one; the first to set it wins.
                let _ = self.set(make());
                return self.get_or_wait();
            }
            kernel::yield_now();
        }
    }

    fn get_or_wait(&self) -> &T {
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            kernel::yield_now();
        }
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}
