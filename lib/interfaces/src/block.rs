//! Block devices: requests and completions lie in two rings in one page that client and driver share, data in the
//! client's own memory, which the driver lends to the device.
//!
//! A restart of the driver loses what it had not completed, and nothing else: rings and lent memory must be set up anew, and the client asks again for
//! what has no completion. A write that is asked for twice writes the same; what a completed flush covered is durable.

use crate::error::IoError;
use crate::{Cap, Wire, interface};

/// What is known of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct DiskInfo {
    /// Capacity in 512-byte sectors.
    pub sectors: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// The device keeps writes in a cache of its own until a flush.
    pub write_cache: bool,
    /// The most requests in flight.
    pub queue_depth: u64,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BlockOperation {
    /// Disk to memory.
    Read = 0,
    /// Memory to disk.
    Write = 1,
    /// Everything written before is durable when this completes.
    Flush = 2,
}

/// Requests of one ring; as many as there can be completions.
pub const RING_ENTRIES: usize = 64;

/// A request as it lies in the ring: eight words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BlockRequest {
    /// [`BlockOperation`].
    pub operation: u64,
    /// The client's to choose; comes back with the completion.
    pub tag: u64,
    /// First 512-byte sector.
    pub sector: u64,
    /// Where the data lie: byte offset in the attached memory, a multiple of 512.
    pub offset: u64,
    /// Bytes, a multiple of 512; a request must not cross a 2 MiB boundary of the memory.
    pub length: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// A completion as it lies in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BlockCompletion {
    /// The request's.
    pub tag: u64,
    /// 0, or 1 for a device error, 2 for a request that makes no sense.
    pub status: u64,
}

/// A disk driver. One client at a time; attaching anew replaces the former one.
#[interface("block")]
pub trait Block {
    /// The disk; `NotFound` if the machine has none.
    #[idempotent]
    fn info(&self) -> Result<DiskInfo, IoError>;
    /// Lends 2 MiB frame number `index` of the client's data memory.
    #[idempotent]
    fn attach_memory(&self, index: u64, frame: Cap) -> Result<(), IoError>;
    /// Begins: two shared pages, the first with the request ring, the second with the completion ring (their layout is `motte-ring`'s), and
    /// the notification that the driver signals after completions. Returns the notification that the client signals after requests.
    #[idempotent]
    fn attach_rings(&self, requests: Cap, completions: Cap, wake_client: Cap) -> Result<Cap, IoError>;
    /// Returns when the ring holds completions that the client has not taken, instead of a signal to `wake_client`. A driver that dies ends the
    /// wait with an error, so a client that waits here needs no timer to see whether it still lives.
    #[deferred]
    fn wait(&self) -> Result<(), IoError>;
}
