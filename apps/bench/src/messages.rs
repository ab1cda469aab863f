//! Messages and signals.

use motte::abi::message::{MAX_WORDS, REGISTER_WORDS};
use motte::abi::{Error, MessageInfo, ObjectType};
use motte::kernel::{CapSlot, Endpoint, Message, Notification};
use motte::thread::{read_buffer_words, write_buffer_words};

use crate::SERVER_PRIORITY;
use crate::arena::Arena;
use crate::child::{Child, Plan};
use crate::failure::Failure;
use crate::meter::Named;
use crate::roles::{self, Role};

const COUNT: usize = 1000;
/// Label of requests.
const REQUEST: u64 = 7;
/// Label of answers.
const ANSWER: u64 = 8;

const WRONG_ANSWER: Failure = Failure::Wrong("the answer is not the server's");
const WRONG_WORDS: Failure = Failure::Wrong("other words came than were sent");

/// Starts a server on a fresh endpoint; it waits already when this returns.
fn serve(arena: &mut Arena, role: Role, answer: MessageInfo, slots: u64) -> Result<(Endpoint, Child), Error> {
    let endpoint = arena.make(ObjectType::Endpoint, 0)?;
    let reply = arena.make(ObjectType::Reply, 0)?;
    let plan = Plan {
        role,
        argument: answer.0,
        priority: SERVER_PRIORITY,
        capabilities: &[(endpoint, roles::ENDPOINT.0.0), (reply, roles::REPLY.0.0)],
        faults: None,
        shared: None,
        slots,
    };
    let child = Child::start(arena, &plan)?;
    Ok((Endpoint(endpoint), child))
}

/// Words 0, 3, 6, …: none is its own successor's or another's.
fn sample_words() -> [u64; MAX_WORDS] {
    core::array::from_fn(|index| index as u64 * 3)
}

fn first<const N: usize>(words: &[u64]) -> [u64; N] {
    core::array::from_fn(|index| words[index])
}

/// Sees that `length` words go over and come back: a server answers with each one larger.
fn check_words(arena: &mut Arena, length: usize) -> Result<(), Failure> {
    let (endpoint, _server) = serve(arena, roles::serve_successors, MessageInfo::default(), 16)?;
    let sent = sample_words();
    if length > REGISTER_WORDS {
        write_buffer_words(REGISTER_WORDS, &sent[REGISTER_WORDS..length]);
    }
    let answer = endpoint.call(MessageInfo::new(REQUEST, length, 0), first(&sent))?;
    let mut words = [0; MAX_WORDS];
    words[..REGISTER_WORDS].copy_from_slice(&answer.words);
    if length > REGISTER_WORDS {
        read_buffer_words(REGISTER_WORDS, &mut words[REGISTER_WORDS..length]);
    }
    let arrived = answer.info.label() == REQUEST + 1
        && answer.info.length() == length
        && words[..length].iter().zip(&sent).all(|(came, sent)| *came == sent + 1);
    arena.clear();
    if arrived { Ok(()) } else { Err(WRONG_WORDS) }
}

fn check_answer(info: MessageInfo, length: usize) -> Result<(), Failure> {
    if info.label() == ANSWER && info.length() == length { Ok(()) } else { Err(WRONG_ANSWER) }
}

fn check_echo<const N: usize>(answer: Result<Message, Error>, sent: &[u64; N]) -> Result<(), Failure> {
    let answer = answer?;
    check_answer(answer.info, N)?;
    if answer.words[..N] == sent[..] { Ok(()) } else { Err(WRONG_WORDS) }
}

/// Call and reply without words.
pub fn call_reply_0(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    check_words(arena, 0)?;
    let (endpoint, _server) = serve(arena, roles::serve_empty, MessageInfo::new(ANSWER, 0, 0), 16)?;
    let info = MessageInfo::new(REQUEST, 0, 0);
    meter.measure(COUNT, || endpoint.call_empty(info), |answer| check_answer(answer?, 0))
}

/// Call and reply, four words each way.
pub fn call_reply_4(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    check_words(arena, 4)?;
    let (endpoint, _server) = serve(arena, roles::serve_short, MessageInfo::new(ANSWER, 4, 0), 16)?;
    let (info, words) = (MessageInfo::new(REQUEST, 4, 0), first::<4>(&sample_words()));
    meter.measure(COUNT, || endpoint.call_short(info, words), |answer| check_echo(answer, &words))
}

/// Call and reply, six words each way.
pub fn call_reply_6(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    check_words(arena, 6)?;
    let (endpoint, _server) = serve(arena, roles::serve_long, MessageInfo::new(ANSWER, 6, 0), 16)?;
    let (info, words) = (MessageInfo::new(REQUEST, 6, 0), first::<6>(&sample_words()));
    meter.measure(COUNT, || endpoint.call(info, words), |answer| check_echo(answer, &words))
}

/// Call and reply, more words each way than travel in registers. They lie in the client's message buffer, and stay in the server's, where
/// they came.
pub fn call_reply_long(arena: &mut Arena, meter: &mut Named<'_>, length: usize) -> Result<(), Failure> {
    check_words(arena, length)?;
    let (endpoint, _server) = serve(arena, roles::serve_long, MessageInfo::new(ANSWER, length, 0), 16)?;
    let sent = sample_words();
    let (info, words) = (MessageInfo::new(REQUEST, length, 0), first::<6>(&sent));
    write_buffer_words(REGISTER_WORDS, &sent[REGISTER_WORDS..length]);
    meter.measure(
        COUNT,
        || endpoint.call(info, words),
        |answer| {
            let answer = answer?;
            check_answer(answer.info, length)?;
            let mut rest = [0; MAX_WORDS];
            read_buffer_words(REGISTER_WORDS, &mut rest[REGISTER_WORDS..length]);
            let same = answer.words == words && rest[REGISTER_WORDS..length] == sent[REGISTER_WORDS..length];
            if same { Ok(()) } else { Err(WRONG_WORDS) }
        },
    )
}

/// A capability goes along with a call; the answer has neither capabilities nor words. The server names a fresh slot each time.
pub fn call_cap(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let answer = MessageInfo::new(ANSWER, 0, 0);
    let (endpoint, server) = serve(arena, roles::serve_capabilities, answer, 2048)?;
    let sent = arena.make(ObjectType::Notification, 0)?;
    motte::thread::BufferGuard::take().get().caps[0] = sent.0;
    let info = MessageInfo::new(REQUEST, 0, 1);
    let mut slot = roles::FREE;
    meter.measure(
        COUNT,
        || endpoint.call_empty(info),
        |answer| {
            check_answer(answer?, 0)?;
            let (kind, ..) = server.table.identify(slot)?;
            slot += 1;
            let arrived = kind == ObjectType::Notification;
            if arrived { Ok(()) } else { Err(Failure::Wrong("the capability did not arrive")) }
        },
    )
}

/// Signals a thread of higher priority in another address space that waits: it runs, waits again, and this one goes on.
pub fn signal_wait(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let notification = Notification(arena.make(ObjectType::Notification, 0)?);
    let plan = Plan {
        role: roles::wait,
        argument: 0,
        priority: SERVER_PRIORITY,
        capabilities: &[(notification.0, roles::NOTIFICATION.0.0)],
        faults: None,
        shared: None,
        slots: 16,
    };
    Child::start(arena, &plan)?;
    meter.measure(
        COUNT,
        || notification.signal(),
        |result| {
            // If the other had not taken it, it would still be there.
            result?;
            let taken = notification.poll() == Err(Error::WouldBlock);
            if taken { Ok(()) } else { Err(Failure::Wrong("the waiting thread did not run")) }
        },
    )
}

/// Signals a notification on which nobody waits.
pub fn signal(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let notification = Notification(arena.make(ObjectType::Notification, 0)?);
    meter.measure(COUNT, || notification.signal(), |result| Ok(result.and_then(|()| notification.poll()).map(drop)?))
}

/// Looks at a notification that was not signalled.
pub fn poll(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let notification = Notification(arena.make(ObjectType::Notification, 0)?);
    meter.measure(COUNT, || notification.poll(), |result| refused(result.map(drop), Error::WouldBlock))
}

/// Calls on an empty slot.
pub fn bad_cap(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let nothing: CapSlot = arena.slot()?;
    let info = MessageInfo::new(REQUEST, 0, 0);
    meter.measure(
        COUNT,
        || Endpoint(nothing).call_empty(info),
        |result| refused(result.map(drop), Error::InvalidCapability),
    )
}

fn refused(result: Result<(), Error>, expected: Error) -> Result<(), Failure> {
    match result {
        Err(error) if error == expected => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err(Failure::Wrong("what must fail succeeded")),
    }
}
