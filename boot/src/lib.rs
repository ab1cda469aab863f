//! How a machine hands over to the kernel: what the boot protocol and the firmware left in memory, read into
//! plain values.
//!
//! [`pvh`] is the protocol of `qemu -kernel`; [`acpi`] reads the firmware's table of interrupt controllers and
//! processors; [`ranges`] does the arithmetic of memory maps. Nothing here trusts what it reads: every table is
//! reached through [`PhysicalMemory`], which says `None` for what does not exist.
#![no_std]
#![deny(unsafe_code)]

pub mod acpi;
pub mod handover;
pub mod pvh;
pub mod ranges;

pub use handover::Handover;
pub use ranges::{Range, RangeSet};

/// Memory by physical address, as far as the early kernel can reach it.
pub trait PhysicalMemory {
    /// The bytes at an address; `None` where they cannot be reached.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// A little-endian number within bytes.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A little-endian number within bytes.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A little-endian number within bytes.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Memory for tests: pieces at addresses.
#[cfg(test)]
mod test_memory {
    extern crate std;
    use std::vec::Vec;

    /// Pieces of memory, each at its address.
    #[derive(Default)]
    pub struct Pieces(pub Vec<(u64, Vec<u8>)>);

    impl super::PhysicalMemory for Pieces {
        fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
            self.0.iter().find_map(|(base, bytes)| {
                let from = usize::try_from(address.checked_sub(*base)?).ok()?;
                bytes.get(from..from.checked_add(length)?)
            })
        }
    }
}
