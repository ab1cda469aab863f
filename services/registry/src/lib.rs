//! What the registry knows: services, and who may use which.
//!
//! It learns this as it starts: a capability named `service:NAME` for every service, and in its environment, for every component,
//! `USES_BADGE=name,name` and `PROVIDES_BADGE=name,name`, and `GRANTER=BADGE` for the component that may allow programs what they use. Badges are those of
//! `motte_interfaces::badge`, without flag bits.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_interfaces::badge;
use motte_interfaces::registry::{RegistryError, ServiceSet};
use motte_interfaces::strings::{Pieces, put_word};

/// Prefix of the environment's names that say what a component uses.
pub const USES: &str = "USES_";
/// Prefix of the environment's names that say what a component provides.
pub const PROVIDES: &str = "PROVIDES_";
/// The environment's name that says who may grant.
pub const GRANTER: &str = "GRANTER";

/// The registry's own service, which everybody may use.
const REGISTRY: &str = "registry";

/// A service.
#[derive(Debug)]
struct Service {
    /// Slot of its endpoint.
    slot: u64,
    /// The client that provides it.
    provider: Option<u64>,
}

/// Services and rights.
#[derive(Debug, Default)]
pub struct Directory {
    /// Number of each service: its place in `services`.
    numbers: BTreeMap<String, usize>,
    services: Vec<Service>,
    /// What each client may use.
    allowed: BTreeMap<u64, ServiceSet>,
    /// What each client has looked up. Every program that was granted something here has an entry.
    connected: BTreeMap<u64, ServiceSet>,
    granter: Option<u64>,
}

impl Directory {
    /// From the services' names and slots, in an order that is the same at every start, and the environment.
    pub fn new<'a>(
        services: impl Iterator<Item = (&'a str, u64)>,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut directory = Self::default();
        for (name, slot) in services.take(ServiceSet::CAPACITY) {
            directory.numbers.insert(name.to_string(), directory.services.len());
            directory.services.push(Service { slot, provider: None });
        }
        for (name, value) in environment {
            if let Some(client) = name.strip_prefix(USES).and_then(|client| client.parse().ok()) {
                let allowed = directory.known(value).fold(ServiceSet::default(), |mut allowed, number| {
                    allowed.insert(number);
                    allowed
                });
                directory.allowed.insert(client, allowed);
            } else if let Some(client) = name.strip_prefix(PROVIDES).and_then(|client| client.parse().ok()) {
                for number in directory.known(value).collect::<Vec<_>>() {
                    directory.services[number].provider = Some(client);
                }
            } else if name == GRANTER {
                directory.granter = value.parse().ok();
            }
        }
        directory
    }

    /// The numbers of the services in a list of names; those that do not exist are left out.
    fn known(&self, names: &str) -> impl Iterator<Item = usize> {
        names.split(',').filter_map(|name| self.numbers.get(name).copied())
    }

    /// The slot of a service's endpoint, for a client who may use it.
    pub fn lookup(&mut self, sender: u64, name: &str) -> Result<u64, RegistryError> {
        let number = *self.numbers.get(name).ok_or(RegistryError::NotFound)?;
        let client = badge::client(sender);
        let allowed = name == REGISTRY || self.allowed.get(&client).is_some_and(|allowed| allowed.contains(number));
        if !allowed {
            return Err(RegistryError::NotAllowed);
        }
        self.connected.entry(client).or_default().insert(number);
        Ok(self.services[number].slot)
    }

    /// Services by their names.
    pub fn services(&self, names: &[String]) -> Result<ServiceSet, RegistryError> {
        let mut services = ServiceSet::default();
        for name in names {
            services.insert(*self.numbers.get(name).ok_or(RegistryError::NotFound)?);
        }
        Ok(services)
    }

    /// What programs may use, for a successor.
    pub fn grants(&self) -> Vec<u8> {
        let programs = self.allowed.range(badge::FIRST_PROGRAM..);
        let mut out = Vec::new();
        for (client, allowed) in programs {
            let [low, high] = allowed.words();
            [*client, low, high].into_iter().for_each(|word| put_word(&mut out, word));
        }
        out
    }

    /// Takes over what a predecessor had granted; a grant that makes no sense is left out. Returns how many there were.
    ///
    /// What clients have looked up is not known: they may have looked up all that they may use, and are taken to have.
    pub fn take_over(&mut self, grants: &[u8]) -> usize {
        let known = (1_u128 << self.services.len().min(127)) - 1;
        let known = ServiceSet::from_words([known as u64, (known >> 64) as u64]);
        let mut pieces = Pieces(grants);
        let mut grant = || Some((pieces.word()?, [pieces.word()?, pieces.word()?]));
        let mut count = 0;
        while let Some((client, words)) = grant() {
            if is_program(client) {
                self.allowed.insert(client, ServiceSet::from_words(words).intersection(known));
                count += 1;
            }
        }
        self.connected.clone_from(&self.allowed);
        count
    }

    /// Allows a program more services.
    pub fn grant(&mut self, sender: u64, client: u64, services: ServiceSet) -> Result<(), RegistryError> {
        let granter = badge::client(sender);
        if self.granter != Some(granter) || !is_program(client) {
            return Err(RegistryError::NotAllowed);
        }
        let allowed = self.allowed.entry(client).or_default();
        *allowed = allowed.union(services);
        self.connected.entry(client).or_default();
        Ok(())
    }

    /// Whom to tell that a client is gone: endpoints of the services it may have a session with. A program's rights end.
    pub fn client_gone(&mut self, sender: u64, client: u64) -> Result<Vec<u64>, RegistryError> {
        if sender & badge::LIFECYCLE == 0 {
            return Err(RegistryError::NotAllowed);
        }
        let is_program = client >= badge::FIRST_PROGRAM;
        let allowed = if is_program { self.allowed.remove(&client) } else { self.allowed.get(&client).copied() };
        // Of a program that nothing is known of, everybody it may have used is told.
        let unknown = if is_program { ServiceSet::ALL } else { ServiceSet::default() };
        let told = self.connected.remove(&client).or(allowed).unwrap_or(unknown);
        if told.is_empty() {
            return Ok(Vec::new());
        }
        let registry = self.numbers.get(REGISTRY).copied();
        let services = self.services.iter().enumerate();
        Ok(services
            .filter(|&(number, _)| told.contains(number) && Some(number) != registry)
            // Whoever reports knows already, and does not listen while it waits; what is gone cannot be told of its own end, because the
            // call would wait for its successor.
            .filter(|(_, service)| service.provider != Some(badge::client(sender)) && service.provider != Some(client))
            .map(|(_, service)| service.slot)
            .collect())
    }
}

/// Whether a badge is one that programs have.
fn is_program(client: u64) -> bool {
    (badge::FIRST_PROGRAM..=u64::from(u32::MAX)).contains(&client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const SHELL: u64 = 3;
    const PROCESS: u64 = 4;
    const SUPERVISOR: u64 = badge::LIFECYCLE | 1;

    fn directory() -> Directory {
        let services = [("fs", 20), ("console", 21), ("registry", 22)];
        let environment =
            [("USES_3", "fs"), ("USES_4", "fs,console"), ("PROVIDES_5", "console"), ("GRANTER", "4"), ("PATH", "/bin")];
        Directory::new(services.into_iter(), environment.into_iter())
    }

    fn set(directory: &Directory, names: &[&str]) -> ServiceSet {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        directory.services(&names).unwrap()
    }

    #[test]
    fn unknown_and_forbidden_services_are_told_apart() {
        let mut directory = directory();
        assert_eq!(directory.lookup(SHELL, "fs"), Ok(20));
        assert_eq!(directory.lookup(SHELL, "console"), Err(RegistryError::NotAllowed));
        assert_eq!(directory.lookup(SHELL, "printer"), Err(RegistryError::NotFound));
        assert_eq!(directory.lookup(99, "fs"), Err(RegistryError::NotAllowed));
    }

    #[test]
    fn only_the_process_server_grants_and_only_to_programs() {
        let mut directory = directory();
        let program = badge::FIRST_PROGRAM + 7;
        let services = set(&directory, &["console"]);
        assert_eq!(directory.grant(SHELL, program, services), Err(RegistryError::NotAllowed));
        assert_eq!(directory.grant(PROCESS, SHELL, services), Err(RegistryError::NotAllowed));
        assert_eq!(directory.lookup(program, "console"), Err(RegistryError::NotAllowed));
        assert_eq!(directory.grant(badge::LIFECYCLE | PROCESS, program, services), Ok(()));
        assert_eq!(directory.lookup(program, "console"), Ok(21));
        assert_eq!(directory.lookup(program, "fs"), Err(RegistryError::NotAllowed));
    }

    #[test]
    fn services_that_a_client_used_are_told_of_its_end() {
        let mut directory = directory();
        let program = badge::FIRST_PROGRAM;
        let services = set(&directory, &["fs", "console"]);
        directory.grant(PROCESS, program, services).unwrap();
        directory.lookup(program, "fs").unwrap();
        assert_eq!(directory.client_gone(program, program), Err(RegistryError::NotAllowed));
        assert_eq!(directory.client_gone(SUPERVISOR, program), Ok(vec![20]));
        assert_eq!(directory.lookup(program, "fs"), Err(RegistryError::NotAllowed));
        assert_eq!(directory.client_gone(SUPERVISOR, SHELL), Ok(vec![20]));
        assert_eq!(directory.lookup(SHELL, "fs"), Ok(20));
    }

    #[test]
    fn nobody_is_told_of_a_program_that_looked_nothing_up() {
        let mut directory = directory();
        let services = set(&directory, &["fs", "console"]);
        directory.grant(PROCESS, badge::FIRST_PROGRAM, services).unwrap();
        assert_eq!(directory.client_gone(SUPERVISOR, badge::FIRST_PROGRAM), Ok(vec![]));
    }

    #[test]
    fn everybody_is_told_of_a_program_from_before_the_registrys_restart() {
        assert_eq!(directory().client_gone(SUPERVISOR, badge::FIRST_PROGRAM), Ok(vec![20, 21]));
    }

    #[test]
    fn services_that_a_component_used_before_the_registrys_restart_are_told_of_its_end() {
        let mut next = directory();
        next.take_over(&directory().grants());
        next.lookup(PROCESS, "console").unwrap();
        assert_eq!(next.client_gone(SUPERVISOR, PROCESS), Ok(vec![20, 21]), "the file server too");
        next.lookup(PROCESS, "console").unwrap();
        assert_eq!(next.client_gone(SUPERVISOR, PROCESS), Ok(vec![21]), "it has begun anew since");
    }

    #[test]
    fn grants_outlive_the_registry_and_broken_ones_are_left_out() {
        let mut first = directory();
        let program = badge::FIRST_PROGRAM + 7;
        let services = set(&first, &["console"]);
        first.grant(PROCESS, program, services).unwrap();
        let mut grants = first.grants();
        for word in [SHELL, u64::MAX, u64::MAX, program + 1, u64::MAX, u64::MAX, 5] {
            put_word(&mut grants, word);
        }
        let mut next = directory();
        assert_eq!(next.take_over(&grants), 2);
        assert_eq!(next.lookup(program, "console"), Ok(21));
        assert_eq!(next.lookup(program, "fs"), Err(RegistryError::NotAllowed));
        assert_eq!(next.lookup(program + 1, "fs"), Ok(20));
        assert_eq!(next.lookup(SHELL, "console"), Err(RegistryError::NotAllowed));
        assert_eq!(next.client_gone(SUPERVISOR, program), Ok(vec![21]));
    }

    #[test]
    fn whoever_reports_a_death_is_not_told_of_it() {
        let mut directory = directory();
        assert_eq!(directory.client_gone(badge::LIFECYCLE | 5, badge::FIRST_PROGRAM), Ok(vec![20]));
    }

    #[test]
    fn a_set_names_services_that_exist() {
        let directory = directory();
        let services = set(&directory, &["console"]);
        assert!(services.contains(1) && !services.contains(0) && !services.is_empty());
        let unknown = ["printer".to_string()];
        assert_eq!(directory.services(&unknown), Err(RegistryError::NotFound));
    }

    #[test]
    fn a_provider_is_not_told_of_its_own_end() {
        let services = [("fs", 20), ("clock", 21)];
        let environment = [("USES_5", "clock,fs"), ("PROVIDES_5", "fs")];
        let mut directory = Directory::new(services.into_iter(), environment.into_iter());
        assert_eq!(directory.client_gone(SUPERVISOR, 5), Ok(vec![21]));
    }
}
