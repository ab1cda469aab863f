//! Addresses out of what people write.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Family, Ip};

use crate::io::{Error, ErrorKind, Result};

use super::session::session;

/// What stands for addresses.
pub trait ToSocketAddrs {
    /// The addresses, the one to try first at the front.
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>>;
}

/// The addresses of a name. An address in text is its own.
pub fn lookup(name: &str, family: Family) -> Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let session = session()?;
    let answer = match session.client.lookup(name, family) {
        Err(IoError::NotFound) => return Err(Error::new(ErrorKind::NotFound, format!("{name}: no such host"))),
        answer => answer?,
    };
    Ok(answer.into_iter().map(|Ip(address)| address).collect())
}

/// The first of a number of addresses with which `attempt` succeeds.
pub(super) fn first<R>(addresses: impl ToSocketAddrs, mut attempt: impl FnMut(SocketAddr) -> Result<R>) -> Result<R> {
    let mut last = Error::new(ErrorKind::InvalidInput, "there is no address");
    for address in addresses.to_socket_addrs()? {
        match attempt(address) {
            Ok(result) => return Ok(result),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn one(address: impl Into<SocketAddr>) -> Result<vec::IntoIter<SocketAddr>> {
    Ok(vec![address.into()].into_iter())
}

impl ToSocketAddrs for SocketAddr {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for SocketAddrV4 {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for SocketAddrV6 {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for (IpAddr, u16) {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for (Ipv4Addr, u16) {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for (Ipv6Addr, u16) {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        one(*self)
    }
}

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        Ok(Vec::from(self).into_iter())
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        let addresses = lookup(self.0, Family::Any)?;
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, self.1)).collect::<Vec<_>>().into_iter())
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return one(address);
        }
        let (host, port) = split(self).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("`{self}` is no address with a port, such as `example.org:80`"))
        })?;
        (host, port).to_socket_addrs()
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        self.as_str().to_socket_addrs()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> Result<vec::IntoIter<SocketAddr>> {
        (**self).to_socket_addrs()
    }
}

/// Host and port.
fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    (!host.is_empty() && !host.contains(':')).then_some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_text_need_no_lookup() {
        let addresses: Vec<_> = "[::1]:80".to_socket_addrs().unwrap().collect();
        assert_eq!(addresses, [SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 80)]);
        assert_eq!(("127.0.0.1", 7).to_socket_addrs().unwrap().next(), Some(([127, 0, 0, 1], 7).into()));
    }

    #[test]
    fn what_has_no_port_is_refused_with_a_sentence() {
        for text in ["example.org", "::1", ":80", "example.org:http"] {
            let error = text.to_socket_addrs().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
        }
        assert_eq!(split("example.org:80"), Some(("example.org", 80)));
    }
}
