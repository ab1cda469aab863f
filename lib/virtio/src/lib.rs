//! Virtio devices over PCI, in the modern form (Virtual I/O Device Version 1.2, "virtio" below): what all their drivers have in common.
//!
//! | module | what it holds |
//! |---|---|
//! | `structure` | where a device's registers lie |
//! | `device` | reset, features, queues, start |
//! | `queue` | the virtqueue: what is in flight, and what came back |
//! | `memory` | how registers and queues are reached |
//! | `pci` | a device of this machine (feature `program`) |
//! | `machine` | what a driver needs of the machine whose client lends it rings and memory |
//! | `kernel` | the machine that there is (feature `program`) |
//! | `fake` | a device in memory, for tests on the host (feature `fake`) |
//!
//! Nothing here waits, but for a reset. What the device wrote is checked before it is used.
#![cfg_attr(not(feature = "fake"), no_std)]

extern crate alloc;

mod device;
#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "program")]
mod kernel;
mod machine;
mod memory;
#[cfg(feature = "program")]
mod mmio;
#[cfg(feature = "program")]
pub mod pci;
mod queue;
mod structure;

pub use device::{Device, Doorbell, EVENT_INDEX, Registers, StartError};
#[cfg(feature = "program")]
pub use kernel::Kernel;
pub use machine::Machine;
pub use memory::Memory;
#[cfg(feature = "program")]
pub use mmio::Mapped;
pub use queue::{Broken, Part, QUEUE_PAGES, Queue, Used};
pub use structure::{Place, StructureError, Structures, find};
