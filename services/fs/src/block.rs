//! The connection to the block driver: the cache's memory and the rings.
//!
//! This program sleeps in a call to the driver, which the kernel ends when the driver dies; so there is no timer to look after it.

use alloc::vec::Vec;

use motte::abi::{Error, LARGE_PAGE_SIZE, ObjectType, Rights};
use motte::interfaces::Cap;
use motte::interfaces::block::{BlockClient, DiskInfo};
use motte::interfaces::error::IoError;
use motte::kernel::{CacheMode, Frame, Notification};
use motte::memory::{self, Mapping};
use motte::pages::SharedWords;
use motte::service::Connection;
use motte::time::monotonic_ns;
use motte::{slots, system};
use motte_fs::disk::DiskError;
use motte_fs::ring_disk::{Driver, Rings};
use motte_ring::{Consumer, Producer};

/// As much memory for the page cache as there is, but for `reserve` bytes, in frames of 2 MiB; at most `most` of them.
pub fn cache_memory(reserve: u64, most: usize) -> Result<Mapping, Error> {
    let mut frames = Vec::new();
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

/// What the driver says of its disk; a successor of it, if that is an error.
pub fn disk_info(service: &BlockClient<Connection>) -> Result<DiskInfo, IoError> {
    let info = service.info();
    if !matches!(info, Err(error) if error != IoError::NotFound) {
        return info;
    }
    doubt();
    service.info()
}

/// Has the driver started anew.
fn doubt() {
    log::warn!("the disk's driver gives an error or no answer: it is started anew and asked again");
    if let Err(error) = system::complain("block", "an error, or nothing") {
        log::warn!("the disk's driver is not started anew: {error}");
    }
}

/// The way to the driver.
pub struct BlockDriver {
    service: BlockClient<Connection>,
    frames: Vec<Frame>,
    /// The driver could signal this one; nobody waits for it.
    unused: Notification,
    doorbell: Option<Notification>,
    /// How often errors of the driver's were doubted lately, and when last.
    doubts: (u32, u64),
}

/// After so many doubts, each soon after the one before, errors are believed: it is the disk that fails. Before, the driver's failures have taken
/// along what it uses, as its manifest says.
const MOST_DOUBTS: u32 = 6;
/// What is soon.
const SOON_NS: u64 = 60_000_000_000;

impl BlockDriver {
    /// A way to the driver, which is lent frames of 2 MiB.
    pub fn new(service: BlockClient<Connection>, frames: &[Frame]) -> Result<Self, Error> {
        let unused = Notification(memory::make(ObjectType::Notification, 0)?);
        Ok(Self { service, frames: frames.to_vec(), unused, doorbell: None, doubts: (0, 0) })
    }
}

impl Driver for BlockDriver {
    type Memory = SharedWords;

    fn attach(&mut self) -> Result<Rings<SharedWords>, DiskError> {
        if let Some(old) = self.doorbell.take() {
            slots::delete(old.0);
        }
        for (index, frame) in self.frames.iter().enumerate() {
            self.service.attach_memory(index as u64, Cap(frame.0.0)).map_err(|_| DiskError)?;
        }
        let requests = SharedWords::new().map_err(|_| DiskError)?;
        let completions = SharedWords::new().map_err(|_| DiskError)?;
        let (first, second) = (Cap(requests.frame().0.0), Cap(completions.frame().0.0));
        let unused = Cap(self.unused.0.0);
        let doorbell = self.service.attach_rings(first, second, unused).map_err(|_| DiskError)?;
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

    fn doubt(&mut self) -> bool {
        let (times, last_ns) = self.doubts;
        let now = monotonic_ns();
        let times = if now - last_ns < SOON_NS { times } else { 0 };
        if times == MOST_DOUBTS {
            return false;
        }
        self.doubts = (times + 1, now);
        doubt();
        true
    }

    fn wait(&mut self) -> bool {
        // It ends with an error when the driver does.
        self.service.wait().is_ok()
    }
}
