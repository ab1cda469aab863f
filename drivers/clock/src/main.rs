//! The clock driver as a component.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::clock::dispatch_clock;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::IoPort;
use motte::server::{Handler, Server};
use motte::time::Instant;
use motte_clock::{ClockServer, Machine, Registers};

motte::entry!(main);

/// Index and data port of the clock chip.
const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;

struct Chip(IoPort);

impl Registers for Chip {
    fn read(&mut self, register: u8) -> u8 {
        // A port that cannot be read shows a register full of ones, as an absent chip does.
        self.0.write_u8(INDEX, register).and_then(|()| self.0.read_u8(DATA)).unwrap_or(0xff)
    }

    fn write(&mut self, register: u8, value: u8) {
        let _ = self.0.write_u8(INDEX, register).and_then(|()| self.0.write_u8(DATA, value));
    }
}

impl Machine for Chip {
    fn now(&self) -> u64 {
        Instant::now().as_ns()
    }
}

struct Service(ClockServer<Chip>);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_clock(&mut self.0, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("clock")?;
    let ports = motte::start::capability("port:0x70").ok_or(Error::InvalidCapability)?;
    let (clock, set) = ClockServer::new(Chip(IoPort(ports)));
    if !set {
        motte::log::warn!("the hardware clock shows no date: time counts from 1970-01-01");
    }
    Err(server.run(&mut Service(clock)))
}
