//! The PCI bus: finds devices and hands each to its driver only, as the manifest says.
//!
//! A restart of the service takes nothing from drivers: pages and interrupts that it handed out stay theirs, and devices go on. It knows again what
//! the bus says. When a driver is restarted, its devices lose the right to use memory and to interrupt until the next one enables them.

use crate::error::IoError;
use crate::{Cap, Wire, interface};

/// A function on the bus that the caller may drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct PciDevice {
    /// Bus << 8 | device << 3 | function.
    pub address: u64,
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Class, subclass, programming interface, in bits 23–0.
    pub class: u32,
}

/// A memory range of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct PciBar {
    /// Physical address.
    pub base: u64,
    /// Bytes; 0 if the device has no such range.
    pub size: u64,
    /// I/O ports instead of memory.
    pub ports: bool,
}

/// One function on the bus, as listed for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct PciEntry {
    /// The function.
    pub device: PciDevice,
    /// Badge of the component that drives it, 0 for none.
    pub driver: u64,
}

/// The bus.
#[interface("pci")]
pub trait Pci {
    /// The `index`th device that the caller may drive; `NotFound` after the last.
    #[idempotent]
    fn device(&self, index: u64) -> Result<PciDevice, IoError>;
    /// Everything on the bus, for information: number `index`; `NotFound` after the last.
    #[idempotent]
    fn entry(&self, index: u64) -> Result<PciEntry, IoError>;
    /// Memory range 0 to 5 of one's device.
    #[idempotent]
    fn bar(&self, address: u64, bar: u64) -> Result<PciBar, IoError>;
    /// A frame: page number `page` of a memory range of one's device.
    #[idempotent]
    fn bar_page(&self, address: u64, bar: u64, page: u64) -> Result<Cap, IoError>;
    /// Reads 1, 2 or 4 bytes of configuration space.
    #[idempotent]
    fn config_read(&self, address: u64, offset: u64, width: u64) -> Result<u64, IoError>;
    /// Writes configuration space. Address registers and the interrupt message are not the driver's to write (`PermissionDenied`).
    #[idempotent]
    fn config_write(&self, address: u64, offset: u64, width: u64, value: u64) -> Result<(), IoError>;
    /// Lets the device use memory (bus master) and turns MSI-X on.
    #[idempotent]
    fn enable(&self, address: u64) -> Result<(), IoError>;
    /// Takes DMA and interrupts from the device; anybody who reports deaths may ask it, or its driver.
    #[idempotent]
    fn disable(&self, address: u64) -> Result<(), IoError>;
    /// An interrupt for MSI-X table entry `entry`: the service writes the table, the driver binds the interrupt.
    fn interrupt(&self, address: u64, entry: u64) -> Result<Cap, IoError>;
}
