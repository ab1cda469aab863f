//! Datagrams: UDP, and ICMP echo.

use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Buffers};

use crate::io::{ErrorKind, Result};
use crate::sync::Mutex;

use super::address::{ToSocketAddrs, first};
use super::socket::{Direction, Socket};
use super::{DATAGRAM_BUFFERS, refusal};

/// A socket that is opened anew when the stack is restarted.
#[derive(Debug)]
struct Lasting {
    socket: Mutex<Arc<Socket>>,
    /// What it is bound to; `None`: it is for ICMP echo.
    local: Option<SocketAddr>,
}

impl Lasting {
    fn new(local: Option<SocketAddr>) -> Result<Self> {
        let (socket, local) = Self::open(local)?;
        Ok(Self { socket: Mutex::new(Arc::new(socket)), local })
    }

    fn open(local: Option<SocketAddr>) -> Result<(Socket, Option<SocketAddr>)> {
        let buffers: Buffers = DATAGRAM_BUFFERS;
        match local {
            Some(local) => {
                let opened = Socket::open(buffers, |client, slot| client.bind(slot, Address(local), buffers));
                opened
                    .map(|(socket, Address(local))| (socket, Some(local)))
                    .map_err(|error| refusal(error, format_args!("to use UDP port {}", local.port())))
            }
            None => Socket::open(buffers, |client, slot| client.echo(slot, buffers))
                .map(|(socket, ())| (socket, None))
                .map_err(|error| refusal(error, "to ping")),
        }
    }

    fn socket(&self) -> Result<Arc<Socket>> {
        let mut socket = self.socket.lock();
        if socket.is_stale() {
            let (new, _) = Self::open(self.local)?;
            new.take_options_of(&socket);
            *socket = Arc::new(new);
        }
        Ok(socket.clone())
    }

    /// Blocks on the socket, and on its successor after a restart.
    fn block<R>(&self, direction: Direction, attempt: impl Fn(&Socket) -> Result<Option<R>> + Copy) -> Result<R> {
        loop {
            let socket = self.socket()?;
            let attempt = || if socket.is_stale() { Ok(Some(None)) } else { Ok(attempt(&socket)?.map(Some)) };
            if let Some(result) = socket.block(direction, attempt)? {
                return Ok(result);
            }
        }
    }

    fn receive(&self, buffer: &mut [u8], keep: bool) -> Result<(usize, SocketAddr)> {
        let buffer = core::cell::RefCell::new(buffer);
        self.block(Direction::Read, |socket| socket.try_receive(&mut buffer.borrow_mut(), keep))
    }

    fn send(&self, address: SocketAddr, bytes: &[u8]) -> Result<usize> {
        self.block(Direction::Write, |socket| socket.try_send(address, bytes))
    }

    async fn receive_task(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        poll_fn(|context| {
            loop {
                let socket = self.socket()?;
                let attempt = || {
                    if socket.is_stale() { Ok(Some(None)) } else { Ok(socket.try_receive(buffer, false)?.map(Some)) }
                };
                match socket.poll(context, Direction::Read, attempt) {
                    core::task::Poll::Ready(Ok(None)) => {}
                    ready => return ready.map(|result| result.and_then(|got| got.ok_or(IoError::Other.into()))),
                }
            }
        })
        .await
    }

    fn set_timeout(&self, direction: Direction, limit: Option<Duration>) -> Result<()> {
        self.socket()?.set_timeout(direction, limit)
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    inner: Lasting,
    /// The only one that it speaks with, if there is one.
    peer: Mutex<Option<SocketAddr>>,
}

impl UdpSocket {
    /// A socket at the first of the addresses that is free; port 0 stands for any.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self> {
        let inner = first(address, |address| Lasting::new(Some(address)))?;
        Ok(Self { inner, peer: Mutex::new(None) })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.inner.local.ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Speaks with this address only.
    pub fn connect(&self, address: impl ToSocketAddrs) -> Result<()> {
        let address = first(address, Ok)?;
        *self.peer.lock() = Some(address);
        Ok(())
    }

    /// The only address that it speaks with.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.peer.lock().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Sends a datagram.
    pub fn send_to(&self, bytes: &[u8], address: impl ToSocketAddrs) -> Result<usize> {
        self.inner.send(first(address, Ok)?, bytes)
    }

    /// Sends a datagram to the one that it speaks with.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.inner.send(self.peer_addr()?, bytes)
    }

    /// Waits for a datagram: how many bytes, and where from. What does not fit into `buffer` is dropped.
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let peer = *self.peer.lock();
        loop {
            let received = self.inner.receive(buffer, false)?;
            if peer.is_none_or(|peer| peer == received.1) {
                return Ok(received);
            }
        }
    }

    /// As [`recv_from`](Self::recv_from), and the datagram stays.
    pub fn peek_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        self.inner.receive(buffer, true)
    }

    /// Waits for a datagram from the one that it speaks with.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.peer_addr()?;
        self.recv_from(buffer).map(|(count, _)| count)
    }

    /// Waits for a datagram, in a task.
    pub fn recv_from_task(&self, buffer: &mut [u8]) -> impl Future<Output = Result<(usize, SocketAddr)>> {
        self.inner.receive_task(buffer)
    }

    /// How long receiving waits at most; then it fails with `TimedOut`.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.inner.set_timeout(Direction::Read, limit)
    }

    /// How long sending waits at most.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.inner.set_timeout(Direction::Write, limit)
    }

    /// Whether receiving and sending fail with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.inner.socket()?.set_nonblocking(on);
        Ok(())
    }
}

/// A socket for ICMP echo: what `ping` sends, and the answers to it.
#[derive(Debug)]
pub struct EchoSocket {
    inner: Lasting,
}

impl EchoSocket {
    /// A socket.
    pub fn new() -> Result<Self> {
        Ok(Self { inner: Lasting::new(None)? })
    }

    /// Sends an echo request.
    pub fn send(&self, address: IpAddr, sequence: u16, bytes: &[u8]) -> Result<usize> {
        self.inner.send(SocketAddr::new(address, sequence), bytes)
    }

    /// Waits for an answer: how many bytes, from where, and to which request.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<(usize, IpAddr, u16)> {
        let (count, address) = self.inner.receive(buffer, false)?;
        Ok((count, address.ip(), address.port()))
    }

    /// How long receiving waits at most; then it fails with `TimedOut`.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.inner.set_timeout(Direction::Read, limit)
    }
}

/// Any address of the same family as `address`, with any port.
pub fn unspecified(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
