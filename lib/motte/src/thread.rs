//! Threads: the control block that every thread has, its message buffer, and threads of one's own.
//!
//! The FS base of a thread points to its [`ThreadControl`]. Only its own thread uses what is in it. A further thread needs a scheduling
//! context: the loader puts a few into the component's table, with the component's budget, and says in the start information where.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use core::ptr;
use core::time::Duration;

use motte_abi::fault::Registers;
use motte_abi::message::MAX_CAPS;
use motte_abi::{Error, MessageBuffer, ObjectType, Rights};

use crate::kernel::{CapSlot, Notification, Thread, own};
use crate::sync::{Condvar, Mutex};
use crate::{arch, memory, slots, start};

pub use crate::kernel::yield_now;

/// What the runtime keeps for one thread.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadControl {
    /// Its own address: what `fs:[0]` gives.
    this: Cell<*const ThreadControl>,
    buffer: Cell<*mut MessageBuffer>,
    thread: Cell<CapSlot>,
    /// The notification on which the thread parks; null until it first does.
    park: Cell<CapSlot>,
    /// Whether somebody puts together or takes apart a message in the buffer.
    buffer_borrowed: Cell<bool>,
    /// Whether the buffer names four free slots for capabilities to arrive in.
    slots_ready: Cell<bool>,
}

impl ThreadControl {
    /// A block for a thread that has none of this yet.
    pub(crate) const fn new() -> Self {
        Self {
            this: Cell::new(ptr::null()),
            buffer: Cell::new(ptr::null_mut()),
            thread: Cell::new(CapSlot::NULL),
            park: Cell::new(CapSlot::NULL),
            buffer_borrowed: Cell::new(false),
            slots_ready: Cell::new(false),
        }
    }

    /// Fills it in and returns its address.
    pub(crate) fn set_up(&self, buffer: u64, thread: Thread) -> u64 {
        self.this.set(self);
        self.buffer.set(buffer as *mut MessageBuffer);
        self.thread.set(thread.0);
        ptr::from_ref(self) as u64
    }
}

/// The running thread's block.
#[inline]
fn control() -> &'static ThreadControl {
    // SAFETY: the block of a running thread lives as long as the thread, and is changed through cells by that thread only.
    unsafe { &*arch::thread_control() }
}

/// The running thread.
pub fn current() -> Thread {
    Thread(control().thread.get())
}

/// The thread's message buffer, lent until dropped.
#[derive(Debug)]
pub struct BufferGuard {
    control: &'static ThreadControl,
}

impl BufferGuard {
    /// Borrows the buffer. Panics if somebody up the call stack has it: a message cannot be put together within another.
    #[inline]
    pub fn take() -> Self {
        let control = control();
        assert!(!control.buffer_borrowed.replace(true), "a message was begun while another is in the buffer");
        Self { control }
    }

    /// The buffer.
    #[inline]
    pub fn get(&mut self) -> &mut MessageBuffer {
        // SAFETY: the buffer is mapped as long as the thread runs, belongs to it alone, and the flag lets one guard exist at a time.
        // The kernel writes it only while the thread is in a message call, and then no reference from here lives.
        unsafe { &mut *self.control.buffer.get() }
    }

    /// Makes sure that the buffer names free slots for capabilities to arrive in.
    #[inline]
    pub fn prepare_receive_slots(&mut self) -> Result<(), Error> {
        if self.control.slots_ready.get() { Ok(()) } else { self.fill_receive_slots() }
    }

    #[cold]
    fn fill_receive_slots(&mut self) -> Result<(), Error> {
        for place in &mut self.get().receive_slots {
            if *place == 0 {
                *place = slots::allocate()?.0;
            }
        }
        self.control.slots_ready.set(true);
        Ok(())
    }

    /// Takes the capabilities that arrived with the last message; their slots now belong to the caller.
    #[inline]
    pub fn take_arrived_caps(&mut self, count: usize) -> [u64; MAX_CAPS] {
        if count == 0 { [0; MAX_CAPS] } else { self.take_caps(count) }
    }

    #[cold]
    fn take_caps(&mut self, count: usize) -> [u64; MAX_CAPS] {
        self.control.slots_ready.set(false);
        let buffer = self.get();
        let mut arrived = [0; MAX_CAPS];
        for (to, from) in arrived.iter_mut().zip(&buffer.caps).take(count.min(MAX_CAPS)) {
            *to = *from;
            if let Some(place) = buffer.receive_slots.iter_mut().find(|place| **place == *from) {
                *place = 0;
            }
        }
        arrived
    }
}

impl Drop for BufferGuard {
    #[inline]
    fn drop(&mut self) {
        self.control.buffer_borrowed.set(false);
    }
}

/// Copies words out of the message buffer.
pub fn read_buffer_words(first: usize, words: &mut [u64]) {
    words.copy_from_slice(&BufferGuard::take().get().words[first..first + words.len()]);
}

/// Copies words into the message buffer.
pub fn write_buffer_words(first: usize, words: &[u64]) {
    BufferGuard::take().get().words[first..first + words.len()].copy_from_slice(words);
}

/// Bit of a thread's own notification: another thread wakes it.
pub(crate) const WAKE: u64 = 1;
/// Bit of a thread's own notification: its timer.
pub(crate) const TIMER: u64 = 2;

/// The notification on which the running thread parks.
pub(crate) fn park_notification() -> Result<Notification, Error> {
    let control = control();
    if control.park.get() == CapSlot::NULL {
        control.park.set(memory::make(ObjectType::Notification, 0)?);
    }
    Ok(Notification(control.park.get()))
}

/// Waits for `duration`.
pub fn sleep(duration: Duration) {
    sleep_until(crate::time::monotonic_ns().saturating_add(duration.as_nanos() as u64));
}

/// Waits until the monotonic clock shows `deadline_ns`.
pub fn sleep_until(deadline_ns: u64) {
    let Ok(park) = park_notification() else { return };
    if park.set_timer(deadline_ns.max(1), TIMER).is_err() {
        return;
    }
    while crate::time::monotonic_ns() < deadline_ns {
        if park.wait().is_err() {
            return;
        }
    }
    let _ = park.set_timer(0, TIMER);
    let _ = park.poll();
}

/// Why a thread could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// The component has no scheduling context left for another thread.
    NoSchedContext,
    /// The kernel refused, mostly because memory is used up.
    Kernel(Error),
}

impl From<Error> for SpawnError {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSchedContext => f.write_str("cannot start a thread: no scheduling context is left"),
            Self::Kernel(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

/// The result of a thread, once it is there.
struct Packet<T> {
    result: Mutex<Option<T>>,
    done: Condvar,
}

/// A thread that was started; dropping it leaves the thread running.
pub struct JoinHandle<T> {
    packet: Arc<Packet<T>>,
    thread: Thread,
}

impl<T> JoinHandle<T> {
    /// Waits for its end and returns its result. A panic in a thread ends the whole component.
    pub fn join(self) -> T {
        let mut result = self.packet.result.lock();
        loop {
            match result.take() {
                Some(value) => return value,
                None => result = self.packet.done.wait(result),
            }
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.packet.result.lock().is_some()
    }

    /// The thread.
    pub fn thread(&self) -> Thread {
        self.thread
    }
}

/// What a thread begins with. The control block comes first, so that its address is this one's.
#[repr(C)]
struct Start {
    control: ThreadControl,
    run: Cell<Option<Box<dyn FnOnce()>>>,
}

/// Stack of a further thread.
pub const STACK_BYTES: u64 = 64 * 1024;

/// Threads that have ended wait here, with stack, buffer and scheduling context, for the next to be started.
static IDLE: Mutex<alloc::vec::Vec<Resources>> = Mutex::new(alloc::vec::Vec::new());

#[derive(Clone, Copy)]
struct Resources {
    thread: Thread,
    stack_top: u64,
    buffer: u64,
    /// The notification it parked on, if it ever did.
    park: CapSlot,
    /// Address of the former thread's [`Start`], or 0.
    former: u64,
}

/// How many of the scheduling contexts for further threads are taken.
static TAKEN_CONTEXTS: Mutex<u64> = Mutex::new(0);

/// Makes thread, stack and buffer, and binds a scheduling context.
fn make_resources() -> Result<Resources, SpawnError> {
    let context = {
        let mut taken = TAKEN_CONTEXTS.lock();
        let context = start::further_context(*taken).ok_or(SpawnError::NoSchedContext)?;
        *taken += 1;
        context
    };
    let thread = Thread(memory::make(ObjectType::Thread, 0)?);
    let buffer_frame = memory::frame()?;
    let buffer = memory::map_new(&[buffer_frame], Rights::READ | Rights::WRITE)?;
    let stack = memory::map_stack(STACK_BYTES)?;
    let fault = start::capability("fault").unwrap_or(CapSlot::NULL);
    thread.configure(own::CAP_TABLE.0, own::ADDRESS_SPACE.0, fault, buffer_frame.0)?;
    let priority = start::header().priority.min(255) as u8;
    thread.schedule(priority, priority, context)?;
    Ok(Resources { thread, stack_top: stack + STACK_BYTES, buffer, park: CapSlot::NULL, former: 0 })
}

/// An ended thread whose resources can be used again.
fn idle_resources() -> Option<Resources> {
    let mut idle = IDLE.lock();
    let stopped = |r: &Resources| r.thread.info().is_ok_and(|info| info.state == 0);
    let index = idle.iter().position(stopped)?;
    let resources = idle.swap_remove(index);
    drop(idle);
    // SAFETY: the address is that of the control block at the beginning of the `Start` which the former thread leaked; the thread has stopped
    // for good, so nobody asks for it any more, and the entry was taken from the list, so that it is freed once.
    drop(unsafe { Box::from_raw(resources.former as *mut Start) });
    Some(resources)
}

/// Starts a thread. Panics if it cannot; see [`try_spawn`].
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match try_spawn(run) {
        Ok(handle) => handle,
        Err(error) => panic!("{error}"),
    }
}

/// Starts a thread.
pub fn try_spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, SpawnError> {
    let resources = match idle_resources() {
        Some(resources) => resources,
        None => make_resources()?,
    };
    let packet = Arc::new(Packet { result: Mutex::new(None), done: Condvar::new() });
    let theirs = packet.clone();
    let body: Box<dyn FnOnce()> = Box::new(move || {
        let value = run();
        let (park, former) = (control().park.get(), ptr::from_ref(control()) as u64);
        IDLE.lock().push(Resources { park, former, ..resources });
        *theirs.result.lock() = Some(value);
        theirs.done.notify_all();
    });
    let start = Box::new(Start { control: ThreadControl::new(), run: Cell::new(Some(body)) });
    let tls = start.control.set_up(resources.buffer, resources.thread);
    start.control.park.set(resources.park);
    resources.thread.start(&Registers {
        rip: arch::thread_entry_address(),
        rsp: resources.stack_top,
        rflags: 0x202,
        rdi: Box::into_raw(start) as u64,
        fs_base: tls,
        ..Registers::default()
    })?;
    Ok(JoinHandle { packet, thread: resources.thread })
}

/// The first function of a further thread.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "only the machine's entry code calls it"))]
pub(crate) extern "C" fn thread_main(start: *const Start_) -> ! {
    // SAFETY: `try_spawn` made it with `Box::into_raw` for this thread alone; it is never freed, because the thread's control block
    // is in it and may be asked for until the thread stops.
    let start = unsafe { &*start.cast::<Start>() };
    if let Some(run) = start.run.take() {
        run();
    }
    loop {
        // Somebody may start the thread anew from here on; the registers are then others.
        let _ = current().suspend();
    }
}

/// Names [`Start`] in the signature that the machine's entry code sees.
#[derive(Debug)]
pub struct Start_(());

/// A thread's name, for the log: the component's.
pub fn name() -> String {
    start::name().into()
}

/// Binds a notification to the running thread, so that its receives wake for it.
pub(crate) fn bind_to_current(notification: Notification) -> Result<(), Error> {
    current().bind_notification(notification.0)
}
