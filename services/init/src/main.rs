//! The program `init`: the first, and the only one that the kernel starts.
//!
//! It reads the manifest out of the boot image, makes an Untyped for every component and an endpoint for every service, puts all
//! authority into the supervisor's table (`motte_loader::system` says where), starts the supervisor, and remains as its guardian: when the
//! supervisor faults, it is started anew with the same table, and finds the other components running.
#![no_std]
#![no_main]

extern crate alloc;

mod guardian;
mod setup;

use core::fmt::Write;

use motte::last_words::DebugConsole;

motte::entry!(main);

fn main() {
    match setup::prepare() {
        Ok(system) => guardian::guard(&system),
        Err(error) => {
            let _ = writeln!(DebugConsole, "init: the system cannot start: {error}");
        }
    }
}
