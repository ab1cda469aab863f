//! The example `crash-demo`: fails on purpose, as a component (`services start crash-demo`) or as a program (`crash-demo overflow`).
#![no_std]
#![no_main]

use motte_examples::crash::Crash;

motte::entry!(main);

fn main() -> i32 {
    let way = motte::env::args().nth(1);
    let Some(crash) = Crash::from_name(way.as_deref().unwrap_or("panic")) else {
        motte::eprintln!("crash-demo: the ways to crash are panic, overflow and memory");
        return 2;
    };
    motte::log::info!("about to crash on purpose: {crash:?}");
    crash.happen();
    0
}
