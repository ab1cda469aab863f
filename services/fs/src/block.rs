//! The connection to the block driver: the cache's memory, the rings, and the two notifications.

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, Rights};
use motte::interfaces::Cap;
use motte::interfaces::block::BlockClient;
use motte::kernel::{CacheMode, Notification};
use motte::memory::{self, Mapping};
use motte::pages::SharedWords;
use motte::service::Connection;
use motte::slots;
use motte::time::Instant;
use motte_fs::disk::DiskError;
use motte_fs::ring_disk::{Driver, Rings, Woken};
use motte_ring::{Consumer, Producer};

/// Bit of the notification: the driver has completed something.
const COMPLETED: u64 = 1;
/// Bit of the notification: the time is up.
const TIME: u64 = 2;
/// How long to sleep before looking whether the driver still lives.
const PATIENCE_NS: u64 = 100_000_000;

/// As much memory for the page cache as there is, but for `reserve` bytes, in frames of 2 MiB; at most `most` of them.
pub fn cache_memory(reserve: u64, most: usize) -> Result<Mapping, Error> {
    let mut frames = alloc::vec::Vec::new();
    while frames.len() < most {
        let usage = memory::usage();
        // A first frame must be aligned, and so may cost almost twice its size.
        let aligned = usage.used.next_multiple_of(LARGE_PAGE_SIZE as u64) + LARGE_PAGE_SIZE as u64;
        if aligned + reserve > usage.budget {
            break;
        }
        match memory::large_frame() {
            Ok(frame) => frames.push(frame),
            Err(_) => break,
        }
    }
    Mapping::of_large(frames, Rights::READ | Rights::WRITE, CacheMode::Normal)
}

/// The way to the driver.
pub struct BlockDriver {
    service: BlockClient<Connection>,
    memory: &'static Mapping,
    /// What this program sleeps on.
    wake: Notification,
    /// The same, as the driver may signal it.
    wake_for_driver: Cap,
    doorbell: Option<Notification>,
    /// When the timer fires; 0 when it is not armed.
    armed: u64,
}

impl BlockDriver {
    /// A way to the driver, which is lent `memory`.
    pub fn new(service: BlockClient<Connection>, memory: &'static Mapping) -> Result<Self, Error> {
        let wake = Notification(memory::make(ObjectType::Notification, 0)?);
        let slot = slots::allocate()?;
        wake.0.mint(slot, Rights::WRITE | Rights::GRANT, COMPLETED)?;
        Ok(Self { service, memory, wake, wake_for_driver: Cap(slot.0), doorbell: None, armed: 0 })
    }
}

impl Driver for BlockDriver {
    type Memory = SharedWords;

    fn attach(&mut self) -> Result<Rings<SharedWords>, DiskError> {
        if let Some(old) = self.doorbell.take() {
            slots::delete(old.0);
        }
        for (index, frame) in self.memory.frames().iter().enumerate() {
            self.service.attach_memory(index as u64, Cap(frame.0.0)).map_err(|_| DiskError)?;
        }
        let requests = SharedWords::new().map_err(|_| DiskError)?;
        let completions = SharedWords::new().map_err(|_| DiskError)?;
        let (first, second) = (Cap(requests.frame().0.0), Cap(completions.frame().0.0));
        let doorbell =
            self.service.attach_rings(first, second, self.wake_for_driver).map_err(|_| DiskError)?;
        self.doorbell = Some(Notification::at(doorbell.0));
        Ok(Rings {
            requests: Producer::new(requests).map_err(|_| DiskError)?,
            completions: Consumer::new(completions).map_err(|_| DiskError)?,
        })
    }

    fn ring(&mut self) -> bool {
        // A driver's end takes its notification, and so this capability, with it.
        self.doorbell.is_some_and(|doorbell| doorbell.signal().is_ok())
    }

    fn sleep(&mut self) -> Woken {
        if self.armed == 0 {
            self.armed = Instant::now().as_ns() + PATIENCE_NS;
            let _ = self.wake.set_timer(self.armed, TIME);
        }
        let bits = self.wake.wait().unwrap_or(TIME);
        if bits & TIME != 0 {
            self.armed = 0;
        }
        if bits & COMPLETED != 0 { Woken::Signalled } else { Woken::TimedOut }
    }
}
