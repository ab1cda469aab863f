//! The network driver: virtio network cards over PCI (Virtual I/O Device Version 1.2, "virtio" below; what all such devices have in common
//! is in `motte-virtio`).
//!
//! | module | what it holds |
//! |---|---|
//! | `packets` | a queue of packets as the device wants them |
//! | `card` | the device: features, start, configuration |
//! | `server` | the client's rings, the checks of its requests, completions |
//!
//! Nothing here waits, and nothing is kept that a client would miss after a restart: it lends its buffers anew. Packets go straight between
//! the device and the client's memory; the driver has not even mapped it.
//!
//! Packets that span several buffers (MRG_RXBUF) and segmentation by the device (TSO) are not asked for: the stack behind it merges and cuts
//! segments itself, whatever the card can.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod card;
mod packets;
mod server;

pub use card::{CONFIGURATION_BYTES, CONFIGURATION_VECTOR, Card, QUEUE_VECTOR};
pub use packets::{Arrived, PAGES, Packets, SLOTS};
pub use server::NetServer;
