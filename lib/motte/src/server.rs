//! Servers: one endpoint, its callers, the bound notification, and tasks beside them.
//!
//! ```ignore
//! let mut server = Server::new(Endpoint(motte::start::capability("endpoint:counter")?))?;
//! server.run(&mut Counter::default())
//! ```
//!
//! A [`Handler`] gets every request with a reader and a writer, as the `dispatch_…` functions of `motte-interfaces` want them. It answers
//! at once, or defers and answers through [`Replies`]. Interrupts, rings and timers are [`Event`]s: bits of the notification that is bound to the
//! server's thread. [`Tasks`] run between requests.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};
use motte_abi::{Error, MessageInfo, ObjectType};
use motte_interfaces::{ANSWER_MALFORMED, Cap, Outcome, PROMPT, Reader, Replier, ReplyToken, Sender, Writer};

use crate::kernel::{CapSlot, Endpoint, Message, Reply};
use crate::thread::BufferGuard;
use crate::{control, entry, memory, slots};

pub use crate::tasks::{Event, Tasks};

/// What a server does with what arrives.
pub trait Handler {
    /// Handles a request: mostly one call of a generated `dispatch_…` function. `defer` gives the token under which to answer later.
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome;

    /// Bits of the bound notification that belong to no [`Event`] that a task waits for.
    fn notified(&mut self, bits: u64) {
        let _ = bits;
    }

    /// Saves what must not be lost: the supervisor wants the component to end, and it does when this returns. Asked of components with a
    /// `stop-timeout` in the manifest; who takes longer than that is ended.
    fn stop(&mut self) {}
}

/// Callers who wait for an answer. Clones name the same callers.
///
/// An answer to the request that the handler has in hand goes out with the server's next reply-and-receive, when the handler is done
/// with it; one to an earlier request at once, by a system call of its own.
#[derive(Clone, Debug)]
pub struct Replies(Rc<RefCell<Pool>>);

#[derive(Debug)]
struct Pool {
    /// Reply objects that hold nobody.
    free: Vec<Reply>,
    /// Reply objects that hold a caller, by slot.
    waiting: BTreeSet<u64>,
    turn: Turn,
    /// Capabilities to delete when the server has next received; the answers that they travel in were sent by then.
    passing: Vec<CapSlot>,
    /// Where answers to earlier requests are put together.
    scratch: Box<[u64; MAX_WORDS]>,
    /// The words and capabilities of the answer to the request in hand.
    answer: Box<[u64; MAX_WORDS]>,
    answer_caps: [u64; MAX_CAPS],
}

/// What the handler did with the request in hand.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// It did not ask to answer later.
    Plain,
    /// It will answer later; the Reply object's slot.
    Deferred(u64),
    /// It asked, and answered: what lies in [`Pool::answer`].
    Answered(MessageInfo),
}

impl Replies {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Pool {
            free: Vec::new(),
            waiting: BTreeSet::new(),
            turn: Turn::Plain,
            passing: Vec::new(),
            scratch: Box::new([0; MAX_WORDS]),
            answer: Box::new([0; MAX_WORDS]),
            answer_caps: [0; MAX_CAPS],
        })))
    }

    fn take(&self) -> Result<Reply, Error> {
        let free = self.0.borrow_mut().free.pop();
        match free {
            Some(reply) => Ok(reply),
            None => memory::make(ObjectType::Reply, 0).map(Reply),
        }
    }

    /// Has a capability deleted when the server has next received: for one that was made only to be sent along with an answer, by then.
    pub fn delete_after_reply(&self, cap: Cap) {
        self.0.borrow_mut().passing.push(CapSlot(cap.0));
    }

    #[inline]
    fn delete_passed(&self) {
        let mut pool = self.0.borrow_mut();
        // Mostly there are none.
        while let Some(passed) = pool.passing.pop() {
            slots::delete(passed);
        }
    }

    /// Answers a deferred request with a short message put together by hand.
    pub fn answer_raw(&self, token: ReplyToken, info: MessageInfo, words: [u64; REGISTER_WORDS]) {
        let mut pool = self.0.borrow_mut();
        if matches!(pool.turn, Turn::Deferred(slot) if slot == token.0) {
            pool.answer[..REGISTER_WORDS].copy_from_slice(&words);
            pool.turn = Turn::Answered(info);
        } else if pool.waiting.remove(&token.0) {
            drop(pool);
            self.send(Reply::at(token.0), info, words);
        }
    }

    fn send(&self, reply: Reply, info: MessageInfo, words: [u64; REGISTER_WORDS]) {
        // A caller that is gone is no error.
        let _ = reply.reply(info, words);
        self.0.borrow_mut().free.push(reply);
    }

    /// How many callers wait.
    pub fn waiting(&self) -> usize {
        self.0.borrow().waiting.len()
    }
}

impl Replier for Replies {
    #[inline]
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut pool = self.0.borrow_mut();
        let Pool { turn, waiting, scratch, answer, answer_caps, .. } = &mut *pool;
        let in_hand = matches!(turn, Turn::Deferred(slot) if *slot == token.0);
        if !in_hand && !waiting.remove(&token.0) {
            return;
        }
        let mut writer = Writer::new(if in_hand { answer } else { scratch });
        let label = put(&mut writer).label().unwrap_or(ANSWER_MALFORMED);
        let info = writer.info(label);
        if in_hand {
            answer_caps.iter_mut().zip(writer.caps()).for_each(|(place, cap)| *place = *cap);
            *turn = Turn::Answered(info);
        } else {
            let (info, words) = load(info, writer.words(), writer.caps());
            drop(pool);
            self.send(Reply::at(token.0), info, words);
        }
    }
}

/// What goes to the kernel with an answer: its description, and the words that travel in registers.
type Answer = (MessageInfo, [u64; REGISTER_WORDS]);

/// Puts what does not travel in registers where the kernel takes it from.
#[inline]
fn load(info: MessageInfo, words: &[u64; MAX_WORDS], caps: &[u64]) -> Answer {
    if !info.is_short() {
        load_long(info, words, caps);
    }
    (info, core::array::from_fn(|index| if index < info.length() { words[index] } else { 0 }))
}

fn load_long(info: MessageInfo, words: &[u64; MAX_WORDS], caps: &[u64]) {
    let mut guard = BufferGuard::take();
    let buffer = guard.get();
    let length = info.length();
    if length > REGISTER_WORDS {
        buffer.words[REGISTER_WORDS..length].copy_from_slice(&words[REGISTER_WORDS..length]);
    }
    buffer.caps[..info.caps()].copy_from_slice(&caps[..info.caps()]);
}

/// Takes what did not come in registers out of the message buffer, which the handler may use for calls of its own. Returns how many words the
/// request has, and how many capabilities.
fn take_long(info: MessageInfo, words: &mut [u64; MAX_WORDS], arrived: &mut [u64; MAX_CAPS]) -> (usize, usize) {
    let (length, count) = (info.length().min(MAX_WORDS), info.caps().min(MAX_CAPS));
    let mut guard = BufferGuard::take();
    *arrived = guard.take_arrived_caps(count);
    if length > REGISTER_WORDS {
        words[REGISTER_WORDS..length].copy_from_slice(&guard.get().words[REGISTER_WORDS..length]);
    }
    (length, count)
}

/// A server on one endpoint, in the thread that made it.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    replies: Replies,
    tasks: Tasks,
    request: Box<[u64; MAX_WORDS]>,
    answer: Box<[u64; MAX_WORDS]>,
}

impl Server {
    /// A server that receives on `endpoint`.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let tasks = Tasks::new()?;
        Ok(Self {
            endpoint,
            replies: Replies::new(),
            tasks,
            request: Box::new([0; MAX_WORDS]),
            answer: Box::new([0; MAX_WORDS]),
        })
    }

    /// A server on the endpoint of a service that the manifest says this component provides.
    pub fn for_service(name: &str) -> Result<Self, Error> {
        let endpoint = crate::start::info()
            .into_iter()
            .flat_map(|info| info.capabilities())
            .find(|(capability, _)| capability.strip_prefix("endpoint:") == Some(name));
        let (_, slots) = endpoint.ok_or(Error::InvalidCapability)?;
        Self::new(Endpoint::at(slots.start))
    }

    /// The endpoint that it receives on.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Those who wait for deferred answers.
    pub fn replies(&self) -> Replies {
        self.replies.clone()
    }

    /// Tasks and events of this server's thread.
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Serves for ever. Returns only if the kernel refuses to receive.
    pub fn run<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Error {
        let mut reply = match self.replies.take() {
            Ok(reply) => reply,
            Err(error) => return error,
        };
        let mut answer = None;
        loop {
            let received = self.receive(&mut answer, reply);
            let message = match received {
                Ok(message) => message,
                Err(Error::Cancelled | Error::WouldBlock) => continue,
                Err(error) => return error,
            };
            if message.info.is_notification() {
                self.notified(handler, message.words[0]);
                continue;
            }
            match self.handle(handler, &message, reply) {
                Some(now) if message.info.is_call() => answer = Some(now),
                Some(_) => {}
                None => {
                    reply = match self.replies.take() {
                        Ok(reply) => reply,
                        Err(error) => return error,
                    };
                }
            }
        }
    }

    /// Takes note of signals: the supervisor's, events, and what is left for the handler.
    fn notified<H: Handler + ?Sized>(&mut self, handler: &mut H, bits: u64) {
        let rest = self.tasks.notified(bits);
        if rest != 0 {
            handler.notified(rest);
        }
        if bits & control::STOP != 0 {
            handler.stop();
            entry::exit(0);
        }
    }

    /// Sends the answer that is due, if any, runs tasks, and receives.
    #[inline]
    fn receive(&mut self, answer: &mut Option<Answer>, reply: Reply) -> Result<Message, Error> {
        if self.tasks.have_work() {
            if let Some((info, words)) = answer.take() {
                let _ = reply.reply(info, words);
            }
            self.tasks.run();
        }
        BufferGuard::take().prepare_receive_slots()?;
        let received = match answer.take() {
            Some((info, words)) => self.endpoint.reply_receive(reply, info, words),
            None => self.endpoint.receive(reply),
        };
        self.replies.delete_passed();
        received
    }

    /// Has the handler handle a request. Returns the answer; `None` if it comes later, and `reply` is kept for it.
    #[inline]
    fn handle<H: Handler + ?Sized>(&mut self, handler: &mut H, message: &Message, reply: Reply) -> Option<Answer> {
        self.request[..REGISTER_WORDS].copy_from_slice(&message.words);
        let mut arrived = [0; MAX_CAPS];
        let (length, count) = match message.info.is_short() {
            true => (message.info.length(), 0),
            false => take_long(message.info, &mut self.request, &mut arrived),
        };
        let mut reader = Reader::new(&self.request[..length], &arrived[..count]);
        let mut writer = Writer::new(&mut self.answer);
        let sender = Sender { badge: message.badge };
        let replies = &self.replies;
        let mut defer = || {
            replies.0.borrow_mut().turn = Turn::Deferred(reply.0.0);
            ReplyToken(reply.0.0)
        };
        let outcome = handler.request(&sender, message.info.label() & !PROMPT, &mut reader, &mut writer, &mut defer);
        for untaken in reader.untaken_caps() {
            slots::delete(CapSlot(untaken.0));
        }
        let mut pool = self.replies.0.borrow_mut();
        if matches!(pool.turn, Turn::Plain) {
            let info = writer.info(outcome.label().unwrap_or(ANSWER_MALFORMED));
            return Some(load(info, writer.words(), writer.caps()));
        }
        match core::mem::replace(&mut pool.turn, Turn::Plain) {
            Turn::Plain => None,
            Turn::Answered(info) => Some(load(info, &pool.answer, &pool.answer_caps)),
            Turn::Deferred(slot) => {
                pool.waiting.insert(slot);
                None
            }
        }
    }
}
