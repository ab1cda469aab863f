//! The example `flood-demo`: asks `file-service` for the same note again and again, as fast as it can (`services start flood-demo`). Its
//! manifest gives it a fifth of the processor's time, and what the service does for it is paid from that.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use motte::service;
use motte_examples::FileClient;

motte::entry!(main);

fn main() -> Result<(), String> {
    let file = FileClient::new(service::connect("file").map_err(|error| error.to_string())?);
    loop {
        // Whether there is such a note does not matter.
        let _ = file.load("flood");
    }
}
