//! The example `crash-demo`: fails on purpose, as a component (`services start crash-demo`) or as a program (`crash-demo overflow`).
#![no_std]
#![no_main]

use motte::kept::{self, Snapshots};
use motte_examples::crash::Crash;

motte::entry!(main);

fn main() -> i32 {
    let way = motte::env::args().nth(1);
    if way.as_deref() == Some("slots") {
        connect_for_ever();
    }
    let Some(crash) = Crash::from_name(way.as_deref().unwrap_or("panic")) else {
        motte::eprintln!("crash-demo: the ways to crash are panic, overflow, memory and slots");
        return 2;
    };
    count_starts();
    motte::log::info!("about to crash on purpose: {crash:?}");
    crash.happen();
    0
}

/// A component counts its starts in its kept memory, until the supervisor doubts that memory and gives it another.
fn count_starts() {
    let kept = match kept::map() {
        Ok(Some(kept)) => kept,
        Ok(None) => return,
        Err(error) => return motte::log::warn!("my kept memory cannot be mapped: {error}"),
    };
    let mut counter = Snapshots::new(kept.memory);
    let before = counter.load().and_then(|bytes| bytes.first().copied()).unwrap_or(0);
    counter.save(&[before.saturating_add(1)]);
    match kept.from {
        Some(generation) => motte::log::info!("kept from generation {generation}: {before} starts before this"),
        None => motte::log::info!("nothing is kept from before"),
    }
}

/// Takes more and more capabilities, until there is no slot for another; says so, and panics.
fn connect_for_ever() {
    loop {
        if let Err(error) = motte::service::connect("log") {
            motte::eprintln!("crash-demo: no further connection: {error}");
            panic!("no further connection: {error}");
        }
    }
}
