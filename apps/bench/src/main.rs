//! `bench`: counts what operations cost, inside the system, as an ordinary program: but for the little that components measure, because it
//! takes their authority, it can do no more than any other.
//!
//! | module | what it holds |
//! |---|---|
//! | `meter` | takes the samples |
//! | `machine` | the processor's counter, marks, memory reached by address |
//! | `arena` | memory and slots of one measurement |
//! | `child`, `roles` | threads in other address spaces, and what they do |
//! | `messages`, `objects`, `faults`, `threads`, `interrupts`, `programs`, `files`, `recover`, `recover_files` | what is measured |
//! | `growth` | how costs grow |
//! | `serve` | the other end of what is measured from outside |
//! | `elsewhere` | has a component measure |
//!
//! Everything runs on one core. The program's first thread is the client and has the lower priority; servers, handlers and drivers have
//! the higher one, as all have in Motte. A figure includes the stub on both sides; of measuring itself nothing.
#![no_std]
#![no_main]

extern crate alloc;

mod arena;
mod child;
mod elsewhere;
mod failure;
mod faults;
mod files;
mod growth;
mod interrupts;
mod machine;
mod messages;
mod meter;
mod objects;
mod programs;
mod recover;
mod recover_answers;
mod recover_files;
mod roles;
mod serve;
mod threads;

use alloc::vec::Vec;

use motte::env;
use motte::kernel::own;
use motte_bench::{HELP, Request};

use arena::Arena;
use failure::Failure;
use meter::Meter;

motte::entry!(main);

/// Priority of what answers: a program's.
const SERVER_PRIORITY: u8 = 90;
/// Priority of what asks.
const CLIENT_PRIORITY: u8 = 80;
/// Memory for the objects of one measurement.
const MEMORY: u64 = 4 << 20;

fn main() -> i32 {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (names, traced) = match Request::parse(&arguments) {
        Ok(Request::Help) => {
            motte::println!("{HELP}");
            return 0;
        }
        Ok(Request::Growth) => return report("growth", growth::measure(&mut Meter::new(false))),
        Ok(Request::Serve) => return report("the network", serve::serve()),
        Ok(Request::Measure(names)) => (names, false),
        Ok(Request::Trace(name)) => (alloc::vec![name], true),
        Err(error) => {
            motte::eprintln!("bench: {error}");
            return 2;
        }
    };
    let mut arena = match Arena::new(MEMORY) {
        Ok(arena) => arena,
        Err(error) => return report("anything", Err(error.into())),
    };
    let mut meter = Meter::new(traced);
    let mut status = 0;
    for name in names {
        status = report(name, measure(name, &mut arena, &mut meter)).max(status);
        arena.clear();
    }
    status
}

/// Says what went wrong, if anything did; the exit status.
fn report(name: &str, result: Result<(), Failure>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Failure::Unavailable(what)) => {
            motte::println!("skip {name} {what}");
            0
        }
        Err(error) => {
            motte::eprintln!("bench: {name} could not be measured: {error}");
            1
        }
    }
}

fn measure(name: &'static str, arena: &mut Arena, meter: &mut Meter) -> Result<(), Failure> {
    let mut meter = meter.named(name);
    let own_priority =
        if name.starts_with("ipc/") || name.starts_with("kernel/") { CLIENT_PRIORITY } else { SERVER_PRIORITY };
    own::THREAD.set_priority(own_priority, SERVER_PRIORITY)?;
    match name {
        "ipc/call_reply/0" => messages::call_reply_0(arena, &mut meter),
        "ipc/call_reply/4" => messages::call_reply_4(arena, &mut meter),
        "ipc/call_reply/6" => messages::call_reply_6(arena, &mut meter),
        "ipc/call_reply/10" => messages::call_reply_long(arena, &mut meter, 10),
        "ipc/call_reply/100" => messages::call_reply_long(arena, &mut meter, 100),
        "ipc/call_cap" => messages::call_cap(arena, &mut meter),
        "ipc/signal_wait" => messages::signal_wait(arena, &mut meter),
        "ipc/signal" => messages::signal(arena, &mut meter),
        "ipc/poll" => messages::poll(arena, &mut meter),
        "kernel/yield" => threads::yield_alone(&mut meter),
        "kernel/bad_cap" => messages::bad_cap(arena, &mut meter),
        "kernel/fault" => faults::fault(arena, &mut meter),
        "kernel/fault_map" => faults::fault_map(arena, &mut meter),
        "kernel/map" => objects::map(arena, &mut meter),
        "kernel/unmap" => objects::unmap(arena, &mut meter),
        "kernel/cap_copy" => objects::cap_copy(arena, &mut meter),
        "kernel/cap_mint" => objects::cap_mint(arena, &mut meter),
        "kernel/cap_delete" => objects::cap_delete(arena, &mut meter),
        "kernel/retype_endpoint" => objects::retype_endpoint(arena, &mut meter),
        "kernel/thread_create" => threads::create(arena, &mut meter),
        "kernel/interrupt" => interrupts::interrupt(arena, &mut meter),
        "proc/spawn_wait" => programs::spawn_wait(&mut meter),
        "file/open_read_close" => files::open_read_close(&mut meter),
        "disk/read_per_mib" => files::read(&mut meter),
        "disk/write_per_mib" => files::write(&mut meter),
        "recover/crash_loop" => recover::crash_loop(&mut meter),
        "recover/flood" => recover::flood(&mut meter),
        "recover/copy" => recover_files::copy_alone(&mut meter),
        "recover/copy_driver_killed" => recover_files::copy_driver(&mut meter),
        "recover/copy_files_killed" => recover_files::copy_files(&mut meter),
        "recover/files_first_answer" => recover_answers::files(&mut meter),
        "recover/driver_first_answer" => recover_answers::driver(&mut meter),
        "recover/registry_first_answer" => recover_answers::registry(&mut meter),
        "recover/supervisor_first_answer" => recover_answers::supervisor(&mut meter),
        "recover/process_first_answer" => recover_answers::process(&mut meter),
        "recover/log_first_answer" => recover_answers::log(&mut meter),
        "recover/console_first_answer" => recover_answers::console(&mut meter),
        "recover/pipe_first_answer" => recover_answers::pipe(&mut meter),
        "recover/clock_first_answer" => recover_answers::clock(&mut meter),
        "recover/pci_first_answer" => recover_answers::pci(&mut meter),
        _ => Err(Failure::Unavailable("nobody knows how")),
    }
}
