//! The example `liar-demo`: a driver of sorts, which puts samples into rings that its client lends it. It is honest in the first, and lies in
//! the next two. `liar-watch` is the client.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::{Cap, Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::Frame;
use motte::pages::SharedWords;
use motte::server::{Handler, Server};
use motte::slots;
use motte_examples::samples::{Conduct, Samples, SamplesError, dispatch_samples};

motte::entry!(main);

/// How many rings it filled.
struct Service(u64);

impl Samples for Service {
    fn fill(&mut self, _: &Sender, page: Cap) -> Result<(), SamplesError> {
        let frame = Frame::at(page.0);
        let words = SharedWords::of(frame).map_err(|_| SamplesError::NoRing)?;
        Conduct::of_ring(self.0).fill(&words);
        self.0 += 1;
        drop(words);
        slots::delete(frame.0);
        Ok(())
    }
}

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_samples(self, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("samples")?;
    Err(server.run(&mut Service(0)))
}
