//! Sockets: the network stack and its clients.
//!
//! # Memory
//! Everything that the two share is the client's. A client's session has up to [`SLOTS`] *slots*, each for one socket at a time. The session's
//! first page ([`page`]) says which slots there is something new about; further pages hold [`SLOTS_PER_PAGE`] slots' *headers*
//! ([`header`]) each; and a slot's own pages hold two rings of bytes (`motte-ring`), what was received, and behind it what is to be sent.
//! Data and news pass through this memory; messages only open and close.
//!
//! # News
//! Whoever changed something that the other side waits for sets the slot's bit in the other's bit map, and then the bit of that bit map's word
//! in the other's *summary*. If the summary was zero before, it signals the other's notification: one signal for a batch, however many
//! slots it concerns. Who was woken takes the summary, and then the words of the bit map, by exchanging them for zero.
//!
//! Nobody signals what nobody waits for: a side that finds its ring full (or, with bytes left over that do not fit, the stack) says so by a
//! `WANTS_ROOM`, looks once more, and is told when there is room; see `motte-ring` for the race in this. Data that arrive and changes of
//! the state are always told.
//!
//! # Datagrams
//! A datagram in a ring is a [`DatagramHeader`] and its bytes.
//!
//! # Restart
//! A stack that was restarted knows nothing of its clients and answers with `ServiceRestarted`. The client begins its session anew,
//! listens again, and takes its connections for broken off. A client that waits for no answer keeps a call of [`Net::watch`] waiting, which ends when
//! the stack does.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::IoError;
use crate::{Cap, Reader, Wire, WireError, Writer, interface};

/// Slots of a session.
pub const SLOTS: usize = 4096;
/// Slots whose headers lie in one page.
pub const SLOTS_PER_PAGE: usize = 32;
/// The most bytes that a slot's two rings have together.
pub const MOST_BUFFERS: u64 = 1 << 20;
/// The most bytes of a datagram, its header not counted.
pub const MOST_DATAGRAM: usize = 65507;

/// Words of a session's first page.
pub mod page {
    /// The stack's summary: bit `n` says that word `n` of [`TO_STACK`] has bits. The client sets, the stack takes.
    pub const STACK_SUMMARY: usize = 0;
    /// The client's summary, of [`TO_CLIENT`].
    pub const CLIENT_SUMMARY: usize = 8;
    /// News for the stack: one bit a slot.
    pub const TO_STACK: usize = 64;
    /// News for the client.
    pub const TO_CLIENT: usize = 128;
}

/// Words of a slot's header.
pub mod header {
    /// Words from one header to the next.
    pub const WORDS: usize = 16;
    /// Bytes ever put into the ring of what was received. The stack's.
    pub const RECEIVED: usize = 0;
    /// Bytes ever taken from the ring of what is to be sent. The stack's.
    pub const SENT: usize = 1;
    /// The socket's [`state`](super::state). The stack's.
    pub const STATE: usize = 2;
    /// Bytes ever taken from the ring of what was received. The client's.
    pub const TAKEN: usize = 8;
    /// Bytes ever put into the ring of what is to be sent. The client's.
    pub const PUT: usize = 9;
    /// What the client [wants](super::wants). The client's.
    pub const WANTS: usize = 10;
}

/// Bits of a socket's state, which the stack writes.
pub mod state {
    /// It is connected, or a socket for datagrams.
    pub const OPEN: u64 = 1;
    /// Nothing will be received any more but what lies in the ring.
    pub const RECEIVED_ALL: u64 = 1 << 1;
    /// Nothing can be sent any more.
    pub const CANNOT_SEND: u64 = 1 << 2;
    /// A listener has connections to accept.
    pub const ACCEPTABLE: u64 = 1 << 3;
    /// The stack has more than fits into the ring of what was received, and wants to be told of room.
    pub const WANTS_ROOM: u64 = 1 << 4;
    /// From this bit on: why it failed, as [`error`].
    pub const ERROR_SHIFT: u32 = 8;

    use crate::error::IoError;

    const ERRORS: [IoError; 6] = [
        IoError::ConnectionRefused,
        IoError::ConnectionReset,
        IoError::TimedOut,
        IoError::NetworkUnreachable,
        IoError::HostUnreachable,
        IoError::ConnectionAborted,
    ];

    /// The bits for an error.
    pub fn of_error(error: IoError) -> u64 {
        let known = ERRORS.iter().position(|&candidate| candidate == error);
        (known.map_or(ERRORS.len(), |index| index + 1) as u64) << ERROR_SHIFT
    }

    /// The error that a state says.
    pub fn error(state: u64) -> Option<IoError> {
        match (state >> ERROR_SHIFT) & 0xff {
            0 => None,
            number => Some(ERRORS.get(number as usize - 1).copied().unwrap_or(IoError::ConnectionAborted)),
        }
    }
}

/// Bits of what a client wants of a socket.
pub mod wants {
    /// To be told when there is room in the ring of what is to be sent.
    pub const ROOM: u64 = 1;
    /// That the connection's end follows what lies in that ring.
    pub const FINISH: u64 = 1 << 1;
}

/// What [`Net::wait`] waits for; its answer has the same bits.
pub mod ready {
    /// Something can be read or accepted, or nothing ever will be.
    pub const READ: u64 = 1;
    /// Something can be written, or nothing ever will be.
    pub const WRITE: u64 = 1 << 1;
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub SocketAddr);

/// An address of IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip(pub IpAddr);

impl Ip {
    /// As 16 bytes: IPv4 in the form of RFC 4291, section 2.5.5.2.
    pub fn to_bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    /// From 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ipv6Addr::from(bytes).to_canonical())
    }
}

impl Wire for Ip {
    fn put(&self, writer: &mut Writer<'_>) {
        let number = u128::from_be_bytes(self.to_bytes());
        writer.word((number >> 64) as u64);
        writer.word(number as u64);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let number = u128::from(reader.word()?) << 64 | u128::from(reader.word()?);
        Ok(Self::from_bytes(number.to_be_bytes()))
    }
}

impl Wire for Address {
    fn put(&self, writer: &mut Writer<'_>) {
        Wire::put(&Ip(self.0.ip()), writer);
        writer.word(self.0.port().into());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let Ip(ip) = Ip::take(reader)?;
        let port = u16::try_from(reader.word()?).map_err(|_| WireError::Invalid)?;
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

/// Any address of IPv4, and any port.
pub const ANY: Address = Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

/// Bytes of a socket's two rings. Their sum is what the slot's pages hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Wire)]
pub struct Buffers {
    /// Of what was received.
    pub receive: u64,
    /// Of what is to be sent.
    pub send: u64,
}

impl Buffers {
    /// None: of a listener.
    pub const NONE: Self = Self { receive: 0, send: 0 };

    /// Pages of both together, in fours; `None` if it is too much.
    pub fn pages(self) -> Option<usize> {
        let bytes = self.receive.checked_add(self.send).filter(|&bytes| bytes <= MOST_BUFFERS)?;
        Some((bytes.div_ceil(4096) as usize).next_multiple_of(4))
    }
}

/// What stands before a datagram in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramHeader {
    /// Bytes that follow.
    pub length: u16,
    /// Of a datagram that was received, from where; of one that is to be sent, whereto. The port of an ICMP socket's is the echo's
    /// sequence number.
    pub address: SocketAddr,
}

impl DatagramHeader {
    /// Bytes that it takes.
    pub const BYTES: usize = 20;

    /// As bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&self.length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.address.port().to_le_bytes());
        bytes[4..].copy_from_slice(&Ip(self.address.ip()).to_bytes());
        bytes
    }

    /// From bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [l0, l1, p0, p1, ip @ ..] = bytes;
        let address = SocketAddr::new(Ip::from_bytes(ip).0, u16::from_le_bytes([p0, p1]));
        Self { length: u16::from_le_bytes([l0, l1]), address }
    }
}

/// What kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum SocketKind {
    /// Waits for connections.
    Listener,
    /// A connection.
    Stream,
    /// UDP.
    Datagram,
    /// ICMP echo.
    Echo,
}

/// Which addresses a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum Family {
    /// Both.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The network stack, for programs.
#[interface("net")]
pub trait Net {
    /// Begins a session with its first page, all zero; what the client had is closed. Returns the notification to signal the stack by.
    #[idempotent]
    fn begin(&self, page: Cap) -> Result<Cap, IoError>;
    /// Lends page number `index` of slots' headers.
    #[idempotent]
    fn lend_headers(&self, index: u64, page: Cap) -> Result<(), IoError>;
    /// Lends four pages of a slot's; `place` is the slot and the number of the first page. One four follows the other; page 0 begins anew.
    #[idempotent]
    fn lend(&self, place: (u64, u64), a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError>;
    /// The notification to signal at news. Until there is one, nothing is told.
    #[idempotent]
    fn wake_by(&self, notification: Cap) -> Result<(), IoError>;
    /// Never answered: ends when the stack does.
    #[deferred]
    fn watch(&self) -> Result<(), IoError>;

    /// Begins to connect. The words of the slot's header are zero, as for all that open. Returns the local address.
    fn connect(&self, slot: u64, remote: Address, buffers: Buffers) -> Result<Address, IoError>;
    /// Listens; at most `backlog` connections wait to be accepted, each with buffers of this size. Returns the local address.
    fn listen(&self, slot: u64, local: Address, backlog: u64, buffers: Buffers) -> Result<Address, IoError>;
    /// Takes a connection that waits: local and remote address. `WouldBlock` if there is none.
    fn accept(&self, listener: u64, slot: u64, buffers: Buffers) -> Result<(Address, Address), IoError>;
    /// Opens a socket for datagrams. Returns the local address.
    fn bind(&self, slot: u64, local: Address, buffers: Buffers) -> Result<Address, IoError>;
    /// Opens a socket for ICMP echo requests, and the answers to them.
    fn echo(&self, slot: u64, buffers: Buffers) -> Result<(), IoError>;
    /// Returns when one of these is so ([`ready`]), with which; 0 when `timeout_ns` is over (`u64::MAX`: never).
    #[deferred]
    fn wait(&self, slot: u64, what: u64, timeout_ns: u64) -> Result<u64, IoError>;
    /// Closes. What lies in the ring is still sent; the slot can be used again at once.
    fn close(&self, slot: u64) -> Result<(), IoError>;
    /// Closes and breaks the connection off.
    fn abort(&self, slot: u64) -> Result<(), IoError>;

    /// The addresses of a name.
    #[deferred]
    #[idempotent]
    fn lookup(&self, name: &str, family: Family) -> Result<Vec<Ip>, IoError>;
}

/// A socket, as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SocketInfo {
    /// Its number; [`NetAdmin::sockets`] goes on behind it.
    pub number: u64,
    /// Its kind.
    pub kind: SocketKind,
    /// `LISTEN`, `ESTABLISHED`, … as RFC 9293 has them.
    pub state: String,
    /// Badge of the client that has it ([`crate::badge`]); 0: nobody any more.
    pub owner: u64,
    /// Local address.
    pub local: Address,
    /// The other side's; unspecified if there is none.
    pub remote: Address,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Connections that wait to be accepted, or bytes that wait to be sent.
    pub waiting: u64,
}

/// What the stack has counted since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Wire)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counters {
    pub frames_received: u64,
    pub frames_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Frames that made no sense or had a wrong checksum.
    pub malformed: u64,
    /// Frames that nobody wanted.
    pub dropped: u64,
    pub connections_opened: u64,
    pub connections_accepted: u64,
    pub connections_failed: u64,
    pub resets_sent: u64,
    pub resets_received: u64,
    /// Connections refused because a listener's backlog or a quota was full.
    pub backlog_full: u64,
    pub datagrams_received: u64,
    pub datagrams_sent: u64,
    /// Datagrams dropped because nobody took them in time.
    pub datagrams_dropped: u64,
    pub lookups: u64,
    pub lookups_cached: u64,
    /// How often the driver was attached.
    pub driver_attached: u64,
    /// Sockets open.
    pub sockets: u64,
    /// Bytes of the stack's memory that sockets take.
    pub socket_bytes: u64,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct InterfaceInfo {
    /// `lo`, `eth0`.
    pub name: String,
    /// Whether frames can be sent.
    pub up: bool,
    /// Ethernet address, in the low 48 bits; 0 for none.
    pub hardware: u64,
    /// Largest packet.
    pub mtu: u64,
    /// Addresses, each with the length of its prefix.
    pub addresses: Vec<(Ip, u64)>,
    /// Router for IPv4.
    pub gateway4: Option<Ip>,
    /// Router for IPv6.
    pub gateway6: Option<Ip>,
    /// Name servers.
    pub name_servers: Vec<Ip>,
    /// Whether addresses come by DHCP.
    pub dhcp: bool,
}

/// Looking at the stack and setting it up. Served beside [`Net`], on the same endpoint.
#[interface("net-admin", base = 0x200)]
pub trait NetAdmin {
    /// The first socket whose number is at least `from`; `NotFound` after the last.
    #[idempotent]
    fn sockets(&self, from: u64) -> Result<SocketInfo, IoError>;
    /// What was counted.
    #[idempotent]
    fn counters(&self) -> Result<Counters, IoError>;
    /// Interface number `index`; `NotFound` after the last.
    #[idempotent]
    fn interface(&self, index: u64) -> Result<InterfaceInfo, IoError>;
    /// Gives an interface an address. DHCP ends. For those whom the manifest grants `admin`, as all that follows.
    #[idempotent]
    fn add_address(&self, interface: &str, address: Ip, prefix: u64) -> Result<(), IoError>;
    /// Takes an address away.
    #[idempotent]
    fn remove_address(&self, interface: &str, address: Ip) -> Result<(), IoError>;
    /// Sets or removes the router of that family.
    #[idempotent]
    fn set_gateway(&self, family: Family, gateway: Option<Ip>) -> Result<(), IoError>;
    /// Sets the name servers.
    #[idempotent]
    fn set_name_servers(&self, servers: &[Ip]) -> Result<(), IoError>;
    /// Switches DHCP on or off.
    #[idempotent]
    fn set_dhcp(&self, on: bool) -> Result<(), IoError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_a_datagrams_header_is_read_as_it_was_put() {
        for address in ["10.0.2.15:53", "[fe80::1]:65535", "0.0.0.0:0", "[::1]:1"] {
            let header = DatagramHeader { length: 1472, address: address.parse().unwrap() };
            assert_eq!(DatagramHeader::from_bytes(header.to_bytes()), header);
        }
    }

    #[test]
    fn an_error_in_a_state_is_read_as_it_was_put() {
        let errors = [IoError::ConnectionRefused, IoError::ConnectionReset, IoError::TimedOut];
        for error in errors {
            assert_eq!(state::error(state::OPEN | state::of_error(error)), Some(error));
        }
        assert_eq!(state::error(state::OPEN | state::RECEIVED_ALL), None);
        assert_eq!(state::error(state::of_error(IoError::Busy)), Some(IoError::ConnectionAborted));
    }

    #[test]
    fn buffers_take_whole_fours_of_pages() {
        assert_eq!(Buffers { receive: 4096, send: 8192 }.pages(), Some(4));
        assert_eq!(Buffers { receive: 16384, send: 16385 }.pages(), Some(12));
        assert_eq!(Buffers { receive: u64::MAX, send: 2 }.pages(), None);
    }
}
