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

use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};
use motte_abi::{Error, MessageInfo};
use motte_interfaces::{
    ANSWER_MALFORMED, ANSWER_UNKNOWN_METHOD, FORGOTTEN, Outcome, PROMPT, Reader, ReplyToken, STILL_WAITING, Sender,
    Writer, badge,
};

use crate::kernel::{CapSlot, Endpoint, Message, Reply};
use crate::replies::Left;
use crate::thread::BufferGuard;
use crate::{arch, control, entry, slots};

pub use crate::replies::Replies;
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

/// What goes to the kernel with an answer: its description, and the words that travel in registers.
pub(crate) type Answer = (MessageInfo, [u64; REGISTER_WORDS]);

/// Puts what does not travel in registers where the kernel takes it from.
#[inline]
pub(crate) fn load(info: MessageInfo, words: &[u64; MAX_WORDS], caps: &[u64]) -> Answer {
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
            replies: Replies::new(tasks.clone()),
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

    /// Serves for ever. Returns only if the kernel refuses to receive. Not inlined: a backtrace shows it apart from the program's own `main`.
    #[inline(never)]
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
            if self.handle(handler, &message, reply, &mut answer) {
                reply = match self.replies.take() {
                    Ok(reply) => reply,
                    Err(error) => return error,
                };
            } else if !message.info.is_call() {
                answer = None;
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

    /// Has the handler handle a request. The answer is put into `answer`; true if it comes later, and `reply` is kept for it.
    #[inline]
    fn handle<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        message: &Message,
        reply: Reply,
        answer: &mut Option<Answer>,
    ) -> bool {
        let mut arrived;
        let (words, caps): (&[u64], &[u64]) = if message.info.is_short() {
            // A server whose code is damaged must not take more words than there are.
            (&message.words[..arch::unknown(message.info.length())], &[])
        } else {
            arrived = [0; MAX_CAPS];
            self.request[..REGISTER_WORDS].copy_from_slice(&message.words);
            let (length, count) = take_long(message.info, &mut self.request, &mut arrived);
            (&self.request[..length], &arrived[..count])
        };
        let mut reader = Reader::new(words, caps);
        let mut writer = Writer::new(&mut self.answer);
        let sender = Sender { badge: message.badge };
        let label = message.info.label() & !PROMPT;
        let replies = &self.replies;
        let mut defer = || replies.defer(reply);
        let outcome = handler.request(&sender, label, &mut reader, &mut writer, &mut defer);
        for untaken in reader.untaken_caps() {
            slots::delete(CapSlot(untaken.0));
        }
        match self.replies.end_turn(message.badge, message.info.label() != label) {
            Left::Nothing if outcome == Outcome::UnknownMethod => *answer = self.unknown(message, label, reply),
            Left::Nothing => {
                let info = writer.info(outcome.label().unwrap_or(ANSWER_MALFORMED));
                *answer = Some(load(info, writer.words(), writer.caps()));
            }
            Left::Answer(now) => *answer = Some(now),
            Left::Caller => {}
        }
        answer.is_none()
    }

    /// A request of no method of the interface may be one that every server knows. `None`: `reply` is kept for the answer.
    #[cold]
    #[inline(never)]
    fn unknown(&self, message: &Message, label: u64, reply: Reply) -> Option<Answer> {
        let forgot = label == FORGOTTEN && message.badge & badge::LIFECYCLE != 0;
        assert!(!forgot, "a request of {} was forgotten", badge::client(message.badge));
        match label {
            STILL_WAITING => self.replies.take_up(ReplyToken(message.words[0]), message.badge, reply),
            _ => Some((MessageInfo::new(ANSWER_UNKNOWN_METHOD, 0, 0), [0; REGISTER_WORDS])),
        }
    }
}
