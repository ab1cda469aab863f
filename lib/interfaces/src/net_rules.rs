//! What a client may do with the network: the words of `net = […]` in the manifest, or those that a program's parent gave it.
//!
//! | rule | allows |
//! |---|---|
//! | `listen:80`, `listen:1024-65535`, `listen:*` | to listen at, or bind a socket for datagrams to, these ports |
//! | `connect:*`, `connect:10.0.2.0/24`, `connect:[fe80::]/10` | to connect and send to these addresses |
//! | `connect:*:80`, `connect:10.0.2.2:80` | the same, to one port only |
//! | `ping` | ICMP echo |
//! | `admin` | to set the stack up |

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        let differ = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= self.prefix
    }
}

/// Where a rule allows to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination {
    /// `None`: anywhere.
    network: Option<Network>,
    port: Option<u16>,
}

/// What a client may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    listen: Vec<(u16, u16)>,
    connect: Vec<Destination>,
    ping: bool,
    admin: bool,
}

fn ports(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((0, u16::MAX));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

fn network(text: &str) -> Option<Option<Network>> {
    if text == "*" {
        return Some(None);
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    (prefix <= longest).then_some(Some(Network { address, prefix }))
}

fn destination(text: &str) -> Option<Destination> {
    if let Some(network) = network(text) {
        return Some(Destination { network, port: None });
    }
    let (address, port) = text.rsplit_once(':')?;
    Some(Destination { network: network(address)?, port: Some(port.parse().ok()?) })
}

impl Rules {
    /// Everything.
    pub fn all() -> Self {
        Self::parse("listen:*,connect:*,ping,admin").0
    }

    /// The rules of a list that is separated by commas, and those that make no sense.
    pub fn parse(text: &str) -> (Self, Vec<&str>) {
        let mut rules = Self::default();
        let mut senseless = Vec::new();
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            if !rules.add(rule) {
                senseless.push(rule);
            }
        }
        (rules, senseless)
    }

    fn add(&mut self, rule: &str) -> bool {
        match rule.split_once(':') {
            None if rule == "ping" => self.ping = true,
            None if rule == "admin" => self.admin = true,
            Some(("listen", range)) => match ports(range) {
                Some(range) => self.listen.push(range),
                None => return false,
            },
            Some(("connect", to)) => match destination(to) {
                Some(destination) => self.connect.push(destination),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Whether it may listen at a port. Any port that is free: also who may connect, for what comes back.
    pub fn may_listen(&self, port: u16) -> bool {
        self.listen.iter().any(|&(first, last)| (first..=last).contains(&port))
    }

    /// Whether it may bind a socket for datagrams to a port; 0 stands for any.
    pub fn may_bind(&self, port: u16) -> bool {
        self.may_listen(port) || port == 0 && self.may_resolve()
    }

    /// Whether it may connect or send there.
    pub fn may_connect(&self, to: SocketAddr) -> bool {
        self.connect.iter().any(|destination| {
            destination.network.is_none_or(|network| network.contains(to.ip()))
                && destination.port.is_none_or(|port| port == to.port())
        })
    }

    /// Whether it may ask for names.
    pub fn may_resolve(&self) -> bool {
        !self.connect.is_empty()
    }

    /// Whether it may send ICMP echo requests.
    pub fn may_ping(&self) -> bool {
        self.ping
    }

    /// Whether it may set the stack up.
    pub fn may_administer(&self) -> bool {
        self.admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let (rules, senseless) = Rules::parse(text);
        assert!(senseless.is_empty(), "{senseless:?}");
        rules
    }

    #[test]
    fn what_no_rule_names_is_not_allowed() {
        let none = rules("");
        assert!(!none.may_listen(80) && !none.may_bind(0) && !none.may_ping() && !none.may_administer());
        assert!(!none.may_connect("127.0.0.1:80".parse().unwrap()) && !none.may_resolve());
    }

    #[test]
    fn ports_and_networks_are_compared_with_their_ends() {
        let some = rules("listen:80, listen:8000-8080, connect:10.0.2.0/24, connect:*:53, connect:[fe80::]/10");
        for (port, allowed) in [(79, false), (80, true), (7999, false), (8000, true), (8080, true), (8081, false)] {
            assert_eq!(some.may_listen(port), allowed, "{port}");
        }
        for (to, allowed) in [
            ("10.0.2.255:1", true),
            ("10.0.3.0:1", false),
            ("10.0.3.0:53", true),
            ("[febf::1]:7", true),
            ("[fec0::1]:7", false),
            ("[fec0::1]:53", true),
        ] {
            assert_eq!(some.may_connect(to.parse().unwrap()), allowed, "{to}");
        }
    }

    #[test]
    fn rules_that_make_no_sense_allow_nothing() {
        let (rules, senseless) =
            Rules::parse("listen,listen:,listen:9-3,listen:70000,connect:10.0.0.1/33,connect:here,dance,ping:1");
        assert_eq!(rules, Rules::default());
        assert_eq!(senseless.len(), 8);
    }

    #[test]
    fn everything_is_everything() {
        let all = Rules::all();
        assert!(all.may_listen(1) && all.may_connect("[::1]:9".parse().unwrap()) && all.may_ping());
        assert!(all.may_administer());
    }
}
