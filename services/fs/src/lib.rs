//! The file system server: ext4 over a page cache, a memory file system, the devices that are no hardware, and the mount table
//! that joins them. The program (`main.rs`) adds the endpoint, the memory and the connection to the block driver.
//!
//! From the disk upwards: [`disk`] is the block device as the page cache sees it; [`cache`] keeps its pages; `block_io` gives
//! them to rsext4; [`ext4`] and [`memory_fs`] implement [`filesystem::FileSystem`]; [`vfs`] walks paths across mounts and keeps
//! the clients' open files; [`server`] answers their requests. [`ring_disk`] is the disk behind a driver's rings.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

extern crate alloc;
#[cfg(test)]
extern crate self as motte_fs;

mod block_io;
pub mod cache;
pub mod clock;
pub mod device_fs;
pub mod disk;
#[cfg(test)]
mod ends;
pub mod error;
pub mod ext4;
pub mod filesystem;
pub mod kept;
pub mod memory;
pub mod memory_fs;
pub mod requests;
pub mod ring_disk;
mod running;
pub mod server;
pub mod vfs;

pub use error::{Error, Result};
