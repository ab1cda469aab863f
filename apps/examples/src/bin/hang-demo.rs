//! The example `hang-demo`: a component that is well for a second and then hangs on purpose (`services start hang-demo`). It misses its
//! heartbeat, and the supervisor starts it anew.
#![no_std]
#![no_main]

use core::time::Duration;

use motte::abi::{Error, ObjectType};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::{Endpoint, Notification};
use motte::memory;
use motte::server::{Handler, Server};
use motte_examples::hang::Hang;

motte::entry!(main);

/// Nobody has a capability to this component's endpoint; a request would be an error.
struct NoService;

impl Handler for NoService {
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
}

fn main() -> Result<(), Error> {
    let hang = Hang::of_generation(motte::start::header().generation);
    let never = Notification(memory::make(ObjectType::Notification, 0)?);
    let mut server = Server::new(Endpoint(memory::make(ObjectType::Endpoint, 0)?))?;
    let tasks = server.tasks();
    tasks.clone().spawn(async move {
        tasks.sleep(Duration::from_secs(1)).await;
        motte::log::info!("about to hang on purpose: {hang:?}");
        hang.happen(|| {
            let _ = never.wait();
        });
    });
    Err(server.run(&mut NoService))
}
