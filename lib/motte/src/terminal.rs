//! The terminal: raw input, size, and Ctrl-C.

use motte_interfaces::Cap;
use motte_interfaces::console::{ConsoleClient, mode};

use crate::io::{Error, Result};
use motte_abi::{ObjectType, Rights};

use crate::kernel::{CapSlot, Notification};
use crate::process::Child;
use crate::service::{Connection, Shared};
use crate::sync::Mutex;

fn console() -> Result<ConsoleClient<Connection>> {
    static CONSOLE: Shared = Shared::new("console");
    Ok(ConsoleClient::new(CONSOLE.connection().map_err(Error::other)?))
}

/// Input comes byte by byte and without echo, or by edited lines again.
pub fn set_raw(raw: bool) -> Result<()> {
    Ok(console()?.set_mode(if raw { mode::NEWLINES } else { mode::COOKED })?)
}

/// For a command that runs without a terminal: no input, bytes as they are, errors on the second line.
pub fn set_batch() -> Result<()> {
    Ok(console()?.set_mode(mode::NO_INPUT | mode::SPLIT_ERROR)?)
}

/// Columns and rows, if there is a terminal.
pub fn size() -> Option<(u16, u16)> {
    let (columns, rows) = console().ok()?.size().ok()?;
    Some((u16::try_from(columns).ok()?, u16::try_from(rows).ok()?))
}

/// Tells the terminal's other users its size.
pub fn set_size(columns: u16, rows: u16) -> Result<()> {
    Ok(console()?.set_size(u64::from(columns), u64::from(rows))?)
}

/// Returns when everything written is on its way.
pub fn drain() -> Result<()> {
    Ok(console()?.drain()?)
}

const INTERRUPTED: u64 = 1;
const CHILD_ENDED: u64 = 2;

/// Ctrl-C as an event: from when it is made until it is dropped or another program makes one. All of a program are the same.
#[derive(Clone, Copy, Debug)]
pub struct InterruptWatch {
    notification: Notification,
    interrupt: CapSlot,
    child_end: CapSlot,
}

/// What [`InterruptWatch::wait`] saw first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The child has ended.
    Ended,
    /// Ctrl-C was typed.
    Interrupted,
}

/// Watches for Ctrl-C.
pub fn on_interrupt() -> Result<InterruptWatch> {
    static WATCH: Mutex<Option<InterruptWatch>> = Mutex::new(None);
    let mut watch = WATCH.lock();
    let watch = match *watch {
        Some(watch) => watch,
        None => *watch.insert(InterruptWatch::new().map_err(Error::other)?),
    };
    console()?.on_interrupt(Cap(watch.interrupt.0))?;
    // What was typed for a former watch is not for this one.
    let _ = watch.notification.poll();
    Ok(watch)
}

impl InterruptWatch {
    fn new() -> core::result::Result<Self, motte_abi::Error> {
        let notification = Notification(crate::memory::make(ObjectType::Notification, 0)?);
        let [interrupt, child_end] = [crate::slots::allocate()?, crate::slots::allocate()?];
        notification.0.mint(interrupt, Rights::WRITE, INTERRUPTED)?;
        notification.0.mint(child_end, Rights::WRITE, CHILD_ENDED)?;
        Ok(Self { notification, interrupt, child_end })
    }

    /// Whether Ctrl-C was typed since the last look.
    pub fn poll(&mut self) -> bool {
        self.notification.poll().is_ok_and(|bits| bits & INTERRUPTED != 0)
    }

    /// Waits until the child has ended or Ctrl-C is typed.
    pub fn wait(&mut self, child: &mut Child) -> Result<Event> {
        child.on_end(self.child_end)?;
        loop {
            let bits = self.notification.wait().map_err(Error::other)?;
            if bits & INTERRUPTED != 0 {
                return Ok(Event::Interrupted);
            }
            if child.try_wait()?.is_some() {
                return Ok(Event::Ended);
            }
        }
    }
}
