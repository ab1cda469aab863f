//! A network card as the network stack uses it: buffers, packets, and a driver that is restarted in between.
//!
//! | module | what it holds |
//! |---|---|
//! | `port` | the logic: which buffer is whose, the rings, what is sent again |
//! | `adapter` | the driver of this machine (feature `program`) |
//! | `packets` | packet memory that is mapped here (feature `program`) |
//! | `fake` | a card in memory, for tests on the host (feature `fake`) |
//!
//! ```
//! use motte_netdev::fake::{FakeCard, FakeMemory};
//! use motte_netdev::{Memory, Port};
//!
//! let card = FakeCard::new();
//! let memory: FakeMemory = card.memory();
//! let mut port = Port::new(card.driver(), card.layout());
//! assert!(port.refresh(&memory));
//!
//! // To the network: take an empty buffer, fill it, send it; then flush, once for all.
//! let mut buffer = port.reserve().expect("a buffer is free");
//! memory.with(&mut buffer, |bytes| bytes[..60].fill(1));
//! port.transmit(buffer, 60, None);
//! port.flush();
//! assert_eq!(card.sent(), [vec![1; 60]]);
//!
//! // From the network.
//! card.deliver(&[2; 60]);
//! let mut frame = port.receive().expect("a frame came");
//! memory.with(&mut frame.buffer, |bytes| assert_eq!(bytes[..frame.length], [2; 60]));
//! port.recycle(frame.buffer, &memory);
//!
//! // Before the thread sleeps until the driver signals; false: there is something to do at once.
//! assert!(port.prepare_to_sleep());
//! ```
#![cfg_attr(not(feature = "fake"), no_std)]

extern crate alloc;

#[cfg(feature = "program")]
mod adapter;
#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "program")]
mod packets;
mod port;

#[cfg(feature = "program")]
pub use adapter::Adapter;
#[cfg(feature = "program")]
pub use packets::PacketMemory;
pub use port::{Attachment, Buffer, Counters, Driver, Frame, Layout, Memory, Port, Rings};
