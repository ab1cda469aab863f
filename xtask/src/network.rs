//! The machine's network card, and what it is plugged into. Whatever it is, the machine reaches nothing beyond this one.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};

/// Where the machine's web server is found, if nobody else is there; else at the next port that is free.
const WEB_PORT: u16 = 8080;
/// How many ports are tried.
const WEB_PORTS: u16 = 20;
/// The port that web servers listen at.
pub const HTTP: u16 = 80;

/// A port of the host that leads to one of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Port of the host, on 127.0.0.1.
    pub host: u16,
    /// Port of the machine.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOSTPORT:GUESTPORT; write it like 8080:80");
        let (host, guest) = text.split_once(':').ok_or_else(wrong)?;
        let port = |text: &str| text.parse::<u16>().ok().filter(|&port| port != 0).ok_or_else(wrong);
        Ok(Self { host: port(host)?, guest: port(guest)? })
    }
}

/// What the option `--net` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// No card.
    #[default]
    None,
    /// QEMU's network in user mode.
    User,
    /// A tap device of the host.
    Tap(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("tap=")) {
            ("none", _) => Ok(Self::None),
            ("user", _) => Ok(Self::User),
            // QEMU takes a comma for the end of the name.
            (_, Some(name)) if !name.is_empty() && !name.contains(',') => Ok(Self::Tap(name.to_owned())),
            _ => Err(format!("`{text}` is no network; write none, user, or tap=IFNAME")),
        }
    }
}

/// A card, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// No card.
    #[default]
    None,
    /// QEMU's network in user mode, with ports of this machine's that lead in. Nothing leads out: the machine reaches QEMU's own DHCP server
    /// and answers who connects.
    User(Vec<Forward>),
    /// A tap device that exists and that this user may use.
    Tap(String),
    /// A bare wire: each frame is a datagram between two Unix sockets, of which QEMU makes the first and whoever is at the other end has made the
    /// second.
    Wire(PathBuf, PathBuf),
}

impl Network {
    /// The port of 127.0.0.1 that leads to a port of the machine.
    #[must_use]
    pub fn port_to(&self, guest: u16) -> Option<u16> {
        let Self::User(forwards) = self else { return None };
        forwards.iter().find(|forward| forward.guest == guest).map(|forward| forward.host)
    }

    /// QEMU's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let backend = match self {
            Self::None => return Vec::new(),
            Self::User(forwards) => {
                let forward = |forward: &Forward| format!(",hostfwd=tcp:127.0.0.1:{}-:{}", forward.host, forward.guest);
                let forwards: String = forwards.iter().map(forward).collect();
                format!("user,id=n0,restrict=on{forwards}")
            }
            Self::Tap(name) => format!("tap,id=n0,ifname={name},script=no,downscript=no"),
            Self::Wire(machine, other) => {
                // A comma would be the end of the path.
                let [machine, other] = [machine, other].map(|path| path.to_string_lossy().replace(',', ",,"));
                format!("dgram,id=n0,local.type=unix,local.path={machine},remote.type=unix,remote.path={other}")
            }
        };
        let device = "virtio-net-pci,netdev=n0,disable-legacy=on,romfile=";
        ["-netdev", &backend, "-device", device].map(str::to_owned).into()
    }
}

/// A port that is led to the machine's web server. Other machines that are started from here take another one while this lives.
#[derive(Debug)]
pub struct WebPort {
    /// The port, on 127.0.0.1.
    pub port: u16,
    _lease: UnixListener,
}

impl WebPort {
    /// The first that is free; `None` if all are taken.
    #[must_use]
    pub fn find() -> Option<Self> {
        (WEB_PORT..WEB_PORT + WEB_PORTS).find_map(|port| {
            // QEMU takes the port only later: until then a name that vanishes with this process keeps others away.
            let name = SocketAddr::from_abstract_name(format!("motte-web-port-{port}")).ok()?;
            let lease = UnixListener::bind_addr(&name).ok()?;
            is_free(port).then_some(Self { port, _lease: lease })
        })
    }
}

/// Whether nobody listens at a port of 127.0.0.1.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The network that was asked for, and the port of the web server if that was left to us.
pub fn choose(choice: &Choice, forwards: &[Forward]) -> Result<(Network, Option<WebPort>)> {
    match choice {
        Choice::None => Ok((Network::None, None)),
        Choice::Tap(name) => Ok((Network::Tap(name.clone()), None)),
        Choice::User => {
            for forward in forwards {
                let port = forward.host;
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
                    format!(
                        "port {port} of 127.0.0.1 cannot be led to the machine; choose another with --forward PORT:{}",
                        forward.guest
                    )
                })?;
            }
            let mut forwards = forwards.to_vec();
            let has_web_port = forwards.iter().any(|forward| forward.guest == HTTP);
            let web = if has_web_port { None } else { WebPort::find() };
            forwards.extend(web.iter().map(|web| Forward { host: web.port, guest: HTTP }));
            Ok((Network::User(forwards), web))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_two_ports() {
        assert_eq!("8080:80".parse(), Ok(Forward { host: 8080, guest: 80 }));
        for wrong in ["8080", "8080:", ":80", "0:80", "8080:80:1", "70000:80"] {
            assert!(wrong.parse::<Forward>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_is_none_user_or_a_tap_device() {
        assert_eq!("user".parse(), Ok(Choice::User));
        assert_eq!("none".parse(), Ok(Choice::None));
        assert_eq!("tap=tap0".parse(), Ok(Choice::Tap("tap0".to_owned())));
        for wrong in ["", "tap", "tap=", "tap=a,ifname=b", "bridge"] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_machine_reaches_nothing_beyond_its_hosts_loopback() {
        let network = Network::User(vec![Forward { host: 8080, guest: 80 }]);
        let arguments = network.arguments();
        assert_eq!(arguments[1], "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80");
        assert_eq!((network.port_to(80), network.port_to(81)), (Some(8080), None));
        assert!(Network::None.arguments().is_empty());
    }

    #[test]
    fn a_port_that_is_taken_is_told_or_gone_around() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = taken.local_addr().unwrap().port();
        let error = choose(&Choice::User, &[Forward { host, guest: 7 }]).unwrap_err();
        assert!(format!("{error:#}").contains(&format!("port {host} of 127.0.0.1")), "{error:#}");
        let (first, second) = (WebPort::find().unwrap(), WebPort::find().unwrap());
        assert_ne!(first.port, second.port);
        // Who leads another port to the web server wants no further one.
        drop(taken);
        let (network, web) = choose(&Choice::User, &[Forward { host, guest: 80 }]).unwrap();
        assert_eq!(network, Network::User(vec![Forward { host, guest: 80 }]));
        assert!(web.is_none());
    }
}
