//! Looking at the stack and setting it up.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Counters, Family, InterfaceInfo, Ip, NetAdmin, SocketInfo, SocketKind};
use motte_interfaces::{Replier, Sender, badge};
use motte_netdev::{Driver, Memory};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{IpAddress, IpCidr};

use crate::config::longest;
use crate::device::LOOP_MTU;
use crate::links::Link;
use crate::session::Machine;
use crate::stack::{Kind, Socket, Stack};

const LOOP: &str = "lo";
const CARD: &str = "eth0";

/// A connection's state as RFC 9293 has it.
fn name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::Listen => "LISTEN",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECEIVED",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

fn describe<M: Machine>(number: u32, socket: &Socket<M>) -> SocketInfo {
    let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let (kind, state, local, remote, waiting) = match &socket.kind {
        Kind::Listener(listener) => (SocketKind::Listener, "LISTEN", listener.local, none, listener.waiting()),
        Kind::Stream(stream) => {
            let flow = stream.flow;
            let tcp = socket.sets[stream.link as usize].as_ref();
            let queued = tcp.map_or(0, |(set, handle)| set.get::<tcp::Socket<'_>>(*handle).send_queue());
            let local = SocketAddr::new(flow.local, flow.local_port);
            (SocketKind::Stream, name(stream.state), local, (flow.remote, flow.remote_port).into(), queued)
        }
        Kind::Datagram(datagram) => match datagram.local {
            Some(local) => (SocketKind::Datagram, "", local, none, 0),
            None => (SocketKind::Echo, "", SocketAddr::new(none.ip(), datagram.identifier), none, 0),
        },
    };
    SocketInfo {
        number: number.into(),
        kind,
        state: String::from(state),
        owner: socket.owner,
        local: Address(local),
        remote: Address(remote),
        received: socket.traffic.0,
        sent: socket.traffic.1,
        waiting: waiting as u64,
    }
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// Whether whoever sent a request may set the stack up.
    fn administers(&mut self, sender: &Sender) -> Result<(), IoError> {
        let client = badge::client(sender.badge);
        let allowed = match self.sessions.get(&client) {
            Some(session) => session.rules.may_administer(),
            None => self.machine.rules(client).may_administer(),
        };
        if allowed { Ok(()) } else { Err(IoError::PermissionDenied) }
    }

    fn card(&self, interface: &str) -> Result<(), IoError> {
        match interface {
            CARD if self.links.has_card() => Ok(()),
            LOOP => Err(IoError::InvalidInput),
            _ => Err(IoError::NotFound),
        }
    }
}

fn done(done: bool) -> Result<(), IoError> {
    if done { Ok(()) } else { Err(IoError::InvalidInput) }
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> NetAdmin for Stack<R, M, D, P> {
    fn sockets(&mut self, _: &Sender, from: u64) -> Result<SocketInfo, IoError> {
        let first = usize::try_from(from).map_err(|_| IoError::NotFound)?;
        let sockets = self.sockets.iter().enumerate().skip(first);
        let mut found = sockets.filter_map(|(number, socket)| Some((number as u32, socket.as_ref()?)));
        found.next().map(|(number, socket)| describe(number, socket)).ok_or(IoError::NotFound)
    }

    fn counters(&mut self, _: &Sender) -> Result<Counters, IoError> {
        let card = self.links.card.port.counters();
        Ok(Counters {
            frames_received: card.received.0,
            frames_sent: card.transmitted.0,
            bytes_received: card.received.1,
            bytes_sent: card.transmitted.1,
            sockets: self.sockets.iter().flatten().count() as u64,
            socket_bytes: self.bytes as u64,
            ..self.counters
        })
    }

    fn interface(&mut self, _: &Sender, index: u64) -> Result<InterfaceInfo, IoError> {
        let addresses = |link| {
            let addresses = self.links.addresses(link).iter();
            addresses.map(|cidr| (Ip(cidr.address().into()), u64::from(cidr.prefix_len()))).collect::<Vec<_>>()
        };
        match index {
            0 => Ok(InterfaceInfo {
                name: String::from(LOOP),
                up: true,
                hardware: 0,
                mtu: LOOP_MTU as u64,
                // The others are the card's, and shown there.
                addresses: addresses(Link::Loop).into_iter().take(2).collect(),
                gateway4: None,
                gateway6: None,
                name_servers: Vec::new(),
                dhcp: false,
            }),
            1 if self.links.has_card() => {
                let info = self.links.card.port.info().ok_or(IoError::NotFound)?;
                Ok(InterfaceInfo {
                    name: String::from(CARD),
                    up: info.link_up,
                    hardware: info.mac,
                    mtu: self.links.card.mtu() as u64,
                    addresses: addresses(Link::Card),
                    gateway4: self.links.gateway(true).map(Ip),
                    gateway6: self.links.gateway(false).map(Ip),
                    name_servers: self.links.name_servers().iter().copied().map(Ip).collect(),
                    dhcp: self.links.has_dhcp(),
                })
            }
            _ => Err(IoError::NotFound),
        }
    }

    fn add_address(&mut self, sender: &Sender, interface: &str, address: Ip, prefix: u64) -> Result<(), IoError> {
        self.administers(sender)?;
        self.card(interface)?;
        let address = IpAddress::from(address.0);
        let prefix = u8::try_from(prefix).ok().filter(|&prefix| prefix <= longest(address));
        let prefix = prefix.ok_or(IoError::InvalidInput)?;
        if address.version() == smoltcp::wire::IpVersion::Ipv4 {
            self.links.set_dhcp(false);
        }
        done(self.links.add_address(IpCidr::new(address, prefix)))
    }

    fn remove_address(&mut self, sender: &Sender, interface: &str, address: Ip) -> Result<(), IoError> {
        self.administers(sender)?;
        self.card(interface)?;
        if self.links.remove_address(address.0) { Ok(()) } else { Err(IoError::AddressNotAvailable) }
    }

    fn set_gateway(&mut self, sender: &Sender, family: Family, gateway: Option<Ip>) -> Result<(), IoError> {
        self.administers(sender)?;
        self.card(CARD)?;
        let v4 = match (family, gateway) {
            (Family::V4, None | Some(Ip(IpAddr::V4(_)))) => true,
            (Family::V6, None | Some(Ip(IpAddr::V6(_)))) => false,
            _ => return Err(IoError::InvalidInput),
        };
        done(self.links.set_gateway(v4, gateway.map(|Ip(gateway)| gateway)))
    }

    fn set_name_servers(&mut self, sender: &Sender, servers: Vec<Ip>) -> Result<(), IoError> {
        self.administers(sender)?;
        self.links.set_name_servers(servers.into_iter().map(|Ip(server)| server).take(4).collect());
        Ok(())
    }

    fn set_dhcp(&mut self, sender: &Sender, on: bool) -> Result<(), IoError> {
        self.administers(sender)?;
        self.card(CARD)?;
        self.links.set_dhcp(on);
        Ok(())
    }
}
