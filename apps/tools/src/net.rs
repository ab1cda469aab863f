//! What the network tools have in common.

use alloc::string::String;

use crate::args;
use crate::context::{Context, Failure};
use crate::sys::io::{Error, ErrorKind, Result};
use crate::sys::net::{self, Family, IpAddr, SocketAddr, TcpStream};
use crate::sys::time::Duration;
use crate::text::nanoseconds;

/// An option's time in seconds, or the one that is meant without.
pub fn seconds(context: &Context, text: Option<&str>, default: Duration) -> core::result::Result<Duration, Failure> {
    let Some(text) = text else { return Ok(default) };
    match nanoseconds(text) {
        Some(nanos) if nanos > 0 => Ok(Duration::from_nanos(nanos)),
        _ => Err(args::misuse(context, format_args!("'{text}' is no time such as 0.5 or 2m"))),
    }
}

/// An operand's port.
pub fn port(context: &Context, text: &str) -> core::result::Result<u16, Failure> {
    match text.parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(args::misuse(context, format_args!("'{text}' is no port; ports are numbers from 1 to 65535"))),
    }
}

/// The addresses of a host, at least one.
pub fn addresses(host: &str, family: Family) -> Result<alloc::vec::Vec<IpAddr>> {
    let addresses = net::lookup(host, family)?;
    if addresses.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("{host}: no such host")));
    }
    Ok(addresses)
}

/// Connects to a host, at the first of its addresses that answers.
pub fn dial(host: &str, port: u16, patience: Duration) -> Result<TcpStream> {
    let mut failure = None;
    for address in addresses(host, Family::Any)? {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| ErrorKind::HostUnreachable.into()))
}

/// Milliseconds with three digits behind the point.
pub fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
