//! Who asks for a service by its name gets that service, and no other.

use alloc::format;

use motte_interfaces::Transport;
use motte_interfaces::clock::ClockClient;
use motte_interfaces::error::IoError;
use motte_interfaces::fs::{FileKind, FilesClient};
use motte_interfaces::log::LogClient;
use motte_interfaces::pipe::PipesClient;
use motte_interfaces::process::ProcessClient;
use motte_interfaces::registry::{RegistryClient, RegistryError};
use motte_interfaces::stream::StreamClient;
use motte_interfaces::supervisor::{SupervisorClient, SupervisorError};

use super::{CLOCK, FILES, LOG, Machine, PIPE, PROCESS, REGISTRY, SUPERVISOR};
use crate::complaint::{Answer, Kind, Service};

/// A name that nobody can provide: services' names begin with a letter.
const NO_NAME: &str = "0";

/// Asks for `service`, which is known as `held` already.
pub fn ask<M: Machine>(machine: &M, registry: &M::Transport, service: Service, held: &M::Transport) -> Answer {
    let client = RegistryClient::new(registry);
    match client.lookup(NO_NAME) {
        Err(RegistryError::NotFound) => {}
        other => looked_up(other.map(|cap| machine.give_up(cap)), "find a service that nobody provides")?,
    }
    let found = looked_up(client.lookup(service.0), &format!("find the service {}", service.0))?;
    let answer = identify(service, &machine.through(found));
    machine.give_up(found);
    match answer {
        // It is not the registry's fault if the service is not well itself.
        Err(complaint) if complaint.kind == Kind::Wrong && identify(service, held).is_ok() => {
            let what = format!("another service than {}: {}", service.0, complaint.what);
            Err(REGISTRY.complaint(Kind::Wrong, what))
        }
        answer => answer,
    }
}

fn looked_up<T>(answer: Result<T, RegistryError>, what: &str) -> Answer<T> {
    REGISTRY.does(
        what,
        answer.map_err(|error| match error {
            RegistryError::NotFound => IoError::NotFound,
            RegistryError::NotAllowed => IoError::PermissionDenied,
            RegistryError::OutOfMemory | RegistryError::TableFull => IoError::OutOfMemory,
            RegistryError::Unreachable => IoError::ServiceRestarted,
        }),
    )
}

/// Asks a service what only this one answers like that.
fn identify<T: Transport>(service: Service, through: &T) -> Answer {
    let what = "say who it is";
    match service {
        CLOCK => CLOCK.does(what, ClockClient::new(through).offset()).map(|_| ()),
        LOG => LOG.says("lines to come", LOG.does(what, LogClient::new(through).read(u64::MAX))?.len(), 0),
        FILES => {
            let root = FILES.does(what, FilesClient::new(through).metadata("/", true))?;
            FILES.says("the kind of the root", root.kind, FileKind::Directory)
        }
        PROCESS => PROCESS.says("a component's number", PROCESS.does(what, ProcessClient::new(through).own_id())?, 0),
        PIPE => {
            let (reading, writing) = PIPE.does(what, PipesClient::new(through).create())?;
            let streams = StreamClient::new(through);
            PIPE.does(what, streams.close(reading)).and(PIPE.does(what, streams.close(writing)))
        }
        SUPERVISOR => match SupervisorClient::new(through).component(u64::MAX) {
            Err(SupervisorError::NotFound) => Ok(()),
            other => SUPERVISOR
                .does(what, super::supervisor::answered(other))
                .and(Err(SUPERVISOR.complaint(Kind::Wrong, "a component of which there is none".into()))),
        },
        _ => Ok(()),
    }
}
