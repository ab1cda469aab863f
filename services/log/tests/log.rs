//! What readers of the log see.

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::log::{Log, LogRecord};
use motte_interfaces::{Sender, Wire, Writer};
use motte_log::{KernelLines, KernelText, LogServer, RECORDS};

const RING: usize = 64;

/// A kernel whose log is a string.
#[derive(Clone, Default)]
struct Kernel(Rc<RefCell<Vec<u8>>>);

impl Kernel {
    fn say(&self, text: &str) {
        self.0.borrow_mut().extend(text.as_bytes());
    }
}

impl KernelText for Kernel {
    fn now(&self) -> u64 {
        42
    }
    fn take(&self, lines: &mut KernelLines) -> Vec<String> {
        let bytes = self.0.borrow();
        let written = bytes.len();
        let byte = |index: usize| {
            let last = (written - 1) / RING * RING + index;
            bytes[if last < written { last } else { last - RING }]
        };
        lines.take(written as u64, RING, byte)
    }
}

const SENDER: Sender = Sender { badge: 4 };

fn texts(records: &[LogRecord]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.source.as_str(), record.text.as_str())).collect()
}

fn all(server: &mut LogServer<Kernel>) -> Vec<LogRecord> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let some = server.read(&SENDER, from).unwrap();
        let Some(last) = some.last() else { return all };
        from = last.sequence + 1;
        all.extend(some);
    }
}

#[test]
fn components_and_kernel_speak_in_one_order() {
    let kernel = Kernel::default();
    let mut server = LogServer::new(kernel.clone());
    kernel.say("booted\nhalf a ");
    server.write(&SENDER, 3, "nameless").unwrap();
    server.introduce(&SENDER, "console").unwrap();
    kernel.say("line\n");
    server.write(&SENDER, 1, "named\nin two lines").unwrap();
    server.write(&Sender { badge: 0x1007 }, 3, "a program").unwrap();
    let expected = [
        ("kernel", "booted"),
        ("component 4", "nameless"),
        ("kernel", "half a line"),
        ("console", "named"),
        ("console", "in two lines"),
        ("program 7", "a program"),
    ];
    assert_eq!(texts(&all(&mut server)), expected);
}

#[test]
fn kernel_lines_that_were_overwritten_are_missed_aloud() {
    let kernel = Kernel::default();
    let mut server = LogServer::new(kernel.clone());
    kernel.say(&"x".repeat(100));
    kernel.say("\nstill there\n");
    let records = all(&mut server);
    assert_eq!(records[0].text, "(49 bytes of kernel messages were overwritten)");
    assert_eq!(records.last().unwrap().text, "still there");
}

#[test]
fn the_oldest_lines_go_when_the_log_is_full() {
    let mut server = LogServer::new(Kernel::default());
    for number in 0..RECORDS + 10 {
        server.write(&SENDER, 3, &format!("line {number}")).unwrap();
    }
    let records = all(&mut server);
    assert_eq!((records.len(), records[0].text.as_str()), (RECORDS, "line 10"));
}

#[test]
fn every_answer_fits_a_message_however_long_the_lines() {
    let mut server = LogServer::new(Kernel::default());
    for length in [0, 1, 600, 639, 641, 5000, 3] {
        server.write(&SENDER, 3, &"\u{e4}".repeat(length)).unwrap();
    }
    let mut from = 0;
    while let Some(last) = {
        let records = server.read(&SENDER, from).unwrap();
        let mut buffer = [0; 112];
        let mut writer = Writer::new(&mut buffer);
        records.put(&mut writer);
        assert!(!writer.overflowed());
        records.last().map(|record| record.sequence)
    } {
        from = last + 1;
    }
    assert_eq!(from, 6, "an empty line is no line, all others came");
}

#[test]
fn nobody_speaks_as_the_kernel() {
    let mut server = LogServer::new(Kernel::default());
    assert_eq!(server.introduce(&SENDER, "kernel"), Err(IoError::InvalidInput));
    assert_eq!(server.introduce(&SENDER, "a\nb"), Err(IoError::InvalidInput));
}
