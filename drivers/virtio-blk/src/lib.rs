//! The disk driver: virtio block devices over PCI (Virtual I/O Device Version 1.2, "virtio" below; what all such devices have in common is in
//! `motte-virtio`).
//!
//! | module | what it holds |
//! |---|---|
//! | `queue` | requests as the device wants them |
//! | `disk` | the device: features, start, configuration |
//! | `server` | the client's rings, the checks of its requests, completions |
//!
//! Nothing here waits: requests go out when the client rings, completions come in when the device interrupts. The data go straight between
//! the device and the client's memory; the driver never touches them.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod disk;
mod queue;
mod server;

pub use disk::{CONFIGURATION_BYTES, Disk};
pub use queue::{Completion, PAGES, Requests, SLOTS};
pub use server::BlockServer;
