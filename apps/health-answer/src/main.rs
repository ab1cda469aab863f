//! The program that the component `health` has started: `HEALTH=6 health-answer 7` prints 42 and ends with status 8.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use motte::env;
use motte_health::questions::process::{VARIABLE, answer};

motte::entry!(main);

fn main() -> Result<(), String> {
    let usage = "usage: HEALTH=6 health-answer 7";
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).ok_or(usage);
    let (said, status) = answer(number(env::args().nth(1))?, number(env::var(VARIABLE))?);
    motte::print!("{said}");
    motte::exit(status)
}
