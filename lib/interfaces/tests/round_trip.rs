//! A client stub and a server dispatch face to face, and hostile messages.

#![allow(missing_docs, reason = "made up for the test")]

use std::cell::{Cell, RefCell};

use motte_interfaces::{
    Bytes, CallError, Cap, Method, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Transport, Wire, Writer,
    interface,
};
use proptest::prelude::*;

const BUFFER: [u64; 112] = [0; 112];

#[derive(Clone, Debug, PartialEq, Wire)]
pub enum Refusal {
    Odd { value: u64 },
    Call,
}

impl From<CallError> for Refusal {
    fn from(_: CallError) -> Self {
        Self::Call
    }
}

#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Everything {
    flag: bool,
    small: u8,
    signed: i64,
    text: String,
    list: Vec<u32>,
    maybe: Option<String>,
    pair: (u64, Bytes),
}

#[interface("test", base = 7)]
pub trait Test {
    /// Gives it back.
    #[idempotent]
    fn echo(&self, all: &Everything, data: &[u8], name: &str) -> Result<(Everything, Bytes, String), Refusal>;
    /// Refuses odd numbers.
    fn even(&self, value: u64) -> Result<u64, Refusal>;
    /// Passes a capability.
    fn pass(&self, cap: Cap) -> Result<Cap, Refusal>;
    /// Answers later.
    #[deferred]
    fn later(&self, value: u64) -> Result<u64, Refusal>;
}

#[derive(Default)]
struct Server {
    waiting: Vec<(u64, Responder<u64, Refusal>)>,
}

impl Test for Server {
    fn echo(
        &mut self,
        _: &Sender,
        all: Everything,
        data: &[u8],
        name: &str,
    ) -> Result<(Everything, Bytes, String), Refusal> {
        Ok((all, Bytes(data.to_vec()), name.into()))
    }
    fn even(&mut self, _: &Sender, value: u64) -> Result<u64, Refusal> {
        if value.is_multiple_of(2) { Ok(value / 2) } else { Err(Refusal::Odd { value }) }
    }
    fn pass(&mut self, sender: &Sender, cap: Cap) -> Result<Cap, Refusal> {
        assert_eq!(sender.badge, 5);
        Ok(cap)
    }
    fn later(&mut self, _: &Sender, value: u64, responder: Responder<u64, Refusal>) {
        self.waiting.push((value, responder));
    }
}

/// Carries messages by calling the dispatch; a deferred call is answered when the request is in.
struct Loopback {
    server: RefCell<Server>,
    calls: Cell<usize>,
}

struct Late<'a>(&'a mut Option<Outcome>, &'a mut Writer<'a>);

impl Replier for Late<'_> {
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        assert_eq!(token, ReplyToken(99));
        *self.0 = Some(put(self.1));
    }
}

impl Transport for Loopback {
    fn call<R>(
        &self,
        method: &Method,
        put: impl Fn(&mut Writer<'_>),
        take: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        self.calls.set(self.calls.get() + 1);
        let (mut there, mut back) = (BUFFER, BUFFER);
        let mut request = Writer::new(&mut there);
        put(&mut request);
        if request.overflowed() {
            return Err(CallError::TooLarge);
        }
        let (length, caps) = (request.length(), request.caps().to_vec());
        let mut reader = Reader::new(&there[..length], &caps);
        let mut server = self.server.borrow_mut();
        let (length, caps, label);
        {
            let mut reply = Writer::new(&mut back);
            let outcome =
                dispatch_test(&mut *server, &Sender { badge: 5 }, method.label, &mut reader, &mut reply, &mut || {
                    ReplyToken(99)
                });
            let mut late = None;
            let done = if outcome == Outcome::Deferred {
                let (value, responder) = server.waiting.pop().expect("kept");
                let mut buffer = BUFFER;
                let mut writer = Writer::new(&mut buffer);
                responder.answer(&mut Late(&mut late, &mut writer), Ok(value + 1));
                value.wrapping_add(1).put(&mut reply);
                late.expect("answered")
            } else {
                outcome
            };
            label = done.label().expect("answered");
            (length, caps) = (reply.length(), reply.caps().to_vec());
        }
        take(label, &mut Reader::new(&back[..length], &caps))
    }
}

fn client() -> TestClient<Loopback> {
    TestClient::new(Loopback { server: RefCell::default(), calls: Cell::new(0) })
}

#[test]
fn errors_capabilities_and_late_answers_come_back() {
    let client = client();
    assert_eq!(client.even(8), Ok(4));
    assert_eq!(client.even(7), Err(Refusal::Odd { value: 7 }));
    assert_eq!(client.pass(Cap(33)), Ok(Cap(33)));
    assert_eq!(client.later(41), Ok(42));
}

#[test]
fn a_request_that_does_not_fit_is_refused_before_it_is_sent() {
    let client = client();
    let all = Everything {
        flag: true,
        small: 1,
        signed: -1,
        text: "x".repeat(900),
        list: vec![],
        maybe: None,
        pair: (0, Bytes::default()),
    };
    assert_eq!(client.echo(&all, b"", ""), Err(Refusal::Call));
}

proptest! {
    #[test]
    fn everything_survives_the_way_there_and_back(
        flag: bool, small: u8, signed: i64, text in ".{0,20}", list in prop::collection::vec(any::<u32>(), 0..10),
        maybe in prop::option::of("[a-z]{0,9}"), number: u64, bytes in prop::collection::vec(any::<u8>(), 0..60), name in ".{0,12}",
    ) {
        let all = Everything { flag, small, signed, text, list, maybe, pair: (number, Bytes(bytes.clone())) };
        prop_assert_eq!(client().echo(&all, &bytes, &name), Ok((all.clone(), Bytes(bytes), name)));
    }

    #[test]
    fn a_hostile_request_is_malformed_or_answered_and_never_a_panic(
        label in 0u64..16, words in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..40], 0..112), caps in prop::collection::vec(any::<u64>(), 0..4),
    ) {
        let mut back = BUFFER;
        let outcome = dispatch_test(
            &mut Server::default(), &Sender { badge: 5 }, label, &mut Reader::new(&words, &caps),
            &mut Writer::new(&mut back), &mut || ReplyToken(1),
        );
        if !(7..11).contains(&label) {
            prop_assert_eq!(outcome, Outcome::UnknownMethod);
        }
    }
}

#[test]
fn nothing_of_an_earlier_message_is_sent_with_a_shorter_one() {
    let mut buffer = [u64::MAX; 112];
    let mut writer = Writer::new(&mut buffer);
    writer.word(7);
    assert_eq!(writer.registers(), [7, 0, 0, 0, 0, 0]);
    writer.bytes(b"nine char");
    assert_eq!((writer.length(), writer.registers()[3]), (4, u64::from(b'r')));
}
