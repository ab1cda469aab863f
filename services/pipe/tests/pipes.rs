//! What readers and writers of pipes see.

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::pipe::Pipes;
use motte_interfaces::stream::{SharedPages, Stream};
use motte_interfaces::{
    ANSWER_OK, Bytes, Cap, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Wire, Writer, badge,
};
use motte_pipe::{CAPACITY, PipeServer, Rings, WORDS};

type Given = (u64, u64, Vec<u64>);

/// Answers in the order in which they were given: who, and the answer as label and words.
#[derive(Clone, Default)]
struct Answers(Rc<RefCell<Vec<Given>>>);

impl Replier for Answers {
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut buffer = [0; 112];
        let mut writer = Writer::new(&mut buffer);
        let label = put(&mut writer).label().expect("an answer");
        let length = writer.length();
        let words = buffer[..length].to_vec();
        self.0.borrow_mut().push((token.0, label, words));
    }
}

impl Answers {
    fn take<T: Wire>(&self) -> Vec<(u64, Result<T, IoError>)> {
        let answers = self.0.borrow_mut().drain(..).collect::<Vec<_>>();
        answers
            .into_iter()
            .map(|(token, label, words)| {
                let mut reader = Reader::new(&words, &[]);
                let result = if label == ANSWER_OK {
                    Ok(T::take(&mut reader).unwrap())
                } else {
                    Err(IoError::take(&mut reader).unwrap())
                };
                (token, result)
            })
            .collect()
    }
}

/// One buffer for everybody.
#[derive(Default)]
struct Pages(Vec<u8>);

impl SharedPages for Pages {
    fn attach(&mut self, _: u64, _: u64, _: [Cap; 4]) -> Result<(), IoError> {
        self.0 = vec![0; 65536];
        Ok(())
    }
    fn read(&self, _: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        let held = self.0.get(offset as usize..offset as usize + into.len()).filter(|_| !self.0.is_empty());
        into.copy_from_slice(held.ok_or(IoError::InvalidInput)?);
        Ok(())
    }
    fn write(&mut self, _: u64, offset: u64, from: &[u8]) -> Result<(), IoError> {
        self.0
            .get_mut(offset as usize..offset as usize + from.len())
            .ok_or(IoError::InvalidInput)?
            .copy_from_slice(from);
        Ok(())
    }
    fn detach(&mut self, _: u64) {}
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        Ok(Cap(badge))
    }
}

/// Memory for four pipes that outlives a server.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Kept>>);

#[derive(Default)]
struct Kept {
    words: [[u64; WORDS]; 4],
    rings: [Vec<u8>; 4],
    description: Vec<u8>,
}

impl Rings for Memory {
    fn count(&self) -> usize {
        4
    }
    fn word(&self, ring: usize, word: usize) -> u64 {
        self.0.borrow().words[ring][word]
    }
    fn set_word(&mut self, ring: usize, word: usize, value: u64) {
        self.0.borrow_mut().words[ring][word] = value;
    }
    fn read(&self, ring: usize, at: usize, into: &mut [u8]) {
        let kept = self.0.borrow();
        into.copy_from_slice(kept.rings[ring].get(at..at + into.len()).unwrap_or(&vec![0; into.len()]));
    }
    fn write(&mut self, ring: usize, at: usize, from: &[u8]) {
        let ring = &mut self.0.borrow_mut().rings[ring];
        ring.resize(CAPACITY, 0);
        ring[at..at + from.len()].copy_from_slice(from);
    }
    fn save(&mut self, description: &[u8]) -> bool {
        self.0.borrow_mut().description = description.to_vec();
        true
    }
}

const CLIENT: Sender = Sender { badge: 3 };

fn server() -> (PipeServer<Answers, Pages, Memory>, Answers, u64, u64) {
    let answers = Answers::default();
    let mut server = PipeServer::new(answers.clone(), Pages::default(), Memory::default());
    let (reading, writing) = server.create(&CLIENT).unwrap();
    (server, answers, reading, writing)
}

fn write(server: &mut PipeServer<Answers, Pages, Memory>, handle: u64, bytes: &[u8], token: u64) {
    server.write(&CLIENT, handle, bytes, Responder::new(ReplyToken(token)));
}

fn read(server: &mut PipeServer<Answers, Pages, Memory>, handle: u64, token: u64) {
    server.read(&CLIENT, handle, 700, Responder::new(ReplyToken(token)));
}

#[test]
fn bytes_come_out_as_they_went_in() {
    let (mut server, answers, reading, writing) = server();
    write(&mut server, writing, b"hello ", 1);
    write(&mut server, writing, b"world", 2);
    assert_eq!(answers.take::<u64>(), [(1, Ok(6)), (2, Ok(5))]);
    read(&mut server, reading, 3);
    assert_eq!(answers.take::<Bytes>(), [(3, Ok(Bytes(b"hello world".to_vec())))]);
}

#[test]
fn a_reader_waits_for_a_writer() {
    let (mut server, answers, reading, writing) = server();
    read(&mut server, reading, 1);
    assert_eq!(answers.take::<Bytes>(), []);
    write(&mut server, writing, b"x", 2);
    let order: Vec<_> = answers.0.borrow().iter().map(|answer| answer.0).collect();
    assert_eq!(order, [2, 1]);
}

#[test]
fn a_writer_waits_for_room_and_is_told_how_much_was_taken() {
    let (mut server, answers, reading, writing) = server();
    for token in 0..(CAPACITY / 1024) as u64 {
        write(&mut server, writing, &[7; 1024], token);
    }
    answers.take::<u64>();
    write(&mut server, writing, &[8; 1000], 100);
    assert_eq!(answers.take::<u64>(), []);
    read(&mut server, reading, 101);
    let order: Vec<_> = answers.0.borrow().iter().map(|answer| (answer.0, answer.2[0])).collect();
    assert_eq!(order, [(101, 700), (100, 700)]);
}

#[test]
fn reading_gives_the_end_once_every_writer_has_closed() {
    let (mut server, answers, reading, writing) = server();
    let second = server.duplicate(&CLIENT, writing).unwrap();
    write(&mut server, writing, b"last", 1);
    server.close(&CLIENT, writing).unwrap();
    answers.take::<u64>();
    read(&mut server, reading, 2);
    assert_eq!(answers.take::<Bytes>(), [(2, Ok(Bytes(b"last".to_vec())))]);
    read(&mut server, reading, 3);
    assert_eq!(answers.take::<Bytes>(), []);
    server.close(&Sender { badge: second.0 }, 0).unwrap();
    assert_eq!(answers.take::<Bytes>(), [(3, Ok(Bytes(vec![])))]);
}

#[test]
fn writing_breaks_once_every_reader_has_closed() {
    let (mut server, answers, reading, writing) = server();
    server.close(&CLIENT, reading).unwrap();
    write(&mut server, writing, b"x", 1);
    assert_eq!(answers.take::<u64>(), [(1, Err(IoError::BrokenPipe))]);
    server.close(&CLIENT, writing).unwrap();
    assert_eq!(server.count(), 0);
}

#[test]
fn what_a_dead_client_held_is_closed_but_not_what_it_passed_on() {
    let (mut server, answers, reading, writing) = server();
    let passed = Sender { badge: server.duplicate(&CLIENT, reading).unwrap().0 };
    assert_eq!(server.client_gone(&CLIENT, 3), Err(IoError::PermissionDenied));
    server.read(&passed, 0, 10, Responder::new(ReplyToken(1)));
    server.client_gone(&Sender { badge: badge::LIFECYCLE | 9 }, 3).unwrap();
    assert_eq!(answers.take::<Bytes>(), [(1, Ok(Bytes(vec![])))]);
    assert_eq!(server.kind(&CLIENT, writing), Err(IoError::BadHandle));
    assert_eq!(server.count(), 1);
}

#[test]
fn bulk_data_travel_through_the_lent_pages() {
    let (mut server, answers, reading, writing) = server();
    server.attach(&CLIENT, 0, Cap(1), Cap(2), Cap(3), Cap(4)).unwrap();
    server.write_shared(&CLIENT, writing, 0, 5000, Responder::new(ReplyToken(1)));
    server.read_shared(&CLIENT, reading, 60536, 5000, Responder::new(ReplyToken(2)));
    server.read_shared(&CLIENT, reading, 0, 5000, Responder::new(ReplyToken(3)));
    write(&mut server, writing, b"x", 4);
    assert_eq!(answers.take::<u64>(), [(1, Ok(5000)), (2, Ok(5000)), (4, Ok(1)), (3, Ok(1))]);
    server.write_shared(&CLIENT, writing, 65000, 5000, Responder::new(ReplyToken(5)));
    assert_eq!(answers.take::<u64>(), [(5, Err(IoError::InvalidInput))]);
}

#[test]
fn an_end_that_another_client_opened_is_a_bad_handle() {
    let (mut server, answers, reading, writing) = server();
    server.read(&Sender { badge: 4 }, reading, 1, Responder::new(ReplyToken(1)));
    assert_eq!(answers.take::<Bytes>(), [(1, Err(IoError::BadHandle))]);
    read(&mut server, writing, 2);
    assert_eq!(answers.take::<Bytes>(), [(2, Err(IoError::BadHandle))]);
}

/// The server that comes after one that used this memory.
fn successor(memory: &Memory) -> (PipeServer<Answers, Pages, Memory>, Answers) {
    let answers = Answers::default();
    let mut server = PipeServer::new(answers.clone(), Pages::default(), memory.clone());
    let description = memory.0.borrow().description.clone();
    server.take_over(&description);
    (server, answers)
}

fn kept_server() -> (PipeServer<Answers, Pages, Memory>, Answers, Memory, u64, u64) {
    let (answers, memory) = (Answers::default(), Memory::default());
    let mut server = PipeServer::new(answers.clone(), Pages::default(), memory.clone());
    let (reading, writing) = server.create(&CLIENT).unwrap();
    (server, answers, memory, reading, writing)
}

#[test]
fn bytes_and_both_ends_outlive_the_server() {
    let (mut first, _, memory, reading, writing) = kept_server();
    let Cap(badge) = first.duplicate(&CLIENT, writing).unwrap();
    write(&mut first, writing, b"half a ", 1);
    let (mut next, answers) = successor(&memory);
    assert_eq!(next.count(), 1);
    next.write(&Sender { badge }, 0, b"line", Responder::new(ReplyToken(2)));
    read(&mut next, reading, 3);
    assert_eq!(answers.take::<u64>()[0], (2, Ok(4)), "and the reader's bytes");
    next.close(&CLIENT, writing).unwrap();
    read(&mut next, reading, 4);
    assert!(answers.0.borrow().is_empty(), "the other writer is still there");
    next.close(&Sender { badge }, 0).unwrap();
    assert_eq!(answers.take::<Bytes>(), [(4, Ok(Bytes(vec![])))]);
    next.close(&CLIENT, reading).unwrap();
    assert_eq!((next.count(), successor(&memory).0.count()), (0, 0));
}

#[test]
fn a_write_that_is_sent_again_is_not_done_twice() {
    let (mut first, _, memory, reading, writing) = kept_server();
    first.begin(77, false);
    write(&mut first, writing, b"once", 1);
    let (mut next, answers) = successor(&memory);
    next.begin(77, false);
    write(&mut next, writing, b"once", 2);
    next.begin(78, false);
    write(&mut next, writing, b" more", 3);
    assert_eq!(answers.take::<u64>(), [(2, Ok(4)), (3, Ok(5))]);
    read(&mut next, reading, 4);
    assert_eq!(answers.take::<Bytes>(), [(4, Ok(Bytes(b"once more".to_vec())))]);
}

#[test]
fn a_read_that_is_sent_again_gets_the_same_bytes() {
    let (mut first, _, memory, reading, writing) = kept_server();
    write(&mut first, writing, b"first", 1);
    first.begin(77, false);
    read(&mut first, reading, 2);
    write(&mut first, writing, b"second", 3);
    let (mut next, answers) = successor(&memory);
    next.begin(77, false);
    read(&mut next, reading, 4);
    next.begin(78, false);
    read(&mut next, reading, 5);
    assert_eq!(answers.take::<Bytes>(), [(4, Ok(Bytes(b"firstsecond".to_vec())))], "and what has come since");
}

#[test]
fn bytes_that_the_last_reader_may_not_have_got_are_not_overwritten() {
    let (mut first, _, memory, reading, writing) = kept_server();
    (0..64).for_each(|token| write(&mut first, writing, &[7; 1024], token));
    first.begin(77, false);
    read(&mut first, reading, 100);
    let (mut next, answers) = successor(&memory);
    next.begin(0, false);
    write(&mut next, writing, &[8; 1024], 101);
    assert!(answers.0.borrow().is_empty(), "there is no room yet");
    next.begin(77, false);
    read(&mut next, reading, 102);
    let given = answers.0.borrow().clone();
    assert_eq!((given[0].0, given[0].2[0], given[1].0), (102, 700, 101), "and then there is");
}

#[test]
fn pages_that_the_former_server_was_lent_cost_no_bytes() {
    let (mut first, _, memory, reading, writing) = kept_server();
    first.attach(&CLIENT, 0, Cap(0), Cap(0), Cap(0), Cap(0)).unwrap();
    first.begin(7, false);
    first.write_shared(&CLIENT, writing, 0, 4096, Responder::new(ReplyToken(1)));
    first.begin(8, false);
    first.read_shared(&CLIENT, reading, 0, 3000, Responder::new(ReplyToken(2)));
    let (mut next, answers) = successor(&memory);
    next.begin(7, false);
    next.write_shared(&CLIENT, writing, 0, 4096, Responder::new(ReplyToken(3)));
    next.begin(8, false);
    next.read_shared(&CLIENT, reading, 0, 3000, Responder::new(ReplyToken(4)));
    assert_eq!(answers.take::<u64>(), [(3, Ok(4096)), (4, Err(IoError::InvalidInput))]);
    next.attach(&CLIENT, 0, Cap(0), Cap(0), Cap(0), Cap(0)).unwrap();
    next.begin(9, false);
    next.read_shared(&CLIENT, reading, 0, 5000, Responder::new(ReplyToken(5)));
    assert_eq!(answers.take::<u64>(), [(5, Ok(4096))], "all of them");
}

#[test]
fn memory_that_makes_no_sense_costs_its_pipe() {
    let (mut first, _, memory, ..) = kept_server();
    first.create(&CLIENT).unwrap();
    memory.0.borrow_mut().words[0][1] = 99;
    assert_eq!(successor(&memory).0.count(), 1, "more was taken than was written");
    let description = memory.0.borrow().description.clone();
    for at in 0..description.len() {
        memory.0.borrow_mut().description = description.clone();
        memory.0.borrow_mut().description[at] ^= 0xff;
        let (mut next, _) = successor(&memory);
        assert!(next.count() <= 2);
        let _ = next.create(&CLIENT);
    }
}

#[test]
fn there_are_as_many_pipes_as_there_is_memory_for() {
    let (mut server, _, _, reading, writing) = kept_server();
    (0..3).for_each(|_| assert!(server.create(&CLIENT).is_ok()));
    assert_eq!(server.create(&CLIENT), Err(IoError::OutOfMemory));
    [reading, writing].into_iter().for_each(|end| server.close(&CLIENT, end).unwrap());
    assert!(server.create(&CLIENT).is_ok());
}

#[test]
fn requests_about_ends_are_not_done_twice() {
    let (mut first, _, memory, reading, writing) = kept_server();
    first.begin(5, false);
    let made = first.create(&CLIENT).unwrap();
    let (mut next, _) = successor(&memory);
    next.begin(5, false);
    assert_eq!(next.create(&CLIENT), Ok(made));
    next.begin(6, false);
    let copy = next.duplicate(&CLIENT, writing).unwrap();
    let (mut next, _) = successor(&memory);
    next.begin(6, false);
    assert_eq!(next.duplicate(&CLIENT, writing), Ok(copy));
    next.begin(7, false);
    next.close(&Sender { badge: copy.0 }, 0).unwrap();
    let (mut next, _) = successor(&memory);
    next.begin(7, false);
    assert_eq!(next.close(&Sender { badge: copy.0 }, 0), Ok(()));
    next.begin(8, false);
    assert_eq!(next.close(&Sender { badge: copy.0 }, 0), Err(IoError::BadHandle));
    next.close(&CLIENT, writing).unwrap();
    let (mut last, answers) = successor(&memory);
    last.begin(9, false);
    read(&mut last, reading, 1);
    assert_eq!(answers.take::<Bytes>(), [(1, Ok(Bytes(vec![])))], "no writer is left");
}

#[test]
fn a_read_whose_answer_was_lost_gets_its_bytes_again() {
    let (mut server, answers, reading, writing) = server();
    write(&mut server, writing, b"first", 1);
    server.begin(77, false);
    read(&mut server, reading, 2);
    write(&mut server, writing, b"second", 3);
    answers.take::<u64>();
    server.begin(77, true);
    read(&mut server, reading, 4);
    server.begin(78, true);
    read(&mut server, reading, 5);
    server.begin(78, true);
    read(&mut server, reading, 6);
    let (first, second) = (Bytes(b"first".to_vec()), Bytes(b"second".to_vec()));
    assert_eq!(answers.take::<Bytes>(), [(4, Ok(first)), (5, Ok(second.clone())), (6, Ok(second))]);
    server.begin(77, true);
    read(&mut server, reading, 7);
    assert_eq!(answers.take::<Bytes>(), [(7, Err(IoError::ServiceRestarted))], "what it read nobody knows");
}

#[test]
fn bytes_that_were_overwritten_are_not_given_again() {
    let (mut server, answers, reading, writing) = server();
    server.attach(&CLIENT, 0, Cap(0), Cap(0), Cap(0), Cap(0)).unwrap();
    let write_all = |server: &mut PipeServer<_, _, _>| {
        server.write_shared(&CLIENT, writing, 0, CAPACITY as u64, Responder::new(ReplyToken(1)));
    };
    write_all(&mut server);
    server.begin(77, false);
    read(&mut server, reading, 2);
    write_all(&mut server);
    answers.0.borrow_mut().clear();
    server.begin(77, true);
    read(&mut server, reading, 3);
    assert_eq!(answers.take::<Bytes>(), [(3, Err(IoError::ServiceRestarted))]);
}

#[test]
fn a_write_whose_answer_was_lost_is_not_done_twice() {
    let (mut server, answers, reading, writing) = server();
    let other = Sender { badge: server.duplicate(&CLIENT, writing).unwrap().0 };
    server.begin(77, false);
    write(&mut server, writing, b"once", 1);
    server.begin(7, false);
    server.write(&other, 0, b" more", Responder::new(ReplyToken(2)));
    server.begin(77, true);
    write(&mut server, writing, b"once", 3);
    server.begin(78, true);
    write(&mut server, writing, b" and more", 4);
    assert_eq!(answers.take::<u64>(), [(1, Ok(4)), (2, Ok(5)), (3, Ok(4)), (4, Ok(9))]);
    read(&mut server, reading, 5);
    assert_eq!(answers.take::<Bytes>(), [(5, Ok(Bytes(b"once more and more".to_vec())))]);
}

#[test]
fn a_request_that_waits_and_comes_again_waits_once() {
    let (mut server, answers, reading, writing) = server();
    server.begin(77, false);
    read(&mut server, reading, 1);
    server.begin(77, true);
    read(&mut server, reading, 2);
    assert_eq!(answers.take::<Bytes>(), [(1, Err(IoError::Interrupted))]);
    server.begin(0, false);
    write(&mut server, writing, b"x", 3);
    let given: Vec<_> = answers.0.borrow().iter().map(|answer| answer.0).collect();
    assert_eq!(given, [3, 2]);
    answers.take::<u64>();
    for token in 0..(CAPACITY / 1024) as u64 {
        write(&mut server, writing, &[7; 1024], token);
    }
    answers.take::<u64>();
    server.begin(78, false);
    write(&mut server, writing, &[8; 700], 100);
    server.begin(78, true);
    write(&mut server, writing, &[8; 700], 101);
    assert_eq!(answers.take::<u64>(), [(100, Err(IoError::Interrupted))]);
    server.begin(79, false);
    read(&mut server, reading, 102);
    let given: Vec<_> = answers.0.borrow().iter().map(|answer| answer.0).collect();
    assert_eq!(given, [102, 101]);
}

#[test]
fn an_end_is_closed_even_if_the_request_has_the_number_of_another() {
    let (mut server, answers, memory, reading, writing) = kept_server();
    server.begin(41, false);
    let (_, other) = server.create(&CLIENT).unwrap();
    server.begin(41, false);
    server.close(&CLIENT, writing).unwrap();
    server.begin(0, false);
    read(&mut server, reading, 1);
    assert_eq!(answers.take::<Bytes>(), [(1, Ok(Bytes(vec![])))]);
    // One that is no longer held was closed before.
    server.begin(42, false);
    server.close(&CLIENT, other).unwrap();
    assert_eq!(server.close(&CLIENT, other), Ok(()));
    let (mut next, _) = successor(&memory);
    next.begin(42, false);
    assert_eq!(next.close(&CLIENT, other), Ok(()));
    next.begin(43, false);
    assert_eq!(next.close(&CLIENT, other), Err(IoError::BadHandle));
}
