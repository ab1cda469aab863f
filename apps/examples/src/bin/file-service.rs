//! The example `file-service`: a component that provides the service `file`.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Handler, Server};
use motte_examples::{Notes, dispatch_file};

motte::entry!(main);

struct Service(Notes);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_file(&mut self.0, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("file")?;
    motte::log::info!("ready");
    Err(server.run(&mut Service(Notes::default())))
}
