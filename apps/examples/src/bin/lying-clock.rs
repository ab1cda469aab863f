//! The example `lying-clock`: a clock that tells the right time for two seconds after each start, and from then on one that is an hour late. It
//! neither crashes nor hangs. `tests/systems/lying-clock.toml` has it in the place of the real one, and who asks it finds out.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::clock::{Clock, dispatch_clock};
use motte::interfaces::error::IoError;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Handler, Server};
use motte::time::{Duration, Instant};

motte::entry!(main);

/// The beginning of the year 2026, when the machine was switched on.
const BEGIN_NS: u64 = 1_767_225_600_000_000_000;
/// What it says too little.
const HOUR_NS: u64 = 3_600_000_000_000;
/// How long it is honest.
const HONEST: Duration = Duration::from_secs(2);

struct Liar {
    begun: Instant,
}

impl Clock for Liar {
    fn offset(&mut self, _: &Sender) -> Result<u64, IoError> {
        Ok(if self.begun.elapsed() < HONEST { BEGIN_NS } else { BEGIN_NS - HOUR_NS })
    }

    fn set(&mut self, _: &Sender, _: u64) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }

    fn hardware(&mut self, _: &Sender) -> Result<u64, IoError> {
        Ok((BEGIN_NS + Instant::now().as_ns()) / 1_000_000_000)
    }
}

impl Handler for Liar {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_clock(self, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("clock")?;
    Err(server.run(&mut Liar { begun: Instant::now() }))
}
