//! The file system server, without its message loop: ext4 over a page cache, a memory file system, and the mount table that
//! joins them.
//!
//! From the disk upwards: [`disk`] is the block device as the page cache sees it; [`cache`] keeps its pages; `block_io` gives
//! them to rsext4; [`ext4`] and [`memory_fs`] implement [`filesystem::FileSystem`]; [`vfs`] walks paths across mounts and keeps
//! the clients' open files.
#![no_std]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

extern crate alloc;

mod block_io;
pub mod cache;
pub mod clock;
pub mod disk;
pub mod error;
pub mod ext4;
pub mod filesystem;
pub mod memory;
pub mod memory_fs;
pub mod vfs;

pub use error::{Error, Result};
