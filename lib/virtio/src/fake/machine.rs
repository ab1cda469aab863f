//! A machine with one client, whose capabilities are numbers: 1 to 4 its ring pages, 10 and up its frames.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use motte_interfaces::error::IoError;
use motte_interfaces::{Cap, Responder, Wire};

use crate::machine::Machine;

/// Where the client's memory begins.
pub const CLIENT: u64 = 0x4000_0000;
/// Bytes of a frame of it.
pub const FRAME: u64 = 2 << 20;
const FRAMES: u64 = 2;

/// A page that client and driver share.
#[derive(Clone, Debug)]
pub struct Page(pub Arc<Vec<AtomicU64>>);

impl Default for Page {
    fn default() -> Self {
        Self(Arc::new((0..512).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Deref for Page {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// What the machine was asked for, and what it answers.
#[derive(Debug, Default)]
pub struct Notes {
    /// The client's ring pages.
    pub pages: RefCell<[Page; 4]>,
    /// How often the client was signalled.
    pub woken: Cell<usize>,
    /// How often the driver wanted to go on soon.
    pub again: Cell<usize>,
    /// Who was answered late, and whether well.
    pub answered: RefCell<Vec<(u64, Result<(), IoError>)>>,
    /// Capabilities that name nothing any more.
    pub gone: RefCell<Vec<u64>>,
    /// Capabilities that the driver gave up.
    pub released: RefCell<Vec<u64>>,
    /// What a person was told.
    pub reports: RefCell<Vec<String>>,
}

/// The machine. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FakeMachine(pub Rc<Notes>);

impl Machine for FakeMachine {
    type Words = Page;

    fn map(&mut self, page: Cap) -> Result<Page, IoError> {
        self.0.pages.borrow().get((page.0 as usize).wrapping_sub(1)).cloned().ok_or(IoError::InvalidInput)
    }
    fn frame_address(&self, frame: Cap) -> Option<u64> {
        (self.is_alive(frame) && (10..10 + FRAMES).contains(&frame.0)).then(|| CLIENT + (frame.0 - 10) * FRAME)
    }
    fn is_alive(&self, cap: Cap) -> bool {
        !self.0.gone.borrow().contains(&cap.0)
    }
    fn release(&mut self, cap: Cap) {
        self.0.released.borrow_mut().push(cap.0);
    }
    fn wake(&self, _: Cap) {
        self.0.woken.set(self.0.woken.get() + 1);
    }
    fn answer<T: Wire>(&mut self, waiting: Responder<T, IoError>, result: Result<T, IoError>) {
        self.0.answered.borrow_mut().push((waiting.token().0, result.map(drop)));
    }
    fn doorbell(&self) -> Cap {
        Cap(99)
    }
    fn again(&self) {
        self.0.again.set(self.0.again.get() + 1);
    }
    fn pause(&self) {}
    fn report(&self, text: &str) {
        self.0.reports.borrow_mut().push(text.into());
    }
}
