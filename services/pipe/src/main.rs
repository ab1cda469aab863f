//! The pipe service as a component.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;

use motte::abi::Error;
use motte::interfaces::pipe::{dispatch_pipes, number_pipes};
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream, number_stream};
use motte::interfaces::{AGAIN, Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kept::{self, SnapshotMemory, Snapshots};
use motte::log;
use motte::memory::Mapping;
use motte::pages::Pages;
use motte::server::{Handler, Replies, Server};
use motte_pipe::{CAPACITY, PipeServer, Rings, WORDS};

motte::entry!(main);

/// Bytes of the kept memory for the description of who holds what.
const DESCRIPTION: usize = 128 << 10;
/// Bytes of it for the rings' words, behind the description.
const RING_WORDS: usize = 16 << 10;

/// The kept memory: the description, words, rings.
struct Kept {
    memory: Rc<Mapping>,
    description: Snapshots<Part>,
}

/// The part of the kept memory that holds the description.
struct Part(Rc<Mapping>);

impl SnapshotMemory for Part {
    fn size(&self) -> usize {
        DESCRIPTION
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.0.read(offset, bytes);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0.write(offset, bytes);
    }
}

const fn word_at(ring: usize, word: usize) -> usize {
    DESCRIPTION + (ring * WORDS + word) * 8
}

const fn byte_at(ring: usize, at: usize) -> usize {
    DESCRIPTION + RING_WORDS + ring * CAPACITY + at
}

impl Rings for Kept {
    fn count(&self) -> usize {
        let rings = self.memory.len().saturating_sub(byte_at(0, 0)) / CAPACITY;
        rings.min(RING_WORDS / 8 / WORDS)
    }
    fn word(&self, ring: usize, word: usize) -> u64 {
        self.memory.read_u64(word_at(ring, word))
    }
    fn set_word(&mut self, ring: usize, word: usize, value: u64) {
        self.memory.write_u64(word_at(ring, word), value);
    }
    fn read(&self, ring: usize, at: usize, into: &mut [u8]) {
        self.memory.read(byte_at(ring, at), into);
    }
    fn write(&mut self, ring: usize, at: usize, from: &[u8]) {
        self.memory.write(byte_at(ring, at), from);
    }
    fn save(&mut self, description: &[u8]) -> bool {
        self.description.save(description)
    }
}

struct Service(PipeServer<Replies, Pages, Kept>);

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        let (again, label) = (label & AGAIN != 0, label & !AGAIN);
        let number = if label >= STREAM_BASE { number_stream(label, request) } else { number_pipes(label, request) };
        self.0.begin(number.unwrap_or(0), again);
        if label >= STREAM_BASE {
            dispatch_stream(&mut self.0, sender, label, request, reply, defer)
        } else {
            dispatch_pipes(&mut self.0, sender, label, request, reply, defer)
        }
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("pipe")?;
    let pages = Pages::new(server.endpoint(), server.replies());
    let Some(kept) = kept::map()? else {
        log::error!("the manifest gives this component no memory that outlives it (`keep`)");
        return Err(Error::OutOfMemory);
    };
    let memory = Rc::new(kept.memory);
    let rings = Kept { description: Snapshots::new(Part(memory.clone())), memory };
    let description = rings.description.load();
    let mut pipes = PipeServer::new(server.replies(), pages, rings);
    if let Some(description) = description {
        log::info!("{} pipes go on", pipes.take_over(&description));
    }
    Err(server.run(&mut Service(pipes)))
}
