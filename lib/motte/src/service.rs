//! Calling services: found by name through the registry, reached through a connection that knows what a restart means.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};
use motte_abi::{Error, MessageInfo};
use motte_interfaces::registry::{RegistryClient, RegistryError};
use motte_interfaces::{
    AGAIN, ANSWER_NOT_YET, ANSWER_UNKNOWN_METHOD, CallError, FORGOTTEN, Method, PROMPT, Reader, STILL_WAITING,
    Transport, Writer, badge,
};

use crate::kernel::{CapSlot, Endpoint, Message, own};
use crate::sync::OnceLock;
use crate::thread::BufferGuard;
use crate::{control, slots, start, thread};

/// How often a call that is safe to repeat is repeated when the service is restarted meanwhile, or does not answer.
const REPETITIONS: u32 = 10;

/// Why a service could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// The registry's answer.
    Registry(RegistryError),
    /// This program has no capability to the registry.
    NoRegistry,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(error) => error.fmt(f),
            Self::NoRegistry => f.write_str("this program was given no registry"),
        }
    }
}

impl core::error::Error for ServiceError {}

/// The right to call a service. A copy is the same right; the capability stays until the program ends, or until
/// [`Connection::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    endpoint: Endpoint,
    is_patient: bool,
    repeats: bool,
}

impl Connection {
    /// Through an endpoint that the program has.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, is_patient: false, repeats: true }
    }

    /// The same, but the call of a `#[deferred]` method waits as long as the service lives, without a deadline: for those who wait for a
    /// device, or for nothing but the service's end.
    pub const fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// The same, but no request is sent again when the service was restarted, or did not answer, and nobody waits for more than two seconds: it may
    /// be too late then.
    pub const fn without_repetition(self) -> Self {
        Self { repeats: false, ..self }
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Gives the capability up.
    pub fn close(self) {
        slots::delete(self.endpoint.0);
    }
}

impl From<CapSlot> for Connection {
    fn from(slot: CapSlot) -> Self {
        Self::new(Endpoint(slot))
    }
}

impl From<motte_interfaces::Cap> for Connection {
    fn from(cap: motte_interfaces::Cap) -> Self {
        Self::new(Endpoint::at(cap.0))
    }
}

/// The registry.
pub fn registry() -> Result<RegistryClient<Connection>, ServiceError> {
    let slot = start::capability("registry").ok_or(ServiceError::NoRegistry)?;
    Ok(RegistryClient::new(Connection::from(slot)))
}

/// A connection to the service of that name. Make it once and keep it: it lasts beyond the service's restarts.
pub fn connect(name: &str) -> Result<Connection, ServiceError> {
    let cap = registry()?.lookup(name).map_err(ServiceError::Registry)?;
    Ok(Connection::from(cap))
}

/// A service that the whole program shares one connection to, made when it is first needed.
#[derive(Debug)]
pub(crate) struct Shared {
    name: &'static str,
    connection: OnceLock<Connection>,
}

impl Shared {
    /// The service of that name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, connection: OnceLock::new() }
    }

    /// The connection. Nobody closes it.
    #[inline]
    pub fn connection(&self) -> Result<Connection, ServiceError> {
        match self.connection.get() {
            Some(connection) => Ok(*connection),
            None => self.connect(),
        }
    }

    #[cold]
    fn connect(&self) -> Result<Connection, ServiceError> {
        let new = connect(self.name)?;
        let connection = *self.connection.get_or_init(|| new);
        if connection != new {
            // Another thread was faster.
            new.close();
        }
        Ok(connection)
    }
}

impl Connection {
    /// How often a request is sent again.
    fn repetitions(self, method: &Method) -> u32 {
        if self.repeats && (method.idempotent || method.numbered) { REPETITIONS } else { 0 }
    }

    /// Asks for the answer to a request that had none yet, until there is one. A server that does not know it any more has
    /// forgotten it.
    #[cold]
    fn wait_on(self, request: u64) -> Result<Message, Error> {
        let info = MessageInfo::new(STILL_WAITING | PROMPT, 1, 0);
        loop {
            let answer = self.endpoint.call(info, [request, 0, 0, 0, 0, 0])?;
            match answer.info.label() {
                // Seen between two such calls, it does not wait: let nobody take it for hanging.
                ANSWER_NOT_YET if thread::current() == own::THREAD => control::beat(),
                ANSWER_NOT_YET => {}
                ANSWER_UNKNOWN_METHOD => return Err(Error::Cancelled),
                _ => return Ok(answer),
            }
        }
    }

    /// Tells a server that runs on that it did not answer, if this component is one that is believed.
    #[cold]
    fn complain(self) {
        let is_believed = start::info().is_some_and(|info| info.header.badge & badge::LIFECYCLE != 0);
        if is_believed && thread::current() == own::THREAD {
            // The server's end ends the call.
            let _ = self.endpoint.call(MessageInfo::new(FORGOTTEN | PROMPT, 0, 0), [0; 6]);
        }
    }
}

fn is_unknown(answer: &Message) -> bool {
    answer.info.label() == ANSWER_UNKNOWN_METHOD
}

impl Transport for Connection {
    #[inline]
    fn number(&self) -> u64 {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // A component that is started anew has the badge of its predecessor, and counts from 1 as that did.
        let who = start::info().map_or(0, |info| info.header.badge << 8 | info.header.generation & 0xff);
        who << 32 | COUNT.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff
    }

    #[inline]
    fn call<R>(
        &self,
        method: &Method,
        put: impl Fn(&mut Writer<'_>),
        take: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let mut repetitions = self.repetitions(method);
        let mut label = if self.is_patient && method.deferred { method.label } else { method.label | PROMPT };
        let mut guard = BufferGuard::take();
        let mut table_is_full;
        let answer = loop {
            // With a full table no capability can arrive; all else can, and what the program says of it can leave.
            table_is_full = guard.prepare_receive_slots().is_err();
            let buffer = guard.get();
            let mut writer = Writer::new(&mut buffer.words);
            put(&mut writer);
            if writer.overflowed() {
                return Err(CallError::TooLarge);
            }
            let (words, count) = (writer.registers(), writer.caps().len());
            let info = writer.info(label);
            if count > 0 {
                let mut caps = [0; MAX_CAPS];
                caps[..count].copy_from_slice(writer.caps());
                buffer.caps = caps;
            }
            let mut called = self.endpoint.call(info, words);
            if let Ok(answer) = &called
                && method.deferred
                && answer.info.label() == ANSWER_NOT_YET
            {
                // It was well until now.
                repetitions = self.repetitions(method);
                called = if self.repeats { self.wait_on(answer.words[0]) } else { Err(Error::Cancelled) };
            }
            if repetitions > 0 && matches!(called, Err(Error::Cancelled)) {
                self.complain();
            }
            match called {
                Ok(answer) if method.is_known_again() && label & AGAIN != 0 && is_unknown(&answer) => {
                    return Err(CallError::Restarted);
                }
                Ok(answer) => break answer,
                Err(Error::PeerRestarted) if repetitions > 0 => label &= !AGAIN,
                // It was not answered in time, by a server that runs on. Not every one then knows a request by its number.
                Err(Error::Cancelled) if method.idempotent && repetitions > 0 => {}
                Err(Error::Cancelled) if method.is_known_again() && repetitions > 0 => label |= AGAIN,
                Err(error) => return Err(error.into()),
            }
            repetitions -= 1;
        };
        let count = answer.info.caps().min(MAX_CAPS);
        let arrived = guard.take_arrived_caps(count);
        let buffer = guard.get();
        // Those that came in registers join the others.
        buffer.words[..REGISTER_WORDS].copy_from_slice(&answer.words);
        let mut reader = Reader::new(&buffer.words[..answer.info.length().min(MAX_WORDS)], &arrived[..count]);
        let result = if table_is_full && arrived[..count].contains(&0) {
            Err(Error::LimitReached.into())
        } else {
            take(answer.info.label(), &mut reader)
        };
        for untaken in reader.untaken_caps() {
            slots::delete(CapSlot(untaken.0));
        }
        result
    }
}
