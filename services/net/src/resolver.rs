//! Addresses of names, by DNS (RFC 1035, RFC 3596), with a cache.
//!
//! The cache is where questions and those who ask meet: a call waits until it holds an answer to each of its questions. Answers stay for as
//! long as they say, that there is none for [`NOTHING`], that no server answered for [`FAILED`].
//!
//! An answer counts only if it comes from the server that was asked, to the port that was asked from, with the number of the question
//! and the question itself in it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Family, Ip};
use motte_interfaces::{Replier, Responder};
use motte_netdev::{Driver, Memory};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{
    DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData, DnsRepr, IpEndpoint,
};

use crate::links::Link;
use crate::session::Machine;
use crate::stack::Stack;

/// How long it is known that a name has no address, in microseconds.
const NOTHING: u64 = 30_000_000;
/// How long it is known that no server answered.
const FAILED: u64 = 2_000_000;
/// The longest that anything is known: a day.
const LONGEST: u64 = 86_400_000_000;
/// How long a server has to answer.
const PATIENCE: u64 = 2_000_000;
/// How often a question is asked.
const TRIES: usize = 4;
/// The most answers in the cache.
const MOST_ANSWERS: usize = 256;
/// The most calls that wait.
const MOST_CALLS: usize = 128;
/// The most addresses of an answer to a call.
const MOST_ADDRESSES: usize = 16;

/// A name in lower case, and the type of record.
type Question = (String, u16);

const A: u16 = 1;
const AAAA: u16 = 28;

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<IpAddr>),
    Nothing,
    Failed,
}

struct Asked {
    question: Question,
    number: u16,
    server: SocketAddr,
    tries: usize,
    /// When it is asked again.
    next: u64,
    /// Its own socket, and so a port that cannot be foretold.
    socket: Box<(SocketSet<'static>, SocketHandle, u16)>,
}

struct Call {
    name: String,
    family: Family,
    responder: Responder<Vec<Ip>, IoError>,
}

/// Questions, answers, and who waits for them.
pub struct Resolver {
    cache: BTreeMap<Question, (Answer, u64)>,
    asked: Vec<Asked>,
    calls: Vec<Call>,
    random: u64,
}

impl Resolver {
    /// A resolver that knows nothing. `seed` is a number that nobody can guess.
    pub fn new(seed: u64) -> Self {
        Self { cache: BTreeMap::new(), asked: Vec::new(), calls: Vec::new(), random: seed | 1 }
    }

    /// When something is to be asked again.
    pub fn next_time(&self) -> Option<u64> {
        self.asked.iter().map(|asked| asked.next).min()
    }

    /// A number that is hard to foretell (xorshift64*, S. Vigna, 2016).
    fn number(&mut self) -> u16 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48) as u16
    }

    fn remember(&mut self, question: Question, answer: Answer, until: u64) {
        while self.cache.len() >= MOST_ANSWERS {
            let oldest = self.cache.iter().min_by_key(|(_, (_, until))| *until).map(|(question, _)| question.clone());
            oldest.and_then(|oldest| self.cache.remove(&oldest));
        }
        self.cache.insert(question, (answer, until));
    }
}

fn questions(name: &str, family: Family) -> impl Iterator<Item = Question> {
    let types: &[u16] = match family {
        Family::Any => &[A, AAAA],
        Family::V4 => &[A],
        Family::V6 => &[AAAA],
    };
    types.iter().map(move |&kind| (String::from(name), kind))
}

/// A name as it is asked for: lower case, without a dot at its end; `None` if it cannot be a name (RFC 1035, section 2.3.4).
fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic());
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

/// A name in the form of a message.
fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// What a message answers to a question, and for how many seconds; `None` if it is no answer to it.
fn read(message: &[u8], question: &Question, number: u16) -> Option<(Answer, u64)> {
    let packet = DnsPacket::new_checked(message).ok()?;
    let ours = packet.transaction_id() == number
        && packet.flags().contains(DnsFlags::RESPONSE)
        && packet.opcode() == DnsOpcode::Query
        && packet.question_count() == 1;
    let (mut rest, echoed) = DnsQuestion::parse(packet.payload()).ok().filter(|_| ours)?;
    let mut labels = question.0.split('.');
    for label in packet.parse_name(echoed.name) {
        if !labels.next()?.as_bytes().eq_ignore_ascii_case(label.ok()?) {
            return None;
        }
    }
    if labels.next().is_some() || u16::from(echoed.type_) != question.1 {
        return None;
    }
    match packet.rcode() {
        DnsRcode::NoError => {}
        DnsRcode::NXDomain => return Some((Answer::Nothing, NOTHING)),
        _ => return Some((Answer::Failed, FAILED)),
    }
    let (mut addresses, mut seconds) = (Vec::new(), u32::MAX);
    for _ in 0..packet.answer_record_count() {
        let Ok((next, DnsRecord { ttl, data, .. })) = DnsRecord::parse(rest) else { break };
        rest = next;
        match data {
            DnsRecordData::A(address) if question.1 == A => addresses.push(IpAddr::V4(address)),
            DnsRecordData::Aaaa(address) if question.1 == AAAA => addresses.push(IpAddr::V6(address)),
            DnsRecordData::Cname(_) => {}
            _ => continue,
        }
        seconds = seconds.min(ttl);
    }
    if addresses.is_empty() {
        return Some((Answer::Nothing, NOTHING));
    }
    addresses.truncate(MOST_ADDRESSES);
    // Those that wait for it get it, even if it may not be kept.
    Some((Answer::Addresses(addresses), (u64::from(seconds) * 1_000_000).clamp(1, LONGEST)))
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// A client asks for the addresses of a name.
    pub(crate) fn look_up(&mut self, name: &str, family: Family, responder: Responder<Vec<Ip>, IoError>) {
        self.counters.lookups += 1;
        let Some(name) = normal(name) else {
            return responder.answer(&mut self.replier, Err(IoError::InvalidInput));
        };
        if name == "localhost" || name.ends_with(".localhost") {
            // RFC 6761, section 6.3.
            let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let wanted = own.into_iter().filter(|address| match family {
                Family::Any => true,
                Family::V4 => address.is_ipv4(),
                Family::V6 => address.is_ipv6(),
            });
            return responder.answer(&mut self.replier, Ok(wanted.map(Ip).collect()));
        }
        if self.resolver.calls.len() >= MOST_CALLS {
            return responder.answer(&mut self.replier, Err(IoError::Busy));
        }
        let now = self.now.total_micros() as u64;
        let mut cached = true;
        for question in questions(&name, family) {
            if self.resolver.cache.get(&question).is_some_and(|&(_, until)| until > now) {
                continue;
            }
            cached = false;
            self.resolver.cache.remove(&question);
            if !self.resolver.asked.iter().any(|asked| asked.question == question) {
                self.ask(question);
            }
        }
        self.counters.lookups_cached += u64::from(cached);
        self.resolver.calls.push(Call { name, family, responder });
        self.resolve();
    }

    /// Begins to ask.
    fn ask(&mut self, question: Question) {
        let now = self.now.total_micros() as u64;
        let Some(&server) = self.links.name_servers().first() else {
            return self.resolver.remember(question, Answer::Failed, now + FAILED);
        };
        let mut tries = 0;
        let port = loop {
            let port = 49152 | self.resolver.number();
            tries += 1;
            let used = self.datagrams.contains_key(&port) || self.resolver.asked.iter().any(|a| a.socket.2 == port);
            if !used || tries > 64 {
                break port;
            }
        };
        let buffer = |bytes: usize| udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 2], vec![0; bytes]);
        let mut socket = udp::Socket::new(buffer(3072), buffer(1024));
        if socket.bind(port).is_err() {
            return self.resolver.remember(question, Answer::Failed, now + FAILED);
        }
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        let (number, server) = (self.resolver.number(), SocketAddr::new(server, 53));
        let socket = Box::new((set, handle, port));
        self.resolver.asked.push(Asked { question, number, server, tries: 0, next: now, socket });
    }

    /// Brings the frame that a link holds to the question that was asked from this port. False if there is none.
    pub(crate) fn deliver_answer(&mut self, link: Link, port: u16) -> bool {
        let Some(asked) = self.resolver.asked.iter_mut().find(|asked| asked.socket.2 == port) else { return false };
        self.links.ingress(link, self.now, &mut asked.socket.0);
        true
    }

    /// Takes answers, asks again what was not answered, and answers the calls that have waited long enough.
    pub(crate) fn resolve(&mut self) {
        if self.resolver.asked.is_empty() && self.resolver.calls.is_empty() {
            return;
        }
        let now = self.now.total_micros() as u64;
        for mut asked in core::mem::take(&mut self.resolver.asked) {
            match self.advance(&mut asked, now) {
                Some((answer, lasting)) => self.resolver.remember(asked.question, answer, now + lasting),
                None => self.resolver.asked.push(asked),
            }
        }
        for call in core::mem::take(&mut self.resolver.calls) {
            match self.known(&call) {
                Some(result) => call.responder.answer(&mut self.replier, result),
                None => self.resolver.calls.push(call),
            }
        }
    }

    /// Goes on with a question: its answer, if it has one now.
    fn advance(&mut self, asked: &mut Asked, now: u64) -> Option<(Answer, u64)> {
        let (set, handle, _) = &mut *asked.socket;
        let socket = set.get_mut::<udp::Socket<'_>>(*handle);
        while let Ok((message, meta)) = socket.recv() {
            if SocketAddr::from(meta.endpoint) == asked.server
                && let Some(answer) = read(message, &asked.question, asked.number)
            {
                return Some(answer);
            }
        }
        if asked.next <= now {
            let servers = self.links.name_servers();
            if asked.tries >= TRIES.max(2 * servers.len()) || servers.is_empty() {
                return Some((Answer::Failed, FAILED));
            }
            asked.server = SocketAddr::new(servers[asked.tries % servers.len()], 53);
            asked.tries += 1;
            asked.next = now + PATIENCE;
            let name = encode(&asked.question.0);
            let question = DnsQuestion { name: &name, type_: DnsQueryType::from(asked.question.1) };
            let (transaction_id, flags) = (asked.number, DnsFlags::RECURSION_DESIRED);
            let query = DnsRepr { transaction_id, flags, opcode: DnsOpcode::Query, question };
            let mut message = vec![0; query.buffer_len()];
            query.emit(&mut DnsPacket::new_unchecked(&mut message));
            let _ = socket.send_slice(&message, IpEndpoint::from(asked.server));
        }
        if let Some((link, _)) = self.links.route(asked.server.ip()) {
            self.links.egress(link, self.now, &mut asked.socket.0);
        }
        None
    }

    /// The result of a call, if everything that it asked is known.
    fn known(&self, call: &Call) -> Option<Result<Vec<Ip>, IoError>> {
        let (mut addresses, mut failed) = (Vec::new(), false);
        for question in questions(&call.name, call.family) {
            match &self.resolver.cache.get(&question)?.0 {
                Answer::Addresses(some) => addresses.extend(some.iter().copied().map(Ip)),
                Answer::Nothing => {}
                Answer::Failed => failed = true,
            }
        }
        addresses.truncate(MOST_ADDRESSES);
        Some(match addresses.is_empty() {
            false => Ok(addresses),
            true if failed && self.links.name_servers().is_empty() => Err(IoError::NetworkUnreachable),
            true if failed => Err(IoError::TimedOut),
            true => Err(IoError::NotFound),
        })
    }
}
