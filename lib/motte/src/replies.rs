//! Callers whom a server lets wait.
//!
//! Nobody waits longer than some seconds in one call: who waits longer is answered [`ANSWER_NOT_YET`], and asks for the answer at once by
//! [`STILL_WAITING`](motte_interfaces::STILL_WAITING). So a call that goes on for longer was forgotten, and whoever holds the
//! caller's thread ends it ([`crate::deadline`]). The service itself sees nothing of it: to it the caller is the same [`ReplyToken`] all the
//! time.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};
use motte_abi::{Error, MessageInfo, ObjectType};
use motte_interfaces::{
    ANSWER_MALFORMED, ANSWER_NOT_YET, ANSWER_UNKNOWN_METHOD, Cap, Outcome, Replier, ReplyToken, Writer,
};

use crate::kernel::{CapSlot, Reply};
use crate::server::{Answer, Tasks, load};
use crate::time::{Instant, monotonic_ns};
use crate::{memory, slots};

/// How often those who wait are looked at; at the second look they are told to ask again. So they wait for one to two of these.
const LOOK: Duration = Duration::from_secs(1);
/// A caller that was told to ask again, and has not at so many looks, is gone.
const PATIENCE: u32 = 30;

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
    /// Those who wait, by token.
    waiting: BTreeMap<u64, Waiting>,
    /// The last token that was given.
    last: u64,
    turn: Turn,
    /// Capabilities to delete when the server has next received; the answers that they travel in were sent by then.
    passing: Vec<CapSlot>,
    /// Where answers to earlier requests are put together.
    scratch: Box<[u64; MAX_WORDS]>,
    /// The words and capabilities of the answer to the request in hand.
    answer: Box<[u64; MAX_WORDS]>,
    answer_caps: [u64; MAX_CAPS],
    tasks: Tasks,
    /// Whether a task looks at those who wait.
    is_watched: bool,
}

/// What the handler did with the request in hand.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// It did not ask to answer later.
    Plain,
    /// It will answer later: the token, and the Reply object.
    Deferred(u64, Reply),
    /// It asked, and answered: what lies in [`Pool::answer`].
    Answered(MessageInfo),
}

/// What is left of a request when the handler is done with it.
pub(crate) enum Left {
    /// It did not ask to answer later.
    Nothing,
    /// It did, and has answered.
    Answer(Answer),
    /// The caller waits: its Reply object is in use.
    Caller,
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    badge: u64,
    /// Whether the caller knows [`ANSWER_NOT_YET`].
    is_prompt: bool,
    /// Looks since the caller last asked, or was told to ask again.
    looks: u32,
    place: Place,
}

/// Where a caller waits.
#[derive(Debug)]
enum Place {
    /// In a Reply object.
    Here(Reply),
    /// It was told to ask again, and has not yet.
    Away,
    /// The same, and this is what it gets when it does.
    Due(MessageInfo, Box<[u64; MAX_WORDS]>),
}

impl Replies {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self(Rc::new(RefCell::new(Pool {
            free: Vec::new(),
            waiting: BTreeMap::new(),
            last: 0,
            turn: Turn::Plain,
            passing: Vec::new(),
            scratch: Box::new([0; MAX_WORDS]),
            answer: Box::new([0; MAX_WORDS]),
            answer_caps: [0; MAX_CAPS],
            tasks,
            is_watched: false,
        })))
    }

    pub(crate) fn take(&self) -> Result<Reply, Error> {
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
    pub(crate) fn delete_passed(&self) {
        let mut pool = self.0.borrow_mut();
        // Mostly there are none.
        while let Some(passed) = pool.passing.pop() {
            slots::delete(passed);
        }
    }

    /// The handler asks to answer the request in hand later, whose caller is in `reply`.
    #[inline]
    pub(crate) fn defer(&self, reply: Reply) -> ReplyToken {
        let mut pool = self.0.borrow_mut();
        pool.last += 1;
        pool.turn = Turn::Deferred(pool.last, reply);
        ReplyToken(pool.last)
    }

    /// The handler is done with the request in hand.
    #[inline]
    pub(crate) fn end_turn(&self, badge: u64, is_prompt: bool) -> Left {
        let mut pool = self.0.borrow_mut();
        match core::mem::replace(&mut pool.turn, Turn::Plain) {
            Turn::Plain => Left::Nothing,
            Turn::Answered(info) => Left::Answer(load(info, &pool.answer, &pool.answer_caps)),
            Turn::Deferred(token, reply) => {
                let waiting = Waiting { badge, is_prompt, looks: 0, place: Place::Here(reply) };
                pool.waiting.insert(token, waiting);
                if is_prompt && !pool.is_watched {
                    pool.is_watched = true;
                    drop(pool);
                    self.watch();
                }
                Left::Caller
            }
        }
    }

    /// A caller asks for the answer to an earlier request, from `reply`. Returns the answer that is due; `None` if it waits on.
    #[cold]
    pub(crate) fn take_up(&self, token: ReplyToken, badge: u64, reply: Reply) -> Option<Answer> {
        let mut pool = self.0.borrow_mut();
        let found = pool.waiting.get_mut(&token.0).filter(|waiting| waiting.badge == badge);
        let unknown = (MessageInfo::new(ANSWER_UNKNOWN_METHOD, 0, 0), [0; REGISTER_WORDS]);
        let Some(waiting) = found else { return Some(unknown) };
        match &waiting.place {
            Place::Here(_) => Some(unknown),
            Place::Away => {
                (waiting.place, waiting.looks) = (Place::Here(reply), 0);
                None
            }
            Place::Due(info, words) => {
                let answer = load(*info, words, &[]);
                pool.waiting.remove(&token.0);
                Some(answer)
            }
        }
    }

    /// Looks at those who wait, as long as somebody does.
    #[cold]
    fn watch(&self) {
        let (replies, tasks) = (self.clone(), self.0.borrow().tasks.clone());
        let look = LOOK.as_nanos() as u64;
        self.0.borrow().tasks.spawn(async move {
            loop {
                tasks.sleep_until(Instant::from_ns((monotonic_ns() / look + 1) * look)).await;
                if !replies.look() {
                    return;
                }
            }
        });
    }

    /// Tells those who have waited long to ask again, and forgets those who should have. Whether anybody is left.
    fn look(&self) -> bool {
        let mut pool = self.0.borrow_mut();
        let mut due = Vec::new();
        pool.waiting.retain(|&token, waiting| {
            waiting.looks += u32::from(waiting.is_prompt);
            match waiting.place {
                Place::Here(reply) if waiting.looks >= 2 => {
                    due.push((token, reply));
                    (waiting.place, waiting.looks) = (Place::Away, 0);
                    true
                }
                Place::Here(_) => true,
                Place::Away | Place::Due(..) => waiting.looks < PATIENCE,
            }
        });
        pool.is_watched = pool.waiting.values().any(|waiting| waiting.is_prompt);
        let goes_on = pool.is_watched;
        drop(pool);
        for (token, reply) in due {
            self.send(reply, MessageInfo::new(ANSWER_NOT_YET, 1, 0), [token, 0, 0, 0, 0, 0]);
        }
        goes_on
    }

    /// Answers a deferred request with a short message put together by hand.
    pub fn answer_raw(&self, token: ReplyToken, info: MessageInfo, words: [u64; REGISTER_WORDS]) {
        let mut pool = self.0.borrow_mut();
        match pool.turn {
            Turn::Deferred(in_hand, _) if in_hand == token.0 => {
                pool.answer[..REGISTER_WORDS].copy_from_slice(&words);
                pool.turn = Turn::Answered(info);
            }
            _ => {
                if let Some(Waiting { place: Place::Here(reply), .. }) = pool.waiting.remove(&token.0) {
                    drop(pool);
                    self.send(reply, info, words);
                }
            }
        }
    }

    fn send(&self, reply: Reply, info: MessageInfo, words: [u64; REGISTER_WORDS]) {
        // A caller that is gone is no error.
        let _ = reply.reply(info, words);
        self.0.borrow_mut().free.push(reply);
    }
}

impl Replier for Replies {
    #[inline]
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut pool = self.0.borrow_mut();
        let Pool { turn, waiting, scratch, answer, answer_caps, .. } = &mut *pool;
        if matches!(turn, Turn::Deferred(in_hand, _) if *in_hand == token.0) {
            let mut writer = Writer::new(answer);
            let label = put(&mut writer).label().unwrap_or(ANSWER_MALFORMED);
            answer_caps.iter_mut().zip(writer.caps()).for_each(|(place, cap)| *place = *cap);
            *turn = Turn::Answered(writer.info(label));
            return;
        }
        let Some(mut waiting) = waiting.remove(&token.0) else { return };
        let mut writer = Writer::new(scratch);
        let label = put(&mut writer).label().unwrap_or(ANSWER_MALFORMED);
        let info = writer.info(label);
        match waiting.place {
            Place::Here(reply) => {
                let (info, words) = load(info, writer.words(), writer.caps());
                drop(pool);
                self.send(reply, info, words);
            }
            // Capabilities cannot be put aside: such a request must be sent anew.
            Place::Away if info.caps() == 0 => {
                waiting.place = Place::Due(info, Box::new(*writer.words()));
                pool.waiting.insert(token.0, waiting);
            }
            Place::Away | Place::Due(..) => {}
        }
    }
}
