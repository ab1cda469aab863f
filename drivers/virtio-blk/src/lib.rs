//! The disk driver: virtio block devices over PCI, in the modern form (Virtual I/O Device Version 1.2, "virtio" below).
//!
//! | module | what it holds |
//! |---|---|
//! | `structure` | where a device's registers lie |
//! | `queue` | the virtqueue: what is in flight, and what came back |
//! | `disk` | the device: reset, features, start |
//! | `server` | the client's rings, the checks of its requests, completions |
//! | `lifecycle` | hearing that the client vanishes |
//!
//! Nothing here waits: requests go out when the client rings, completions come in when the device interrupts. The data go straight between
//! the device and the client's memory; the driver never touches them.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod disk;
mod lifecycle;
mod memory;
mod queue;
mod server;
mod structure;

pub use disk::{Disk, Registers, StartError};
pub use lifecycle::{CLIENT_GONE, Lifecycle, dispatch_lifecycle};
pub use memory::Memory;
pub use queue::{Broken, Completion, Data, PAGES, Queue, SLOTS};
pub use server::{BlockServer, Machine};
pub use structure::{Place, StructureError, Structures, find};
