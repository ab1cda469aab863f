//! The machine that there is.

use core::time::Duration;

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, Rights};
use motte::interfaces::error::IoError;
use motte::interfaces::{Cap, Responder, Wire};
use motte::kernel::{CapSlot, Frame, Notification};
use motte::pages::SharedWords;
use motte::server::{Event, Replies, Server};
use motte::slots;

use crate::machine::Machine;

/// The kernel, as a driver needs it.
#[derive(Debug)]
pub struct Kernel {
    /// The client's capability to signal this driver.
    doorbell: Cap,
    /// The same signal, for the driver itself.
    again: Notification,
    replies: Replies,
}

impl Kernel {
    /// For a server whose client signals it by `doorbell`.
    pub fn new(server: &Server, doorbell: &Event) -> Result<Self, Error> {
        let to_client = slots::allocate()?;
        doorbell.notification().0.copy(to_client, Rights::WRITE)?;
        Ok(Self { doorbell: Cap(to_client.0), again: doorbell.notification(), replies: server.replies() })
    }
}

impl Machine for Kernel {
    type Words = SharedWords;

    fn map(&mut self, page: Cap) -> Result<SharedWords, IoError> {
        SharedWords::of(Frame::at(page.0)).map_err(|_| IoError::InvalidInput)
    }

    fn frame_address(&self, frame: Cap) -> Option<u64> {
        let (address, size, _) = Frame::at(frame.0).info().ok()?;
        (size == LARGE_PAGE_SIZE as u64).then_some(address)
    }

    fn is_alive(&self, cap: Cap) -> bool {
        CapSlot(cap.0).identify().is_ok_and(|(ty, ..)| ty != ObjectType::Null)
    }

    fn release(&mut self, cap: Cap) {
        slots::delete(CapSlot(cap.0));
    }

    fn wake(&self, notification: Cap) {
        let _ = Notification::at(notification.0).signal();
    }

    fn answer<T: Wire>(&mut self, waiting: Responder<T, IoError>, result: Result<T, IoError>) {
        waiting.answer(&mut self.replies, result);
    }

    fn doorbell(&self) -> Cap {
        self.doorbell
    }

    fn again(&self) {
        let _ = self.again.signal();
    }

    fn pause(&self) {
        motte::thread::sleep(Duration::from_millis(1));
    }

    fn report(&self, text: &str) {
        motte::log::error!("{text}");
    }
}
