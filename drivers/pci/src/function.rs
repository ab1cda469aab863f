//! The functions on the bus: found by reading only.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::config::{self, Config};

/// Capability of message-signalled interrupts (PCI 6.8.1).
pub const CAP_MSI: u8 = 0x05;
/// Vendor-specific capability.
pub const CAP_VENDOR: u8 = 0x09;
/// Capability of MSI-X (PCI 6.8.2).
pub const CAP_MSIX: u8 = 0x11;

/// A piece of a function's configuration space with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it begins.
    pub offset: u8,
    /// Bytes, as far as this service must know them.
    pub length: u8,
}

/// A function of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus << 8 | device << 3 | function.
    pub address: u16,
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Class, subclass, programming interface, in bits 23–0.
    pub class: u32,
    /// Layout of the header: 0 device, 1 bridge.
    pub header: u8,
    /// Its capabilities.
    pub capabilities: Vec<Capability>,
}

impl Function {
    fn read(config: &mut impl Config, address: u16) -> Option<Self> {
        let id = config.read(address, config::ID);
        if id as u16 == 0xffff {
            return None;
        }
        Some(Self {
            address,
            vendor: id as u16,
            device: (id >> 16) as u16,
            class: config.read(address, config::CLASS) >> 8,
            header: config.read_u8(address, config::HEADER_TYPE) & 0x7f,
            capabilities: capabilities(config, address),
        })
    }

    /// The first capability of that kind.
    pub fn capability(&self, id: u8) -> Option<Capability> {
        self.capabilities.iter().copied().find(|capability| capability.id == id)
    }
}

fn capabilities(config: &mut impl Config, address: u16) -> Vec<Capability> {
    let mut found = Vec::new();
    if config.read_u16(address, config::STATUS) & config::STATUS_CAPABILITIES == 0 {
        return found;
    }
    let mut offset = config.read_u8(address, config::CAPABILITIES) & !3;
    // A list can have no more members than there is room for: one that loops ends here.
    while offset >= config::DEVICE_SPECIFIC && found.len() < 48 {
        let word = config.read(address, offset);
        let id = word as u8;
        let length = match id {
            // With a 64-bit address, and with masks, it is longer.
            CAP_MSI => 10 + ((word >> 23 & 1) * 4 + (word >> 24 & 1) * 10) as u8,
            CAP_VENDOR => (word >> 16) as u8,
            CAP_MSIX => 12,
            _ => 2,
        };
        found.push(Capability { id, offset, length });
        offset = (word >> 8) as u8 & !3;
    }
    found
}

/// Every function on bus 0 and on the buses behind bridges.
pub fn scan(config: &mut impl Config) -> Vec<Function> {
    let mut found = Vec::new();
    let mut known = BTreeSet::from([0]);
    let mut buses = VecDeque::from([0u8]);
    while let Some(bus) = buses.pop_front() {
        for device in 0..32 {
            let first = u16::from(bus) << 8 | device << 3;
            if config.read(first, config::ID) as u16 == 0xffff {
                continue;
            }
            let many = config.read_u8(first, config::HEADER_TYPE) & 0x80 != 0;
            for address in first..first + if many { 8 } else { 1 } {
                let Some(function) = Function::read(config, address) else { continue };
                if function.header == 1 {
                    let behind = config.read_u8(address, config::SECONDARY_BUS);
                    // A bridge that was never set up names bus 0.
                    if known.insert(behind) {
                        buses.push_back(behind);
                    }
                }
                found.push(function);
            }
        }
    }
    found
}
