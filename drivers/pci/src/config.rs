//! Configuration space: 256 bytes a function (PCI 6.1), and the registers in it that this service knows.

/// Vendor and device (PCI 6.2.1).
pub const ID: u8 = 0x00;
/// Command (PCI 6.2.2).
pub const COMMAND: u8 = 0x04;
/// Status (PCI 6.2.3).
pub const STATUS: u8 = 0x06;
/// Revision in the lowest byte, class above.
pub const CLASS: u8 = 0x08;
/// Cache line size and latency timer: the driver may set them.
pub const CACHE_LINE: u8 = 0x0c;
/// Header type; bit 7: more than one function.
pub const HEADER_TYPE: u8 = 0x0e;
/// First address register.
pub const BARS: u8 = 0x10;
/// Bridges: the bus behind it.
pub const SECONDARY_BUS: u8 = 0x19;
/// Bridges: memory that it passes on, base and limit (PCI-to-PCI Bridge 1.2, 3.2.5.8); prefetchable: 4 bytes on.
pub const BRIDGE_MEMORY: u8 = 0x20;
/// First capability.
pub const CAPABILITIES: u8 = 0x34;
/// Number that software keeps for itself.
pub const INTERRUPT_LINE: u8 = 0x3c;
/// The device's own registers begin here.
pub const DEVICE_SPECIFIC: u8 = 0x40;

/// Command: answers to ports.
pub const COMMAND_PORTS: u16 = 1;
/// Command: answers to memory addresses.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: may use memory itself.
pub const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command: does not use its interrupt line.
pub const COMMAND_NO_LINE: u16 = 1 << 10;

/// Status: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;

/// Access to configuration space. A function that does not exist reads as ones.
pub trait Config {
    /// Reads an aligned word. `address`: bus << 8 | device << 3 | function.
    fn read(&mut self, address: u16, offset: u8) -> u32;
    /// Writes 1, 2 or 4 bytes, aligned to themselves.
    fn write(&mut self, address: u16, offset: u8, width: u8, value: u32);

    /// Reads one byte.
    fn read_u8(&mut self, address: u16, offset: u8) -> u8 {
        (self.read(address, offset & !3) >> (offset % 4 * 8)) as u8
    }

    /// Reads two bytes.
    fn read_u16(&mut self, address: u16, offset: u8) -> u16 {
        (self.read(address, offset & !3) >> (offset % 4 * 8)) as u16
    }
}

/// What is written to port 0xcf8 so that ports 0xcfc to 0xcff show the word at `offset` (PCI 3.2.2.3.2).
pub const fn selector(address: u16, offset: u8) -> u32 {
    1 << 31 | (address as u32) << 8 | (offset & !3) as u32
}
