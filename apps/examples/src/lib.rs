//! Examples to learn from: the interfaces and the logic of the example services, apart from the machine, so that they are tested on
//! the host.
//!
//! | program | what it shows |
//! |---|---|
//! | `file-service`, `network-service`, `directory-client` | two services, found by name and called; a third name that nobody provides |
//! | `crash-demo`, `hang-demo`, `leak-demo` | what happens when a component fails, hangs, or uses up its memory |
//! | `liar-demo`, `liar-watch` | a component that lies in its ring, and a client that does not believe it |
//! | `flood-demo`, `flood-watch` | a component that asks a service without end, and another client of that service |
//! | `hello` | a program: arguments, environment, files, another program's output |
//! | `clock-watch` | threads, time, tasks that wait beside one another |
//!
//! `services start NAME` starts a component of the first four rows; the programs of the last two lie in `/bin`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod file;
mod network;

pub mod crash;
pub mod hang;
pub mod leak;
pub mod samples;
pub mod watch;

pub use file::{File, FileClient, FileError, Notes, dispatch_file};
pub use network::{Loop, Network, NetworkClient, NetworkError, dispatch_network};
