//! The program `supervisor`.
//!
//! One thread serves: it receives every component's faults and the requests of the interface `supervisor` on one endpoint, and never waits
//! for a component. What must wait (telling services of a death, the orderly end) is done by a thread of its own ([`worker`]).
#![no_std]
#![no_main]

extern crate alloc;

mod boot_files;
mod components;
mod deadlines;
mod ending;
mod faults;
mod heartbeats;
mod hogs;
mod power;
mod records;
mod requests;
mod start;
mod trace;
mod waiters;
mod worker;

use alloc::string::{String, ToString};

use motte::server::Server;
use motte_loader::system;

motte::entry!(main);

fn main() -> Result<(), String> {
    // The log service may wait for the supervisor: here everything goes to the kernel's log, which the log service reads.
    motte::use_kernel_log();
    let mut server = Server::new(system::ENDPOINT).map_err(|error| error.to_string())?;
    let mut supervisor = components::Supervisor::new(&server)?;
    supervisor.begin();
    supervisor.watch_calls();
    supervisor.watch_processor();
    Err(server.run(&mut supervisor).to_string())
}
