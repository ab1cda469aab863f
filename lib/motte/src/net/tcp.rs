//! TCP: connections and listeners.

use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::task::{Context, Poll};
use core::time::Duration;

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Buffers, state};

use crate::aio::{AsyncRead, AsyncWrite};
use crate::io::{Read, Result, Write};
use crate::sync::Mutex;
use crate::time::Instant;

use super::address::{ToSocketAddrs, first};
use super::socket::{Direction, Socket};
use super::{ACCEPT_BUFFERS, BACKLOG, CONNECT_BUFFERS, Shutdown, refusal};

/// A connection. It is closed when the last of its handles is dropped; what was written is still sent.
#[derive(Clone, Debug)]
pub struct TcpStream {
    socket: Arc<Socket>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl TcpStream {
    fn begin(address: SocketAddr, buffers: Buffers) -> Result<Self> {
        let (socket, Address(local)) =
            Socket::open(buffers, |client, slot| client.connect(slot, Address(address), buffers))
                .map_err(|error| refusal(error, format_args!("to connect to {address}")))?;
        Ok(Self { socket: Arc::new(socket), local, peer: address })
    }

    /// `Some` when the connection is there, or has failed.
    fn connected(&self) -> Result<Option<()>> {
        // One that has been there and ended has been there.
        if self.socket.state() & (state::OPEN | state::RECEIVED_ALL) != 0 && !self.socket.is_stale() {
            if let Some(error) = state::error(self.socket.state()) {
                return Err(error.into());
            }
            return Ok(Some(()));
        }
        self.socket.try_read(&mut [0; 1]).map(|_| None)
    }

    /// Connects; tries one address after the other.
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self> {
        first(address, |address| {
            let stream = Self::begin(address, CONNECT_BUFFERS)?;
            stream.socket.block(Direction::Write, || stream.connected())?;
            Ok(stream)
        })
    }

    /// Connects within `limit`, or fails with `TimedOut`.
    pub fn connect_timeout(address: &SocketAddr, limit: Duration) -> Result<Self> {
        let stream = Self::begin(*address, CONNECT_BUFFERS)?;
        let deadline = Instant::now() + limit;
        while stream.connected()?.is_none() {
            stream.socket.wait(Direction::Write, Some(deadline))?;
        }
        Ok(stream)
    }

    /// Connects, in a task.
    pub async fn connect_task(address: SocketAddr) -> Result<Self> {
        let stream = Self::begin(address, CONNECT_BUFFERS)?;
        poll_fn(|context| stream.socket.poll(context, Direction::Write, || stream.connected())).await?;
        Ok(stream)
    }

    /// The other side's address.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        Ok(self.peer)
    }

    /// This side's address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.local)
    }

    /// Ends one half, or both. Who reads a half that is ended gets what has come, and then nothing.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if how != Shutdown::Write {
            self.socket.stop_reading();
        }
        if how != Shutdown::Read { self.socket.finish() } else { Ok(()) }
    }

    /// A second handle to the connection.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(self.clone())
    }

    /// How long reading waits at most; then it fails with `TimedOut`.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.socket.set_timeout(Direction::Read, limit)
    }

    /// How long writing waits at most.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.socket.set_timeout(Direction::Write, limit)
    }

    /// How long reading waits at most.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        Ok(self.socket.timeout(Direction::Read))
    }

    /// How long writing waits at most.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        Ok(self.socket.timeout(Direction::Write))
    }

    /// Whether reading and writing fail with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.socket.set_nonblocking(on);
        Ok(())
    }

    /// Has the connection broken off instead of ended when the last handle is dropped.
    pub fn abort(&self) {
        self.socket.abort();
    }

    fn read_some(&self, buffer: &mut [u8]) -> Result<usize> {
        self.socket.block(Direction::Read, || self.socket.try_read(buffer))
    }

    fn write_some(&self, buffer: &[u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.socket.block(Direction::Write, || self.socket.try_write(buffer))
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_some(buffer)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.write_some(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read_some(buffer)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.write_some(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.socket.poll(context, Direction::Read, || self.socket.try_read(buffer))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket.poll(context, Direction::Write, || self.socket.try_write(buffer))
    }

    fn finish(&mut self) -> Result<()> {
        self.socket.finish()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        (&*self).poll_read(context, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        (&*self).poll_write(context, buffer)
    }

    fn finish(&mut self) -> Result<()> {
        self.socket.finish()
    }
}

/// What a listener asked for, to ask for it again.
#[derive(Clone, Copy, Debug)]
struct Request {
    local: SocketAddr,
    backlog: u64,
    buffers: Buffers,
}

/// Waits for connections. It outlives a restart of the network stack.
#[derive(Debug)]
pub struct TcpListener {
    socket: Mutex<Arc<Socket>>,
    request: Request,
}

impl TcpListener {
    /// Listens at the first of the addresses that is free.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self> {
        first(address, |address| Self::bind_with(address, BACKLOG, ACCEPT_BUFFERS))
    }

    /// Listens; so many connections may wait to be accepted, and each has these buffers.
    pub fn bind_with(address: SocketAddr, backlog: u64, buffers: Buffers) -> Result<Self> {
        let mut request = Request { local: address, backlog, buffers };
        let (socket, local) = Self::listen(&request)?;
        request.local = local;
        Ok(Self { socket: Mutex::new(Arc::new(socket)), request })
    }

    fn listen(request: &Request) -> Result<(Socket, SocketAddr)> {
        let (socket, Address(local)) = Socket::open(Buffers::NONE, |client, slot| {
            client.listen(slot, Address(request.local), request.backlog, request.buffers)
        })
        .map_err(|error| refusal(error, format_args!("to listen at port {}", request.local.port())))?;
        Ok((socket, local))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.request.local)
    }

    /// The socket, opened anew if the stack was restarted.
    fn socket(&self) -> Result<Arc<Socket>> {
        let mut socket = self.socket.lock();
        if socket.is_stale() {
            let (new, _) = Self::listen(&self.request)?;
            new.take_options_of(&socket);
            *socket = Arc::new(new);
        }
        Ok(socket.clone())
    }

    fn try_accept(&self, socket: &Socket) -> Result<Option<(TcpStream, SocketAddr)>> {
        if socket.state() & state::ACCEPTABLE == 0 {
            return Ok(None);
        }
        let (listener, buffers) = (socket.number() as u64, self.request.buffers);
        let open = socket.open_known(buffers, |client, slot| client.accept(listener, slot, buffers));
        match open {
            Ok((socket, (Address(local), Address(peer)))) => {
                Ok(Some((TcpStream { socket: Arc::new(socket), local, peer }, peer)))
            }
            Err(IoError::WouldBlock | IoError::ServiceRestarted) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a connection.
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        loop {
            let socket = self.socket()?;
            let attempt = || if socket.is_stale() { Ok(Some(None)) } else { Ok(self.try_accept(&socket)?.map(Some)) };
            if let Some(accepted) = socket.block(Direction::Read, attempt)? {
                return Ok(accepted);
            }
        }
    }

    /// Waits for a connection, in a task.
    pub fn accept_task(&self) -> impl Future<Output = Result<(TcpStream, SocketAddr)>> + '_ {
        poll_fn(|context| self.poll_accept(context))
    }

    /// Takes a connection, or has the task woken when there is one.
    pub fn poll_accept(&self, context: &Context<'_>) -> Poll<Result<(TcpStream, SocketAddr)>> {
        loop {
            let socket = self.socket()?;
            let attempt = || if socket.is_stale() { Ok(Some(None)) } else { Ok(self.try_accept(&socket)?.map(Some)) };
            match socket.poll(context, Direction::Read, attempt) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(accepted))) => return Poll::Ready(Ok(accepted)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The connections, one after the other.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Whether accepting fails with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.socket()?.set_nonblocking(on);
        Ok(())
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = Result<TcpStream>;
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
