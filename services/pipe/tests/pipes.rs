//! What readers and writers of pipes see.

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::pipe::Pipes;
use motte_interfaces::stream::{SharedPages, Stream};
use motte_interfaces::{
    ANSWER_OK, Bytes, Cap, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Wire, Writer, badge,
};
use motte_pipe::{CAPACITY, PipeServer};

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
        into.copy_from_slice(self.0.get(offset as usize..offset as usize + into.len()).ok_or(IoError::InvalidInput)?);
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

const CLIENT: Sender = Sender { badge: 3 };

fn server() -> (PipeServer<Answers, Pages>, Answers, u64, u64) {
    let answers = Answers::default();
    let mut server = PipeServer::new(answers.clone(), Pages::default());
    let (reading, writing) = server.create(&CLIENT).unwrap();
    (server, answers, reading, writing)
}

fn write(server: &mut PipeServer<Answers, Pages>, handle: u64, bytes: &[u8], token: u64) {
    server.write(&CLIENT, handle, bytes, Responder::new(ReplyToken(token)));
}

fn read(server: &mut PipeServer<Answers, Pages>, handle: u64, token: u64) {
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
