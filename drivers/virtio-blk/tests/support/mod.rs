//! A virtio disk in memory.

#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use motte_virtio::Memory;
use motte_virtio::fake::{CLIENT, FakeDevice, Window, registers, view};
use motte_virtio_blk::{Disk, PAGES};

#[allow(unused_imports, reason = "each test file uses a part")]
pub use motte_virtio::fake::{FRAME, FakeMachine as Mock, Page};

/// Where the queue's pages lie, in no order.
pub const PHYSICAL: [u64; PAGES] = [0x30_0000, 0x10_0000, 0x20_0000];

pub const EVENT_IDX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;
pub const FLUSH: u64 = 1 << 9;
pub const READ_ONLY: u64 = 1 << 5;
pub const BLK_SIZE: u64 = 1 << 6;

pub const FRAMES: u64 = 2;

/// The disk behind the device's registers.
#[derive(Debug)]
pub struct Device {
    device: FakeDevice,
    pub disk: Vec<u8>,
    pub client: Vec<u8>,
    /// Status byte that the next completions get.
    pub answer: u8,
    pub flushes: usize,
}

impl Deref for Device {
    type Target = FakeDevice;
    fn deref(&self) -> &FakeDevice {
        &self.device
    }
}

impl DerefMut for Device {
    fn deref_mut(&mut self) -> &mut FakeDevice {
        &mut self.device
    }
}

pub type View = motte_virtio::fake::View<Device>;

impl Device {
    pub fn new(features: u64) -> Self {
        // 8192 sectors, in blocks of 512 bytes.
        let mut configuration = vec![0; 24];
        configuration[..8].copy_from_slice(&8192u64.to_le_bytes());
        configuration[20..].copy_from_slice(&512u32.to_le_bytes());
        Self {
            device: FakeDevice::new(features, configuration, &[&PHYSICAL]),
            disk: (0..8192 * 512).map(|index| (index / 512 + index) as u8).collect(),
            client: vec![0; (FRAMES * FRAME) as usize],
            answer: 0,
            flushes: 0,
        }
    }

    /// Takes what is available.
    pub fn take(&mut self) {
        self.device.take(0);
    }

    pub fn taken(&self) -> usize {
        self.queues[0].taken.len()
    }

    /// Carries out the `index`th of the chains taken and gives it back.
    pub fn complete(&mut self, index: usize) {
        let queue = &mut self.device.queues[0];
        let head = queue.taken.remove(index);
        let chain = queue.chain(head);
        let (header, status) = (chain[0], chain[chain.len() - 1]);
        assert_eq!((header.length, header.device_writes), (16, false), "a header is 16 bytes that the device reads");
        assert_eq!((status.length, status.device_writes), (1, true), "a status is one byte that the device writes");
        let at = queue.at(header.address);
        let (kind, sector) = (queue.memory.read_u32(at), u64::from(queue.memory.read_u32(at + 8)));
        queue.memory.write_u8(queue.at(status.address), self.answer);
        if kind == 4 {
            assert_eq!(chain.len(), 2);
            self.flushes += 1;
        } else {
            let [_, part, _] = chain[..] else { panic!("a transfer has data") };
            assert_eq!(part.device_writes, kind == 0);
            let data = &mut self.client[(part.address - CLIENT) as usize..][..part.length as usize];
            let disk = &mut self.disk[sector as usize * 512..][..part.length as usize];
            match kind {
                0 if self.answer == 0 => data.copy_from_slice(disk),
                1 if self.answer == 0 => disk.copy_from_slice(data),
                _ => {}
            }
        }
        self.give_back(head.into());
    }

    /// Puts an identifier into the used ring.
    pub fn give_back(&mut self, id: u32) {
        self.device.give_back(0, id, 0);
    }

    /// Claims that so many were given back.
    pub fn set_used(&mut self, used: u16) {
        self.queues[0].set_used(used);
    }

    pub fn used(&self) -> u16 {
        self.queues[0].used()
    }
}

/// The disk in front of a device.
pub fn disk(device: &Rc<RefCell<Device>>) -> Disk<View> {
    let memory = device.borrow().queues[0].memory.clone();
    Disk::new(registers(device), view(device, Window::Queue(memory)), PHYSICAL)
}
