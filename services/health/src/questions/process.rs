//! A program runs with the arguments, the variables and the streams that it was given, ends as it says, and is there as long as it runs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte_interfaces::Cap;
use motte_interfaces::fs::{FilesClient, open};
use motte_interfaces::pipe::PipesClient;
use motte_interfaces::process::{ExitStatus, ProcessClient, SPAWN_MAGIC};
use motte_interfaces::stream::{INLINE_BYTES, StreamClient};
use motte_interfaces::strings::{put_number, put_string, put_word};

use super::{FILES, Machine, PIPE, PROCESS};
use crate::complaint::{Answer, Kind};

/// The program that is started.
const PROGRAM: &str = "/bin/health-answer";
const NAME: &str = "health-answer";
/// The variable in which the program finds a number.
pub const VARIABLE: &str = "HEALTH";
/// The most memory that it may use.
const MEMORY: u64 = 512 << 10;
/// How often it is looked whether it has ended; each pause is twice the one before, up to the longest.
const LOOKS: u32 = 18;
const LONGEST_PAUSE: u64 = 512;

/// What the program says and how it ends, for what it is given as argument and variable.
#[must_use]
pub fn answer(argument: u64, variable: u64) -> (String, i32) {
    (format!("{}\n", argument.wrapping_mul(variable)), 1 + (argument % 100) as i32)
}

/// The services that it takes to ask.
#[derive(Clone, Copy, Debug)]
pub struct Services<'a, T> {
    /// The process server.
    pub process: &'a T,
    /// The pipe service, for what the program says.
    pub pipe: &'a T,
    /// The file server, for what it reads: nothing.
    pub files: &'a T,
}

/// Asks.
pub fn ask<M: Machine>(machine: &M, services: &Services<'_, M::Transport>, seed: u64) -> Answer {
    let pipes = StreamClient::new(services.pipe);
    let (reading, writing) = PIPE.does("make a pipe for a program", PipesClient::new(services.pipe).create())?;
    let streams = make_streams(machine, services, writing);
    let closed = PIPE.does("close what a program writes to", pipes.close(writing));
    let answer = streams.and_then(|streams| {
        let id = spawn(machine, services.process, streams, seed)?;
        let answer = follow(machine, services.process, id, seed);
        if answer.is_err() {
            let _ = ProcessClient::new(services.process).kill(id);
        }
        answer?;
        // By now nobody can write any more, so there is an answer at once.
        let read = || Ok(PROCESS.does("have a program's output end", pipes.read(reading, INLINE_BYTES as u64))?.0);
        PROCESS.gives("what a program said", &read()?, answer_to(seed).0.as_bytes())?;
        PROCESS.gives("the end of what a program said", &read()?, &[])
    });
    answer.and(closed).and(PIPE.does("close what a program wrote to", pipes.close(reading)))
}

/// Argument and variable for a round, and what the program makes of them.
const fn given(seed: u64) -> (u64, u64) {
    (seed, seed ^ 0x5555)
}

fn answer_to(seed: u64) -> (String, i32) {
    let (argument, variable) = given(seed);
    answer(argument, variable)
}

/// Standard input and error of nothing, and output into a pipe.
fn make_streams<M: Machine>(machine: &M, services: &Services<'_, M::Transport>, writing: u64) -> Answer<[Cap; 3]> {
    let null = |flags| {
        let handle = FILES.does("open /dev/null", FilesClient::new(services.files).open("/dev/null", flags, 0))?;
        let files = StreamClient::new(services.files);
        let duplicate = FILES.does("duplicate /dev/null", files.duplicate(handle));
        let closed = FILES.does("close /dev/null", files.close(handle));
        duplicate.and_then(|duplicate| closed.map(|()| duplicate))
    };
    let input = null(open::READ)?;
    let error = null(open::WRITE).inspect_err(|_| close(machine, input))?;
    let output = StreamClient::new(services.pipe).duplicate(writing);
    let output = PIPE.does("duplicate an end of a pipe", output);
    let output = output.inspect_err(|_| [input, error].into_iter().for_each(|cap| close(machine, cap)))?;
    Ok([input, output, error])
}

/// Closes what a capability stands for.
fn close<M: Machine>(machine: &M, cap: Cap) {
    let _ = StreamClient::new(machine.through(cap)).close(0);
    machine.give_up(cap);
}

fn spawn<M: Machine>(machine: &M, process: &M::Transport, streams: [Cap; 3], seed: u64) -> Answer<u32> {
    let [a, b, c, d] = machine.pages();
    let request = request(machine.now_ns(), seed);
    machine.put(&request);
    let [input, output, error] = streams;
    let lent = PROCESS.does("take lent pages", StreamClient::new(process).attach(0, a, b, c, d));
    let client = ProcessClient::new(process);
    let spawn = || PROCESS.does("start a program", client.spawn(request.len() as u64, input, output, error));
    let id = lent.and_then(|()| spawn());
    match id {
        // It has capabilities of its own to them.
        Ok(_) => streams.into_iter().for_each(|cap| machine.give_up(cap)),
        Err(_) => streams.into_iter().for_each(|cap| close(machine, cap)),
    }
    id
}

/// The request to start the program, as the process server reads it.
fn request(ticket: u64, seed: u64) -> Vec<u8> {
    let (argument, variable) = given(seed);
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&SPAWN_MAGIC.to_le_bytes());
    put_word(&mut out, ticket);
    put_string(&mut out, PROGRAM);
    put_string(&mut out, "/");
    put_word(&mut out, MEMORY);
    put_number(&mut out, 2);
    [NAME, &format!("{argument}")].into_iter().for_each(|argument| put_string(&mut out, argument));
    put_number(&mut out, 1);
    put_string(&mut out, &format!("{VARIABLE}={variable}"));
    // It needs no services.
    put_number(&mut out, 0);
    out
}

/// Sees a program to its end.
fn follow<M: Machine>(machine: &M, process: &M::Transport, id: u32, seed: u64) -> Answer {
    let client = ProcessClient::new(process);
    let listed = PROCESS.does("list programs", client.list(id))?;
    // It is less urgent than this component, and has not run yet.
    let first = listed.first().map(|info| (info.id, &*info.name));
    PROCESS.says("the first program of a list", first, Some((id, NAME)))?;
    for look in 0..LOOKS {
        machine.pause((1 << look.min(16)).min(LONGEST_PAUSE));
        if let Some(status) = PROCESS.does("tell how a program ended", client.try_wait(id))? {
            PROCESS.says("a program's end", status, ExitStatus::Exited(answer_to(seed).1))?;
            let listed = PROCESS.does("list programs", client.list(id))?;
            let is_gone = listed.iter().all(|info| info.id != id);
            return PROCESS.says("whether a program that ended is gone", is_gone, true);
        }
    }
    Err(PROCESS.complaint(Kind::Wrong, format!("program {id} has not ended, where it has next to nothing to do")))
}
