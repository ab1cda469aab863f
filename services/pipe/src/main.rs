//! The pipe service as a component.
#![no_std]
#![no_main]

extern crate alloc;

use motte::interfaces::pipe::dispatch_pipes;
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::pages::Pages;
use motte::server::{Handler, Replies, Server};
use motte_pipe::PipeServer;

motte::entry!(main);

struct Service(PipeServer<Replies, Pages>);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        if label >= STREAM_BASE {
            dispatch_stream(&mut self.0, sender, label, request, reply, defer)
        } else {
            dispatch_pipes(&mut self.0, sender, label, request, reply, defer)
        }
    }
}

fn main() -> Result<(), motte::abi::Error> {
    let mut server = Server::for_service("pipe")?;
    let pages = Pages::new(server.endpoint(), server.replies());
    let mut service = Service(PipeServer::new(server.replies(), pages));
    Err(server.run(&mut service))
}
