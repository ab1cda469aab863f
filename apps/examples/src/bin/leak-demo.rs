//! The example `leak-demo`: a component that forgets 4 KiB every 10 ms (`services start leak-demo`), until its memory quota is used up. It alone
//! is ended, and started anew.
#![no_std]
#![no_main]

use core::time::Duration;

use motte_examples::leak::forget_a_page;

motte::entry!(main);

const INTERVAL: Duration = Duration::from_millis(10);

fn main() {
    motte::log::info!("about to leak on purpose");
    loop {
        forget_a_page();
        motte::thread::sleep(INTERVAL);
    }
}
