//! A virtio device as its registers show it: features, queues, and what lies in them. What it does with a request is for each kind of device to say.

use std::cell::RefCell;
use std::ops::DerefMut;
use std::rc::Rc;

use crate::device::{EVENT_INDEX, Registers};
use crate::memory::Memory;

const VERSION_1: u64 = 1 << 32;

/// Plain memory that both sides see.
#[derive(Clone, Debug)]
pub struct Ram(pub Rc<RefCell<Vec<u8>>>);

impl Ram {
    /// Memory that nobody cleared.
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0xcc; bytes])))
    }

    fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset.is_multiple_of(N), "unaligned access at {offset}");
        self.0.borrow()[offset..offset + N].try_into().expect("as many bytes as asked for")
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.is_multiple_of(bytes.len()), "unaligned access at {offset}");
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl Memory for Ram {
    fn read_u8(&self, offset: usize) -> u8 {
        self.get::<1>(offset)[0]
    }
    fn read_u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.get(offset))
    }
    fn read_u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.get(offset))
    }
    fn write_u8(&self, offset: usize, value: u8) {
        self.put(offset, &[value]);
    }
    fn write_u16(&self, offset: usize, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }
    fn write_u32(&self, offset: usize, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }
}

/// One descriptor of a chain, as the device reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Whether the device writes them.
    pub device_writes: bool,
}

/// A queue.
#[derive(Debug)]
pub struct FakeQueue {
    /// Entries: what the device allows, then what the driver chose.
    pub size: u16,
    /// The queue's memory.
    pub memory: Ram,
    /// Where its pages lie.
    pub physical: Vec<u64>,
    vector: u16,
    addresses: [u64; 3],
    enabled: bool,
    seen: u16,
    used: u16,
    /// Chains taken and not yet given back, by their heads.
    pub taken: Vec<u16>,
    /// How often the driver notified.
    pub notified: usize,
}

impl FakeQueue {
    fn new(physical: &[u64]) -> Self {
        Self {
            size: 256,
            memory: Ram::new(physical.len() * 4096),
            physical: physical.to_vec(),
            vector: 0xffff,
            addresses: [0; 3],
            enabled: false,
            seen: 0,
            used: 0,
            taken: Vec::new(),
            notified: 0,
        }
    }

    /// Where in the queue's memory a physical address lies.
    pub fn at(&self, physical: u64) -> usize {
        let page = self.physical.iter().position(|page| *page == physical & !0xfff).expect("an address of the queue");
        page * 4096 + (physical & 0xfff) as usize
    }

    /// Completions so far.
    pub fn used(&self) -> u16 {
        self.used
    }

    /// Claims that so many were given back.
    pub fn set_used(&mut self, used: u16) {
        self.used = used;
        let at = self.at(self.addresses[2]);
        self.memory.write_u16(at + 2, used);
    }

    /// The chain that begins with a descriptor.
    pub fn chain(&self, head: u16) -> Vec<Part> {
        let (mut chain, mut next) = (Vec::new(), Some(head));
        while let Some(index) = next {
            assert!(chain.len() < 8, "a chain that does not end");
            let (at, memory) = (self.at(self.addresses[0]) + usize::from(index) * 16, &self.memory);
            let address = u64::from(memory.read_u32(at)) | u64::from(memory.read_u32(at + 4)) << 32;
            let flags = memory.read_u16(at + 12);
            assert_eq!(flags & !3, 0, "no other flags");
            chain.push(Part { address, length: memory.read_u32(at + 8), device_writes: flags & 2 != 0 });
            next = (flags & 1 != 0).then(|| memory.read_u16(at + 14));
        }
        chain
    }
}

/// The device: what is behind the registers.
#[derive(Debug)]
pub struct FakeDevice {
    /// What it offers.
    pub features: u64,
    /// What the driver accepted.
    pub accepted: u64,
    /// Its status register.
    pub status: u8,
    /// It has interrupts for its queues.
    pub has_vector: bool,
    /// Its reset does not end.
    pub stuck_reset: bool,
    /// Its own configuration.
    pub configuration: Vec<u8>,
    /// Its queues.
    pub queues: Vec<FakeQueue>,
    /// How often it was reset.
    pub resets: usize,
    /// How often a queue raised an interrupt.
    pub interrupts: usize,
    selects: [u32; 2],
    selected: usize,
    config_vector: u16,
}

impl FakeDevice {
    /// A device that offers `features`, with a queue for each list of pages.
    pub fn new(features: u64, configuration: Vec<u8>, queues: &[&[u64]]) -> Self {
        Self {
            features: features | VERSION_1,
            accepted: 0,
            status: 0xff,
            has_vector: true,
            stuck_reset: false,
            configuration,
            queues: queues.iter().map(|physical| FakeQueue::new(physical)).collect(),
            resets: 0,
            interrupts: 0,
            selects: [0; 2],
            selected: 0,
            config_vector: 0xffff,
        }
    }

    fn event_index(&self) -> bool {
        self.accepted & EVENT_INDEX != 0
    }

    /// Takes what is available in a queue.
    pub fn take(&mut self, queue: usize) {
        let (runs, event_index) = (self.status & 4 != 0, self.event_index());
        let queue = &mut self.queues[queue];
        if !runs || !queue.enabled {
            return;
        }
        let available = queue.at(queue.addresses[1]);
        let index = queue.memory.read_u16(available + 2);
        while queue.seen != index {
            let entry = usize::from(queue.seen % queue.size);
            queue.taken.push(queue.memory.read_u16(available + 4 + entry * 2));
            queue.seen = queue.seen.wrapping_add(1);
        }
        if event_index {
            let used = queue.at(queue.addresses[2]);
            queue.memory.write_u16(used + 4 + usize::from(queue.size) * 8, queue.seen);
        }
    }

    /// Puts an identifier into a queue's used ring, and interrupts if the driver wishes it.
    pub fn give_back(&mut self, queue: usize, id: u32, written: u32) {
        let event_index = self.event_index();
        let queue = &mut self.queues[queue];
        let used = queue.at(queue.addresses[2]);
        let entry = usize::from(queue.used % queue.size);
        queue.memory.write_u32(used + 4 + entry * 8, id);
        queue.memory.write_u32(used + 8 + entry * 8, written);
        let before = queue.used;
        queue.set_used(queue.used.wrapping_add(1));
        let available = queue.at(queue.addresses[1]);
        let wished = queue.memory.read_u16(available + 4 + usize::from(queue.size) * 2);
        let silent = queue.memory.read_u16(available) & 1 != 0;
        if if event_index { wished == before } else { !silent } {
            self.interrupts += 1;
        }
    }

    fn read(&self, offset: usize) -> u32 {
        let queue = self.queues.get(self.selected);
        match offset {
            0x04 => (self.features >> (self.selects[0] * 32)) as u32,
            0x10 => self.config_vector.into(),
            0x14 => self.status.into(),
            0x15 => 7,
            0x18 => queue.map_or(0, |queue| queue.size.into()),
            0x1a if !self.has_vector => 0xffff,
            0x1a => queue.map_or(0xffff, |queue| queue.vector.into()),
            0x1e => 3 + self.selected as u32,
            _ => panic!("read of register {offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            0x00 => self.selects[0] = value,
            0x08 => self.selects[1] = value,
            0x0c => self.accepted |= u64::from(value) << (self.selects[1] * 32),
            0x10 => self.config_vector = value as u16,
            0x14 if value == 0 => {
                self.resets += 1;
                self.accepted = 0;
                for queue in &mut self.queues {
                    (queue.seen, queue.used, queue.enabled) = (0, 0, false);
                    queue.taken.clear();
                }
                self.status = if self.stuck_reset { 1 } else { 0 };
            }
            0x14 => {
                let refused = value & 8 != 0 && self.accepted & !self.features != 0;
                self.status = value as u8 & if refused { !8 } else { !0 };
            }
            0x16 => self.selected = value as usize,
            _ => {
                let queue = self.queues.get_mut(self.selected).expect("a queue that there is");
                match offset {
                    0x18 => queue.size = value as u16,
                    0x1a => queue.vector = value as u16,
                    0x1c => queue.enabled = true,
                    0x20..0x38 => {
                        let (index, half) = ((offset - 0x20) / 8, offset % 8 * 8);
                        let old = queue.addresses[index] & !(0xffff_ffff << half);
                        queue.addresses[index] = old | u64::from(value) << half;
                    }
                    _ => panic!("write of register {offset:#x}"),
                }
            }
        }
    }
}

/// Which of the device's memory a view shows.
#[derive(Clone, Debug)]
pub enum Window {
    /// The common configuration.
    Common,
    /// The notification registers.
    Notify,
    /// The device's own configuration.
    Configuration,
    /// A queue's memory.
    Queue(Ram),
}

/// One view of the device, or of what is made around one.
#[derive(Debug)]
pub struct View<D>(Rc<RefCell<D>>, Window);

/// A view of a device.
pub fn view<D>(device: &Rc<RefCell<D>>, window: Window) -> View<D> {
    View(device.clone(), window)
}

/// The registers of a device.
pub fn registers<D>(device: &Rc<RefCell<D>>) -> Registers<View<D>> {
    Registers {
        common: view(device, Window::Common),
        notify: view(device, Window::Notify),
        notify_length: 4096,
        notify_multiplier: 4,
        device: view(device, Window::Configuration),
    }
}

impl<D: DerefMut<Target = FakeDevice>> View<D> {
    fn read(&self, offset: usize, width: usize) -> u32 {
        let device = self.0.borrow();
        match &self.1 {
            Window::Common => device.read(offset),
            Window::Configuration => {
                assert!(offset.is_multiple_of(width), "unaligned access at {offset}");
                let bytes = &device.configuration[offset..offset + width];
                bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
            }
            Window::Queue(ram) => match width {
                1 => ram.read_u8(offset).into(),
                2 => ram.read_u16(offset).into(),
                _ => ram.read_u32(offset),
            },
            Window::Notify => panic!("read of a notification register"),
        }
    }

    fn write(&self, offset: usize, width: usize, value: u32) {
        match &self.1 {
            Window::Common => self.0.borrow_mut().write(offset, value),
            Window::Notify => {
                let queue = value as usize;
                assert_eq!((offset, width), ((3 + queue) * 4, 2), "the queue's own register");
                self.0.borrow_mut().queues[queue].notified += 1;
            }
            Window::Queue(ram) => ram.put(offset, &value.to_le_bytes()[..width]),
            Window::Configuration => panic!("write of configuration"),
        }
    }
}

impl<D: DerefMut<Target = FakeDevice>> Memory for View<D> {
    fn read_u8(&self, offset: usize) -> u8 {
        self.read(offset, 1) as u8
    }
    fn read_u16(&self, offset: usize) -> u16 {
        self.read(offset, 2) as u16
    }
    fn read_u32(&self, offset: usize) -> u32 {
        self.read(offset, 4)
    }
    fn write_u8(&self, offset: usize, value: u8) {
        self.write(offset, 1, value.into());
    }
    fn write_u16(&self, offset: usize, value: u16) {
        self.write(offset, 2, value.into());
    }
    fn write_u32(&self, offset: usize, value: u32) {
        self.write(offset, 4, value);
    }
}
