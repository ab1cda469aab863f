//! What happens between two waits: frames come in, clients' news come in, the sockets that something happened to are served, frames go out.
//!
//! # Invariants
//! A socket that something happened to is in `dirty`, once. A socket that is to be looked at later though nothing happens to it is in `timers`,
//! once, not later than that time. Every connection is in `flows` as long as frames for it are wanted.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;

use hashbrown::HashMap;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Counters, ready};
use motte_interfaces::{Replier, Responder};
use motte_netdev::{Driver, Memory};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};

use crate::config::Config;
use crate::datagram::Datagram;
use crate::frame::{Class, Flow, classify_frame, classify_packet};
use crate::links::{Link, Links};
use crate::resolver::Resolver;
use crate::session::{Ends, Machine, Session};
use crate::stream::{Listener, Stream};

/// Frames that are taken from the card before sockets are served.
const BATCH: usize = 64;
/// How long the acknowledgement of a single segment may wait for data to go with it. That of several is sent at once (RFC 9293, section
/// 3.8.6.3), for whoever sent them may wait for it.
const DELAY: Duration = Duration::from_millis(10);
/// When a socket that waits for room is looked at though there is none, in microseconds from then. Were it soon, many such sockets would
/// leave the driver, which makes room, no time.
const BLOCKED: u64 = 100_000;
/// Rounds of frames and sockets after which clients have their turn.
const ROUNDS: usize = 32;

/// What kind of socket.
pub enum Kind {
    /// Waits for connections.
    Listener(Listener),
    /// A connection.
    Stream(Stream),
    /// UDP or ICMP echo.
    Datagram(Datagram),
}

/// A call that waits for a socket.
pub struct Waiter {
    /// [`ready`] bits.
    pub what: u64,
    /// Microseconds of the clock; `u64::MAX` for never.
    pub deadline: u64,
    /// Who waits.
    pub responder: Responder<u64, IoError>,
}

/// A socket.
pub struct Socket<M: Machine> {
    /// Kind, and what belongs to it.
    pub kind: Kind,
    /// smoltcp's sockets, each alone in its set, by link.
    pub sets: [Option<(SocketSet<'static>, SocketHandle)>; 2],
    /// The client's end of it.
    pub ends: Option<Ends<M>>,
    /// Who pays for it; 0 once it only waits for its end.
    pub owner: u64,
    /// Bytes of memory that it takes.
    pub bytes: usize,
    /// Bytes received and sent.
    pub traffic: (u64, u64),
    /// Calls that wait for it.
    pub waiters: Vec<Waiter>,
    /// It is in `dirty`.
    dirty: bool,
    /// It is in `blocked`.
    blocked: bool,
    /// When it is in `timers` for.
    scheduled: Option<u64>,
}

/// The stack. `R` answers callers.
pub struct Stack<R, M: Machine, D: Driver, P: Memory> {
    pub(crate) replier: R,
    pub(crate) machine: M,
    pub(crate) links: Links<D, P>,
    pub(crate) config: Config,
    pub(crate) now: Instant,
    /// Taken out while it is served.
    pub(crate) sockets: Vec<Option<Box<Socket<M>>>>,
    free: Vec<u32>,
    pub(crate) flows: HashMap<Flow, u32>,
    pub(crate) listeners: BTreeMap<u16, Vec<u32>>,
    pub(crate) datagrams: BTreeMap<u16, Vec<u32>>,
    pub(crate) echoes: BTreeMap<u16, u32>,
    pub(crate) sessions: BTreeMap<u64, Session<M>>,
    pub(crate) resolver: Resolver,
    /// For frames that concern no socket.
    nobody: SocketSet<'static>,
    dirty: VecDeque<u32>,
    /// Sockets that could not send for want of room, in that order.
    blocked: VecDeque<u32>,
    timers: BTreeSet<(u64, u32)>,
    /// Clients to be signalled.
    pub(crate) told: Vec<u64>,
    pub(crate) counters: Counters,
    /// Bytes of all sockets.
    pub(crate) bytes: usize,
    /// Connections that nobody has any more, oldest first.
    pub(crate) orphans: VecDeque<u32>,
    /// Something was heard of a neighbour: who waits for one can go on.
    neighbours: bool,
    /// When the interface itself is to be looked after.
    housekeeping: Option<u64>,
    pub(crate) next_port: u16,
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// A stack over the links' interfaces.
    pub fn new(replier: R, mut machine: M, links: Links<D, P>, config: Config, now: Instant) -> Self {
        let seed = machine.random();
        let mut stack = Self {
            replier,
            machine,
            links,
            config,
            now,
            sockets: Vec::new(),
            free: Vec::new(),
            flows: HashMap::new(),
            listeners: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            echoes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            resolver: Resolver::new(seed),
            nobody: SocketSet::new(Vec::new()),
            dirty: VecDeque::new(),
            blocked: VecDeque::new(),
            timers: BTreeSet::new(),
            told: Vec::new(),
            counters: Counters::default(),
            bytes: 0,
            orphans: VecDeque::new(),
            neighbours: false,
            housekeeping: Some(0),
            next_port: seed as u16,
        };
        stack.work(now);
        stack
    }

    /// Puts a socket into the table.
    pub(crate) fn insert(&mut self, kind: Kind, owner: u64, bytes: usize) -> u32 {
        let socket = Box::new(Socket {
            kind,
            sets: [None, None],
            ends: None,
            owner,
            bytes,
            traffic: (0, 0),
            waiters: Vec::new(),
            dirty: false,
            blocked: false,
            scheduled: None,
        });
        self.bytes += bytes;
        if let Some(session) = self.sessions.get_mut(&owner) {
            session.sockets += 1;
            session.bytes += bytes;
        }
        match self.free.pop() {
            Some(number) => {
                self.sockets[number as usize] = Some(socket);
                number
            }
            None => {
                self.sockets.push(Some(socket));
                self.sockets.len() as u32 - 1
            }
        }
    }

    /// A socket.
    pub(crate) fn socket(&mut self, number: u32) -> Option<&mut Socket<M>> {
        self.sockets.get_mut(number as usize)?.as_deref_mut()
    }

    /// Has a socket served.
    pub(crate) fn mark(&mut self, number: u32) {
        if let Some(socket) = self.sockets.get_mut(number as usize).and_then(Option::as_mut)
            && !core::mem::replace(&mut socket.dirty, true)
        {
            self.dirty.push_back(number);
        }
    }

    /// Nobody pays for a socket any more, or another.
    pub(crate) fn discharge(&mut self, owner: u64, bytes: usize) {
        if let Some(session) = self.sessions.get_mut(&owner) {
            session.sockets = session.sockets.saturating_sub(1);
            session.bytes = session.bytes.saturating_sub(bytes);
        }
    }

    /// Takes a socket, which was taken out of the table, to its end.
    pub(crate) fn remove(&mut self, number: u32, mut socket: Box<Socket<M>>) {
        self.part(&mut socket);
        self.discharge(socket.owner, socket.bytes);
        self.bytes = self.bytes.saturating_sub(socket.bytes);
        if let Some(time) = socket.scheduled {
            self.timers.remove(&(time, number));
        }
        match &socket.kind {
            Kind::Stream(stream) => {
                if self.flows.get(&stream.flow) == Some(&number) {
                    self.flows.remove(&stream.flow);
                }
                if stream.orphan.is_some() {
                    self.orphans.retain(|&orphan| orphan != number);
                }
            }
            Kind::Listener(listener) => forget(&mut self.listeners, listener.local.port(), number),
            Kind::Datagram(Datagram { local: Some(local), .. }) => forget(&mut self.datagrams, local.port(), number),
            Kind::Datagram(datagram) => drop(self.echoes.remove(&datagram.identifier)),
        }
        self.free.push(number);
    }

    /// Takes a socket from its client: who waits for it is told.
    pub(crate) fn part(&mut self, socket: &mut Socket<M>) {
        if let Some(ends) = socket.ends.take()
            && let Some(session) = self.sessions.get_mut(&ends.client)
        {
            session.part(ends.slot);
        }
        for waiter in socket.waiters.drain(..) {
            waiter.responder.answer(&mut self.replier, Err(IoError::NotConnected));
        }
    }

    /// Shows a client the state of a socket, if it changed.
    pub(crate) fn show(&mut self, socket: &mut Socket<M>, state: u64) {
        if let Some(ends) = &mut socket.ends {
            let wants_room = ends.state() & motte_interfaces::net::state::WANTS_ROOM;
            if ends.set_state(state | wants_room) {
                let (client, slot) = (ends.client, ends.slot);
                self.tell(client, slot);
            }
        }
    }

    /// Tells a client that there is something new about a slot.
    pub(crate) fn tell(&mut self, client: u64, slot: usize) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.tell(slot);
            if self.told.last() != Some(&client) {
                self.told.push(client);
            }
        }
    }

    /// Everything that can be done now. Returns whether more is left for a next time, after others had their turn.
    pub fn work(&mut self, now: Instant) -> bool {
        self.now = now;
        self.bury();
        self.links.card.port.awake();
        if self.links.refresh(now) {
            self.counters.driver_attached += 1;
            self.remind();
            self.housekeeping = Some(0);
        }
        let mut more = true;
        for _ in 0..ROUNDS {
            more = self.take_frames();
            self.expire();
            self.take_news();
            self.serve_all();
            more |= !self.links.lo.packets.is_empty();
            if !more && self.links.card.port.prepare_to_sleep() && self.unblock() {
                break;
            }
            self.links.card.port.awake();
            more = true;
        }
        self.links.card.port.flush();
        for client in self.told.drain(..) {
            if let Some(session) = self.sessions.get_mut(&client) {
                session.signal(&self.machine);
            }
        }
        more
    }

    /// When to [work](Self::work) again though nothing happens, in microseconds of the clock.
    pub fn next_time(&self) -> Option<u64> {
        let first = self.timers.first().map(|&(time, _)| time);
        [first, self.housekeeping, self.resolver.next_time()].into_iter().flatten().min()
    }

    /// Sockets that could not send are served again if there is room now. Returns whether there is nothing more to do for them.
    fn unblock(&mut self) -> bool {
        if self.blocked.is_empty() || !self.links.card.can_transmit() {
            return true;
        }
        for _ in 0..BATCH {
            let Some(number) = self.blocked.pop_front() else { break };
            if let Some(socket) = self.socket(number) {
                socket.blocked = false;
            }
            self.mark(number);
        }
        false
    }

    /// Takes frames from the card, and what is under way in the loop. Returns whether there may be more.
    fn take_frames(&mut self) -> bool {
        for _ in 0..self.links.lo.packets.len() {
            let Some(packet) = self.links.lo.packets.pop_front() else { break };
            let class = classify_packet(&packet, false);
            self.links.lo.incoming = Some(packet);
            self.deliver(Link::Loop, class);
            self.links.lo.incoming = None;
        }
        // The frame that the card holds.
        let mut held = None;
        for _ in 0..BATCH {
            let Some(mut frame) = self.links.card.port.receive() else {
                self.deliver_held(held);
                return false;
            };
            if matches!(held, Some(Class::Tcp { .. })) {
                match self.links.card.join(frame) {
                    Some(other) => frame = other,
                    None => continue,
                }
            }
            let (length, check) = (frame.length, !frame.checksum_good);
            let class = self.links.card.memory.with(&mut frame.buffer, |bytes| match bytes.get(..length) {
                Some(bytes) => classify_frame(bytes, check),
                None => Class::Senseless,
            });
            self.deliver_held(held);
            self.links.card.hold(frame);
            held = Some(class);
        }
        self.deliver_held(held);
        true
    }

    /// Brings the frame that the card holds, if it holds one, to whom it concerns.
    fn deliver_held(&mut self, class: Option<Class>) {
        if let Some(class) = class {
            self.deliver(Link::Card, class);
            self.links.card.recycle();
        }
    }

    /// Brings the frame that a link holds to whom it concerns.
    fn deliver(&mut self, link: Link, class: Class) {
        let number = match class {
            Class::Senseless => {
                self.counters.malformed += 1;
                return;
            }
            Class::Tcp { flow, syn, reset } => {
                self.counters.resets_received += u64::from(reset);
                match self.stream_for(link, &flow, syn) {
                    Ok(number) => number,
                    Err(()) => return,
                }
            }
            Class::Udp(flow) if link == Link::Card && flow.local_port == 68 && self.links.has_dhcp() => {
                self.links.ingress_housekeeping(self.now);
                self.housekeeping = Some(0);
                return;
            }
            Class::Udp(flow) if self.deliver_answer(link, flow.local_port) => return self.resolve(),
            Class::Udp(flow) => self.datagram_for(&flow),
            Class::EchoReply(identifier) => self.echoes.get(&identifier).copied(),
            Class::Neighbour => {
                self.neighbours = true;
                self.housekeeping = Some(0);
                None
            }
            Class::Other => None,
        };
        let Some(number) = number else {
            return self.links.ingress(link, self.now, &mut self.nobody);
        };
        let Some(socket) = self.sockets.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let Some((set, handle)) = &mut socket.sets[link as usize] else { return };
        if let Kind::Stream(_) = &socket.kind {
            let delay = if link == Link::Card && self.links.card.holds_run() { Duration::ZERO } else { DELAY };
            set.get_mut::<tcp::Socket<'_>>(*handle).set_ack_delay(Some(delay));
        }
        self.links.ingress(link, self.now, set);
        if let (Class::Tcp { reset: true, .. }, Kind::Stream(stream)) = (class, &mut socket.kind) {
            stream.reset = true;
        }
        self.mark(number);
    }

    /// Sockets and calls whose time has come.
    fn expire(&mut self) {
        let now = self.now.total_micros() as u64;
        while let Some(&(time, number)) = self.timers.first()
            && time <= now
        {
            self.timers.pop_first();
            if let Some(socket) = self.socket(number) {
                socket.scheduled = None;
            }
            self.mark(number);
        }
        if self.housekeeping.is_some_and(|time| time <= now) {
            self.housekeeping = self.links.housekeep(self.now).map(|time| (time.total_micros() as u64).max(now + 1000));
        }
        if core::mem::take(&mut self.neighbours) {
            for number in 0..self.sockets.len() as u32 {
                if self.socket(number).is_some_and(|socket| socket.waits_for_neighbour()) {
                    self.mark(number);
                }
            }
        }
        self.resolve();
    }

    /// Has sockets served that clients have news of.
    fn take_news(&mut self) {
        let (dirty, sockets) = (&mut self.dirty, &mut self.sockets);
        for session in self.sessions.values() {
            session.take_news(|number| {
                if let Some(socket) = sockets.get_mut(number as usize).and_then(Option::as_mut)
                    && !core::mem::replace(&mut socket.dirty, true)
                {
                    dirty.push_back(number);
                }
            });
        }
    }

    /// Serves every socket that something happened to.
    pub(crate) fn serve_all(&mut self) {
        while let Some(number) = self.dirty.pop_front() {
            let Some(mut socket) = self.sockets[number as usize].take() else { continue };
            socket.dirty = false;
            let keep = match &mut socket.kind {
                Kind::Listener(_) => {
                    self.serve_listener(&mut socket);
                    true
                }
                Kind::Stream(_) => self.serve_stream(number, &mut socket),
                Kind::Datagram(_) => self.serve_datagram(number, &mut socket),
            };
            if keep {
                self.answer(&mut socket);
                self.schedule(number, &mut socket);
                self.sockets[number as usize] = Some(socket);
            } else {
                self.remove(number, socket);
            }
        }
    }

    /// Sends what a socket has to say; if there is no room, later.
    pub(crate) fn send(&mut self, number: u32, socket: &mut Socket<M>, link: Link) {
        let Some((set, _)) = &mut socket.sets[link as usize] else { return };
        self.links.card.last.clear();
        if !self.links.egress(link, self.now, set) && !core::mem::replace(&mut socket.blocked, true) {
            self.blocked.push_back(number);
        }
        if let Kind::Stream(stream) = &mut socket.kind
            && self.links.card.last.is_some()
        {
            stream.last = (self.links.card.last, self.now.total_micros() as u64);
        }
    }

    /// Answers the calls that wait for a socket and need not any more.
    pub(crate) fn answer(&mut self, socket: &mut Socket<M>) {
        if socket.waiters.is_empty() {
            return;
        }
        let (is_ready, now) = (socket.ready(), self.now.total_micros() as u64);
        let mut index = 0;
        while index < socket.waiters.len() {
            let waiter = &socket.waiters[index];
            let got = waiter.what & is_ready;
            if got != 0 || waiter.deadline <= now {
                let waiter = socket.waiters.swap_remove(index);
                waiter.responder.answer(&mut self.replier, Ok(got));
            } else {
                index += 1;
            }
        }
    }

    /// Sees to it that a socket is looked at when it is time.
    pub(crate) fn schedule(&mut self, number: u32, socket: &mut Socket<M>) {
        let now = self.now.total_micros() as u64;
        // What is due now was tried, and waits for room; it is tried again as soon as there is some.
        let soonest = now + if socket.blocked { BLOCKED } else { 1000 };
        let mut next = socket.waiters.iter().map(|waiter| waiter.deadline).min().filter(|&time| time != u64::MAX);
        for link in [Link::Loop, Link::Card] {
            if let Some((set, _)) = &socket.sets[link as usize] {
                let time =
                    self.links.poll_at(link, self.now, set).map(|time| (time.total_micros() as u64).max(soonest));
                next = next.into_iter().chain(time).min();
            }
        }
        if let Kind::Stream(stream) = &socket.kind {
            next = next.into_iter().chain(stream.orphan).min();
        }
        let Some(next) = next else { return };
        match socket.scheduled {
            Some(time) if time <= next => {}
            former => {
                if let Some(time) = former {
                    self.timers.remove(&(time, number));
                }
                self.timers.insert((next, number));
                socket.scheduled = Some(next);
            }
        }
    }

    /// A port above those that are well known which nothing uses. `None` if all are in use.
    pub(crate) fn free_port(&mut self, is_used: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        // RFC 6056, section 3.3.2: from a place that cannot be foretold, the next that is free.
        const FIRST: u16 = 49152;
        for _ in FIRST..=u16::MAX {
            self.next_port = self.next_port.wrapping_add(1);
            let port = FIRST | self.next_port;
            if !is_used(self, port) {
                return Some(port);
            }
        }
        None
    }
}

impl<M: Machine> Socket<M> {
    /// What it is ready for ([`ready`]).
    pub fn ready(&mut self) -> u64 {
        use motte_interfaces::net::state;
        let Some(ends) = &mut self.ends else { return ready::READ | ready::WRITE };
        let bits = ends.state();
        let over = state::error(bits).is_some();
        let readable = over
            || bits & (state::RECEIVED_ALL | state::ACCEPTABLE) != 0
            || !matches!(self.kind, Kind::Listener(_)) && ends.has_unread().unwrap_or(true);
        let needed = match self.kind {
            Kind::Datagram(_) => ends.send_reserve(),
            _ => 1,
        };
        let writable =
            over || bits & state::CANNOT_SEND != 0 || bits & state::OPEN != 0 && ends.can_write(needed).unwrap_or(true);
        (u64::from(readable) * ready::READ) | (u64::from(writable) * ready::WRITE)
    }

    fn waits_for_neighbour(&self) -> bool {
        match &self.kind {
            Kind::Listener(_) => false,
            Kind::Stream(stream) => stream.link == Link::Card,
            Kind::Datagram(_) => true,
        }
    }
}

/// Takes a socket from the list of a port.
fn forget(table: &mut BTreeMap<u16, Vec<u32>>, port: u16, number: u32) {
    if let Some(numbers) = table.get_mut(&port) {
        numbers.retain(|&other| other != number);
        if numbers.is_empty() {
            table.remove(&port);
        }
    }
}

/// The one of a port's sockets that an address concerns: that which is bound to the very address before that which is to any.
pub(crate) fn bound_to(
    numbers: &[u32],
    address: core::net::IpAddr,
    local: impl Fn(u32) -> Option<SocketAddr>,
) -> Option<u32> {
    let mut any = None;
    for &number in numbers {
        match local(number).map(|local| local.ip()) {
            Some(ip) if ip == address => return Some(number),
            // That of IPv6 stands for both families (RFC 3493, section 3.7).
            Some(ip) if ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4()) => any = Some(number),
            _ => {}
        }
    }
    any
}
