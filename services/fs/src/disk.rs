//! The block device as the page cache sees it.

use core::fmt;

use crate::memory::Region;

/// Bytes in a sector, the unit of [`Transfer::sector`].
pub const SECTOR_SIZE: usize = 512;

/// Most bytes in one [`Transfer`].
pub const MAX_TRANSFER: usize = 256 * 1024;

/// A transfer's memory lies within one range of this size, counted from the start of the cache's memory: the unit in which memory
/// is lent to the driver.
pub const TRANSFER_BOUNDARY: usize = 2 * 1024 * 1024;

/// What the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// One contiguous piece of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// First sector on the device.
    pub sector: u64,
    /// First byte in the cache's memory; a multiple of 4,096.
    pub offset: usize,
    /// Bytes; a multiple of 512, at most [`MAX_TRANSFER`]; crosses no [`TRANSFER_BOUNDARY`].
    pub length: usize,
}

/// The direction of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to memory.
    Read,
    /// From memory to the device.
    Write,
}

/// Names a batch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// The device refused or failed a request, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskError;

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the block device failed")
    }
}

/// A block device that moves data straight between its medium and the cache's memory.
///
/// Writes may reach the medium in any order until [`Disk::flush`] returns; a flush makes every write whose batch was waited for
/// before it durable. Memory of a batch under way belongs to the device until [`Disk::wait`] returns.
pub trait Disk {
    /// Size and mode of the device.
    fn geometry(&self) -> Geometry;

    /// Starts a batch. The device owns the named ranges of `memory` until [`Disk::wait`].
    fn submit(
        &mut self,
        memory: Region,
        direction: Direction,
        transfers: &[Transfer],
    ) -> core::result::Result<Ticket, DiskError>;

    /// Waits until the whole batch has ended; an error means that any part of it may have failed.
    fn wait(&mut self, ticket: Ticket) -> core::result::Result<(), DiskError>;

    /// Makes all completed writes durable.
    fn flush(&mut self) -> core::result::Result<(), DiskError>;
}
