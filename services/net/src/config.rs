//! How the stack is set up: variables of its environment, which the manifest sets.
//!
//! | variable | meaning | if it is not there |
//! |---|---|---|
//! | `ADDRESSES` | addresses with prefix lengths, separated by spaces: `10.0.2.15/24 fec0::15/64` | DHCP, and router advertisements |
//! | `GATEWAYS` | routers: `10.0.2.2 fec0::2` | none |
//! | `NAME_SERVERS` | name servers: `10.0.2.3` | those that DHCP names |
//! | `SOCKETS` | the most sockets of one client | 2048 |
//! | `SOCKET_MEMORY` | the most KiB of the stack's memory that one client's sockets take | seven eighths of what there is |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{IpAddress, IpCidr};

/// What the stack is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Fixed addresses; empty: DHCP.
    pub addresses: Vec<IpCidr>,
    /// Routers.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub name_servers: Vec<IpAddr>,
    /// The most sockets of one client.
    pub sockets: usize,
    /// The most bytes of one client's sockets.
    pub socket_bytes: usize,
    /// The most bytes of all sockets.
    pub all_bytes: usize,
}

impl Config {
    /// Set up by nobody, with so many bytes for sockets.
    pub fn new(bytes: usize) -> Self {
        Self {
            addresses: Vec::new(),
            gateways: Vec::new(),
            name_servers: Vec::new(),
            sockets: 2048,
            socket_bytes: bytes / 8 * 7,
            all_bytes: bytes,
        }
    }

    /// Takes one variable. The error is a sentence for the log; variables of others are ignored.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{name}: `{what}` makes no sense, and is ignored");
        match name {
            "ADDRESSES" => each(value, cidr, &mut self.addresses).map_err(|what| wrong(&what)),
            "GATEWAYS" => each(value, |text| text.parse().ok(), &mut self.gateways).map_err(|what| wrong(&what)),
            "NAME_SERVERS" => {
                each(value, |text| text.parse().ok(), &mut self.name_servers).map_err(|what| wrong(&what))
            }
            "SOCKETS" => value.parse().map(|sockets| self.sockets = sockets).map_err(|_| wrong(value)),
            "SOCKET_MEMORY" => {
                value.parse().map(|kib: usize| self.socket_bytes = kib.saturating_mul(1024)).map_err(|_| wrong(value))
            }
            _ => Ok(()),
        }
    }
}

fn each<T>(value: &str, parse: impl Fn(&str) -> Option<T>, into: &mut Vec<T>) -> Result<(), String> {
    for text in value.split_whitespace() {
        into.push(parse(text).ok_or_else(|| String::from(text))?);
    }
    Ok(())
}

/// A unicast address with the length of its prefix.
fn cidr(text: &str) -> Option<IpCidr> {
    let (address, prefix) = text.split_once('/')?;
    let address = IpAddress::from(address.parse::<IpAddr>().ok()?);
    let prefix = prefix.parse::<u8>().ok().filter(|&prefix| prefix <= longest(address))?;
    address.is_unicast().then(|| IpCidr::new(address, prefix))
}

/// Bits of an address.
pub fn longest(address: IpAddress) -> u8 {
    match address {
        IpAddress::Ipv4(_) => 32,
        IpAddress::Ipv6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_and_what_makes_no_sense_is_named() {
        let mut config = Config::new(1 << 20);
        config.set("ADDRESSES", "10.0.2.15/24 fec0::15/64").unwrap();
        config.set("GATEWAYS", " 10.0.2.2").unwrap();
        config.set("SOCKET_MEMORY", "64").unwrap();
        config.set("HOME", "/root").unwrap();
        assert_eq!((config.addresses.len(), config.gateways.len(), config.socket_bytes), (2, 1, 65536));
        for (name, value) in [("ADDRESSES", "10.0.2.15"), ("ADDRESSES", "224.0.0.1/8"), ("SOCKETS", "many")] {
            let error = config.set(name, value).unwrap_err();
            assert!(error.starts_with(name) && error.contains(value), "{error}");
        }
        assert!(config.set("ADDRESSES", "10.0.2.15/33").is_err());
    }
}
