//! The device: from reset to running (virtio 3.1.1, 4.1.4.3, 5.2).

use core::fmt;

use motte_interfaces::block::DiskInfo;

use crate::memory::Memory;
use crate::queue::{PAGES, Queue};

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

// Block configuration (virtio 5.2.4).
const CAPACITY: usize = 0;
const BLOCK_SIZE: usize = 20;

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;

/// The disk is read-only.
const F_RO: u64 = 1 << 5;
/// `BLOCK_SIZE` holds the size that requests should be a multiple of.
const F_BLK_SIZE: u64 = 1 << 6;
/// There is a cache, and a request that writes it back.
const F_FLUSH: u64 = 1 << 9;
const F_EVENT_IDX: u64 = 1 << 29;
const F_VERSION_1: u64 = 1 << 32;
/// Addresses are those of the platform, which are physical ones where no IOMMU is set up.
const F_ACCESS_PLATFORM: u64 = 1 << 33;
// Limits of segments (SIZE_MAX, SEG_MAX) are not asked for: a request has one segment, and a device may limit only drivers that ask.
const WANTED: u64 = F_RO | F_BLK_SIZE | F_FLUSH | F_EVENT_IDX | F_VERSION_1 | F_ACCESS_PLATFORM;

/// The entry of the MSI-X table that everything is signalled by.
const VECTOR: u16 = 0;

/// How often a device is asked whether its reset is done, with a pause in between.
const RESET_PATIENCE: usize = 1000;

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
    /// Block configuration.
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
    /// It has no queue, or one too small for a single request.
    Queue,
    /// It has no interrupt for the queue.
    Vector,
    /// The register to notify the queue lies outside its structure.
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

/// A disk. Its queue is there while it runs.
#[derive(Debug)]
pub struct Disk<M> {
    registers: Registers<M>,
    /// The queue's memory while there is no queue.
    memory: Option<M>,
    physical: [u64; PAGES],
    queue: Option<Queue<M>>,
    notify_at: usize,
    info: DiskInfo,
    /// Sectors that a request must be a multiple of; a power of two.
    block: u64,
}

impl<M: Memory> Disk<M> {
    /// The disk behind `registers`, with three pages of memory at `physical` for the queue. Not started yet.
    pub fn new(registers: Registers<M>, memory: M, physical: [u64; PAGES]) -> Self {
        let info = DiskInfo { sectors: 0, read_only: true, write_cache: false, queue_depth: 0 };
        Self { registers, memory: Some(memory), physical, queue: None, notify_at: 0, info, block: 1 }
    }

    /// Stops the device: afterwards it uses no memory of this driver or its clients, and nothing is in flight. `pause` lets a
    /// little time pass.
    pub fn reset(&mut self, mut pause: impl FnMut()) -> Result<(), StartError> {
        self.give_up();
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

    /// Does without the queue, whatever the device does with it: nothing else uses its memory.
    pub fn give_up(&mut self) {
        if let Some(queue) = self.queue.take() {
            self.memory = Some(queue.into_memory());
        }
    }

    /// Resets the device and starts it, as often as need be.
    pub fn start(&mut self, pause: impl FnMut()) -> Result<(), StartError> {
        self.reset(pause)?;
        let common = &self.registers.common;
        common.write_u8(STATUS, ACKNOWLEDGE);
        common.write_u8(STATUS, ACKNOWLEDGE | DRIVER);
        let offered = [0, 1].map(|half| {
            common.write_u32(FEATURE_SELECT, half);
            u64::from(common.read_u32(FEATURES)) << (half * 32)
        });
        let features = (offered[0] | offered[1]) & WANTED;
        if features & F_VERSION_1 == 0 {
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
        self.set_up_queue(features)?;
        self.read_configuration(features);
        self.registers.common.write_u8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        Ok(())
    }

    fn set_up_queue(&mut self, features: u64) -> Result<(), StartError> {
        let common = &self.registers.common;
        common.write_u16(CONFIG_VECTOR, VECTOR);
        common.write_u16(QUEUE_SELECT, 0);
        let size = Queue::<M>::size_for(common.read_u16(QUEUE_SIZE)).ok_or(StartError::Queue)?;
        common.write_u16(QUEUE_SIZE, size);
        common.write_u16(QUEUE_VECTOR, VECTOR);
        // The device says "none" if it has no room for the vector (virtio 4.1.5.1.2.1).
        if common.read_u16(QUEUE_VECTOR) != VECTOR {
            return Err(StartError::Vector);
        }
        let notify_at = u64::from(common.read_u16(QUEUE_NOTIFY)) * self.registers.notify_multiplier;
        if notify_at + 2 > self.registers.notify_length {
            return Err(StartError::Notify);
        }
        self.notify_at = notify_at as usize;
        let memory = self.memory.take().ok_or(StartError::Queue)?;
        self.queue = Some(Queue::new(memory, self.physical, size, features & F_EVENT_IDX != 0));
        let addresses = Queue::<M>::addresses(self.physical);
        let registers = [QUEUE_DESCRIPTORS, QUEUE_AVAILABLE, QUEUE_USED];
        for (register, address) in registers.into_iter().zip(addresses) {
            common.write_u64(register, address);
        }
        common.write_u16(QUEUE_ENABLE, 1);
        Ok(())
    }

    fn read_configuration(&mut self, features: u64) {
        let (common, device) = (&self.registers.common, &self.registers.device);
        let mut sectors = 0;
        // What takes two reads may change in between (virtio 2.5.1).
        for _ in 0..16 {
            let generation = common.read_u8(GENERATION);
            sectors = u64::from(device.read_u32(CAPACITY)) | u64::from(device.read_u32(CAPACITY + 4)) << 32;
            if common.read_u8(GENERATION) == generation {
                break;
            }
        }
        let block = if features & F_BLK_SIZE != 0 { u64::from(device.read_u32(BLOCK_SIZE)) / 512 } else { 1 };
        self.block = if block.is_power_of_two() { block } else { 1 };
        self.info = DiskInfo {
            sectors,
            read_only: features & F_RO != 0,
            write_cache: features & F_FLUSH != 0,
            queue_depth: self.queue.as_ref().map_or(0, |queue| queue.capacity().into()),
        };
    }

    /// What is known of it.
    pub fn info(&self) -> DiskInfo {
        self.info
    }

    /// Sectors that requests must be a multiple of.
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The queue, while the device runs.
    pub fn queue(&mut self) -> Option<&mut Queue<M>> {
        self.queue.as_mut()
    }

    /// Shows the device what was submitted, and notifies it if it must be.
    pub fn publish(&mut self) {
        if self.queue.as_mut().is_some_and(Queue::publish) {
            self.registers.notify.write_u16(self.notify_at, 0);
        }
    }

    /// Whether the device says of itself that only a reset helps.
    pub fn needs_reset(&self) -> bool {
        self.registers.common.read_u8(STATUS) & NEEDS_RESET != 0
    }
}
