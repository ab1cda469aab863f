//! The example `never-done`: a server that takes every request and gives every sign of life, and wakes itself again and again from the first
//! second on. `tests/systems/never-done.toml` has it above others, who get no processor time until it is ended.
#![no_std]
#![no_main]

use core::time::Duration;

use motte::abi::Error;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Event, Handler, Server};

motte::entry!(main);

struct NeverDone {
    again: Event,
}

impl Handler for NeverDone {
    fn request(
        &mut self,
        _: &Sender,
        _: u64,
        _: &mut Reader<'_>,
        _: &mut Writer<'_>,
        _: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        Outcome::UnknownMethod
    }

    fn notified(&mut self, bits: u64) {
        if bits & self.again.bit() != 0 {
            let _ = self.again.notification().signal();
        }
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("never-done")?;
    let tasks = server.tasks();
    let again = tasks.event()?;
    let first = again.notification();
    tasks.clone().spawn(async move {
        tasks.sleep(Duration::from_secs(1)).await;
        let _ = first.signal();
    });
    Err(server.run(&mut NeverDone { again }))
}
