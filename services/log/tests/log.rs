//! What readers of the log see.

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::log::{Log, LogRecord};
use motte_interfaces::{Sender, Wire, Writer};
use motte_log::{Journal, JournalMemory, KernelLines, KernelText, LogServer, RECORDS};

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

/// Memory that outlives a server.
#[derive(Clone)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    fn new() -> Self {
        Self::of(65536)
    }

    fn of(bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0; bytes])))
    }
}

impl JournalMemory for Memory {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.borrow()[offset..offset + bytes.len()]);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

const NONE: Option<Journal<Memory>> = None;

const SENDER: Sender = Sender { badge: 4 };

fn texts(records: &[LogRecord]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.source.as_str(), record.text.as_str())).collect()
}

fn all(server: &mut LogServer<Kernel, Memory>) -> Vec<LogRecord> {
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
    let mut server = LogServer::new(kernel.clone(), NONE);
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
    let mut server = LogServer::new(kernel.clone(), NONE);
    kernel.say(&"x".repeat(100));
    kernel.say("\nstill there\n");
    let records = all(&mut server);
    assert_eq!(records[0].text, "(49 bytes of kernel messages were overwritten)");
    assert_eq!(records.last().unwrap().text, "still there");
}

#[test]
fn the_oldest_lines_go_when_the_log_is_full() {
    let mut server = LogServer::new(Kernel::default(), NONE);
    for number in 0..RECORDS + 10 {
        server.write(&SENDER, 3, &format!("line {number}")).unwrap();
    }
    let records = all(&mut server);
    assert_eq!((records.len(), records[0].text.as_str()), (RECORDS, "line 10"));
}

#[test]
fn every_answer_fits_a_message_however_long_the_lines() {
    let mut server = LogServer::new(Kernel::default(), NONE);
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
    let mut server = LogServer::new(Kernel::default(), NONE);
    assert_eq!(server.introduce(&SENDER, "kernel"), Err(IoError::InvalidInput));
    assert_eq!(server.introduce(&SENDER, "a\nb"), Err(IoError::InvalidInput));
}

/// A server over memory that a former one may have used.
fn over(kernel: &Kernel, memory: &Memory) -> LogServer<Kernel, Memory> {
    LogServer::new(kernel.clone(), Journal::new(memory.clone()))
}

#[test]
fn a_successor_has_all_lines_and_names() {
    let (kernel, memory) = (Kernel::default(), Memory::new());
    let mut first = over(&kernel, &memory);
    first.introduce(&SENDER, "console").unwrap();
    kernel.say("booted\nhalf a ");
    first.write(&SENDER, 2, "before").unwrap();
    let before = all(&mut first);
    let mut next = over(&kernel, &memory);
    assert_eq!(all(&mut next), before);
    kernel.say("line\n");
    next.write(&SENDER, 2, "after").unwrap();
    let expected = [("kernel", "booted"), ("console", "before"), ("kernel", "half a line"), ("console", "after")];
    assert_eq!(texts(&all(&mut next)), expected);
}

#[test]
fn the_newest_lines_are_kept_when_the_memory_is_full() {
    let (kernel, memory) = (Kernel::default(), Memory::new());
    let mut first = over(&kernel, &memory);
    for number in 0..2000 {
        first.write(&SENDER, 3, &format!("{number} {}", "x".repeat(number % 300))).unwrap();
    }
    let lines = all(&mut over(&kernel, &memory));
    assert!(lines.len() > 100, "{}", lines.len());
    assert!(lines.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
    assert_eq!(lines.last().map(|line| line.sequence), Some(1999));
    assert_eq!(lines, all(&mut first)[RECORDS - lines.len()..]);
}

#[test]
fn a_successor_takes_the_newest_lines_and_memory_for_no_more_than_a_full_log() {
    let (kernel, memory) = (Kernel::default(), Memory::of(262_144));
    let mut first = over(&kernel, &memory);
    for number in 0..4 * RECORDS {
        first.write(&SENDER, 3, &number.to_string()).unwrap();
    }
    let found = Journal::new(memory.clone()).unwrap().read(RECORDS);
    assert_eq!(found.records.capacity(), RECORDS);
    assert_eq!(all(&mut over(&kernel, &memory)), all(&mut first));
}

#[test]
fn broken_memory_costs_lines_and_never_the_service() {
    let (kernel, memory) = (Kernel::default(), Memory::new());
    let mut first = over(&kernel, &memory);
    (0..30).for_each(|number| first.write(&SENDER, 3, &format!("line {number}")).unwrap());
    let whole = memory.0.borrow().clone();
    for at in (0..64).chain(32768..34000) {
        let broken = Memory(Rc::new(RefCell::new(whole.clone())));
        broken.0.borrow_mut()[at] ^= 0x55;
        let mut next = over(&kernel, &broken);
        let lines = all(&mut next);
        assert!(lines.iter().all(|line| line.text.starts_with("line ")), "byte {at}");
        next.write(&SENDER, 3, "more").unwrap();
        assert_eq!(all(&mut next).last().map(|line| line.text.clone()), Some("more".into()), "byte {at}");
    }
}
