//! Examples to learn from: the interfaces and the logic of the example services, apart from the machine, so that they are tested on
//! the host.
//!
//! | program | what it shows |
//! |---|---|
//! | `file-service`, `network-service`, `directory-client` | two services, found by name and called; a third name that nobody provides |
//! | `crash-demo` | what happens when a component fails |
//! | `hang-demo` | what happens when a component hangs |
//! | `hello` | a program: arguments, environment, files, another program's output |
//! | `clock-watch` | threads, time, tasks that wait beside one another |
//!
//! `services start NAME` starts a component of the first three rows; the programs of the last two lie in `/bin`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod file;
mod network;

pub mod crash;
pub mod hang;
pub mod watch;

pub use file::{File, FileClient, FileError, Notes, dispatch_file};
pub use network::{Loop, Network, NetworkClient, NetworkError, dispatch_network};
