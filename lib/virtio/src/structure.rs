//! Where a device's registers lie: vendor-specific capabilities in its configuration space (virtio 4.1.4).

use core::fmt;

/// A range of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In which of the device's memory ranges.
    pub bar: u64,
    /// From which byte of it.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// All registers that the driver uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Structures {
    /// The common configuration.
    pub common: Place,
    /// Where queues are notified.
    pub notify: Place,
    /// Bytes from one queue's notification register to the next one's.
    pub notify_multiplier: u64,
    /// What is particular to this kind of device.
    pub device: Place,
}

/// Why a device cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureError<E> {
    /// Configuration space cannot be read.
    Unreadable(E),
    /// The device lacks one of the structures: it speaks only the legacy form, or is no virtio device.
    Missing(&'static str),
    /// A structure is too short, or misplaced.
    Malformed(&'static str),
}

impl<E: fmt::Display> fmt::Display for StructureError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "its configuration space cannot be read: {error}"),
            Self::Missing(what) => {
                write!(f, "it has no {what}; only modern virtio is driven (QEMU: disable-legacy=on,disable-modern=off)")
            }
            Self::Malformed(what) => write!(f, "its {what} is malformed"),
        }
    }
}

const STATUS: u64 = 0x06;
const STATUS_CAPABILITIES: u64 = 1 << 4;
const FIRST_CAPABILITY: u64 = 0x34;
const VENDOR_SPECIFIC: u64 = 0x09;

const COMMON: u64 = 1;
const NOTIFY: u64 = 2;
const DEVICE: u64 = 4;

/// Bytes of the common configuration, up to the device part of the first queue.
const COMMON_BYTES: u64 = 56;
/// Finds the structures; `read` reads 1, 2 or 4 bytes of configuration space, and `device_bytes` of the device's own configuration are used.
pub fn find<E>(
    device_bytes: u64,
    mut read: impl FnMut(u64, u64) -> Result<u64, E>,
) -> Result<Structures, StructureError<E>> {
    let mut read = |offset, width| read(offset, width).map_err(StructureError::Unreadable);
    let (mut common, mut notify, mut device) = (None, None, None);
    let mut at = match read(STATUS, 2)? & STATUS_CAPABILITIES {
        0 => 0,
        _ => read(FIRST_CAPABILITY, 1)? & !3,
    };
    // More do not fit: a list that loops ends here.
    for _ in 0..48 {
        if !(0x40..=0xf0).contains(&at) {
            break;
        }
        let word = read(at, 4)?;
        if word & 0xff == VENDOR_SPECIFIC {
            let bar = read(at + 4, 1)?;
            let place = Place { bar, offset: read(at + 8, 4)?, length: read(at + 12, 4)? };
            // The device lists the one it prefers first.
            match word >> 24 {
                COMMON if common.is_none() => common = Some(place),
                NOTIFY if notify.is_none() && at <= 0xec => notify = Some((place, read(at + 16, 4)?)),
                DEVICE if device.is_none() => device = Some(place),
                _ => {}
            }
        }
        at = word >> 8 & 0xfc;
    }
    let common = common.ok_or(StructureError::Missing("common configuration structure"))?;
    let (notify, notify_multiplier) = notify.ok_or(StructureError::Missing("notification structure"))?;
    let device = device.ok_or(StructureError::Missing("device configuration structure"))?;
    let good = |place: Place, bytes| place.bar < 6 && place.length >= bytes && place.offset.is_multiple_of(4);
    if !good(common, COMMON_BYTES) {
        return Err(StructureError::Malformed("common configuration structure"));
    }
    if !good(notify, 2) || !notify_multiplier.is_multiple_of(2) {
        return Err(StructureError::Malformed("notification structure"));
    }
    if !good(device, device_bytes) {
        return Err(StructureError::Malformed("device configuration structure"));
    }
    Ok(Structures { common, notify, notify_multiplier, device })
}
