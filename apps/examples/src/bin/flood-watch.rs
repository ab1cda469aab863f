//! The example `flood-watch`: says how many requests to `file-service` are answered within half a second.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use core::time::Duration;

use motte::service;
use motte::time::Instant;
use motte_examples::{FileClient, FileError};

motte::entry!(main);

const TIME: Duration = Duration::from_millis(500);

fn main() -> Result<(), String> {
    let file = FileClient::new(service::connect("file").map_err(|error| error.to_string())?);
    let (begin, mut answered) = (Instant::now(), 0_u64);
    while begin.elapsed() < TIME {
        match file.load("nothing") {
            Ok(_) | Err(FileError::NotFound) => answered += 1,
            Err(error) => return Err(error.to_string()),
        }
    }
    motte::println!("{answered} requests were answered in {} ms", TIME.as_millis());
    Ok(())
}
