//! A virtio disk in memory, and a machine around it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use motte_interfaces::error::IoError;
use motte_interfaces::{Cap, Responder, Wire};
use motte_virtio::{Machine, Memory, Registers};
use motte_virtio_blk::{Disk, PAGES};

/// Where the queue's pages lie, in no order.
pub const PHYSICAL: [u64; PAGES] = [0x30_0000, 0x10_0000, 0x20_0000];

/// Plain memory that both sides see.
#[derive(Clone, Debug)]
pub struct Ram(pub Rc<RefCell<Vec<u8>>>);

impl Ram {
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0xcc; bytes])))
    }

    fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset.is_multiple_of(N), "unaligned access at {offset}");
        self.0.borrow()[offset..offset + N].try_into().unwrap()
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

pub const EVENT_IDX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;
pub const FLUSH: u64 = 1 << 9;
pub const READ_ONLY: u64 = 1 << 5;
pub const BLK_SIZE: u64 = 1 << 6;

/// Where the client's memory begins, of [`FRAMES`] frames.
pub const CLIENT: u64 = 0x4000_0000;
pub const FRAMES: u64 = 2;
pub const FRAME: u64 = 2 << 20;

/// The device: what is behind the registers.
#[derive(Debug)]
pub struct Device {
    pub features: u64,
    pub accepted: u64,
    pub status: u8,
    pub queue_size: u16,
    pub sectors: u64,
    pub block_size: u32,
    pub has_vector: bool,
    pub stuck_reset: bool,
    selects: [u32; 2],
    config_vector: u16,
    queue_vector: u16,
    addresses: [u64; 3],
    enabled: bool,
    pub notified: usize,
    pub resets: usize,
    pub disk: Vec<u8>,
    pub client: Vec<u8>,
    queue: Ram,
    seen: u16,
    used: u16,
    /// Chains taken and not yet given back, by their heads.
    pub taken: Vec<u16>,
    pub interrupts: usize,
    /// Status byte that the next completions get.
    pub answer: u8,
    pub flushes: usize,
}

impl Device {
    pub fn new(features: u64) -> Self {
        Self {
            features: features | VERSION_1,
            accepted: 0,
            status: 0xff,
            queue_size: 256,
            sectors: 8192,
            block_size: 512,
            has_vector: true,
            stuck_reset: false,
            selects: [0; 2],
            config_vector: 0xffff,
            queue_vector: 0xffff,
            addresses: [0; 3],
            enabled: false,
            notified: 0,
            resets: 0,
            disk: (0..8192 * 512).map(|index| (index / 512 + index) as u8).collect(),
            client: vec![0; (FRAMES * FRAME) as usize],
            queue: Ram::new(PAGES * 4096),
            seen: 0,
            used: 0,
            taken: Vec::new(),
            interrupts: 0,
            answer: 0,
            flushes: 0,
        }
    }

    /// Where in the queue's memory a physical address lies.
    fn at(&self, physical: u64) -> usize {
        let page = PHYSICAL.iter().position(|page| *page == physical & !0xfff).expect("an address of the queue");
        page * 4096 + (physical & 0xfff) as usize
    }

    fn event_index(&self) -> bool {
        self.accepted & EVENT_IDX != 0
    }

    /// Takes what is available.
    pub fn take(&mut self) {
        if self.status & 4 == 0 || !self.enabled {
            return;
        }
        let available = self.at(self.addresses[1]);
        let index = self.queue.read_u16(available + 2);
        while self.seen != index {
            let entry = usize::from(self.seen % self.queue_size);
            self.taken.push(self.queue.read_u16(available + 4 + entry * 2));
            self.seen = self.seen.wrapping_add(1);
        }
        if self.event_index() {
            let used = self.at(self.addresses[2]);
            self.queue.write_u16(used + 4 + usize::from(self.queue_size) * 8, self.seen);
        }
    }

    fn descriptor(&self, index: u16) -> (u64, u32, u16, u16) {
        let at = self.at(self.addresses[0]) + usize::from(index) * 16;
        let queue = &self.queue;
        let address = u64::from(queue.read_u32(at)) | u64::from(queue.read_u32(at + 4)) << 32;
        (address, queue.read_u32(at + 8), queue.read_u16(at + 12), queue.read_u16(at + 14))
    }

    /// Carries out the `index`th of the chains taken and gives it back.
    pub fn complete(&mut self, index: usize) {
        let head = self.taken.remove(index);
        let (address, length, flags, next) = self.descriptor(head);
        assert_eq!((length, flags), (16, 1), "a header is 16 bytes that the device reads");
        let header = self.at(address);
        let kind = self.queue.read_u32(header);
        let sector = u64::from(self.queue.read_u32(header + 8));
        let (mut address, mut length, mut flags, next) = self.descriptor(next);
        if kind != 4 {
            let offset = (address - CLIENT) as usize;
            let data = &mut self.client[offset..offset + length as usize];
            let disk = &mut self.disk[sector as usize * 512..][..length as usize];
            match kind {
                0 if self.answer == 0 => data.copy_from_slice(disk),
                1 if self.answer == 0 => disk.copy_from_slice(data),
                _ => {}
            }
            assert_eq!(flags, if kind == 0 { 3 } else { 1 });
            (address, length, flags, _) = self.descriptor(next);
        } else {
            self.flushes += 1;
        }
        assert_eq!((length, flags), (1, 2), "a status is one byte that the device writes");
        self.queue.write_u8(self.at(address), self.answer);
        self.give_back(head.into());
    }

    /// Puts an identifier into the used ring.
    pub fn give_back(&mut self, id: u32) {
        let used = self.at(self.addresses[2]);
        let entry = usize::from(self.used % self.queue_size);
        self.queue.write_u32(used + 4 + entry * 8, id);
        self.queue.write_u32(used + 8 + entry * 8, 0);
        let before = self.used;
        self.set_used(self.used.wrapping_add(1));
        let wished = self.queue.read_u16(self.at(self.addresses[1]) + 4 + usize::from(self.queue_size) * 2);
        if !self.event_index() || wished == before {
            self.interrupts += 1;
        }
    }

    /// Claims that so many were given back.
    pub fn set_used(&mut self, used: u16) {
        self.used = used;
        let at = self.at(self.addresses[2]);
        self.queue.write_u16(at + 2, used);
    }

    pub fn used(&self) -> u16 {
        self.used
    }

    fn read(&self, offset: usize) -> u32 {
        match offset {
            0x04 => (self.features >> (self.selects[0] * 32)) as u32,
            0x10 => self.config_vector.into(),
            0x14 => self.status.into(),
            0x15 => 7,
            0x18 => self.queue_size.into(),
            0x1a if !self.has_vector => 0xffff,
            0x1a => self.queue_vector.into(),
            0x1e => 3,
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
                (self.seen, self.used, self.enabled) = (0, 0, false);
                self.taken.clear();
                self.status = if self.stuck_reset { 1 } else { 0 };
            }
            0x14 => {
                let refused = value & 8 != 0 && self.accepted & !self.features != 0;
                self.status = value as u8 & if refused { !8 } else { !0 };
            }
            0x16 => assert_eq!(value, 0),
            0x18 => self.queue_size = value as u16,
            0x1a => self.queue_vector = value as u16,
            0x1c => self.enabled = true,
            0x20..0x38 => {
                let (index, half) = ((offset - 0x20) / 8, offset % 8 * 8);
                let old = self.addresses[index] & !(0xffff_ffff << half);
                self.addresses[index] = old | u64::from(value) << half;
            }
            _ => panic!("write of register {offset:#x}"),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Window {
    Common,
    Notify,
    Config,
    Queue(Ram),
}

/// One view of the device.
#[derive(Clone, Debug)]
pub struct View(pub Rc<RefCell<Device>>, pub Window);

impl View {
    fn read(&self, offset: usize) -> u32 {
        let device = self.0.borrow();
        match self.1 {
            Window::Common => device.read(offset),
            Window::Config => match offset {
                0 => device.sectors as u32,
                4 => (device.sectors >> 32) as u32,
                20 => device.block_size,
                _ => panic!("read of configuration {offset:#x}"),
            },
            _ => panic!("read of a notification register"),
        }
    }

    fn write(&self, offset: usize, value: u32) {
        let mut device = self.0.borrow_mut();
        match self.1 {
            Window::Common => device.write(offset, value),
            Window::Notify => {
                assert_eq!((offset, value), (12, 0), "the queue's own register");
                device.notified += 1;
            }
            _ => panic!("write of configuration"),
        }
    }
}

impl Memory for View {
    fn read_u8(&self, offset: usize) -> u8 {
        if let Window::Queue(ram) = &self.1 { ram.read_u8(offset) } else { self.read(offset) as u8 }
    }
    fn read_u16(&self, offset: usize) -> u16 {
        if let Window::Queue(ram) = &self.1 { ram.read_u16(offset) } else { self.read(offset) as u16 }
    }
    fn read_u32(&self, offset: usize) -> u32 {
        if let Window::Queue(ram) = &self.1 { ram.read_u32(offset) } else { self.read(offset) }
    }
    fn write_u8(&self, offset: usize, value: u8) {
        if let Window::Queue(ram) = &self.1 { ram.write_u8(offset, value) } else { self.write(offset, value.into()) }
    }
    fn write_u16(&self, offset: usize, value: u16) {
        if let Window::Queue(ram) = &self.1 { ram.write_u16(offset, value) } else { self.write(offset, value.into()) }
    }
    fn write_u32(&self, offset: usize, value: u32) {
        if let Window::Queue(ram) = &self.1 { ram.write_u32(offset, value) } else { self.write(offset, value) }
    }
}

/// The disk in front of a device.
pub fn disk(device: &Rc<RefCell<Device>>) -> Disk<View> {
    let view = |window| View(device.clone(), window);
    let registers = Registers {
        common: view(Window::Common),
        notify: view(Window::Notify),
        notify_length: 4096,
        notify_multiplier: 4,
        device: view(Window::Config),
    };
    let queue = device.borrow().queue.clone();
    Disk::new(registers, view(Window::Queue(queue)), PHYSICAL)
}

/// A page that client and driver share.
#[derive(Clone, Debug)]
pub struct Page(pub Arc<Vec<AtomicU64>>);

impl Default for Page {
    fn default() -> Self {
        Self(Arc::new((0..512).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Deref for Page {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// What the machine was asked for, and what it answers.
#[derive(Debug, Default)]
pub struct Notes {
    pub pages: [Page; 2],
    pub woken: Cell<usize>,
    pub again: Cell<usize>,
    pub answered: RefCell<Vec<(u64, Result<(), IoError>)>>,
    pub gone: RefCell<Vec<u64>>,
    pub released: RefCell<Vec<u64>>,
    pub reports: RefCell<Vec<String>>,
}

/// Capabilities 1 and 2 are ring pages, 3 the client's notification, 10 and 11 its frames.
#[derive(Clone, Debug, Default)]
pub struct Mock(pub Rc<Notes>);

impl Machine for Mock {
    type Words = Page;

    fn map(&mut self, page: Cap) -> Result<Page, IoError> {
        self.0.pages.get(page.0 as usize - 1).cloned().ok_or(IoError::InvalidInput)
    }
    fn frame_address(&self, frame: Cap) -> Option<u64> {
        (self.is_alive(frame) && (10..10 + FRAMES).contains(&frame.0)).then(|| CLIENT + (frame.0 - 10) * FRAME)
    }
    fn is_alive(&self, cap: Cap) -> bool {
        !self.0.gone.borrow().contains(&cap.0)
    }
    fn release(&mut self, cap: Cap) {
        self.0.released.borrow_mut().push(cap.0);
    }
    fn wake(&self, notification: Cap) {
        assert_eq!(notification, Cap(3));
        self.0.woken.set(self.0.woken.get() + 1);
    }
    fn answer<T: Wire>(&mut self, waiting: Responder<T, IoError>, result: Result<T, IoError>) {
        self.0.answered.borrow_mut().push((waiting.token().0, result.map(drop)));
    }
    fn doorbell(&self) -> Cap {
        Cap(99)
    }
    fn again(&self) {
        self.0.again.set(self.0.again.get() + 1);
    }
    fn pause(&self) {}
    fn report(&self, text: &str) {
        self.0.reports.borrow_mut().push(text.into());
    }
}
