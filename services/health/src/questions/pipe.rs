//! What goes into a pipe comes out, in order and whole; then comes the end.

use motte_interfaces::error::IoError;
use motte_interfaces::pipe::PipesClient;
use motte_interfaces::stream::{INLINE_BYTES, StreamClient, StreamKind};

use super::{Machine, PIPE, pattern};
use crate::complaint::Answer;

/// Asks.
pub fn ask<M: Machine>(machine: &M, pipes: &M::Transport, seed: u64) -> Answer {
    let (reading, writing) = PIPE.does("make a pipe", PipesClient::new(pipes).create())?;
    let streams = StreamClient::new(pipes);
    let answer = carry(machine, &streams, (reading, writing), seed);
    if answer.is_err() {
        let _ = (streams.close(reading), streams.close(writing));
    }
    answer?;
    let (reading, writing) = PIPE.does("make another pipe", PipesClient::new(pipes).create())?;
    let closed = PIPE.does("close the end of a pipe that is read", streams.close(reading));
    let broken = PIPE.refuses("write where nobody reads", streams.write(writing, b"lost"), IoError::BrokenPipe);
    closed.and(broken).and(PIPE.does("close a broken pipe", streams.close(writing)))
}

fn carry<M: Machine, T>(machine: &M, streams: &StreamClient<T>, (reading, writing): (u64, u64), seed: u64) -> Answer
where
    T: motte_interfaces::Transport,
{
    PIPE.says("the kind of a pipe", PIPE.does("say what a pipe is", streams.kind(reading))?, StreamKind::Pipe)?;
    let read = || Ok(PIPE.does("read from a pipe", streams.read(reading, INLINE_BYTES as u64))?.0);

    let bytes = pattern(seed, 101 + (seed % 600) as usize);
    let (first, second) = bytes.split_at(1 + (seed % 97) as usize);
    for part in [first, second] {
        let taken = PIPE.does("write into a pipe", streams.write(writing, part))?;
        PIPE.says("the bytes that a pipe took", taken, part.len() as u64)?;
    }
    PIPE.gives("what came out of a pipe", &read()?, &bytes)?;

    let [a, b, c, d] = machine.pages();
    PIPE.does("take lent pages", streams.attach(0, a, b, c, d))?;
    let bytes = pattern(!seed, 4096 + (seed % 4096) as usize);
    let length = bytes.len() as u64;
    machine.put(&bytes);
    PIPE.says(
        "the bytes that a pipe took from lent pages",
        PIPE.does("write from lent pages", streams.write_shared(writing, 0, length))?,
        length,
    )?;
    machine.put(&pattern(seed, bytes.len()));
    let mut at = 0;
    for most in [length / 2, length] {
        let count = PIPE.does("read into lent pages", streams.read_shared(reading, 0, most))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len() - at);
        PIPE.gives("what came out of a pipe into lent pages", &machine.get(count), &bytes[at..at + count])?;
        at += count;
    }
    PIPE.says("the bytes that came out into lent pages", at as u64, length)?;

    let other = PIPE.does("duplicate an end of a pipe", streams.duplicate(writing))?;
    let duplicate = StreamClient::new(machine.through(other));
    let closed = PIPE.does("close the end of a pipe that is written", streams.close(writing));
    let taken = PIPE.does("write through a duplicate", duplicate.write(0, first));
    let released = PIPE.does("close a duplicate", duplicate.close(0));
    machine.give_up(other);
    closed?;
    PIPE.says("the bytes that a duplicate took", taken?, first.len() as u64)?;
    released?;
    PIPE.gives("what came through a duplicate", &read()?, first)?;
    PIPE.gives("the end of a pipe", &read()?, &[])?;
    PIPE.does("close the end of a pipe that is read", streams.close(reading))?;
    PIPE.refuses("read from what is closed", streams.read(reading, 1), IoError::BadHandle)
}
