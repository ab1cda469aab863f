//! The example `directory-client`: looks services up by name and sends each a message.
//!
//! Two of the names are provided; nobody provides `printer`, and `block` exists but the manifest does not let this component use it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use motte::service;
use motte_examples::{FileClient, NetworkClient};

motte::entry!(main);

fn main() {
    report("file", ask_file());
    report("network", ask_network());
    for name in ["printer", "block"] {
        report(name, service::connect(name).map(|_| "found".into()).map_err(|error| format!("{error}")));
    }
}

/// Says what came of it: at the console, where the component may use it, and in the log.
fn report(name: &str, result: Result<String, String>) {
    let text = result.unwrap_or_else(|error| error);
    motte::println!("{name}: {text}");
    motte::log::info!("{name}: {text}");
}

fn ask_file() -> Result<String, String> {
    let file = FileClient::new(service::connect("file").map_err(|error| format!("{error}"))?);
    let stored = file.store("greeting", "hello, file service").and_then(|bytes| {
        let text = file.load("greeting")?;
        Ok(format!("stored {bytes} bytes and read \"{text}\""))
    });
    stored.map_err(|error| format!("{error}"))
}

fn ask_network() -> Result<String, String> {
    let network = NetworkClient::new(service::connect("network").map_err(|error| format!("{error}"))?);
    match network.echo("localhost", "hello, network service") {
        Ok(packet) => Ok(format!("packet {} came back with \"{}\"", packet.number, packet.text)),
        Err(error) => Err(format!("{error}")),
    }
}
