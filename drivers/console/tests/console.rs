//! A person at the line, and programs that read and write it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use motte_console::{ConsoleServer, Description, Discipline, Memory, Ports, Typed};
use motte_interfaces::console::{CONSOLE, CONSOLE_ERROR, Console, mode};
use motte_interfaces::error::IoError;
use motte_interfaces::stream::{SharedPages, Stream, StreamKind};
use motte_interfaces::{Cap, Outcome, Replier, ReplyToken, Responder, Sender, Writer, badge};

fn type_in(discipline: &mut Discipline, text: &str) -> String {
    let mut echo = Vec::new();
    for byte in text.bytes() {
        discipline.typed(byte, &mut echo);
    }
    String::from_utf8(echo).unwrap()
}

#[test]
fn lines_are_edited_before_they_are_read() {
    let mut discipline = Discipline::default();
    assert_eq!(type_in(&mut discipline, "lx\x7fs"), "lx\x08 \x08s");
    assert!(!discipline.is_ready());
    assert_eq!(type_in(&mut discipline, " -l\rnext\r"), " -l\nnext\n");
    assert_eq!(discipline.take(100), b"ls -l\n");
    assert_eq!(discipline.take(2), b"ne");
    assert_eq!(discipline.take(100), b"xt\n");
}

#[test]
fn a_whole_character_is_erased_at_once() {
    let mut discipline = Discipline::default();
    assert_eq!(type_in(&mut discipline, "\u{e4}\u{20ac}\x7f\x7f"), "\u{e4}\u{20ac}\x08 \x08\x08 \x08");
    type_in(&mut discipline, "one two\x17\r");
    assert_eq!(discipline.take(100), b"one \n");
    type_in(&mut discipline, "gone\x15kept\n");
    assert_eq!(discipline.take(100), b"kept\n");
}

#[test]
fn control_d_is_the_end_only_on_an_empty_line() {
    let mut discipline = Discipline::default();
    type_in(&mut discipline, "half\x04");
    assert_eq!(discipline.take(100), b"half");
    type_in(&mut discipline, "line\n\x04after\n");
    assert_eq!(discipline.take(100), b"line\n");
    assert_eq!(discipline.take(100), b"");
    assert_eq!(discipline.take(100), b"after\n");
}

#[test]
fn control_c_interrupts_unless_the_mode_is_raw() {
    let mut discipline = Discipline::default();
    let mut echo = Vec::new();
    type_in(&mut discipline, "half");
    assert_eq!(discipline.typed(3, &mut echo), Typed::Interrupt);
    assert_eq!(echo, b"^C\n");
    discipline.set_mode(0);
    assert_eq!(discipline.typed(3, &mut echo), Typed::Input);
    assert_eq!(discipline.take(100), b"\x03");
}

/// A line: what is typed on it, and what it showed. `busy` keeps its transmitter full.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<LineState>>);

#[derive(Default)]
struct LineState {
    typed: VecDeque<u8>,
    shown: Vec<u8>,
    scratch: u8,
    busy: bool,
}

impl Ports for Line {
    fn read(&mut self, register: u8) -> u8 {
        let mut line = self.0.borrow_mut();
        match register {
            0 => line.typed.pop_front().unwrap_or(0),
            5 => u8::from(!line.typed.is_empty()) | if line.busy { 0 } else { 0x20 },
            7 => line.scratch,
            _ => 0,
        }
    }
    fn write(&mut self, register: u8, value: u8) {
        let mut line = self.0.borrow_mut();
        match register {
            0 => line.shown.push(value),
            7 => line.scratch = value,
            _ => {}
        }
    }
}

#[derive(Clone, Default)]
struct Answers(Rc<RefCell<Vec<(u64, u64)>>>);

impl Replier for Answers {
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut buffer = [0; 112];
        let mut writer = Writer::new(&mut buffer);
        put(&mut writer).label().expect("an answer");
        self.0.borrow_mut().push((token.0, writer.registers()[0]));
    }
}

struct NoPages;

impl SharedPages for NoPages {
    fn attach(&mut self, _: u64, _: u64, _: [Cap; 4]) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }
    fn read(&self, _: u64, _: u64, _: &mut [u8]) -> Result<(), IoError> {
        Err(IoError::InvalidInput)
    }
    fn write(&mut self, _: u64, _: u64, _: &[u8]) -> Result<(), IoError> {
        Err(IoError::InvalidInput)
    }
    fn detach(&mut self, _: u64) {}
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        Ok(Cap(badge))
    }
}

const SHELL: Sender = Sender { badge: 9 };

struct Desk {
    server: ConsoleServer<Answers, NoPages, Line>,
    answers: Answers,
    lines: [Line; 2],
    memory: Kept,
}

/// Memory that outlives a driver.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<KeptState>>);

#[derive(Default)]
struct KeptState {
    description: Vec<u8>,
    sent: [u64; 2],
    interrupt: Option<Cap>,
}

impl Memory for Kept {
    fn save(&mut self, description: &[u8]) {
        self.0.borrow_mut().description = description.to_vec();
    }
    fn sent(&self, line: usize) -> u64 {
        self.0.borrow().sent[line]
    }
    fn set_sent(&mut self, line: usize, bytes: u64) {
        self.0.borrow_mut().sent[line] = bytes;
    }
    fn replace_interrupt(&mut self, _: Option<Cap>, new: Cap) -> Cap {
        self.0.borrow_mut().interrupt = Some(new);
        new
    }
}

fn desk() -> Desk {
    let (answers, lines) = (Answers::default(), [Line::default(), Line::default()]);
    let memory = Kept::default();
    let server = ConsoleServer::new(answers.clone(), NoPages, lines.clone(), Box::new(memory.clone()), None, None);
    lines.iter().for_each(|line| line.0.borrow_mut().shown.clear());
    Desk { server, answers, lines, memory }
}

impl Desk {
    /// The driver is ended and started anew on the same lines.
    fn restarted(&self) -> Self {
        let (answers, lines, memory) = (Answers::default(), self.lines.clone(), self.memory.clone());
        let (former, interrupt) = (Description::read(&memory.0.borrow().description), memory.0.borrow().interrupt);
        assert!(former.is_some());
        let kept = Box::new(memory.clone());
        let server = ConsoleServer::new(answers.clone(), NoPages, lines.clone(), kept, former, interrupt);
        Self { server, answers, lines, memory }
    }
    fn shown(&self, line: usize) -> String {
        String::from_utf8(std::mem::take(&mut self.lines[line].0.borrow_mut().shown)).unwrap()
    }
    fn write(&mut self, handle: u64, bytes: &[u8], token: u64) {
        self.server.write(&SHELL, handle, bytes, Responder::new(ReplyToken(token)));
    }
}

#[test]
fn output_gets_its_carriage_returns_only_where_wanted() {
    let mut desk = desk();
    desk.write(CONSOLE, b"a\nb\n", 1);
    assert_eq!(desk.shown(0), "a\r\nb\r\n");
    desk.server.set_mode(&SHELL, mode::NO_INPUT | mode::SPLIT_ERROR).unwrap();
    desk.write(CONSOLE, b"a\n", 2);
    desk.write(CONSOLE_ERROR, b"error\n", 3);
    assert_eq!((desk.shown(0), desk.shown(1)), ("a\n".into(), "error\n".into()));
    assert_eq!(desk.server.kind(&SHELL, CONSOLE), Ok(StreamKind::Pipe));
}

#[test]
fn a_reader_waits_for_a_line_and_control_c_names_whom_to_signal() {
    let mut desk = desk();
    desk.server.on_interrupt(&SHELL, Cap(77)).unwrap();
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(1)));
    desk.lines[0].0.borrow_mut().typed.extend(b"hi");
    assert_eq!(desk.server.interrupt(0), None);
    assert_eq!(desk.answers.0.borrow().len(), 0);
    desk.lines[0].0.borrow_mut().typed.extend(b"\r");
    desk.server.interrupt(0);
    assert_eq!(*desk.answers.0.borrow(), [(1, 3)]);
    desk.lines[0].0.borrow_mut().typed.extend(b"\x03");
    assert_eq!(desk.server.interrupt(0), Some(Cap(77)));
}

#[test]
fn a_writer_waits_while_the_line_is_slow_and_drain_waits_for_all() {
    let mut desk = desk();
    desk.lines[0].0.borrow_mut().busy = true;
    for token in 0..30 {
        desk.write(CONSOLE, &[b'x'; 700], token);
    }
    let before = desk.answers.0.borrow().len();
    assert!(before < 30);
    desk.server.drain(&SHELL, Responder::new(ReplyToken(99)));
    desk.lines[0].0.borrow_mut().busy = false;
    desk.server.interrupt(0);
    desk.server.interrupt(0);
    assert_eq!(desk.answers.0.borrow().last().unwrap().0, 99);
    assert_eq!(desk.shown(0).len(), 30 * 700);
}

#[test]
fn a_dead_program_no_longer_eats_what_is_typed() {
    let mut desk = desk();
    let program = Sender { badge: desk.server.duplicate(&SHELL, CONSOLE).unwrap().0 };
    desk.server.read(&program, 0, 100, Responder::new(ReplyToken(1)));
    desk.server.close(&program, 0).unwrap();
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(2)));
    desk.lines[0].0.borrow_mut().typed.extend(b"for the shell\r");
    desk.server.interrupt(0);
    let answers = desk.answers.0.borrow();
    assert_eq!((answers[0].0, answers[1]), (1, (2, 14)));
    assert_eq!(desk.server.client_gone(&SHELL, 1), Err(IoError::PermissionDenied));
}

#[test]
fn a_duplicate_outlives_a_restart_of_the_driver() {
    let program = Sender { badge: desk().server.duplicate(&SHELL, CONSOLE_ERROR).unwrap().0 };
    let mut restarted = desk();
    restarted.server.write(&program, 0, b"still here", Responder::new(ReplyToken(1)));
    assert_eq!(restarted.shown(0), "still here");
    assert_eq!(restarted.server.kind(&Sender { badge: badge::OBJECT }, CONSOLE), Err(IoError::BadHandle));
}

#[test]
fn what_was_typed_and_the_modes_outlive_the_driver() {
    let mut first = desk();
    first.server.set_size(&SHELL, 132, 43).unwrap();
    first.server.on_interrupt(&SHELL, Cap(9)).unwrap();
    first.lines[0].0.borrow_mut().typed.extend(b"ahead\rhalf a l");
    first.server.interrupt(0);
    let mut next = first.restarted();
    assert_eq!(next.server.size(&SHELL), Ok((132, 43)));
    next.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(1)));
    next.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(2)));
    assert_eq!(next.answers.0.borrow()[..], [(1, 6)], "the line ahead");
    next.lines[0].0.borrow_mut().typed.extend(b"ine\r");
    next.server.interrupt(0);
    assert_eq!(next.answers.0.borrow()[1], (2, "half a line\n".len() as u64));
    next.lines[0].0.borrow_mut().typed.push_back(3);
    assert_eq!(next.server.interrupt(0), Some(Cap(9)));
    next.server.set_mode(&SHELL, mode::NEWLINES).unwrap();
    assert_eq!(next.restarted().server.mode(&SHELL), Ok(mode::NEWLINES));
}

#[test]
fn output_that_waits_outlives_the_driver_and_is_shown_once() {
    let mut first = desk();
    first.server.begin(5, false);
    first.server.write(&SHELL, CONSOLE, b"sent;", Responder::new(ReplyToken(1)));
    first.lines[0].0.borrow_mut().busy = true;
    first.server.begin(6, false);
    first.server.write(&SHELL, CONSOLE, b"waits", Responder::new(ReplyToken(2)));
    assert_eq!(first.shown(0), "sent;");
    first.lines[0].0.borrow_mut().busy = false;
    let mut next = first.restarted();
    // The set-up of the line writes its divisor to the same register.
    let shown = next.shown(0);
    assert!(shown.ends_with("waits"), "{shown:?}");
    next.server.begin(6, false);
    next.server.write(&SHELL, CONSOLE, b"waits", Responder::new(ReplyToken(3)));
    assert_eq!(next.answers.0.borrow()[..], [(3, 5)]);
    assert_eq!(next.shown(0), "", "shown once");
}

#[test]
fn a_read_that_is_sent_again_gets_the_same_line() {
    let mut first = desk();
    first.lines[0].0.borrow_mut().typed.extend(b"one\rthree\r");
    first.server.interrupt(0);
    first.server.begin(7, false);
    first.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(1)));
    let mut next = first.restarted();
    next.server.begin(7, false);
    next.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(2)));
    next.server.begin(8, false);
    next.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(3)));
    assert_eq!(next.answers.0.borrow()[..], [(2, 4), (3, 6)]);
}

#[test]
fn a_broken_description_is_none_or_another() {
    let mut first = desk();
    first.lines[0].0.borrow_mut().typed.extend(b"a line\r\x04more");
    first.server.interrupt(0);
    let whole = first.memory.0.borrow().description.clone();
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0xff;
        assert!(Description::read(&whole[..at]).is_none());
        let _ = Description::read(&broken);
    }
}

#[test]
fn a_request_whose_answer_was_lost_is_not_done_twice() {
    let mut desk = desk();
    let program = Sender { badge: desk.server.duplicate(&SHELL, CONSOLE).unwrap().0 };
    desk.lines[0].0.borrow_mut().typed.extend(b"one\rthree\r");
    desk.server.interrupt(0);
    desk.shown(0);
    desk.server.begin(7, false);
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(1)));
    desk.server.begin(8, false);
    desk.write(CONSOLE, b"once", 2);
    desk.server.begin(3, false);
    desk.server.write(&program, 0, b" more", Responder::new(ReplyToken(3)));
    desk.server.begin(7, true);
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(4)));
    desk.server.begin(8, true);
    desk.write(CONSOLE, b"once", 5);
    assert_eq!(desk.answers.0.borrow()[..], [(1, 4), (2, 4), (3, 5), (4, 4), (5, 4)]);
    assert_eq!(desk.shown(0), "once more");
}

#[test]
fn a_reader_that_waits_and_comes_again_waits_once() {
    let mut desk = desk();
    desk.server.begin(7, false);
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(1)));
    desk.server.begin(7, true);
    desk.server.read(&SHELL, CONSOLE, 100, Responder::new(ReplyToken(2)));
    assert_eq!(desk.answers.0.borrow_mut().drain(..).map(|(token, _)| token).collect::<Vec<_>>(), [1]);
    desk.lines[0].0.borrow_mut().typed.extend(b"one\rthree\r");
    desk.server.interrupt(0);
    assert_eq!(desk.answers.0.borrow()[..], [(2, 4)], "the next line is for the next reader");
}
