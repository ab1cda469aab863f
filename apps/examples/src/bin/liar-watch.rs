//! The example `liar-watch`: lends `liar-demo` one ring after the other, and says what came of each.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use motte::interfaces::Cap;
use motte::pages::SharedWords;
use motte::service;
use motte_examples::samples::{SamplesClient, Values};
use motte_ring::Consumer;

motte::entry!(main);

const RINGS: usize = 3;

fn main() -> Result<(), String> {
    let samples = SamplesClient::new(service::connect("samples").map_err(|error| error.to_string())?);
    let mut values = Values::default();
    for number in 1..=RINGS {
        let page = SharedWords::new().map_err(|error| error.to_string())?;
        samples.fill(Cap(page.frame().0.0)).map_err(|error| error.to_string())?;
        let mut ring = Consumer::new(page).map_err(|error| error.to_string())?;
        match values.take(&mut ring) {
            Ok(taken) => motte::println!("ring {number}: {taken} samples"),
            Err(lie) => motte::println!("ring {number}: {lie}"),
        }
    }
    Ok(())
}
