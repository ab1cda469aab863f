//! The program `init`: the first, and the only one that the kernel starts.
//!
//! It reads the manifest out of the boot image, makes an Untyped for every component and an endpoint for every service, puts all
//! authority into the supervisor's table (`motte_loader::system` says where), and starts the supervisor, with what is needed to guard that:
//! the supervisor hands it on to the component `guardian`. Then init has nothing left to do and stops for good.
#![no_std]
#![no_main]

extern crate alloc;

mod setup;

use core::fmt::Write;

use motte::kernel::own;
use motte::last_words::DebugConsole;

motte::entry!(main);

fn main() {
    match setup::start_system() {
        // What it made is held by others, and it is never in anybody's way.
        Ok(()) => drop(own::THREAD.suspend()),
        Err(error) => {
            let _ = writeln!(DebugConsole, "init: the system cannot start: {error}");
        }
    }
}
