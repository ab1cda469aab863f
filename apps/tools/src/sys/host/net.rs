//! Sockets: std's, and no network stack to look at.

pub use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use alloc::vec::Vec;
use std::net::ToSocketAddrs;

pub use motte_interfaces::net::Family;
use motte_interfaces::net::NetAdminClient;
use motte_interfaces::{CallError, Method, Reader, Transport, Writer};

use super::io::{ErrorKind, Result};

/// The addresses of a name.
pub fn lookup(name: &str, family: Family) -> Result<Vec<IpAddr>> {
    let wanted = |address: &IpAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).filter(wanted).collect())
}

/// Any address of the same family, and any port.
pub fn unspecified(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => ([0; 16], 0).into(),
    }
}

/// A socket for ICMP echo, which a host program does not get.
pub struct EchoSocket(());

impl EchoSocket {
    /// Refused.
    pub fn new() -> Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Sends an echo request.
    pub fn send(&self, _: IpAddr, _: u16, _: &[u8]) -> Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Waits for an answer.
    pub fn recv(&self, _: &mut [u8]) -> Result<(usize, IpAddr, u16)> {
        Err(ErrorKind::Unsupported.into())
    }

    /// How long receiving waits at most.
    pub fn set_read_timeout(&self, _: Option<std::time::Duration>) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// The way to a network stack that is not there.
pub struct Nowhere;

impl Transport for Nowhere {
    fn call<R>(
        &self,
        _: &Method,
        _: impl Fn(&mut Writer<'_>),
        _: impl FnOnce(u64, &mut Reader<'_>) -> core::result::Result<R, CallError>,
    ) -> core::result::Result<R, CallError> {
        Err(CallError::Gone)
    }
}

/// Looking at the network stack and setting it up.
pub fn admin() -> Result<NetAdminClient<Nowhere>> {
    Ok(NetAdminClient::new(Nowhere))
}
