//! Everything the kernel and its users agree on: system calls and their registers, messages,
//! capability rights, errors, object types, faults, boot information, the clock page and the trace.
//!
//! The numbers in this crate are the ABI. A golden file (`tests/abi.golden`) makes every change visible.
#![no_std]
#![deny(unsafe_code)]

pub mod boot_image;
pub mod boot_info;
pub mod clock;
pub mod error;
pub mod fault;
pub mod lines;
pub mod message;
pub mod object;
pub mod rights;
pub mod symbols;
pub mod syscall;
pub mod trace;

pub use error::Error;
pub use message::{MessageBuffer, MessageInfo};
pub use object::ObjectType;
pub use rights::Rights;
pub use syscall::Syscall;

/// Version of the interface in this crate: the major part changes when an old program would break.
pub const ABI_VERSION: (u16, u16) = (0, 1);

/// Size of the small page, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Size of the large page, in bytes.
pub const LARGE_PAGE_SIZE: usize = 2 << 20;

/// First address that user space cannot use (the end of the lower canonical half, less one guard page).
pub const USER_END: u64 = 0x0000_7fff_ffff_f000;
