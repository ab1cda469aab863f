//! The list of components has everyone at the same place, under the same name, and never in an earlier generation.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::supervisor::{ComponentInfo, SupervisorClient, SupervisorError};

use super::{Machine, SUPERVISOR};
use crate::complaint::{Answer, Kind};
use crate::judge::Provider;

/// The words for a component's state.
const STATES: [&str; 6] = ["running", "stopping", "stopped", "restarting", "quarantined", "ended"];

/// What is known of a component.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// The services that it provides.
    pub provides: Vec<String>,
    generation: u64,
}

/// The supervisor's errors among those of other services.
pub fn answered<T>(answer: Result<T, SupervisorError>) -> Result<T, IoError> {
    answer.map_err(|error| match error {
        SupervisorError::NotFound => IoError::NotFound,
        SupervisorError::Unreachable => IoError::ServiceRestarted,
        _ => IoError::InvalidData,
    })
}

fn component<M: Machine>(supervisor: &M::Transport, index: usize) -> Answer<ComponentInfo> {
    let answer = SupervisorClient::new(supervisor).component(index as u64);
    SUPERVISOR.does(&format!("tell of component {index}"), answered(answer))
}

/// All components.
pub fn all<M: Machine>(supervisor: &M::Transport) -> Vec<Known> {
    let known = |info: ComponentInfo| Known { name: info.name, provides: info.provides, generation: info.generation };
    (0..).map_while(|index| component::<M>(supervisor, index).ok().map(known)).collect()
}

/// A component that was restarted for its answers is thought to be well after so long.
const DOUBT_NS: u64 = 10_000_000_000;
/// For so long a service is believed that its device fails, if its predecessor said so too: ten minutes.
const BELIEF_NS: u64 = 600_000_000_000;

/// How a component fares, and the services that it uses. `own` is the name of who asks.
pub fn provider<M: Machine>(supervisor: &M::Transport, index: usize, own: &str) -> Answer<(Provider, Vec<String>)> {
    let info = component::<M>(supervisor, index)?;
    let was_accused = info.reason.strip_prefix(own).is_some_and(|reason| reason.starts_with(':'));
    let provider = Provider {
        runs: info.state == "running",
        generation: info.generation,
        uptime_ns: info.uptime_ns,
        was_restarted: was_accused && info.uptime_ns < DOUBT_NS,
        was_doubted: was_accused
            && info.uptime_ns < BELIEF_NS
            && info.reason.contains(&format!("\"{}\"", IoError::Device)),
    };
    Ok((provider, info.uses))
}

/// Asks about one of them, another for every `seed`.
pub fn ask<M: Machine>(supervisor: &M::Transport, components: &mut [Known], seed: u64) -> Answer {
    let count = components.len();
    if count == 0 {
        return Ok(());
    }
    let index = (seed % count as u64) as usize;
    let known = &mut components[index];
    let info = component::<M>(supervisor, index)?;
    let wrong = |what| Err(SUPERVISOR.complaint(Kind::Wrong, what));
    SUPERVISOR.says(&format!("the name of component {index}"), &info.name, &known.name)?;
    SUPERVISOR.says(&format!("what {} provides", known.name), &info.provides, &known.provides)?;
    if !STATES.contains(&&*info.state) {
        return wrong(format!("{:?} as the state of {}", info.state, known.name));
    }
    if info.generation < known.generation {
        return wrong(format!(
            "generation {} of {} after generation {}",
            info.generation, known.name, known.generation
        ));
    }
    known.generation = info.generation;
    match component::<M>(supervisor, count) {
        Err(_) => Ok(()),
        Ok(info) => wrong(format!("component {count} is {}, where there are {count} only", info.name)),
    }
}
