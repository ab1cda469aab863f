//! Sockets for datagrams: UDP, and ICMP echo.
//!
//! A datagram goes from the frame to the client's ring at once, and the other way as soon as there is room to send. What the client's
//! ring has no room for is dropped and counted, as UDP has it.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use motte_interfaces::Replier;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Buffers, DatagramHeader, state};
use motte_netdev::{Driver, Memory};
use smoltcp::iface::SocketSet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpEndpoint, IpListenEndpoint, Ipv6Address,
};

use crate::frame::Flow;
use crate::links::Link;
use crate::session::{Ends, Machine, Spoilt};
use crate::stack::{Kind, Socket, Stack, bound_to};

/// Datagrams that smoltcp's socket holds.
const HELD: usize = 8;
/// Bytes of them.
const HELD_BYTES: usize = 4096;
/// The most bytes of a datagram: what fits a packet, as there are no fragments.
const LONGEST: usize = 1500 - 20 - 8;
/// What a socket takes, with smoltcp's buffers for both links.
pub const SOCKET_BYTES: usize = 2048 + 4 * HELD_BYTES;

/// UDP or ICMP echo.
pub struct Datagram {
    /// Where it is bound; `None`: it is for ICMP echo.
    pub local: Option<SocketAddr>,
    /// What its echo requests have as identifier.
    pub identifier: u16,
}

fn udp_socket(local: SocketAddr) -> Option<udp::Socket<'static>> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; HELD], vec![0; HELD_BYTES]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    let addr = (!local.ip().is_unspecified()).then(|| IpAddress::from(local.ip()));
    socket.bind(IpListenEndpoint { addr, port: local.port() }).ok()?;
    Some(socket)
}

fn echo_socket(identifier: u16) -> Option<icmp::Socket<'static>> {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; HELD], vec![0; HELD_BYTES]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(identifier)).ok()?;
    Some(socket)
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// The socket that a datagram is for.
    pub(crate) fn datagram_for(&self, flow: &Flow) -> Option<u32> {
        let local = |number: u32| match &self.sockets.get(number as usize)?.as_ref()?.kind {
            Kind::Datagram(datagram) => datagram.local,
            _ => None,
        };
        bound_to(self.datagrams.get(&flow.local_port)?, flow.local, local)
    }

    /// Opens a UDP socket.
    pub(crate) fn open_datagram(&mut self, owner: u64, local: SocketAddr) -> Result<(u32, SocketAddr), IoError> {
        if !local.ip().is_unspecified() && !self.links.is_own(local.ip()) {
            return Err(IoError::AddressNotAvailable);
        }
        let port = match local.port() {
            0 => self.free_port(|stack, port| stack.datagrams.contains_key(&port)).ok_or(IoError::AddressInUse)?,
            port => port,
        };
        let local = SocketAddr::new(local.ip(), port);
        let taken = |&number: &u32| match self.sockets[number as usize].as_ref().map(|socket| &socket.kind) {
            Some(Kind::Datagram(Datagram { local: Some(other), .. })) => {
                let (a, b) = (other.ip(), local.ip());
                a == b || a.is_unspecified() && b.is_unspecified()
            }
            _ => false,
        };
        if self.datagrams.get(&port).is_some_and(|numbers| numbers.iter().any(taken)) {
            return Err(IoError::AddressInUse);
        }
        if !self.affords(owner, SOCKET_BYTES) {
            return Err(IoError::OutOfMemory);
        }
        let number = self.insert(Kind::Datagram(Datagram { local: Some(local), identifier: 0 }), owner, SOCKET_BYTES);
        self.datagrams.entry(port).or_default().push(number);
        if let Some(socket) = self.socket(number) {
            for set in &mut socket.sets {
                *set = udp_socket(local).map(|socket| {
                    let mut set = SocketSet::new(Vec::with_capacity(1));
                    let handle = set.add(socket);
                    (set, handle)
                });
            }
        }
        Ok((number, local))
    }

    /// Opens a socket for ICMP echo.
    pub(crate) fn open_echo(&mut self, owner: u64) -> Result<u32, IoError> {
        if !self.affords(owner, SOCKET_BYTES) {
            return Err(IoError::OutOfMemory);
        }
        let identifier = self.free_port(|stack, port| stack.echoes.contains_key(&port)).ok_or(IoError::Busy)?;
        let number = self.insert(Kind::Datagram(Datagram { local: None, identifier }), owner, SOCKET_BYTES);
        self.echoes.insert(identifier, number);
        if let Some(socket) = self.socket(number) {
            for set in &mut socket.sets {
                *set = echo_socket(identifier).map(|socket| {
                    let mut set = SocketSet::new(Vec::with_capacity(1));
                    let handle = set.add(socket);
                    (set, handle)
                });
            }
        }
        Ok(number)
    }

    /// Serves a socket for datagrams. False: nobody has it.
    pub(crate) fn serve_datagram(&mut self, number: u32, socket: &mut Socket<M>) -> bool {
        if socket.ends.is_none() {
            return false;
        }
        let served = self.take_received(socket).and_then(|()| self.take_to_send(socket));
        let state = match served {
            Ok(()) => state::OPEN,
            Err(Spoilt) => {
                log::warn!("client {} spoilt the rings of a socket for datagrams", socket.owner);
                state::OPEN | state::CANNOT_SEND | state::of_error(IoError::ConnectionAborted)
            }
        };
        for link in [Link::Loop, Link::Card] {
            self.send(number, socket, link);
        }
        self.show(socket, state);
        true
    }

    /// Moves what has come into the client's ring.
    fn take_received(&mut self, socket: &mut Socket<M>) -> Result<(), Spoilt> {
        let Socket { kind: Kind::Datagram(datagram), sets, ends: Some(ends), traffic, .. } = socket else {
            return Ok(());
        };
        let mut news = false;
        for (set, handle) in sets.iter_mut().flatten() {
            if datagram.local.is_some() {
                let udp = set.get_mut::<udp::Socket<'_>>(*handle);
                while let Ok((bytes, meta)) = udp.recv() {
                    self.counters.datagrams_received += 1;
                    match put(ends, meta.endpoint.into(), bytes)? {
                        true => (news, traffic.0) = (true, traffic.0 + bytes.len() as u64),
                        false => self.counters.datagrams_dropped += 1,
                    }
                }
            } else {
                let icmp = set.get_mut::<icmp::Socket<'_>>(*handle);
                while let Ok((packet, from)) = icmp.recv() {
                    let Some((sequence, bytes)) = echo_reply(packet, from) else { continue };
                    match put(ends, SocketAddr::new(from.into(), sequence), bytes)? {
                        true => (news, traffic.0) = (true, traffic.0 + bytes.len() as u64),
                        false => self.counters.datagrams_dropped += 1,
                    }
                }
            }
        }
        if news {
            ends.publish_received();
            let (client, slot) = (ends.client, ends.slot);
            self.tell(client, slot);
        }
        Ok(())
    }

    /// Takes what the client wants sent, as far as there is room.
    fn take_to_send(&mut self, socket: &mut Socket<M>) -> Result<(), Spoilt> {
        let Socket { kind: Kind::Datagram(datagram), sets, ends: Some(ends), traffic, owner, .. } = socket else {
            return Ok(());
        };
        let mut taken = false;
        let mut bytes = [0; LONGEST];
        loop {
            let available = ends.to_send()?;
            if available == 0 {
                break;
            }
            let mut head = [0; DatagramHeader::BYTES];
            if ends.peek(0, &mut head) < head.len() {
                return Err(Spoilt);
            }
            let head = DatagramHeader::from_bytes(head);
            let length = usize::from(head.length);
            if available < DatagramHeader::BYTES + length {
                return Err(Spoilt);
            }
            let route = self.links.route(head.address.ip());
            let rules = self.sessions.get(owner).map(|session| &session.rules);
            let allowed = rules.is_some_and(|rules| match datagram.local {
                Some(_) => rules.may_connect(head.address),
                None => rules.may_ping(),
            });
            let sent = match route {
                Some((link, source)) if allowed && length <= LONGEST => {
                    let bytes = &mut bytes[..length];
                    ends.peek(DatagramHeader::BYTES, bytes);
                    match &mut sets[link as usize] {
                        Some((set, handle)) if datagram.local.is_some() => {
                            let endpoint = IpEndpoint::from(head.address);
                            let udp = set.get_mut::<udp::Socket<'_>>(*handle);
                            if !udp.can_send() {
                                break;
                            }
                            udp.send_slice(bytes, endpoint).is_ok()
                        }
                        Some((set, handle)) => {
                            let icmp = set.get_mut::<icmp::Socket<'_>>(*handle);
                            if !icmp.can_send() {
                                break;
                            }
                            echo_request(icmp, datagram.identifier, head.address, source, bytes)
                        }
                        None => false,
                    }
                }
                _ => false,
            };
            if sent {
                self.counters.datagrams_sent += 1;
                traffic.1 += length as u64;
            } else {
                self.counters.datagrams_dropped += 1;
            }
            ends.skip(DatagramHeader::BYTES + length);
            taken = true;
        }
        if taken && ends.publish_sent() {
            let (client, slot) = (ends.client, ends.slot);
            self.tell(client, slot);
        }
        Ok(())
    }

    /// The client gives a socket for datagrams up: what it has put is still sent.
    pub(crate) fn close_datagram(&mut self, number: u32) {
        let Some(mut socket) = self.sockets[number as usize].take() else { return };
        let _ = self.take_to_send(&mut socket);
        for link in [Link::Loop, Link::Card] {
            self.send(number, &mut socket, link);
        }
        self.remove(number, socket);
    }
}

impl<M: Machine> Ends<M> {
    /// Bytes of room that a socket for datagrams needs to count as ready to be written: those of a datagram that fills a packet, or half
    /// of a ring that is small.
    pub fn send_reserve(&self) -> usize {
        let Buffers { send, .. } = self.buffers();
        (LONGEST + DatagramHeader::BYTES).min(send as usize / 2)
    }
}

/// Puts a datagram into the client's ring; false if there is no room.
fn put<M: Machine>(ends: &mut Ends<M>, address: SocketAddr, bytes: &[u8]) -> Result<bool, Spoilt> {
    let Ok(length) = u16::try_from(bytes.len()) else { return Ok(false) };
    if ends.room(0)? < DatagramHeader::BYTES + bytes.len() {
        return Ok(false);
    }
    ends.put(&DatagramHeader { length, address }.to_bytes());
    ends.put(bytes);
    Ok(true)
}

/// Sequence number and data of an echo reply.
fn echo_reply(packet: &[u8], from: IpAddress) -> Option<(u16, &[u8])> {
    let ignored = ChecksumCapabilities::ignored();
    match from {
        IpAddress::Ipv4(_) => {
            let packet = Icmpv4Packet::new_checked(packet).ok()?;
            match Icmpv4Repr::parse(&packet, &ignored).ok()? {
                Icmpv4Repr::EchoReply { seq_no, data, .. } => Some((seq_no, data)),
                _ => None,
            }
        }
        IpAddress::Ipv6(from) => {
            let packet = Icmpv6Packet::new_checked(packet).ok()?;
            match Icmpv6Repr::parse(&from, &Ipv6Address::UNSPECIFIED, &packet, &ignored).ok()? {
                Icmpv6Repr::EchoReply { seq_no, data, .. } => Some((seq_no, data)),
                _ => None,
            }
        }
    }
}

/// Puts an echo request together; false if there is no room.
fn echo_request(icmp: &mut icmp::Socket<'_>, ident: u16, to: SocketAddr, source: IpAddr, data: &[u8]) -> bool {
    let (seq_no, ignored) = (to.port(), ChecksumCapabilities::ignored());
    match (IpAddress::from(to.ip()), IpAddress::from(source)) {
        (IpAddress::Ipv4(_), _) => {
            let request = Icmpv4Repr::EchoRequest { ident, seq_no, data };
            let Ok(bytes) = icmp.send(request.buffer_len(), to.ip().into()) else { return false };
            request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ignored);
        }
        (IpAddress::Ipv6(to), IpAddress::Ipv6(source)) => {
            let request = Icmpv6Repr::EchoRequest { ident, seq_no, data };
            let Ok(bytes) = icmp.send(request.buffer_len(), to.into()) else { return false };
            request.emit(&source, &to, &mut Icmpv6Packet::new_unchecked(bytes), &ignored);
        }
        _ => return false,
    }
    true
}
