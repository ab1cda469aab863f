//! A device: from reset to running (virtio 3.1.1, 4.1.4.3).

use core::fmt;

use crate::memory::Memory;

// Common configuration (virtio 4.1.4.3).
const FEATURE_SELECT: usize = 0x00;
const FEATURES: usize = 0x04;
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURES: usize = 0x0c;
const CONFIG_VECTOR: usize = 0x10;
const STATUS: usize = 0x14;
const GENERATION: usize = 0x15;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_NOTIFY: usize = 0x1e;
const QUEUE_DESCRIPTORS: usize = 0x20;
const QUEUE_AVAILABLE: usize = 0x28;
const QUEUE_USED: usize = 0x30;

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;

/// Both sides of a queue say at which entry they want to be told (virtio 2.7.7, 2.7.10).
pub const EVENT_INDEX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;
/// Addresses are those of the platform, which are physical ones where no IOMMU is set up.
const ACCESS_PLATFORM: u64 = 1 << 33;
/// Features of every device that are accepted.
const COMMON_FEATURES: u64 = EVENT_INDEX | VERSION_1 | ACCESS_PLATFORM;

/// How often a device is asked whether its reset is done, with a pause in between.
const RESET_PATIENCE: usize = 1000;

/// How often a configuration that changes meanwhile is read anew.
const READ_PATIENCE: usize = 16;

/// The device's registers.
#[derive(Debug)]
pub struct Registers<M> {
    /// Common configuration.
    pub common: M,
    /// Notification registers.
    pub notify: M,
    /// Bytes of the notification registers.
    pub notify_length: u64,
    /// Bytes from one queue's register to the next one's.
    pub notify_multiplier: u64,
    /// What is particular to this kind of device.
    pub device: M,
}

/// Why a device does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Its reset does not end.
    Reset,
    /// It does not offer version 1 of virtio.
    Legacy,
    /// It does not accept a subset of what it offers.
    Features,
    /// It lacks a queue, or has one that is too small for a single request.
    Queue,
    /// It has no interrupt for a queue.
    Vector,
    /// The register to notify a queue lies outside its structure.
    Notify,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "its reset does not end",
            Self::Legacy => "it speaks only legacy virtio",
            Self::Features => "it does not accept the features that it offers",
            Self::Queue => "it has no queue that is large enough",
            Self::Vector => "it takes no interrupt for its queue",
            Self::Notify => "its notification register lies outside its registers",
        })
    }
}

/// Where a queue is notified: what [`Device::set_up_queue`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    offset: usize,
    queue: u16,
}

/// A device.
#[derive(Debug)]
pub struct Device<M> {
    registers: Registers<M>,
}

impl<M: Memory> Device<M> {
    /// The device behind `registers`, in whatever state it is.
    pub fn new(registers: Registers<M>) -> Self {
        Self { registers }
    }

    /// Stops the device: afterwards it uses no memory of anybody's, and nothing is in flight. `pause` lets a little time pass.
    pub fn reset(&self, mut pause: impl FnMut()) -> Result<(), StartError> {
        let common = &self.registers.common;
        common.write_u8(STATUS, 0);
        for _ in 0..RESET_PATIENCE {
            if common.read_u8(STATUS) == 0 {
                return Ok(());
            }
            pause();
        }
        Err(StartError::Reset)
    }

    /// After a reset: agrees on those of the `wanted` features, and of the common ones, that the device offers. Returns them.
    pub fn negotiate(&self, wanted: u64) -> Result<u64, StartError> {
        let common = &self.registers.common;
        common.write_u8(STATUS, ACKNOWLEDGE);
        common.write_u8(STATUS, ACKNOWLEDGE | DRIVER);
        let offered = [0, 1].map(|half| {
            common.write_u32(FEATURE_SELECT, half);
            u64::from(common.read_u32(FEATURES)) << (half * 32)
        });
        let features = (offered[0] | offered[1]) & (wanted | COMMON_FEATURES);
        if features & VERSION_1 == 0 {
            return Err(StartError::Legacy);
        }
        for half in [0, 1] {
            common.write_u32(DRIVER_FEATURE_SELECT, half);
            common.write_u32(DRIVER_FEATURES, (features >> (half * 32)) as u32);
        }
        common.write_u8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if common.read_u8(STATUS) & FEATURES_OK == 0 {
            return Err(StartError::Features);
        }
        Ok(features)
    }

    /// The most entries of a queue; 0 if there is no such queue.
    pub fn queue_size(&self, queue: u16) -> u16 {
        let common = &self.registers.common;
        common.write_u16(QUEUE_SELECT, queue);
        common.read_u16(QUEUE_SIZE)
    }

    /// Hands the device a queue of `size` entries, with descriptors, available ring and used ring at these physical addresses. It raises the
    /// interrupt of the MSI-X table's entry `vector`.
    pub fn set_up_queue(
        &self,
        queue: u16,
        size: u16,
        addresses: [u64; 3],
        vector: u16,
    ) -> Result<Doorbell, StartError> {
        let common = &self.registers.common;
        common.write_u16(QUEUE_SELECT, queue);
        common.write_u16(QUEUE_SIZE, size);
        common.write_u16(QUEUE_VECTOR, vector);
        // The device says "none" if it has no room for the vector (virtio 4.1.5.1.2.1).
        if common.read_u16(QUEUE_VECTOR) != vector {
            return Err(StartError::Vector);
        }
        let offset = u64::from(common.read_u16(QUEUE_NOTIFY)) * self.registers.notify_multiplier;
        if offset + 2 > self.registers.notify_length {
            return Err(StartError::Notify);
        }
        for (register, address) in [QUEUE_DESCRIPTORS, QUEUE_AVAILABLE, QUEUE_USED].into_iter().zip(addresses) {
            common.write_u64(register, address);
        }
        common.write_u16(QUEUE_ENABLE, 1);
        Ok(Doorbell { offset: offset as usize, queue })
    }

    /// Has changes of the configuration raise the interrupt of the MSI-X table's entry `vector`.
    pub fn set_configuration_vector(&self, vector: u16) -> Result<(), StartError> {
        let common = &self.registers.common;
        common.write_u16(CONFIG_VECTOR, vector);
        if common.read_u16(CONFIG_VECTOR) == vector { Ok(()) } else { Err(StartError::Vector) }
    }

    /// Starts the device.
    pub fn run(&self) {
        self.registers.common.write_u8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Has the device look at a queue.
    pub fn notify(&self, doorbell: Doorbell) {
        self.registers.notify.write_u16(doorbell.offset, doorbell.queue);
    }

    /// Reads the configuration that is particular to this kind of device, anew if it changes meanwhile (virtio 2.5.1).
    pub fn read_configuration<T>(&self, mut read: impl FnMut(&M) -> T) -> T {
        let generation = || self.registers.common.read_u8(GENERATION);
        for _ in 1..READ_PATIENCE {
            let before = generation();
            let value = read(&self.registers.device);
            if generation() == before {
                return value;
            }
        }
        read(&self.registers.device)
    }

    /// Whether the device says of itself that only a reset helps.
    pub fn needs_reset(&self) -> bool {
        self.registers.common.read_u8(STATUS) & NEEDS_RESET != 0
    }
}
