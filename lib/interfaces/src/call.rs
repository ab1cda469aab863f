//! What passes between generated code and whoever carries the messages.

use core::fmt;
use core::marker::PhantomData;

use crate::wire::{Reader, Wire, WireError, Writer};

/// Label of an answer that holds the method's result.
pub const ANSWER_OK: u64 = 0;
/// Label of an answer that holds the method's error.
pub const ANSWER_ERROR: u64 = 1;
/// Label of an answer that says: no such method.
pub const ANSWER_UNKNOWN_METHOD: u64 = 2;
/// Label of an answer that says: the request could not be taken apart.
pub const ANSWER_MALFORMED: u64 = 3;
/// Label of an answer that says: not yet, ask for the answer by [`STILL_WAITING`]. Word 0 names the request. It is given to requests with
/// [`PROMPT`] in their label that would wait for longer than some seconds.
pub const ANSWER_NOT_YET: u64 = 4;

/// Set in a request's label by a stub whose caller is answered within some seconds, if only by [`ANSWER_NOT_YET`]. Whoever holds the
/// caller's thread sees it, and ends a call that is never answered.
pub const PROMPT: u64 = 1 << 47;
/// Set in the label of a request that carries a number and was sent before: its call was ended, because the server, which goes on, did not
/// answer. A server that does not know such repetitions does not know the label.
pub const AGAIN: u64 = 1 << 46;
/// Label of the request for the answer to one that was answered by [`ANSWER_NOT_YET`]; word 0 is that answer's.
pub const STILL_WAITING: u64 = AGAIN - 1;
/// Label of the word that a request was never answered, from whoever reports deaths ([`crate::badge::LIFECYCLE`]): the server forgets requests, and ends, which
/// ends the call. A successor does better.
pub const FORGOTTEN: u64 = AGAIN - 2;

/// The label of the method that a request asks for.
pub const fn method_label(label: u64) -> u64 {
    label & !(PROMPT | AGAIN)
}

/// One method of an interface, as its stub knows it.
#[derive(Debug)]
pub struct Method {
    /// The message label.
    pub label: u64,
    /// The interface's name.
    pub interface: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Whether it is harmless to do it twice.
    pub idempotent: bool,
    /// Whether a server that was restarted knows a repetition by its number.
    pub numbered: bool,
    /// Whether the server may answer much later, when something else has happened.
    pub deferred: bool,
}

impl Method {
    /// Whether a server that goes on may know a repetition by its number, if it is told that it is one ([`AGAIN`]).
    pub const fn is_known_again(&self) -> bool {
        self.numbered && self.deferred
    }
}

/// Who sent a request: the badge of the capability it came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The badge.
    pub badge: u64,
}

/// Why a call brought no answer of the service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The service is gone, and will not come back by itself.
    Gone,
    /// The service was restarted while it had the request, or did not answer it and the call was ended; whether it was carried out is not
    /// known. The stub repeats calls that are safe to repeat, so this is one that is not.
    Restarted,
    /// The service does not know the method: it is older or newer than this program.
    UnknownMethod,
    /// The request or the answer could not be taken apart.
    Malformed,
    /// The request is larger than a message.
    TooLarge,
    /// The kernel refused.
    Kernel(motte_abi::Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the service is gone"),
            Self::Restarted => f.write_str("the service did not answer, or was restarted before it did"),
            Self::UnknownMethod => f.write_str("the service does not know this request"),
            Self::Malformed => f.write_str("the message was malformed"),
            Self::TooLarge => f.write_str("the request is larger than a message"),
            Self::Kernel(error) => write!(f, "the message could not be sent: {error}"),
        }
    }
}

impl From<WireError> for CallError {
    fn from(_: WireError) -> Self {
        Self::Malformed
    }
}

impl From<motte_abi::Error> for CallError {
    fn from(error: motte_abi::Error) -> Self {
        match error {
            motte_abi::Error::PeerGone => Self::Gone,
            motte_abi::Error::PeerRestarted | motte_abi::Error::Cancelled => Self::Restarted,
            other => Self::Kernel(other),
        }
    }
}

/// Carries a request to a service and the answer back.
pub trait Transport {
    /// A number for a request: no other request of this program, or of another that uses the same capability, has it. A server that kept
    /// it over its restart tells by it that a request is repeated. 0: the server must not compare it.
    fn number(&self) -> u64 {
        0
    }

    /// Has `put` write the request (again for every repetition), sends it under the method's label, and has `take`
    /// read the answer, given the answer's label.
    fn call<R>(
        &self,
        method: &Method,
        put: impl Fn(&mut Writer<'_>),
        take: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError>;
}

impl<T: Transport> Transport for &T {
    fn number(&self) -> u64 {
        (**self).number()
    }

    fn call<R>(
        &self,
        method: &Method,
        put: impl Fn(&mut Writer<'_>),
        take: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        (**self).call(method, put, take)
    }
}

/// What every generated stub does.
#[inline]
pub fn call<T: Transport, R: Wire, E: Wire + From<CallError>>(
    transport: &T,
    method: &Method,
    put: impl Fn(&mut Writer<'_>),
) -> Result<R, E> {
    let outcome = transport.call(method, put, |label, reader| match label {
        ANSWER_OK => Ok(Ok(R::take(reader)?)),
        ANSWER_ERROR => Ok(Err(E::take(reader)?)),
        ANSWER_UNKNOWN_METHOD => Err(CallError::UnknownMethod),
        _ => Err(CallError::Malformed),
    });
    outcome.unwrap_or_else(|error| Err(E::from(error)))
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The answer lies in the writer; send it under this label.
    Answered(u64),
    /// The server keeps the request and answers later.
    Deferred,
    /// No such method: answer with [`ANSWER_UNKNOWN_METHOD`].
    UnknownMethod,
    /// Not a request of this method: answer with [`ANSWER_MALFORMED`].
    Malformed,
}

impl Outcome {
    /// The label to answer with now, if one is to be sent now.
    pub fn label(self) -> Option<u64> {
        match self {
            Self::Answered(label) => Some(label),
            Self::Deferred => None,
            Self::UnknownMethod => Some(ANSWER_UNKNOWN_METHOD),
            Self::Malformed => Some(ANSWER_MALFORMED),
        }
    }
}

/// Puts a method's result into the answer. One that does not fit becomes [`Outcome::Malformed`].
#[inline]
pub fn put_answer<R: Wire, E: Wire>(answer: &Result<R, E>, reply: &mut Writer<'_>) -> Outcome {
    let label = match answer {
        Ok(value) => {
            value.put(reply);
            ANSWER_OK
        }
        Err(error) => {
            error.put(reply);
            ANSWER_ERROR
        }
    };
    if reply.overflowed() {
        reply.clear();
        return Outcome::Malformed;
    }
    Outcome::Answered(label)
}

/// Names a caller who still waits, to whoever keeps the Reply objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyToken(pub u64);

/// Sends an answer to a caller who was kept waiting.
///
/// A server keeps one as a field (`motte::server::Replies` in programs, a recording one in host tests) and uses it from anywhere. An answer that is
/// given while the method that was given the [`Responder`] still runs goes out when that returns, with the server's next reply-and-receive;
/// any other takes a system call of its own.
pub trait Replier {
    /// Has `put` write the answer and say its label, and sends it. A caller that is gone is no error.
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome);
}

/// The obligation to answer one caller later.
#[derive(Debug)]
#[must_use = "the caller waits until it is answered"]
pub struct Responder<R, E> {
    token: ReplyToken,
    result: PhantomData<fn(R, E)>,
}

impl<R: Wire, E: Wire> Responder<R, E> {
    /// Made by generated code.
    pub fn new(token: ReplyToken) -> Self {
        Self { token, result: PhantomData }
    }

    /// Which caller.
    pub fn token(&self) -> ReplyToken {
        self.token
    }

    /// Answers.
    pub fn answer(self, replier: &mut impl Replier, result: Result<R, E>) {
        replier.reply(self.token, &mut |writer| put_answer(&result, writer));
    }
}
