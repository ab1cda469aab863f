//! The disk: a virtio device with one queue (virtio 5.2).

use motte_interfaces::block::DiskInfo;
use motte_virtio::{Device, Doorbell, EVENT_INDEX, Memory, Registers, StartError};

use crate::queue::{PAGES, Requests};

// Block configuration (virtio 5.2.4).
const CAPACITY: usize = 0;
const BLOCK_SIZE: usize = 20;
/// Bytes of the block configuration, up to the block size.
pub const CONFIGURATION_BYTES: u64 = 24;

/// The disk is read-only.
const F_RO: u64 = 1 << 5;
/// `BLOCK_SIZE` holds the size that requests should be a multiple of.
const F_BLK_SIZE: u64 = 1 << 6;
/// There is a cache, and a request that writes it back.
const F_FLUSH: u64 = 1 << 9;
// Limits of segments (SIZE_MAX, SEG_MAX) are not asked for: a request has one segment, and a device may limit only drivers that ask.
const WANTED: u64 = F_RO | F_BLK_SIZE | F_FLUSH;

/// The entry of the MSI-X table that everything is signalled by.
const VECTOR: u16 = 0;

/// A disk. Its queue is there while it runs.
#[derive(Debug)]
pub struct Disk<M> {
    device: Device<M>,
    /// The queue's memory while there is no queue.
    memory: Option<M>,
    physical: [u64; PAGES],
    queue: Option<(Requests<M>, Doorbell)>,
    info: DiskInfo,
    /// Sectors that a request must be a multiple of; a power of two.
    block: u64,
}

impl<M: Memory> Disk<M> {
    /// The disk behind `registers`, with three pages of memory at `physical` for the queue. Not started yet.
    pub fn new(registers: Registers<M>, memory: M, physical: [u64; PAGES]) -> Self {
        let info = DiskInfo { sectors: 0, read_only: true, write_cache: false, queue_depth: 0 };
        Self { device: Device::new(registers), memory: Some(memory), physical, queue: None, info, block: 1 }
    }

    /// Stops the device: afterwards it uses no memory of this driver or its clients, and nothing is in flight. `pause` lets a
    /// little time pass.
    pub fn reset(&mut self, pause: impl FnMut()) -> Result<(), StartError> {
        self.give_up();
        self.device.reset(pause)
    }

    /// Does without the queue, whatever the device does with it: nothing else uses its memory.
    pub fn give_up(&mut self) {
        if let Some((queue, _)) = self.queue.take() {
            self.memory = Some(queue.into_memory());
        }
    }

    /// Resets the device and starts it, as often as need be.
    pub fn start(&mut self, pause: impl FnMut()) -> Result<(), StartError> {
        self.reset(pause)?;
        let features = self.device.negotiate(WANTED)?;
        self.device.set_configuration_vector(VECTOR)?;
        let size = Requests::<M>::size_for(self.device.queue_size(0)).ok_or(StartError::Queue)?;
        let addresses = Requests::<M>::addresses(self.physical);
        let memory = self.memory.take().ok_or(StartError::Queue)?;
        let queue = Requests::new(memory, self.physical, size, features & EVENT_INDEX != 0);
        let doorbell = match self.device.set_up_queue(0, size, addresses, VECTOR) {
            Ok(doorbell) => doorbell,
            Err(error) => {
                self.memory = Some(queue.into_memory());
                return Err(error);
            }
        };
        let depth = queue.capacity();
        self.queue = Some((queue, doorbell));
        self.read_configuration(features, depth);
        self.device.run();
        Ok(())
    }

    fn read_configuration(&mut self, features: u64, depth: u16) {
        let (sectors, block) = self.device.read_configuration(|device| {
            let sectors = u64::from(device.read_u32(CAPACITY)) | u64::from(device.read_u32(CAPACITY + 4)) << 32;
            let block = if features & F_BLK_SIZE != 0 { u64::from(device.read_u32(BLOCK_SIZE)) / 512 } else { 1 };
            (sectors, block)
        });
        self.block = if block.is_power_of_two() { block } else { 1 };
        self.info = DiskInfo {
            sectors,
            read_only: features & F_RO != 0,
            write_cache: features & F_FLUSH != 0,
            queue_depth: depth.into(),
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
    pub fn queue(&mut self) -> Option<&mut Requests<M>> {
        self.queue.as_mut().map(|(queue, _)| queue)
    }

    /// Shows the device what was submitted, and notifies it if it must be.
    pub fn publish(&mut self) {
        if let Some((queue, doorbell)) = &mut self.queue
            && queue.publish()
        {
            self.device.notify(*doorbell);
        }
    }

    /// Whether the device says of itself that only a reset helps.
    pub fn needs_reset(&self) -> bool {
        self.device.needs_reset()
    }
}
