//! Connections and listeners.
//!
//! A listener has no socket of smoltcp's: one is made for each connection that is asked for, as long as the backlog has room. When it is full, the
//! oldest that is only half open goes, so that a flood of such requests keeps nobody out for long; of those that are open and wait to be
//! accepted none goes.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use motte_interfaces::Replier;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Buffers, state};
use motte_netdev::{Driver, Memory};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;
use smoltcp::wire::IpListenEndpoint;

use crate::frame::Flow;
use crate::links::Link;
use crate::remind::{COPIES, Last};
use crate::session::Machine;
use crate::stack::{Kind, Socket, Stack, bound_to};

/// How long a connection may be half open, or a request for one unanswered.
const OPENING: Duration = Duration::from_secs(20);
/// How long data may be unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);
/// How long a connection that nobody has any more may take to end, in microseconds.
const ORPHAN: u64 = 60_000_000;
/// A connection by which nothing was sent for so long, in microseconds, has lost nothing that somebody waits for.
const FRESH: u64 = 2_000_000;
/// The most such connections, of those whose data have arrived, and in all.
const MOST_ORPHANS: usize = 256;
const MOST_UNSENT: usize = 1024;
/// Bytes that are still taken from the other side of a connection that nobody has any more, before it is broken off.
const MOST_DISCARDED: usize = 65536;
/// What a socket takes besides its buffers.
pub const SOCKET_BYTES: usize = 1536;

/// Waits for connections.
pub struct Listener {
    /// Where.
    pub local: SocketAddr,
    backlog: usize,
    buffers: Buffers,
    /// Half open, oldest first.
    half: VecDeque<u32>,
    /// To be accepted.
    ready: VecDeque<u32>,
}

impl Listener {
    /// Connections that wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }
}

/// A connection.
pub struct Stream {
    /// Its two ends.
    pub flow: Flow,
    /// The interface that it goes by.
    pub link: Link,
    /// The listener that it came by, until it is accepted.
    pub listener: Option<u32>,
    /// The other side has broken it off, as far as a frame said so.
    pub reset: bool,
    /// smoltcp's state when it was last served.
    pub state: State,
    /// Nobody has it any more: when it is broken off.
    pub orphan: Option<u64>,
    /// What is still to be sent when nobody has it any more, and how much of that was.
    rest: (Vec<u8>, usize),
    discarded: usize,
    /// Why it ended.
    error: Option<IoError>,
    /// The last frame that was sent by the card, and when.
    pub last: (Last, u64),
}

impl Stream {
    fn new(flow: Flow, link: Link, listener: Option<u32>) -> Self {
        let (state, rest) = (State::Closed, (Vec::new(), 0));
        let last = (Last::default(), 0);
        Self { flow, link, listener, reset: false, state, orphan: None, rest, discarded: 0, error: None, last }
    }
}

/// Bytes that a connection with such buffers takes.
pub fn cost(buffers: Buffers) -> usize {
    SOCKET_BYTES + (buffers.receive + buffers.send) as usize
}

fn make(buffers: Buffers) -> tcp::Socket<'static> {
    let buffer = |bytes: u64| tcp::SocketBuffer::new(vec![0; (bytes as usize).max(1)]);
    let mut socket = tcp::Socket::new(buffer(buffers.receive), buffer(buffers.send));
    socket.set_nagle_enabled(false);
    socket.set_timeout(Some(OPENING));
    socket
}

fn alone(socket: tcp::Socket<'static>) -> (SocketSet<'static>, SocketHandle) {
    let mut set = SocketSet::new(Vec::with_capacity(1));
    let handle = set.add(socket);
    (set, handle)
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// The connection that a segment belongs to, made if it asks for one; `Ok(None)` if there is none, and an error if the segment
    /// is to be dropped in silence.
    pub(crate) fn stream_for(&mut self, link: Link, flow: &Flow, syn: bool) -> Result<Option<u32>, ()> {
        if let Some(&number) = self.flows.get(flow) {
            let over = |stream: &Stream| matches!(stream.state, State::TimeWait | State::Closed);
            let replaced =
                syn && self.socket(number).is_some_and(|socket| matches!(&socket.kind, Kind::Stream(s) if over(s)));
            if !replaced {
                return Ok(Some(number));
            }
            // The other side begins anew (RFC 9293, section 3.6.1).
            self.flows.remove(flow);
            self.mark(number);
        }
        if syn { self.admit(link, flow) } else { Ok(None) }
    }

    /// Makes a connection for a listener, if there is one there.
    fn admit(&mut self, link: Link, flow: &Flow) -> Result<Option<u32>, ()> {
        if !self.links.is_own(flow.local) {
            return Ok(None);
        }
        let sockets = &self.sockets;
        let local = |number: u32| match &sockets.get(number as usize)?.as_ref()?.kind {
            Kind::Listener(listener) => Some(listener.local),
            _ => None,
        };
        let numbers = self.listeners.get(&flow.local_port);
        let Some(listening) = numbers.and_then(|numbers| bound_to(numbers, flow.local, local)) else { return Ok(None) };
        let Some(socket) = self.socket(listening) else { return Ok(None) };
        let owner = socket.owner;
        let Kind::Listener(listener) = &mut socket.kind else { return Ok(None) };
        let buffers = listener.buffers;
        if listener.ready.len() >= listener.backlog {
            self.counters.backlog_full += 1;
            return Err(());
        }
        let full = listener.ready.len() + listener.half.len() >= listener.backlog;
        if full || !self.make_room(owner, cost(buffers)) {
            self.counters.backlog_full += 1;
            let Some(Kind::Listener(listener)) = self.socket(listening).map(|socket| &mut socket.kind) else {
                return Err(());
            };
            let Some(oldest) = listener.half.pop_front() else { return Err(()) };
            if let Some(socket) = self.sockets[oldest as usize].take() {
                self.remove(oldest, socket);
            }
        }
        let mut tcp = make(buffers);
        let endpoint = IpListenEndpoint { addr: Some(flow.local.into()), port: flow.local_port };
        if tcp.listen(endpoint).is_err() {
            return Err(());
        }
        let mut stream = Stream::new(*flow, link, Some(listening));
        stream.state = State::Listen;
        let number = self.insert(Kind::Stream(stream), owner, cost(buffers));
        if let Some(socket) = self.socket(number) {
            socket.sets[link as usize] = Some(alone(tcp));
        }
        self.flows.insert(*flow, number);
        if let Some(Kind::Listener(listener)) = self.socket(listening).map(|socket| &mut socket.kind) {
            listener.half.push_back(number);
        }
        Ok(Some(number))
    }

    /// Whether a client may have another socket of so many bytes, and there is room for it.
    pub(crate) fn affords(&self, owner: u64, bytes: usize) -> bool {
        let Some(session) = self.sessions.get(&owner) else { return false };
        session.sockets < self.config.sockets
            && session.bytes + bytes <= self.config.socket_bytes
            && self.bytes + bytes <= self.config.all_bytes
    }

    /// Whether a client may have another socket of so many bytes, once connections have gone for it that nobody has any more.
    fn make_room(&mut self, owner: u64, bytes: usize) -> bool {
        while self.bytes + bytes > self.config.all_bytes
            && let Some(oldest) = self.orphans.pop_front()
        {
            self.break_off(oldest);
        }
        self.affords(owner, bytes)
    }

    /// Opens a listener.
    pub(crate) fn listen(
        &mut self,
        owner: u64,
        local: SocketAddr,
        backlog: u64,
        buffers: Buffers,
    ) -> Result<(u32, SocketAddr), IoError> {
        if !local.ip().is_unspecified() && !self.links.is_own(local.ip()) {
            return Err(IoError::AddressNotAvailable);
        }
        if buffers.receive == 0 || buffers.send == 0 || buffers.pages().is_none() {
            return Err(IoError::InvalidInput);
        }
        let port = match local.port() {
            0 => self.free_port(|stack, port| stack.listeners.contains_key(&port)).ok_or(IoError::AddressInUse)?,
            port => port,
        };
        let local = SocketAddr::new(local.ip(), port);
        let taken = |&number: &u32| match self.sockets[number as usize].as_ref().map(|socket| &socket.kind) {
            Some(Kind::Listener(other)) => {
                let (a, b) = (other.local.ip(), local.ip());
                a == b || a.is_unspecified() && b.is_unspecified()
            }
            _ => false,
        };
        if self.listeners.get(&port).is_some_and(|numbers| numbers.iter().any(taken)) {
            return Err(IoError::AddressInUse);
        }
        if !self.affords(owner, SOCKET_BYTES) {
            return Err(IoError::OutOfMemory);
        }
        let (half, ready) = (VecDeque::new(), VecDeque::new());
        let backlog = backlog.clamp(1, 1024) as usize;
        let listener = Listener { local, backlog, buffers, half, ready };
        let number = self.insert(Kind::Listener(listener), owner, SOCKET_BYTES);
        self.listeners.entry(port).or_default().push(number);
        Ok((number, local))
    }

    /// The next connection of a listener that waits to be accepted.
    pub(crate) fn next_waiting(&mut self, listening: u32) -> Option<u32> {
        let Kind::Listener(listener) = &mut self.socket(listening)?.kind else { return None };
        let number = listener.ready.pop_front()?;
        self.mark(listening);
        self.counters.connections_accepted += 1;
        if let Kind::Stream(stream) = &mut self.socket(number)?.kind {
            stream.listener = None;
        }
        Some(number)
    }

    /// Gives a connection back that could not be accepted after all.
    pub(crate) fn wait_again(&mut self, listening: u32, number: u32) {
        if let Some(Kind::Listener(listener)) = self.socket(listening).map(|socket| &mut socket.kind) {
            listener.ready.push_front(number);
        }
        if let Some(Kind::Stream(stream)) = self.socket(number).map(|socket| &mut socket.kind) {
            stream.listener = Some(listening);
        }
    }

    /// Shows whether there are connections to accept.
    pub(crate) fn serve_listener(&mut self, socket: &mut Socket<M>) {
        let Kind::Listener(listener) = &socket.kind else { return };
        let acceptable = if listener.ready.is_empty() { 0 } else { state::ACCEPTABLE };
        self.show(socket, state::OPEN | acceptable);
    }

    /// Begins to connect.
    pub(crate) fn begin(
        &mut self,
        owner: u64,
        remote: SocketAddr,
        buffers: Buffers,
    ) -> Result<(u32, SocketAddr), IoError> {
        if buffers.receive == 0 || buffers.send == 0 || remote.port() == 0 || remote.ip().is_multicast() {
            return Err(IoError::InvalidInput);
        }
        let remote_ip = match remote.ip() {
            // Whoever connects to no address means this machine, as elsewhere.
            ip if ip.is_unspecified() && ip.is_ipv4() => core::net::Ipv4Addr::LOCALHOST.into(),
            ip if ip.is_unspecified() => core::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let (link, local) = self.links.route(remote_ip).ok_or(IoError::NetworkUnreachable)?;
        if !self.make_room(owner, cost(buffers)) {
            return Err(IoError::OutOfMemory);
        }
        let flow = |port| Flow { local, local_port: port, remote: remote_ip, remote_port: remote.port() };
        let used = |stack: &Self, port| stack.flows.contains_key(&flow(port)) || stack.listeners.contains_key(&port);
        let port = self.free_port(used).ok_or(IoError::AddressInUse)?;
        let (local, remote) = (SocketAddr::new(local, port), SocketAddr::new(remote_ip, remote.port()));
        let mut tcp = make(buffers);
        if !self.links.connect(link, &mut tcp, remote, local) {
            return Err(IoError::InvalidInput);
        }
        let mut stream = Stream::new(flow(port), link, None);
        stream.state = tcp.state();
        let number = self.insert(Kind::Stream(stream), owner, cost(buffers));
        if let Some(socket) = self.socket(number) {
            socket.sets[link as usize] = Some(alone(tcp));
        }
        self.flows.insert(flow(port), number);
        self.counters.connections_opened += 1;
        Ok((number, local))
    }

    /// Serves a connection. False: it is over, and nobody has it.
    pub(crate) fn serve_stream(&mut self, number: u32, socket: &mut Socket<M>) -> bool {
        let Kind::Stream(stream) = &mut socket.kind else { return false };
        let (link, before) = (stream.link, stream.state);
        let Some((set, handle)) = &mut socket.sets[link as usize] else {
            // It is over; its client still has it.
            return socket.ends.is_some();
        };
        let tcp = set.get_mut::<tcp::Socket<'_>>(*handle);
        let mut news = false;
        let mut spoilt = false;
        match &mut socket.ends {
            Some(ends) => match exchange(tcp, ends, &mut socket.traffic) {
                Ok(changed) => news = changed,
                Err(crate::session::Spoilt) => spoilt = true,
            },
            None if stream.orphan.is_some() => {
                let now = self.now.total_micros() as u64;
                finish(tcp, stream, &mut socket.traffic);
                let surplus = self.orphans.len() > MOST_ORPHANS;
                if surplus && tcp.state() == State::TimeWait {
                    return false;
                }
                let is_over = stream.orphan.is_some_and(|time| time <= now);
                if stream.discarded > MOST_DISCARDED || is_over || surplus && tcp.state() == State::FinWait2 {
                    tcp.abort();
                }
            }
            None => {}
        }
        if spoilt {
            log::warn!("client {} spoilt the rings of a connection, which is broken off", socket.owner);
            tcp.abort();
            stream.error = Some(IoError::ConnectionAborted);
        }
        self.send(number, socket, link);
        let Kind::Stream(stream) = &mut socket.kind else { return false };
        let Some((set, handle)) = &mut socket.sets[link as usize] else { return false };
        let tcp = set.get_mut::<tcp::Socket<'_>>(*handle);
        let after = tcp.state();
        if after != before {
            stream.state = after;
            let opened = matches!(after, State::Established | State::CloseWait);
            if opened && matches!(before, State::Listen | State::SynReceived | State::SynSent) {
                tcp.set_timeout(Some(UNACKNOWLEDGED));
            }
            if after == State::Closed && stream.error.is_none() {
                stream.error = match before {
                    State::SynSent if stream.reset => Some(IoError::ConnectionRefused),
                    State::SynSent | State::Listen | State::SynReceived => Some(IoError::TimedOut),
                    State::LastAck | State::Closing | State::TimeWait => None,
                    _ if stream.reset => Some(IoError::ConnectionReset),
                    _ => Some(IoError::TimedOut),
                };
                self.counters.connections_failed += u64::from(stream.error.is_some());
            }
        }
        if let Some(listening) = stream.listener {
            return self.serve_waiting(number, listening, after);
        }
        let bits = shown(tcp, stream.error);
        let over = after == State::Closed && (!tcp.can_recv() || stream.error == Some(IoError::ConnectionAborted));
        self.show(socket, bits);
        if news && let Some(ends) = &socket.ends {
            let (client, slot) = (ends.client, ends.slot);
            self.tell(client, slot);
        }
        if over {
            let Kind::Stream(stream) = &socket.kind else { return false };
            if self.flows.get(&stream.flow) == Some(&number) {
                self.flows.remove(&stream.flow);
            }
            // Its buffers go, though its client still has it.
            socket.sets[link as usize] = None;
            let kept = SOCKET_BYTES.min(socket.bytes);
            let freed = socket.bytes - kept;
            socket.bytes = kept;
            self.bytes = self.bytes.saturating_sub(freed);
            if let Some(session) = self.sessions.get_mut(&socket.owner) {
                session.bytes = session.bytes.saturating_sub(freed);
            }
        }
        socket.ends.is_some() || !over
    }

    /// After a restart of the driver: has whoever sends to this machine repeat what was lost meanwhile.
    pub(crate) fn remind(&mut self) {
        let since = (self.now.total_micros() as u64).saturating_sub(FRESH);
        for socket in self.sockets.iter().flatten() {
            if let Kind::Stream(stream) = &socket.kind
                && matches!(stream.state, State::Established | State::FinWait1 | State::FinWait2)
                && stream.last.1 >= since
                && let Some((frame, length)) = stream.last.0.acknowledgement()
                && !self.links.card.repeat(&frame[..length], COPIES)
            {
                return;
            }
        }
    }

    /// Sorts a connection that was not accepted yet. False: it is over.
    fn serve_waiting(&mut self, number: u32, listening: u32, state: State) -> bool {
        let Some(Kind::Listener(listener)) = self.socket(listening).map(|socket| &mut socket.kind) else {
            return false;
        };
        match state {
            State::SynReceived => true,
            State::Established | State::CloseWait => {
                if let Some(index) = listener.half.iter().position(|&half| half == number) {
                    listener.half.remove(index);
                    listener.ready.push_back(number);
                    self.mark(listening);
                }
                true
            }
            _ => {
                listener.half.retain(|&half| half != number);
                listener.ready.retain(|&ready| ready != number);
                self.mark(listening);
                false
            }
        }
    }

    /// The client gives a connection up; `abort`: it is broken off.
    pub(crate) fn close_stream(&mut self, number: u32, abort: bool) {
        let Some(mut socket) = self.sockets[number as usize].take() else { return };
        // What it has put since it was last served.
        let mut rest = Vec::new();
        if let Some(ends) = &mut socket.ends {
            rest = vec![0; ends.to_send().unwrap_or(0)];
            ends.take(&mut rest);
        }
        self.part(&mut socket);
        self.discharge(socket.owner, socket.bytes);
        socket.owner = 0;
        let Kind::Stream(stream) = &mut socket.kind else { return self.remove(number, socket) };
        stream.rest = (rest, 0);
        stream.orphan = Some(self.now.total_micros() as u64 + ORPHAN);
        let link = stream.link;
        let Some((set, handle)) = &mut socket.sets[link as usize] else { return self.remove(number, socket) };
        let tcp = set.get_mut::<tcp::Socket<'_>>(*handle);
        if abort || matches!(tcp.state(), State::SynSent | State::SynReceived) {
            tcp.abort();
        }
        self.orphans.push_back(number);
        self.sockets[number as usize] = Some(socket);
        self.mark(number);
        if self.orphans.len() > MOST_ORPHANS {
            let done = self.orphans.iter().position(|&orphan| self.has_delivered(orphan));
            let index = done.or_else(|| (self.orphans.len() > MOST_UNSENT).then_some(0));
            if let Some(oldest) = index.and_then(|index| self.orphans.remove(index)) {
                self.break_off(oldest);
            }
        }
    }

    /// Whether all that was to be sent by a connection has arrived.
    fn has_delivered(&self, number: u32) -> bool {
        let socket = self.sockets.get(number as usize).and_then(Option::as_ref);
        let Some(Kind::Stream(stream)) = socket.map(|socket| &socket.kind) else { return true };
        stream.rest.0.is_empty() && matches!(stream.state, State::FinWait2 | State::TimeWait | State::Closed)
    }

    /// Breaks a connection off that nobody has any more, and forgets it.
    fn break_off(&mut self, number: u32) {
        let Some(mut socket) = self.sockets[number as usize].take() else { return };
        if let Kind::Stream(stream) = &socket.kind {
            let link = stream.link;
            if let Some((set, handle)) = &mut socket.sets[link as usize] {
                let tcp = set.get_mut::<tcp::Socket<'_>>(*handle);
                // One that only waits for time to pass ends in peace.
                if tcp.state() != State::TimeWait {
                    tcp.abort();
                    self.send(number, &mut socket, link);
                }
            }
        }
        self.remove(number, socket);
    }

    /// The client gives a listener up: what waits to be accepted is broken off.
    pub(crate) fn close_listener(&mut self, number: u32) {
        let Some(socket) = self.sockets[number as usize].take() else { return };
        if let Kind::Listener(listener) = &socket.kind {
            let waiting: Vec<u32> = listener.half.iter().chain(&listener.ready).copied().collect();
            waiting.into_iter().for_each(|waiting| self.break_off(waiting));
        }
        self.remove(number, socket);
    }
}

/// Moves bytes between smoltcp's buffers and the client's rings. Returns whether that is news to the client.
fn exchange<M: Machine>(
    tcp: &mut tcp::Socket<'_>,
    ends: &mut crate::session::Ends<M>,
    traffic: &mut (u64, u64),
) -> Result<bool, crate::session::Spoilt> {
    let mut news = false;
    let mut received = 0;
    while tcp.can_recv() {
        if ends.room(1)? == 0 {
            break;
        }
        let moved = tcp.recv(|bytes| {
            let count = ends.put(bytes);
            (count, count)
        });
        received += moved.unwrap_or(0);
    }
    if received > 0 {
        ends.publish_received();
        traffic.0 += received as u64;
        news = true;
    }
    let available = ends.to_send()?;
    let mut sent = 0;
    while sent < available && tcp.can_send() {
        let moved = tcp.send(|buffer| {
            let count = ends.take(buffer);
            (count, count)
        });
        match moved {
            Ok(count) if count > 0 => sent += count,
            _ => break,
        }
    }
    if sent > 0 {
        traffic.1 += sent as u64;
        news |= ends.publish_sent();
    }
    // What was put before the client said that this is all is there by now.
    if ends.wants_finish() && ends.to_send()? == 0 {
        tcp.close();
    }
    Ok(news)
}

/// Sends what a connection that nobody has any more still has to send, and ends it.
fn finish(tcp: &mut tcp::Socket<'_>, stream: &mut Stream, traffic: &mut (u64, u64)) {
    let (rest, sent) = &mut stream.rest;
    while *sent < rest.len()
        && let Ok(count) = tcp.send_slice(&rest[*sent..])
        && count > 0
    {
        *sent += count;
        traffic.1 += count as u64;
    }
    if *sent == rest.len() || !tcp.may_send() {
        *rest = Vec::new();
        *sent = 0;
        tcp.close();
    }
    while tcp.can_recv() {
        let count = tcp.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
        stream.discarded += count;
        if count == 0 {
            break;
        }
    }
}

/// The state that a client is shown.
fn shown(tcp: &tcp::Socket<'_>, error: Option<IoError>) -> u64 {
    let mut bits = match tcp.state() {
        State::Listen | State::SynSent | State::SynReceived => 0,
        State::Established | State::CloseWait => state::OPEN,
        State::Closed => state::CANNOT_SEND,
        _ => state::OPEN | state::CANNOT_SEND,
    };
    if bits != 0 && !tcp.may_recv() {
        bits |= state::RECEIVED_ALL;
    }
    // What has come before is read first, unless the client's rings are spoilt.
    if let Some(error) = error
        && (!tcp.can_recv() || error == IoError::ConnectionAborted)
    {
        bits |= state::of_error(error);
    }
    bits
}
