//! What a component that misbehaves costs the others. Both figures are what a million instructions' work takes, beside it, of the time in
//! which the others do theirs.

use motte::interfaces::Transport;
use motte::service;
use motte::system;
use motte_examples::{FileClient, FileError};

use crate::failure::Failure;
use crate::meter::Named;
use crate::{elsewhere, machine};

/// The component that crashes as soon as it runs, again and again.
const CRASHER: &str = "bench-crasher";
/// Instructions of the work that is done beside it: half a second's, in which it crashes six times.
const WORK: u32 = 500_000_000;
/// The start of it that must have been seen by the end.
const LEAST_STARTS: u64 = 5;

/// The component that measures: it may call the service that is flooded.
const FLOOD: &str = "bench-flood";
/// The service's component, and the one that floods it.
const SERVER: &str = "file-service";
const FLOODER: &str = "bench-flooder";
/// Calls of the client that is not the flooder.
const CALLS: u32 = 100_000;

const MILLION: u64 = 1_000_000;

/// Work beside a component of the same priority that crashes at once at every start.
pub fn crash_loop(meter: &mut Named<'_>) -> Result<(), Failure> {
    let Some(before) = find(CRASHER)? else { return Err(elsewhere::NO_COMPONENT) };
    meter.measure_spans(1, || {
        system::start(CRASHER)?;
        let taken = machine::work(WORK);
        let after = find(CRASHER)?.ok_or(Failure::Wrong("the component is gone"))?;
        system::stop(CRASHER)?;
        if after.generation < before.generation + LEAST_STARTS {
            return Err(Failure::Wrong("the component was not started often enough"));
        }
        Ok((0, per_million(taken, WORK)))
    })
}

/// Calls of a service that another client floods, from a fifth of the processor's time.
pub fn flood(meter: &mut Named<'_>) -> Result<(), Failure> {
    if motte::start::name() != FLOOD {
        return elsewhere::measure(FLOOD);
    }
    system::start(SERVER)?;
    let service = service::connect("file").map_err(|_| Failure::Wrong("the service is not to be had"))?;
    let file = FileClient::new(service);
    meter.measure_spans(1, || {
        let alone = calls(&file)?;
        system::start(FLOODER)?;
        let beside = calls(&file)?;
        system::stop(FLOODER)?;
        Ok((0, per_million(beside, alone)))
    })?;
    system::stop(SERVER)?;
    Ok(())
}

/// What the calls take.
fn calls(file: &FileClient<impl Transport>) -> Result<u32, Failure> {
    let begin = machine::stamp();
    for _ in 0..CALLS {
        match file.load("nothing") {
            Err(FileError::NotFound) => {}
            _ => return Err(Failure::Wrong("the service does not answer as it should")),
        }
    }
    Ok(machine::stamp().wrapping_sub(begin))
}

fn per_million(taken: u32, of: u32) -> u32 {
    (u64::from(taken) * MILLION / u64::from(of.max(1))).min(u32::MAX.into()) as u32
}

fn find(component: &str) -> Result<Option<system::ComponentInfo>, Failure> {
    Ok(system::components()?.into_iter().find(|info| info.name == component))
}
