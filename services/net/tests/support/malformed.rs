//! Frames of every layer, and ways to spoil them.
#![allow(dead_code, reason = "each test uses a part")]

use motte_net::frame::{ETHERNET, complement, fill_checksum};
use smoltcp::wire::{Icmpv6Packet, Ipv4Packet, Ipv6Address};

/// Numbers that are the same at every run (xorshift64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// How many frames are spoilt, and the numbers by which: the same at every run, unless `MOTTE_FRAMES` and `MOTTE_SEED` say otherwise.
pub fn cases() -> (usize, Random) {
    let number = |name, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (count, seed) = (number("MOTTE_FRAMES", 20_000), number("MOTTE_SEED", 0x5eed).max(1));
    eprintln!("{count} frames by seed {seed}");
    (count as usize, Random(seed))
}

/// Addresses of who sends and of who is sent to.
#[derive(Clone, Copy)]
pub struct Ends {
    pub hardware: [[u8; 6]; 2],
    pub v4: [[u8; 4]; 2],
}

impl Ends {
    fn frame(&self, ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let [from, to] = self.hardware;
        [&to, &from, &ethertype.to_be_bytes()[..], packet].concat()
    }

    /// The address that a card takes by itself (RFC 4291, appendix A).
    fn v6(&self, end: usize) -> [u8; 16] {
        let [a, b, c, d, e, f] = self.hardware[end];
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]
    }

    fn ipv4(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let [length_high, length_low] = (20 + payload.len() as u16).to_be_bytes();
        let header = [0x45, 0, length_high, length_low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        let mut frame = self.frame(0x0800, &[&header, &self.v4[0][..], &self.v4[1], payload].concat());
        mend(&mut frame);
        frame
    }

    fn ipv6(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let [length_high, length_low] = (payload.len() as u16).to_be_bytes();
        let header = [0x60, 0, 0, 0, length_high, length_low, protocol, 255];
        let mut frame = self.frame(0x86dd, &[&header, &self.v6(0)[..], &self.v6(1), payload].concat());
        mend(&mut frame);
        frame
    }

    /// A request for a connection, from this port to that.
    pub fn syn(&self, from: u16, to: u16, sequence: u32) -> Vec<u8> {
        self.ipv4(6, &tcp(from, to, sequence, 2, &[]))
    }
}

fn tcp(from: u16, to: u16, sequence: u32, flags: u8, rest: &[u8]) -> Vec<u8> {
    let words = if flags & 2 == 0 { 5 } else { 6 };
    let options: &[u8] = if flags & 2 == 0 { &[] } else { &[2, 4, 5, 0xb4] };
    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
    let fields = [words << 4, flags, 0x20, 0, 0, 0, 0, 0];
    [&from, &to, &sequence.to_be_bytes()[..], &[0; 4], &fields, options, rest].concat()
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&from.to_be_bytes(), &to.to_be_bytes(), &length, &[0, 0][..], payload].concat()
}

/// An offer of an address (RFC 2131).
fn offer(ends: &Ends) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[16..20].copy_from_slice(&ends.v4[1]);
    message[28..34].copy_from_slice(&ends.hardware[1]);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    let [a, b, c, d] = ends.v4[0];
    message.extend([53, 1, 2, 54, 4, a, b, c, d, 51, 4, 0, 0, 1, 0, 1, 4, 255, 255, 255, 0, 3, 4, a, b, c, d, 255]);
    message
}

/// An answer to the question for the address of `a.org` (RFC 1035).
pub fn name_answer(identifier: u16) -> Vec<u8> {
    let name = [1, b'a', 3, b'o', b'r', b'g', 0];
    let [high, low] = identifier.to_be_bytes();
    let head = [high, low, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    [&head, &name[..], &[0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]].concat()
}

/// A frame of each kind: Ethernet without anything known in it, ARP, and over both families ICMP, UDP and TCP, with DHCP, DNS and neighbour discovery.
pub fn every_layer(ends: &Ends) -> Vec<Vec<u8>> {
    let ([from, to], [from4, to4]) = (ends.hardware, ends.v4);
    let arp = |operation| [&[0, 1, 8, 0, 6, 4, 0, operation], &from[..], &from4, &to, &to4].concat();
    let echo = |kind| [&[kind, 0, 0, 0, 0, 1, 0, 1][..], &[7; 56]].concat();
    let neighbour = |kind: u8, option: u8| {
        [&[kind, 0, 0, 0, 0x60, 0, 0, 0][..], &ends.v6(usize::from(kind == 135)), &[option, 1], &from].concat()
    };
    let router = [&[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1][..], &from].concat();
    vec![
        ends.frame(0x88b5, &[1; 46]),
        ends.frame(0x0806, &arp(1)),
        ends.frame(0x0806, &arp(2)),
        ends.ipv4(1, &echo(8)),
        ends.ipv4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28][..], &[0; 16]].concat()),
        ends.ipv4(17, &udp(1000, 2000, b"nobody is there")),
        ends.ipv4(17, &udp(67, 68, &offer(ends))),
        ends.ipv4(17, &udp(53, 50000, &name_answer(1))),
        ends.syn(1000, 80, 1),
        ends.ipv4(6, &tcp(1000, 80, 2, 16, b"GET / HTTP/1.1\r\n\r\n")),
        ends.ipv4(6, &tcp(1000, 80, 2, 1 | 16, &[])),
        ends.ipv4(6, &tcp(1000, 80, 2, 4, &[])),
        ends.ipv4(47, &[3; 40]),
        ends.ipv6(58, &echo(128)),
        ends.ipv6(58, &neighbour(135, 1)),
        ends.ipv6(58, &neighbour(136, 2)),
        ends.ipv6(58, &router),
        ends.ipv6(17, &udp(1000, 2000, b"nobody is there")),
        ends.ipv6(6, &tcp(1000, 80, 1, 2, &[])),
        // A header of options, and one of fragments, before the segment.
        ends.ipv6(0, &[&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(1000, 80, 1, 2, &[])].concat()),
        ends.ipv6(44, &[&[6, 0, 0, 1, 0, 0, 0, 9][..], &tcp(1000, 80, 1, 2, &[])].concat()),
    ]
}

/// Gives a frame right checksums, as far as it has any.
fn mend(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(ETHERNET..).filter(|packet| packet.len() >= 40) else { return };
    let _ = fill_checksum(packet, false);
    if packet[0] >> 4 == 4
        && let Ok(mut ip) = Ipv4Packet::new_checked(&mut packet[..])
        && ip.header_len() >= 20
    {
        ip.fill_checksum();
        let (start, end) = (usize::from(ip.header_len()), usize::from(ip.total_len()));
        if packet[9] == 1
            && let Some(message) = packet.get_mut(start..end).filter(|message| message.len() >= 4)
        {
            message[2..4].fill(0);
            let checksum = complement(message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
    } else if packet[0] >> 4 == 6 && packet[6] == 58 && packet.len() > 44 {
        let (header, message) = packet.split_at_mut(40);
        let address = |at: usize| header[at..].first_chunk::<16>().map(|octets| Ipv6Address::from(*octets));
        if let (Some(from), Some(to)) = (address(8), address(24)) {
            Icmpv6Packet::new_unchecked(message).fill_checksum(&from, &to);
        }
    }
}

/// Changes a frame in one of many ways, here and there with bytes of another.
pub fn spoil(random: &mut Random, frame: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..1 + random.below(4) {
        let length = frame.len();
        match random.below(8) {
            0 => frame.truncate(random.below(length)),
            1 => frame.extend((0..random.below(64)).map(|n| n as u8)),
            2 if length > 0 => {
                let at = random.below(length);
                frame[at] = random.next() as u8;
            }
            3 if length > 0 => {
                let at = random.below(length);
                frame[at] ^= 1 << random.below(8);
            }
            // Headers lie in the first bytes.
            4 if length > 60 => {
                let at = random.below(60);
                frame[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
            }
            5 if length > 0 && !other.is_empty() => {
                let (at, from) = (random.below(length), random.below(other.len()));
                let count = random.below(40).min(length - at).min(other.len() - from);
                frame[at..at + count].copy_from_slice(&other[from..from + count]);
            }
            6 if length > 16 => {
                let at = random.below(length - 1);
                let word = random.next() as u16;
                frame[at..at + 2].copy_from_slice(&word.to_be_bytes());
            }
            _ => {}
        }
    }
    frame.truncate(1514);
    // Half of them with right checksums, so that what lies behind these is reached.
    if random.below(2) == 0 {
        mend(frame);
    }
}
