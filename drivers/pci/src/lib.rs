//! The PCI bus: finds devices and hands each to its driver only (PCI Local Bus Specification 3.0, "PCI" below).
//!
//! # What a restart of this service does to running devices: nothing
//! Everything that the service does by itself only reads. What a device notices (measuring its ranges, enabling it, setting up its
//! interrupts) is done when the driver asks for it, and a driver asks while it starts, before it uses the device. Frames and
//! interrupts that were handed out outlive this service.
//!
//! # What a restart of a driver does to its device
//! When a driver is reported gone, its devices lose the right to use memory and to interrupt, until the next driver enables them:
//! the memory that they were told to use may soon be something else.
//!
//! # What a driver cannot do
//! Reach another driver's device; move its own device's address ranges, or choose the address that its interrupts are written to: the
//! registers for these, and the page with the MSI-X table, are this service's. Without an IOMMU a device can still be told to read and write any memory
//! by DMA: a driver that is handed a device that masters the bus is trusted as far as memory goes.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod bar;
mod claims;
mod config;
mod function;
mod server;

pub use bar::{Window, measure, place};
pub use claims::{Claim, Claims};
pub use config::{Config, selector};
pub use function::{Capability, Function, scan};
pub use server::{InterruptMessage, PciServer, Platform};
