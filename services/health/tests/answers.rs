//! What is made of the answers of servers that are well, and of the same servers when one of their answers is changed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use motte_clock::{ClockServer, Machine as ClockMachine, Registers};
use motte_health::complaint::{Answer, Kind};
use motte_health::questions::{LENT, Machine, clock, pipe};
use motte_interfaces::clock::{Clock, dispatch_clock};
use motte_interfaces::error::IoError;
use motte_interfaces::pipe::dispatch_pipes;
use motte_interfaces::stream::{STREAM_BASE, SharedPages, dispatch_stream};
use motte_interfaces::{CallError, Cap, Method, Outcome, Reader, Replier, ReplyToken, Sender, Transport, Writer};
use motte_pipe::{CAPACITY, PipeServer, Rings, WORDS};

/// Words of a message.
const MESSAGE: usize = 112;
const CLIENT: u64 = 3;

/// An answer: label, words, capabilities.
#[derive(Clone, Default)]
struct Given {
    label: u64,
    words: Vec<u64>,
    caps: Vec<u64>,
}

/// The answer that was given to a deferred request.
#[derive(Clone, Default)]
struct Late(Rc<RefCell<Option<Given>>>);

impl Replier for Late {
    fn reply(&mut self, _: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut buffer = [0; MESSAGE];
        let mut writer = Writer::new(&mut buffer);
        let label = put(&mut writer).label().expect("an answer");
        let (length, caps) = (writer.length(), writer.caps().to_vec());
        *self.0.borrow_mut() = Some(Given { label, words: buffer[..length].to_vec(), caps });
    }
}

/// Pages that the client lends.
#[derive(Clone)]
struct Lent(Rc<RefCell<Vec<u8>>>);

impl SharedPages for Lent {
    fn attach(&mut self, _: u64, _: u64, _: [Cap; 4]) -> Result<(), IoError> {
        Ok(())
    }
    fn read(&self, _: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        into.copy_from_slice(&self.0.borrow()[offset as usize..][..into.len()]);
        Ok(())
    }
    fn write(&mut self, _: u64, offset: u64, from: &[u8]) -> Result<(), IoError> {
        self.0.borrow_mut()[offset as usize..][..from.len()].copy_from_slice(from);
        Ok(())
    }
    fn detach(&mut self, _: u64) {}
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        Ok(Cap(badge))
    }
}

/// Memory for two pipes.
#[derive(Default)]
struct Memory {
    words: [[u64; WORDS]; 2],
    rings: [Vec<u8>; 2],
}

impl Rings for Memory {
    fn count(&self) -> usize {
        2
    }
    fn word(&self, ring: usize, word: usize) -> u64 {
        self.words[ring][word]
    }
    fn set_word(&mut self, ring: usize, word: usize, value: u64) {
        self.words[ring][word] = value;
    }
    fn read(&self, ring: usize, at: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.rings[ring][at..][..into.len()]);
    }
    fn write(&mut self, ring: usize, at: usize, from: &[u8]) {
        self.rings[ring].resize(CAPACITY, 0);
        self.rings[ring][at..][..from.len()].copy_from_slice(from);
    }
    fn save(&mut self, _: &[u8]) -> bool {
        true
    }
}

/// A hardware clock that shows 2026-01-01 and some hours of that day.
struct Chip {
    hours: Rc<Cell<u8>>,
}

impl Registers for Chip {
    fn read(&mut self, register: u8) -> u8 {
        match register {
            0x04 => self.hours.get(),
            0x07 | 0x08 => 1,
            0x09 => 26,
            0x32 => 20,
            // Binary numbers, and hours up to 24.
            0x0b => 0b110,
            _ => 0,
        }
    }
    fn write(&mut self, register: u8, value: u8) {
        if register == 0x04 {
            self.hours.set(value);
        }
    }
}

impl ClockMachine for Chip {
    fn now(&self) -> u64 {
        0
    }
}

type Serve = dyn FnMut(&Sender, u64, &mut Reader<'_>, &mut Writer<'_>) -> Outcome;

/// A server, and the change that befalls one of its answers.
struct Served {
    serve: RefCell<Box<Serve>>,
    late: Late,
    calls: Cell<usize>,
    /// Which answer, and which word of it.
    changed: Option<(usize, usize)>,
    /// Whether there was such a word.
    was_changed: Cell<bool>,
    lent: Lent,
}

/// A client's way to the server.
struct Way {
    served: Rc<Served>,
    badge: u64,
}

impl Transport for Way {
    fn call<R>(
        &self,
        method: &Method,
        put: impl Fn(&mut Writer<'_>),
        take: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let (mut there, mut back) = ([0; MESSAGE], [0; MESSAGE]);
        let mut request = Writer::new(&mut there);
        put(&mut request);
        let (length, caps) = (request.length(), request.caps().to_vec());
        let mut reply = Writer::new(&mut back);
        let outcome = (self.served.serve.borrow_mut())(
            &Sender { badge: self.badge },
            method.label,
            &mut Reader::new(&there[..length], &caps),
            &mut reply,
        );
        let mut given = match outcome.label() {
            Some(label) => {
                let (length, caps) = (reply.length(), reply.caps().to_vec());
                Given { label, words: back[..length].to_vec(), caps }
            }
            // A call that nobody answers is ended.
            None => self.served.late.0.borrow_mut().take().ok_or(CallError::Restarted)?,
        };
        let call = self.served.calls.replace(self.served.calls.get() + 1);
        if let Some((_, word)) = self.served.changed.filter(|(changed, _)| *changed == call)
            && let Some(word) = given.words.get_mut(word)
        {
            *word ^= 1;
            self.served.was_changed.set(true);
        }
        take(given.label, &mut Reader::new(&given.words, &given.caps))
    }
}

impl Machine for Way {
    type Transport = Way;
    fn through(&self, cap: Cap) -> Way {
        Way { served: self.served.clone(), badge: cap.0 }
    }
    fn give_up(&self, _: Cap) {}
    fn pages(&self) -> [Cap; 4] {
        [Cap(1), Cap(2), Cap(3), Cap(4)]
    }
    fn put(&self, bytes: &[u8]) {
        self.served.lent.0.borrow_mut()[..bytes.len()].copy_from_slice(bytes);
    }
    fn get(&self, length: usize) -> Vec<u8> {
        self.served.lent.0.borrow()[..length].to_vec()
    }
    fn now_ns(&self) -> u64 {
        0
    }
    fn pause(&self, _: u64) {}
}

fn served(late: &Late, lent: &Lent, changed: Option<(usize, usize)>, serve: Box<Serve>) -> Way {
    let (late, lent) = (late.clone(), lent.clone());
    let (calls, was_changed) = (Cell::new(0), Cell::new(false));
    let served = Rc::new(Served { serve: RefCell::new(serve), late, calls, changed, was_changed, lent });
    Way { served, badge: CLIENT }
}

fn pipes(changed: Option<(usize, usize)>) -> Way {
    let (late, lent) = (Late::default(), Lent(Rc::new(RefCell::new(vec![0; LENT]))));
    let mut server = PipeServer::new(late.clone(), lent.clone(), Memory::default());
    let serve = move |sender: &Sender, label, request: &mut Reader<'_>, reply: &mut Writer<'_>| {
        server.begin(0, false);
        let dispatch = if label >= STREAM_BASE { dispatch_stream } else { dispatch_pipes };
        dispatch(&mut server, sender, label, request, reply, &mut || ReplyToken(1))
    };
    served(&late, &lent, changed, Box::new(serve))
}

fn ask_pipes(changed: Option<(usize, usize)>, seed: u64) -> (Answer, Rc<Served>) {
    let way = pipes(changed);
    (pipe::ask(&way, &way, seed), way.served)
}

#[test]
fn a_pipe_server_that_is_well_gives_right_answers_and_keeps_nothing() {
    for seed in 0..300 {
        assert_eq!(ask_pipes(None, seed * 7919).0, Ok(()), "{seed}");
    }
    let way = pipes(None);
    // There is room for two pipes: one that stayed open would be missed soon.
    (0..10).for_each(|seed| assert_eq!(pipe::ask(&way, &way, seed), Ok(())));
}

#[test]
fn every_changed_word_in_an_answer_of_the_pipe_server_is_noticed() {
    let calls = ask_pipes(None, 12345).1.calls.get();
    let mut changes = 0;
    for call in 0..calls {
        for word in 0..MESSAGE {
            let (answer, machine) = ask_pipes(Some((call, word)), 12345);
            if !machine.was_changed.get() {
                break;
            }
            changes += 1;
            assert!(answer.is_err(), "word {word} of answer {call}");
        }
    }
    assert!(changes > calls, "{changes} changes");
}

#[test]
fn a_reader_that_waits_in_vain_is_silence_and_no_answer() {
    let way = pipes(None);
    let never = |sender: &Sender, label, request: &mut Reader<'_>, reply: &mut Writer<'_>| {
        let _ = (sender, label, request, reply);
        Outcome::Deferred
    };
    *way.served.serve.borrow_mut() = Box::new(never);
    let complaint = pipe::ask(&way, &way, 1).unwrap_err();
    assert_eq!((complaint.kind, &*complaint.what), (Kind::Silence, "no answer when asked to make a pipe"));
}

#[test]
fn the_clock_may_be_set_but_not_go_wrong_by_itself() {
    let hours = Rc::new(Cell::new(7));
    let (mut clock, has_date) = ClockServer::new(Chip { hours: hours.clone() });
    assert!(has_date);
    let lie = Rc::new(Cell::new(0));
    let lies = lie.clone();
    let set_to = Rc::new(Cell::new(None));
    let to_set = set_to.clone();
    let serve = move |sender: &Sender, label, request: &mut Reader<'_>, reply: &mut Writer<'_>| {
        if let Some(ns) = to_set.take() {
            clock.set(sender, ns).unwrap();
        }
        let mut words = [0; MESSAGE];
        let mut answer = Writer::new(&mut words);
        let outcome = dispatch_clock(&mut clock, sender, label, request, &mut answer, &mut || ReplyToken(1));
        let length = answer.length();
        // The first method says how far off wall time is.
        words[0] += if label == 0 { lies.get() } else { 0 };
        words[..length].iter().for_each(|word| reply.word(*word));
        outcome
    };
    let way = served(&Late::default(), &Lent(Rc::default()), None, Box::new(serve));
    let mut known = None;
    let mut ask = || clock::ask(&way, &way, &mut known);
    assert_eq!(ask(), Ok(()));
    assert_eq!(ask(), Ok(()));

    lie.set(3_600_000_000_000);
    let complaint = ask().unwrap_err();
    assert_eq!(
        (complaint.kind, &*complaint.what),
        (Kind::Wrong, "1767254400 s since 1970, where the hardware shows 1767250800 s")
    );
    lie.set(u64::MAX / 2);
    assert_eq!(ask().unwrap_err().kind, Kind::Wrong);

    lie.set(0);
    set_to.set(Some(1_767_250_800_000_000_000 + 5 * 3_600_000_000_000));
    assert_eq!(ask(), Ok(()), "somebody has set it");
    assert_eq!(hours.get(), 12);
}
