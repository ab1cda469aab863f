//! Service interfaces: what a service offers, as a Rust trait from which both sides are generated.
//!
//! ```
//! extern crate alloc;
//! use motte_interfaces::{CallError, Wire, interface};
//!
//! /// Why the counter refused.
//! #[derive(Clone, Debug, PartialEq, Wire)]
//! pub enum CounterError { Overflow, Unreachable }
//! impl From<CallError> for CounterError {
//!     fn from(_: CallError) -> Self { Self::Unreachable }
//! }
//!
//! /// Counts.
//! #[interface("counter")]
//! pub trait Counter {
//!     /// Adds to a counter and returns its new value.
//!     fn add(&self, name: &str, amount: u64) -> Result<u64, CounterError>;
//!     /// The value. Safe to repeat, so the stub does when the service was restarted meanwhile.
//!     #[idempotent]
//!     fn get(&self, name: &str) -> Result<u64, CounterError>;
//! }
//! ```
//!
//! `#[interface("name")]` generates
//! - the trait as the **server** implements it: every method takes `&mut self` and the [`Sender`], then the arguments. Text and bytes
//!   are borrowed from the message; other borrowed arguments arrive in their owned form (`&T` as `T`, `&[T]` as `Vec<T>`);
//! - `dispatch_counter`, which takes a request apart, calls the method and puts the answer together;
//! - `CounterClient<T>`, the **client** stub with the methods as written, sending through any [`Transport`].
//!
//! A method returns `Result<T, E>`, because any call can fail; `E` must be made from a [`CallError`]. `#[idempotent]` says that a
//! repetition is harmless. `#[deferred]` gives the server a [`Responder`] with which it answers whenever it can. Words that fit travel
//! in registers; up to 112 words and four capabilities ([`Cap`]) fit a message; bulk data lies in shared frames.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
// Generated code names this crate by its name, here too.
extern crate self as motte_interfaces;

/// For generated code.
#[doc(hidden)]
pub mod __alloc {
    pub use alloc::vec;
}

pub mod badge;
pub mod block;
pub mod clock;
pub mod console;
pub mod dashboard;
pub mod error;
pub mod fs;
pub mod lifecycle;
pub mod log;
pub mod net;
pub mod net_rules;
pub mod netdev;
pub mod pci;
pub mod pipe;
pub mod process;
pub mod registry;
pub mod stream;
pub mod strings;
pub mod supervisor;

mod call;
mod wire;

pub use call::{
    AGAIN, ANSWER_ERROR, ANSWER_MALFORMED, ANSWER_NOT_YET, ANSWER_OK, ANSWER_UNKNOWN_METHOD, CallError, FORGOTTEN,
    Method, Outcome, PROMPT, Replier, ReplyToken, Responder, STILL_WAITING, Sender, Transport, call, method_label,
    put_answer,
};
pub use motte_interface_macros::{Wire, interface};
pub use wire::{Bytes, Cap, Put, Reader, Wire, WireError, Writer};
