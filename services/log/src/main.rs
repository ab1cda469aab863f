//! The log service as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use motte::abi::Rights;
use motte::abi::trace::KERNEL_LOG_RING;
use motte::interfaces::log::dispatch_log;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::{CacheMode, Frame};
use motte::memory::Mapping;
use motte::server::{Handler, Server};
use motte::time::Instant;
use motte_log::{Journal, JournalMemory, KernelLines, KernelText, LogServer};

motte::entry!(main);

/// The kernel's log: frames that the kernel goes on writing.
struct KernelLog(Option<Mapping>);

/// Where the ring begins, behind the count of bytes ever written.
const RING: usize = 64;

impl KernelText for KernelLog {
    fn now(&self) -> u64 {
        Instant::now().as_ns()
    }

    fn take(&self, lines: &mut KernelLines) -> Vec<String> {
        let Some(memory) = &self.0 else { return Vec::new() };
        let byte = |index: usize| {
            let mut byte = [0];
            memory.read(RING + index, &mut byte);
            byte[0]
        };
        lines.take(memory.read_u64(0), KERNEL_LOG_RING, byte)
    }
}

/// Memory that outlives this service.
struct Kept(Mapping);

impl JournalMemory for Kept {
    fn size(&self) -> usize {
        self.0.len()
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.0.read(offset, bytes);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0.write(offset, bytes);
    }
}

struct Service(LogServer<KernelLog, Kept>);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_log(&mut self.0, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), motte::abi::Error> {
    // What this service itself has to say must not wait for itself.
    motte::use_kernel_log();
    let frames: Vec<_> = motte::start::row("kernel-log").map(Frame).collect();
    let kernel = match frames.is_empty() {
        true => None,
        false => Some(Mapping::of(frames, Rights::READ, CacheMode::Normal)?),
    };
    let journal = motte::kept::map()?.and_then(|kept| Journal::new(Kept(kept.memory)));
    Err(Server::for_service("log")?.run(&mut Service(LogServer::new(KernelLog(kernel), journal))))
}
