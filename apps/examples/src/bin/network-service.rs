//! The example `network-service`: a component that provides the service `network`.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Handler, Server};
use motte_examples::{Loop, dispatch_network};

motte::entry!(main);

struct Service(Loop);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_network(&mut self.0, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("network")?;
    motte::log::info!("ready");
    Err(server.run(&mut Service(Loop::default())))
}
