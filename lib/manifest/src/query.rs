//! The questions that init, registry and supervisor ask of a manifest.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use crate::model::{Component, Manifest, Start};

/// A service and who provides it.
///
/// Services are numbered through all components in order: the number is the place of the service's
/// endpoint in init's plain list of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service<'a> {
    /// The service's number.
    pub number: usize,
    /// Its name.
    pub name: &'a str,
    /// Index of the component that provides it.
    pub provider: usize,
    /// Its position in the provider's `provides`.
    pub position: usize,
}

/// What the manifest says about one component calling one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access<'a> {
    /// The component may call it.
    Allowed(Service<'a>),
    /// The service exists; the component's `uses` does not name it.
    Denied(Service<'a>),
    /// Nobody provides a service of that name.
    Unknown,
}

impl Manifest {
    /// The component of that name and its index.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<(usize, &Component)> {
        self.components.iter().enumerate().find(|(_, component)| component.name == name)
    }

    /// Every service, in the order of their numbers.
    pub fn services(&self) -> impl Iterator<Item = Service<'_>> {
        self.components
            .iter()
            .enumerate()
            .flat_map(|(provider, component)| {
                component.provides.iter().enumerate().map(move |(position, name)| (provider, position, name.as_str()))
            })
            .enumerate()
            .map(|(number, (provider, position, name))| Service { number, name, provider, position })
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Service<'_>> {
        self.services().find(|service| service.name == name)
    }

    /// Whether the component with index `client` may call the service `name`. A component may always
    /// call what it provides itself, and the registry, which is how it reaches all others.
    #[must_use]
    pub fn access(&self, client: usize, name: &str) -> Access<'_> {
        let Some(service) = self.service(name) else { return Access::Unknown };
        let allowed = service.provider == client
            || name == "registry"
            || self.components.get(client).is_some_and(|c| c.uses.iter().any(|used| used.service == name));
        if allowed { Access::Allowed(service) } else { Access::Denied(service) }
    }

    /// Indices of the components that start with the system, in the order in which to start them: each
    /// after those it `depends` on, then as far as possible after the providers of what it uses, then in
    /// the order of the manifest.
    #[must_use]
    pub fn boot_order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.components.len());
        let mut done = vec![false; self.components.len()];
        for pass_over_uses in [false, true] {
            while let Some(next) = self.next_to_start(&done, pass_over_uses) {
                done[next] = true;
                order.push(next);
                if pass_over_uses {
                    // One member of a circle of uses is started; the others may follow in order now.
                    while let Some(next) = self.next_to_start(&done, false) {
                        done[next] = true;
                        order.push(next);
                    }
                }
            }
        }
        order
    }

    /// Indices of the components that are started anew with the one of that index, and with those in turn; it is not among them.
    #[must_use]
    pub fn restarted_with(&self, index: usize) -> Vec<usize> {
        self.reached_from(index, |component, on| component.restart_with.iter().any(|&with| usize::from(with) == on))
    }

    /// Indices of the components that need the one of that index, or others that need it: they `depends` on it, cannot do without a service
    /// of it, or are restarted with it.
    #[must_use]
    pub fn dependents(&self, index: usize) -> Vec<usize> {
        self.reached_from(index, |component, on| {
            component.restart_with.iter().chain(&component.depends).any(|&with| usize::from(with) == on)
                || component.uses.iter().any(|used| !used.optional && used.provider.map(usize::from) == Some(on))
        })
    }

    /// Indices of the components that the one of that index needs: it `depends` on them, or uses their services.
    #[must_use]
    pub fn dependencies(&self, index: usize) -> Vec<usize> {
        let Some(component) = self.components.get(index) else { return Vec::new() };
        let used = component.uses.iter().filter_map(|used| used.provider);
        let needed: BTreeSet<usize> = component.depends.iter().copied().chain(used).map(usize::from).collect();
        needed.into_iter().filter(|&other| other != index).collect()
    }

    /// What is reached from a component by `leads`, which says of a component whether it hangs on another; in the manifest's order.
    fn reached_from(&self, index: usize, leads: impl Fn(&Component, usize) -> bool) -> Vec<usize> {
        let mut reached = vec![false; self.components.len()];
        let mut open = vec![index];
        while let Some(on) = open.pop() {
            for (other, component) in self.components.iter().enumerate() {
                if other != index && !reached[other] && leads(component, on) {
                    reached[other] = true;
                    open.push(other);
                }
            }
        }
        (0..reached.len()).filter(|&other| reached[other]).collect()
    }

    /// The first component not yet `done` whose predecessors all are.
    fn next_to_start(&self, done: &[bool], pass_over_uses: bool) -> Option<usize> {
        let starts = |index: usize| self.components.get(index).is_some_and(|c| c.start == Start::Boot);
        let waits_for = |index: usize, of: usize| index != of && starts(index) && !done[index];
        self.components.iter().enumerate().position(|(index, component)| {
            !done[index]
                && starts(index)
                && !component.depends.iter().any(|&on| waits_for(on.into(), index))
                && (pass_over_uses
                    || !component.uses.iter().filter_map(|u| u.provider).any(|on| waits_for(on.into(), index)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::samples::{component, uses};
    use crate::model::Use;
    use alloc::string::String;

    fn names(manifest: &Manifest, order: &[usize]) -> Vec<String> {
        order.iter().map(|&i| manifest.components[i].name.clone()).collect()
    }

    fn system(components: Vec<Component>) -> Manifest {
        Manifest { name: "test".into(), memory: 32 << 20, heartbeats: true, components }
    }

    #[test]
    fn providers_start_before_their_clients() {
        let mut shell = component("shell");
        shell.uses = vec![uses("fs", 1)];
        let mut fs = component("fs");
        fs.provides = vec!["fs".into()];
        fs.uses = vec![uses("block", 2)];
        let mut disk = component("disk");
        disk.provides = vec!["block".into()];
        let manifest = system(vec![shell, fs, disk]);
        assert_eq!(names(&manifest, &manifest.boot_order()), ["disk", "fs", "shell"]);
    }

    #[test]
    fn a_circle_of_uses_still_starts_and_keeps_what_hangs_on_it_last() {
        let mut client = component("client");
        client.uses = vec![uses("a", 1)];
        let mut a = component("a");
        a.uses = vec![uses("b", 2)];
        let mut b = component("b");
        b.uses = vec![uses("a", 1)];
        b.depends = vec![3];
        let last = component("last");
        let manifest = system(vec![client, a, b, last]);
        let order = manifest.boot_order();
        assert_eq!(order.len(), 4);
        let place = |name: &str| names(&manifest, &order).iter().position(|n| n == name).unwrap();
        assert!(place("last") < place("b"));
    }

    #[test]
    fn what_starts_by_hand_is_not_in_the_boot_order() {
        let mut manual = component("manual");
        manual.start = Start::Manual;
        let manifest = system(vec![manual, component("boot")]);
        assert_eq!(manifest.boot_order(), [1]);
    }

    #[test]
    fn who_hangs_on_a_component_is_found_through_others_and_in_circles() {
        let mut disk = component("disk");
        disk.provides = vec!["block".into()];
        let mut fs = component("fs");
        fs.provides = vec!["fs".into()];
        fs.uses = vec![Use { optional: true, ..uses("block", 0) }];
        fs.restart_with = vec![0, 3];
        let mut shell = component("shell");
        shell.uses = vec![uses("fs", 1)];
        let mut cache = component("cache");
        cache.restart_with = vec![1];
        let manifest = system(vec![disk, fs, shell, cache]);
        assert_eq!(manifest.restarted_with(0), [1, 3]);
        assert_eq!(manifest.restarted_with(1), [3]);
        assert_eq!(manifest.dependents(0), [1, 2, 3]);
        assert_eq!(manifest.dependents(2), [0_usize; 0]);
        assert_eq!(manifest.dependencies(2), [1], "its neighbours only");
        assert_eq!(manifest.dependencies(0), [0_usize; 0]);
    }

    #[test]
    fn services_are_numbered_through_all_components() {
        let mut a = component("a");
        a.provides = vec!["one".into(), "two".into()];
        let mut b = component("b");
        b.provides = vec!["three".into()];
        let manifest = system(vec![a, b]);
        assert_eq!(manifest.service("three"), Some(Service { number: 2, name: "three", provider: 1, position: 0 }));
        assert_eq!(manifest.service("two").map(|s| (s.number, s.position)), Some((1, 1)));
    }

    #[test]
    fn an_unknown_name_and_a_name_one_may_not_use_are_told_apart() {
        let mut server = component("server");
        server.provides = vec!["file".into(), "network".into()];
        let mut client = component("client");
        client.uses = vec![uses("file", 0)];
        let manifest = system(vec![server, client]);
        assert!(matches!(manifest.access(1, "file"), Access::Allowed(_)));
        assert!(matches!(manifest.access(1, "network"), Access::Denied(_)));
        assert!(matches!(manifest.access(0, "network"), Access::Allowed(_)));
        assert_eq!(manifest.access(1, "printer"), Access::Unknown);
    }
}
