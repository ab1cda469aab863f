//! What a driver whose client lends it rings and memory needs of the machine.

use core::ops::Deref;
use core::sync::atomic::AtomicU64;

use motte_interfaces::error::IoError;
use motte_interfaces::{Cap, Responder, Wire};

/// The machine; a mock of it in tests.
pub trait Machine {
    /// A page that the client lends, as words.
    type Words: Deref<Target = [AtomicU64]>;
    /// Maps a page.
    fn map(&mut self, page: Cap) -> Result<Self::Words, IoError>;
    /// Physical address of a 2 MiB frame; `None` if it is none, or gone.
    fn frame_address(&self, frame: Cap) -> Option<u64>;
    /// Whether a capability still names something.
    fn is_alive(&self, cap: Cap) -> bool;
    /// Gives a capability up.
    fn release(&mut self, cap: Cap);
    /// Signals the client.
    fn wake(&self, notification: Cap);
    /// Answers a client that waits.
    fn answer<T: Wire>(&mut self, waiting: Responder<T, IoError>, result: Result<T, IoError>);
    /// The notification with which the client signals this driver.
    fn doorbell(&self) -> Cap;
    /// Has the driver work again soon, after others had their turn.
    fn again(&self);
    /// Lets a little time pass.
    fn pause(&self);
    /// Has a person read a sentence.
    fn report(&self, text: &str);
}
