//! What a frame from the network is, as far as it must be known to find the one socket that it concerns; and checksums.
//!
//! Nothing here decides whether a frame is well-formed: what is not understood goes to the stack without a socket, which takes it apart
//! with all checks.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;

/// The two ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where it is sent to: this machine's end.
    pub local: IpAddr,
    /// This end's port.
    pub local_port: u16,
    /// Where it is from.
    pub remote: IpAddr,
    /// The other end's port.
    pub remote_port: u16,
}

impl Hash for Flow {
    /// In as few words as there are: this is done for every frame.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.local_port) << 16 | u64::from(self.remote_port);
        match (self.local, self.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                state.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
                state.write_u64(ports);
            }
            (local, remote) => {
                (local, remote).hash(state);
                state.write_u64(ports);
            }
        }
    }
}

/// A packet, by what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A TCP segment.
    Tcp {
        /// Its ends.
        flow: Flow,
        /// It asks for a connection.
        syn: bool,
        /// It breaks one off.
        reset: bool,
    },
    /// A UDP datagram.
    Udp(Flow),
    /// An answer to an ICMP echo request with this identifier.
    EchoReply(u16),
    /// Something about neighbours: ARP, or neighbour discovery.
    Neighbour,
    /// Anything else that the stack may want to answer.
    Other,
    /// Nothing that may come from the network, or not with this checksum.
    Senseless,
}

/// Protocol, and the range of its bytes in the packet.
struct Payload {
    protocol: IpProtocol,
    start: usize,
    end: usize,
    source: IpAddr,
    destination: IpAddr,
}

/// What an IP packet carries; `None` if it makes no sense or is a fragment.
fn payload(packet: &[u8]) -> Option<Payload> {
    match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            if ip.more_frags() || ip.frag_offset() != 0 {
                return None;
            }
            let (start, end) = (ip.header_len().into(), ip.total_len().into());
            let (source, destination) = (ip.src_addr().into(), ip.dst_addr().into());
            (start <= end).then_some(Payload { protocol: ip.next_header(), start, end, source, destination })
        }
        6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            let (start, end) = (ip.header_len(), ip.total_len());
            let (source, destination) = (ip.src_addr().into(), ip.dst_addr().into());
            Some(Payload { protocol: ip.next_header(), start, end, source, destination })
        }
        _ => None,
    }
}

/// What an IP packet is. `check`: whether the checksum of a TCP segment or UDP datagram is to be verified.
pub fn classify_packet(packet: &[u8], check: bool) -> Class {
    let Some(Payload { protocol, start, end, source, destination }) = payload(packet) else { return Class::Senseless };
    let Some(bytes) = packet.get(start..end) else { return Class::Senseless };
    let flow = |local_port, remote_port| Flow { local: destination, local_port, remote: source, remote_port };
    let good = || !check || checksum(source, destination, protocol, bytes) == 0xffff;
    match protocol {
        IpProtocol::Tcp => match TcpPacket::new_checked(bytes) {
            Ok(tcp) if good() => Class::Tcp {
                flow: flow(tcp.dst_port(), tcp.src_port()),
                syn: tcp.syn() && !tcp.ack() && !tcp.rst(),
                reset: tcp.rst(),
            },
            _ => Class::Senseless,
        },
        IpProtocol::Udp => match UdpPacket::new_checked(bytes) {
            // A checksum of zero is none (RFC 768); over IPv6 there must be one (RFC 8200, section 8.1).
            Ok(udp) if udp.checksum() == 0 && source.is_ipv4() || good() => {
                Class::Udp(flow(udp.dst_port(), udp.src_port()))
            }
            _ => Class::Senseless,
        },
        // Echo replies: RFC 792 and RFC 4443, section 4.2.
        IpProtocol::Icmp if bytes.len() >= 8 && bytes[0] == 0 => {
            Class::EchoReply(u16::from_be_bytes([bytes[4], bytes[5]]))
        }
        IpProtocol::Icmpv6 if bytes.len() >= 8 && bytes[0] == 129 => {
            Class::EchoReply(u16::from_be_bytes([bytes[4], bytes[5]]))
        }
        IpProtocol::Icmpv6 if bytes.first().is_some_and(|kind| (133..=137).contains(kind)) => Class::Neighbour,
        _ => Class::Other,
    }
}

/// What an Ethernet frame is.
pub fn classify_frame(frame: &[u8], check: bool) -> Class {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Class::Senseless };
    match ethernet.ethertype() {
        EthernetProtocol::Arp => Class::Neighbour,
        EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => {
            let class = classify_packet(&frame[ETHERNET..], check);
            match class {
                // Such addresses never come from a network (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3).
                Class::Tcp { flow, .. } | Class::Udp(flow)
                    if flow.remote.is_loopback() || flow.local.is_loopback() || flow.remote.is_multicast() =>
                {
                    Class::Senseless
                }
                class => class,
            }
        }
        _ => Class::Other,
    }
}

/// Adds up 16-bit words (RFC 1071), in the byte order in which they lie.
fn sum(bytes: &[u8], mut total: u64) -> u64 {
    // The sum does not depend on the width of the words, only on carrying around. Of a block, one chain of additions with carry is made.
    let mut add = |words: &[[u8; 8]]| {
        let mut carry = false;
        for word in words {
            (total, carry) = total.carrying_add(u64::from_ne_bytes(*word), carry);
        }
        let (sum, carry) = total.overflowing_add(carry.into());
        total = sum + u64::from(carry);
    };
    let (blocks, rest) = bytes.as_chunks::<128>();
    for block in blocks {
        add(block.as_chunks().0);
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        add(&[*word]);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(&[last]);
    }
    total
}

/// Folds a sum to 16 bits, as a number in network byte order.
fn fold(total: u64) -> u16 {
    let total = (total >> 32) + (total & 0xffff_ffff);
    let total = (total >> 16) + (total & 0xffff);
    let total = (total >> 16) + (total & 0xffff);
    let total = (total >> 16) + (total & 0xffff);
    u16::from_be(total as u16)
}

/// The sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: IpProtocol, length: usize) -> u64 {
    let total = u64::from(u16::from(u8::from(protocol)).to_be()) + u64::from((length as u16).to_be());
    // Halves of 32 bits, of which so few do not overflow.
    let half = |bytes: &[u8; 4]| u64::from(u32::from_ne_bytes(*bytes));
    [source, destination].iter().fold(total, |total, address| match address {
        IpAddr::V4(v4) => total + half(&v4.octets()),
        IpAddr::V6(v6) => total + v6.octets().as_chunks().0.iter().map(half).sum::<u64>(),
    })
}

/// The sum over pseudo-header and packet, not complemented: 0xffff if the checksum in it is right.
fn checksum(source: IpAddr, destination: IpAddr, protocol: IpProtocol, bytes: &[u8]) -> u16 {
    fold(sum(bytes, pseudo_header(source, destination, protocol, bytes.len())))
}

/// Whether the checksum in a TCP segment is right. `addresses` are those of its packet, as they lie in it.
pub fn has_right_checksum(addresses: &[u8], segment: &[u8]) -> bool {
    let rest = u64::from(u16::from(u8::from(IpProtocol::Tcp)).to_be()) + u64::from((segment.len() as u16).to_be());
    fold(sum(segment, sum(addresses, rest))) == 0xffff
}

/// The checksum over a header that has none (RFC 791, section 3.1).
pub fn complement(header: &[u8]) -> u16 {
    !fold(sum(header, 0))
}

/// A checksum that is still to be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where the TCP or UDP header begins.
    pub start: usize,
    /// Where the checksum lies in it.
    pub at: usize,
}

/// Fills in the checksum of a TCP segment or UDP datagram, whose place holds zero; with `offload` only the part that a card wants to find
/// there. Returns where it lies, if it is such a packet.
pub fn fill_checksum(packet: &mut [u8], offload: bool) -> Option<Missing> {
    let Payload { protocol, start, end, source, destination } = payload(packet)?;
    let at = match protocol {
        IpProtocol::Tcp => 16,
        IpProtocol::Udp => 6,
        _ => return None,
    };
    let bytes = packet.get_mut(start..end).filter(|bytes| bytes.len() >= at + 2)?;
    bytes[at..at + 2].fill(0);
    let value = if offload {
        fold(pseudo_header(source, destination, protocol, bytes.len()))
    } else {
        match !checksum(source, destination, protocol, bytes) {
            // Zero would say that there is none.
            0 if protocol == IpProtocol::Udp => 0xffff,
            value => value,
        }
    };
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    Some(Missing { start, at })
}
