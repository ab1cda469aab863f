//! What programs and components of Motte are written with.
//!
//! | module | what it holds |
//! |---|---|
//! | [`kernel`] | the system calls, typed |
//! | [`entry!`], [`start`] | where a program begins, and what it begins with |
//! | [`memory`], [`slots`], [`heap`] | its memory, its capability table, its heap |
//! | [`kept`] | memory that outlives a restart |
//! | [`thread`], [`sync`], [`time`] | threads, locks, time |
//! | [`service`] | calling services by name |
//! | [`server`] | being a service: requests, deferred answers, events, tasks |
//! | [`control`] | what the supervisor wants of a component that runs |
//! | [`executor`] | tasks in a program that is no service |
//! | [`io`], [`fs`], [`process`], [`terminal`] | streams, files, programs, the terminal, in the shape of `std` |
//! | [`net`], [`aio`] | sockets, in the shape of `std`; reading and writing in tasks |
//! | [`system`] | components, faults, log, trace, memory: the system itself |
//! | [`boot_files`] | the boot image, for whom the manifest grants it |
//! | [`env`] | arguments and environment |
//! | [`last_words`] | how a panic or an exit reaches the supervisor |
//!
//! On the host the crate compiles and its logic is tested; system calls fail there.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod aio;
mod arch;
pub mod boot_files;
pub mod control;
pub mod deadline;
mod entry;
pub mod env;
pub mod executor;
pub mod fs;
pub mod heap;
pub mod io;
pub mod kept;
pub mod kernel;
pub mod last_words;
pub mod layout;
mod logger;
pub mod memory;
pub mod net;
pub mod pages;
pub mod process;
mod replies;
pub mod server;
pub mod service;
mod session;
pub mod slots;
#[doc(hidden)]
pub mod standard;
pub mod start;
pub mod start_info;
pub mod sync;
pub mod system;

mod tasks;
pub mod terminal;
pub mod thread;
pub mod time;

pub use entry::{Termination, exit};
pub use log;
pub use logger::use_kernel_log;
pub use motte_abi as abi;
pub use motte_interfaces as interfaces;
