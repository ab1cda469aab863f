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

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_interfaces::badge;
use motte_interfaces::registry::RegistryError;

/// Prefix of the environment's names that say what a component uses.
pub const USES: &str = "USES_";
/// Prefix of the environment's names that say what a component provides.
pub const PROVIDES: &str = "PROVIDES_";
/// The environment's name that says who may grant.
pub const GRANTER: &str = "GRANTER";

/// Services and rights.
#[derive(Debug, Default)]
pub struct Directory {
    /// Slot of each service's endpoint.
    services: BTreeMap<String, u64>,
    /// What each client may use.
    allowed: BTreeMap<u64, BTreeSet<String>>,
    /// What each client has looked up.
    connected: BTreeMap<u64, BTreeSet<String>>,
    /// Which client provides a service.
    providers: BTreeMap<String, u64>,
    granter: Option<u64>,
}

impl Directory {
    /// From the services' names and slots, and the environment.
    pub fn new<'a>(
        services: impl Iterator<Item = (&'a str, u64)>,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut directory = Self {
            services: services.map(|(name, slot)| (name.to_string(), slot)).collect(),
            ..Self::default()
        };
        for (name, value) in environment {
            if let Some(client) = name.strip_prefix(USES).and_then(|client| client.parse().ok()) {
                let names = value.split(',').filter(|name| !name.is_empty()).map(ToString::to_string);
                directory.allowed.insert(client, names.collect());
            } else if let Some(client) = name.strip_prefix(PROVIDES).and_then(|client| client.parse().ok()) {
                let names = value.split(',').filter(|name| !name.is_empty());
                directory.providers.extend(names.map(|name| (name.to_string(), client)));
            } else if name == GRANTER {
                directory.granter = value.parse().ok();
            }
        }
        directory
    }

    /// The slot of a service's endpoint, for a client who may use it.
    pub fn lookup(&mut self, sender: u64, name: &str) -> Result<u64, RegistryError> {
        let slot = *self.services.get(name).ok_or(RegistryError::NotFound)?;
        let client = badge::client(sender);
        let allowed =
            name == "registry" || self.allowed.get(&client).is_some_and(|names| names.contains(name));
        if !allowed {
            return Err(RegistryError::NotAllowed);
        }
        self.connected.entry(client).or_default().insert(name.to_string());
        Ok(slot)
    }

    /// Allows a program more services: those that the granter itself may use.
    pub fn grant(&mut self, sender: u64, client: u64, names: &[String]) -> Result<(), RegistryError> {
        let granter = badge::client(sender);
        let is_program = (badge::FIRST_PROGRAM..=u64::from(u32::MAX)).contains(&client);
        if self.granter != Some(granter) || !is_program {
            return Err(RegistryError::NotAllowed);
        }
        if names.iter().any(|name| !self.services.contains_key(name)) {
            return Err(RegistryError::NotFound);
        }
        self.allowed.entry(client).or_default().extend(names.iter().cloned());
        Ok(())
    }

    /// Whom to tell that a client is gone: endpoints of the services it may have a session with. A program's rights end.
    pub fn client_gone(&mut self, sender: u64, client: u64) -> Result<Vec<u64>, RegistryError> {
        if sender & badge::LIFECYCLE == 0 {
            return Err(RegistryError::NotAllowed);
        }
        let connected = self.connected.remove(&client);
        let allowed = if client >= badge::FIRST_PROGRAM {
            self.allowed.remove(&client)
        } else {
            self.allowed.get(&client).cloned()
        };
        // After a restart the registry does not know what was looked up before; then everybody it may be is told.
        let names = connected.or(allowed).unwrap_or_default();
        Ok(names
            .iter()
            .filter(|name| *name != "registry")
            // Whoever reports knows already, and does not listen while it waits; what is gone cannot be told of its own end, because the
            // call would wait for its successor.
            .filter(|name| {
                let provider = self.providers.get(*name);
                provider != Some(&badge::client(sender)) && provider != Some(&client)
            })
            .filter_map(|name| self.services.get(name).copied())
            .collect())
    }
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
        let environment = [
            ("USES_3", "fs"),
            ("USES_4", "fs,console"),
            ("PROVIDES_5", "console"),
            ("GRANTER", "4"),
            ("PATH", "/bin"),
        ];
        Directory::new(services.into_iter(), environment.into_iter())
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
        let names = vec!["console".to_string()];
        assert_eq!(directory.grant(SHELL, program, &names), Err(RegistryError::NotAllowed));
        assert_eq!(directory.grant(PROCESS, SHELL, &names), Err(RegistryError::NotAllowed));
        assert_eq!(directory.lookup(program, "console"), Err(RegistryError::NotAllowed));
        assert_eq!(directory.grant(badge::LIFECYCLE | PROCESS, program, &names), Ok(()));
        assert_eq!(directory.lookup(program, "console"), Ok(21));
        assert_eq!(directory.lookup(program, "fs"), Err(RegistryError::NotAllowed));
    }

    #[test]
    fn services_that_a_client_used_are_told_of_its_end() {
        let mut directory = directory();
        let program = badge::FIRST_PROGRAM;
        directory.grant(PROCESS, program, &["fs".to_string(), "console".to_string()]).unwrap();
        directory.lookup(program, "fs").unwrap();
        assert_eq!(directory.client_gone(program, program), Err(RegistryError::NotAllowed));
        assert_eq!(directory.client_gone(SUPERVISOR, program), Ok(vec![20]));
        assert_eq!(directory.lookup(program, "fs"), Err(RegistryError::NotAllowed));
        assert_eq!(directory.client_gone(SUPERVISOR, SHELL), Ok(vec![20]));
        assert_eq!(directory.lookup(SHELL, "fs"), Ok(20));
    }

    #[test]
    fn whoever_reports_a_death_is_not_told_of_it() {
        let mut directory = directory();
        directory.grant(PROCESS, badge::FIRST_PROGRAM, &["fs".to_string(), "console".to_string()]).unwrap();
        assert_eq!(directory.client_gone(badge::LIFECYCLE | 5, badge::FIRST_PROGRAM), Ok(vec![20]));
    }

    #[test]
    fn a_provider_is_not_told_of_its_own_end() {
        let services = [("fs", 20), ("clock", 21)];
        let environment = [("USES_5", "clock,fs"), ("PROVIDES_5", "fs")];
        let mut directory = Directory::new(services.into_iter(), environment.into_iter());
        assert_eq!(directory.client_gone(SUPERVISOR, 5), Ok(vec![21]));
    }
}
