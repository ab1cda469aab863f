//! Sockets, in the shape of `std::net`.
//!
//! Reading and writing copy between the caller's memory and rings that are shared with the network stack; a system call is made only to
//! wait. A program that waits for many sockets at once does so with tasks: [`wake_tasks`] once, and then [`TcpListener::accept_task`],
//! [`crate::aio::AsyncRead`] and [`crate::aio::AsyncWrite`].
//!
//! When the stack is restarted, connections fail with `ConnectionReset`; listeners and sockets for datagrams go on: they are opened anew
//! in its successor.

mod address;
mod datagram;
mod reactor;
mod session;
mod socket;
mod tcp;

pub use address::{ToSocketAddrs, lookup};
pub use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use datagram::{EchoSocket, UdpSocket, unspecified};
pub use motte_interfaces::net::{Buffers, Family};
pub use reactor::wake_tasks;
pub use tcp::{Incoming, TcpListener, TcpStream};

use motte_interfaces::net::NetAdminClient;

use crate::io::{self, Result};
use crate::service::Connection;

/// Buffers of a connection that the program begins, unless it says otherwise.
pub const CONNECT_BUFFERS: Buffers = Buffers { receive: 32768, send: 32768 };
/// Buffers of a connection that comes in, unless the listener says otherwise.
pub const ACCEPT_BUFFERS: Buffers = Buffers { receive: 8192, send: 8192 };
/// Buffers of a socket for datagrams.
pub const DATAGRAM_BUFFERS: Buffers = Buffers { receive: 16384, send: 16384 };
/// Connections that wait to be accepted, at most, unless the listener says otherwise.
pub const BACKLOG: u64 = 128;

/// Which half of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Nothing more is read.
    Read,
    /// Nothing more is written.
    Write,
    /// Both.
    Both,
}

/// A refusal as a sentence: what was not allowed.
fn refusal(error: io::Error, what: impl core::fmt::Display) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            io::ErrorKind::PermissionDenied,
            alloc::format!("the manifest does not allow this program {what}"),
        ),
        _ => error,
    }
}

/// Looking at the network stack and setting it up.
pub fn admin() -> Result<NetAdminClient<Connection>> {
    Ok(NetAdminClient::new(*session::session()?.client.transport()))
}
