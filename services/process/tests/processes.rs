//! What those who start programs see.

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::process::{ExitStatus, Process, SPAWN_MAGIC};
use motte_interfaces::stream::{SharedPages, Stream};
use motte_interfaces::strings::{Pieces, StringList, put_string, put_word};
use motte_interfaces::{Cap, Outcome, Replier, ReplyToken, Responder, Sender, Writer, badge};
use motte_process::request::{Request, parse};
use motte_process::{Ending, Machine, ProcessServer, Started, TakenOver};
use proptest::prelude::*;

/// A request, as a client puts it together.
#[derive(Clone)]
struct Wanted {
    path: &'static str,
    arguments: StringList,
    environment: StringList,
    services: Option<StringList>,
}

fn list(texts: &[&str]) -> StringList {
    texts.iter().collect()
}

impl Wanted {
    fn request(&self) -> Request<'_> {
        Request {
            ticket: 0,
            path: self.path,
            directory: "/home",
            memory_limit: 1 << 20,
            called: self.arguments.strings().iter().next().unwrap_or_default(),
            arguments: self.arguments.strings(),
            environment: self.environment.strings(),
            services: self.services.as_ref().map(StringList::strings),
        }
    }
}

fn encode(request: &Request) -> Vec<u8> {
    let mut out = SPAWN_MAGIC.to_le_bytes().to_vec();
    out.extend(request.ticket.to_le_bytes());
    put_string(&mut out, request.path);
    put_string(&mut out, request.directory);
    out.extend(request.memory_limit.to_le_bytes());
    request.arguments.put(&mut out);
    request.environment.put(&mut out);
    match &request.services {
        None => out.extend(u32::MAX.to_le_bytes()),
        Some(services) => services.put(&mut out),
    }
    out
}

fn cat() -> Wanted {
    Wanted {
        path: "/bin/tools",
        arguments: list(&["cat", "a b"]),
        environment: list(&["PATH=/bin"]),
        services: Some(list(&["fs"])),
    }
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(path in "/[a-z/]{0,20}", arguments in prop::collection::vec(".{0,9}", 1..5), environment in prop::collection::vec(".{0,9}", 0..4), services in prop::option::of(prop::collection::vec("[a-z]{1,5}", 0..3)), memory_limit: u64, ticket: u64) {
        let (arguments, environment): (StringList, StringList) = (arguments.iter().collect(), environment.iter().collect());
        let services: Option<StringList> = services.map(|services| services.iter().collect());
        let (arguments, environment) = (arguments.strings(), environment.strings());
        let called = arguments.iter().next().unwrap();
        let services = services.as_ref().map(StringList::strings);
        let request = Request { ticket, path: &path, directory: "/", memory_limit, called, arguments, environment, services };
        let bytes = encode(&request);
        prop_assert_eq!(parse(&bytes), Ok(request));
    }

    #[test]
    fn cut_and_changed_requests_are_errors_or_requests_and_never_a_panic(at in 0usize..200, value: u8, cut in 0usize..200) {
        let mut bytes = encode(&cat().request());
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = parse(&bytes);
    }
}

/// Who was answered, with label and first words.
type Given = (u64, Vec<u64>);

#[derive(Clone, Default)]
struct Answers(Rc<RefCell<Vec<Given>>>);

impl Replier for Answers {
    fn reply(&mut self, token: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut buffer = [0; 112];
        let mut writer = Writer::new(&mut buffer);
        let label = put(&mut writer).label().expect("an answer");
        self.0.borrow_mut().push((token.0, vec![label, writer.registers()[0], writer.registers()[1]]));
    }
}

#[derive(Clone, Default)]
struct Pages(Rc<RefCell<Vec<u8>>>);

impl SharedPages for Pages {
    fn attach(&mut self, _: u64, _: u64, _: [Cap; 4]) -> Result<(), IoError> {
        Ok(())
    }
    fn read(&self, _: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        let pages = self.0.borrow();
        into.copy_from_slice(pages.get(offset as usize..offset as usize + into.len()).ok_or(IoError::InvalidInput)?);
        Ok(())
    }
    fn write(&mut self, _: u64, _: u64, _: &[u8]) -> Result<(), IoError> {
        Err(IoError::InvalidInput)
    }
    fn detach(&mut self, _: u64) {}
    fn mint(&mut self, _: u64) -> Result<Cap, IoError> {
        Err(IoError::Unsupported)
    }
}

/// Says what it was asked to do, and keeps what was noted after each change. The last says whether changes cannot be added.
#[derive(Clone, Default)]
struct Loader(Rc<RefCell<Vec<String>>>, Rc<RefCell<Vec<Vec<u8>>>>, bool);

impl Loader {
    fn say(&self, text: String) {
        self.0.borrow_mut().push(text);
    }
}

impl Machine for Loader {
    fn start(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError> {
        if request.path == "/missing" {
            return Err(IoError::NotFound);
        }
        self.say(format!(
            "start {id} of {parent}: {} {:?}",
            request.arguments.iter().collect::<Vec<_>>().join(" "),
            streams.map(|stream| stream.0)
        ));
        Ok(Started { memory_limit: request.memory_limit, started_ns: 7 })
    }
    fn go(&mut self, id: u32) {
        self.say(format!("go {id}"));
    }
    fn drop_streams(&mut self, streams: [Cap; 3]) {
        self.say(format!("drop {:?}", streams.map(|stream| stream.0)));
    }
    fn end(&mut self, id: u32, how: Ending) {
        self.say(format!("end {id} {how:?}"));
    }
    fn usage(&self, _: u32) -> (u64, u64) {
        (4096, 99)
    }
    fn is_waiting(&self, _: u32) -> bool {
        true
    }
    fn keep(&mut self, notification: Cap) -> Option<Cap> {
        Some(notification)
    }
    fn signal(&mut self, notification: Cap) {
        self.say(format!("signal {}", notification.0));
    }
    fn note(&mut self, state: &[u8]) -> bool {
        self.1.borrow_mut().push(state.to_vec());
        true
    }
    fn add(&mut self, change: &[u8]) -> bool {
        let Some(before) = self.1.borrow().last().cloned().filter(|_| !self.2) else { return false };
        self.1.borrow_mut().push([&before, change].concat());
        true
    }
    fn put(&self, out: &mut Vec<u8>) {
        put_word(out, 77);
    }
    fn put_program(&self, id: u32, out: &mut Vec<u8>) {
        put_word(out, u64::from(id));
    }
    fn take_over(&mut self, pieces: &mut Pieces<'_>) -> bool {
        pieces.word() == Some(77)
    }
    fn take_over_program(&mut self, id: u32, description: &[u8]) -> Result<(), &'static str> {
        if Pieces(description).word() == Some(u64::from(id)) { Ok(()) } else { Err("it is another's") }
    }
    fn take_over_watch(&mut self, slot: u64) -> Option<Cap> {
        Some(Cap(slot))
    }
    fn settle(&mut self) {
        self.say("settle".into());
    }
    fn forget(&mut self, id: u32) {
        self.say(format!("forget {id}"));
    }
}

const SHELL: Sender = Sender { badge: 11 };

struct Desk {
    server: ProcessServer<Answers, Pages, Loader>,
    answers: Answers,
    pages: Pages,
    loader: Loader,
    ticket: u64,
}

impl Desk {
    fn new() -> Self {
        Self::with(Loader::default())
    }
    fn with(loader: Loader) -> Self {
        let (answers, pages) = (Answers::default(), Pages::default());
        let server = ProcessServer::new(answers.clone(), pages.clone(), loader.clone());
        Self { server, answers, pages, loader, ticket: 0 }
    }
    /// What follows a restart, when `state` is what was noted last.
    fn successor(state: &[u8]) -> (Self, Option<TakenOver>) {
        let mut desk = Self::new();
        let taken_over = desk.server.take_over(state);
        (desk, taken_over)
    }
    fn noted(&self) -> Vec<u8> {
        self.loader.1.borrow().last().cloned().unwrap_or_default()
    }
    fn spawn(&mut self, sender: &Sender, wanted: &Wanted) -> Result<u32, IoError> {
        self.ticket += 1;
        self.spawn_with(self.ticket, sender, wanted)
    }
    fn spawn_with(&mut self, ticket: u64, sender: &Sender, wanted: &Wanted) -> Result<u32, IoError> {
        *self.pages.0.borrow_mut() = encode(&Request { ticket, ..wanted.request() });
        let length = self.pages.0.borrow().len() as u64;
        self.server.spawn(sender, length, Cap(21), Cap(22), Cap(23))
    }
    fn wait(&mut self, id: u32, token: u64) {
        self.server.wait(&SHELL, id, Responder::new(ReplyToken(token)));
    }
}

#[test]
fn a_program_is_started_waited_for_and_taken_apart() {
    let mut desk = Desk::new();
    assert_eq!(desk.spawn(&SHELL, &cat()), Ok(1));
    desk.wait(1, 5);
    assert!(desk.answers.0.borrow().is_empty());
    desk.server.ended(1, ExitStatus::Exited(3), Ending::Ended);
    assert_eq!(*desk.answers.0.borrow(), [(5, vec![0, 0, 3])]);
    assert_eq!(*desk.loader.0.borrow(), ["start 1 of 11: cat a b [21, 22, 23]", "go 1", "end 1 Ended"]);
    // Whoever did not get the answer asks again.
    desk.wait(1, 6);
    assert_eq!(desk.answers.0.borrow()[1], (6, vec![0, 0, 3]));
}

#[test]
fn an_end_that_nobody_waited_for_is_kept_until_its_parent_asks() {
    let mut desk = Desk::new();
    let id = desk.spawn(&SHELL, &cat()).unwrap();
    assert_eq!(desk.server.try_wait(&SHELL, id), Ok(None));
    desk.server.kill(&SHELL, id).unwrap();
    assert_eq!(desk.server.kill(&SHELL, id), Err(IoError::NoSuchProcess));
    let stranger = Sender { badge: badge::FIRST_PROGRAM + 40 };
    assert_eq!(desk.server.try_wait(&stranger, id), Err(IoError::NoSuchProcess));
    assert_eq!(desk.server.try_wait(&SHELL, id), Ok(Some(ExitStatus::Killed)));
}

#[test]
fn ends_that_are_known_are_forgotten_first() {
    let mut desk = Desk::new();
    for id in 1..=257 {
        assert_eq!(desk.spawn(&SHELL, &cat()), Ok(id));
        desk.server.ended(id, ExitStatus::Exited(0), Ending::Ended);
        if id == 100 {
            assert!(desk.server.try_wait(&SHELL, id).is_ok());
        }
    }
    assert_eq!(desk.server.try_wait(&SHELL, 100), Err(IoError::NoSuchProcess));
    assert_eq!(desk.server.try_wait(&SHELL, 1), Ok(Some(ExitStatus::Exited(0))));
}

#[test]
fn a_watch_is_signalled_once_whether_the_end_came_before_or_after() {
    let mut desk = Desk::new();
    let id = desk.spawn(&SHELL, &cat()).unwrap();
    desk.server.on_end(&SHELL, id, Cap(50)).unwrap();
    desk.server.ended(id, ExitStatus::Faulted(4), Ending::Ended);
    desk.server.on_end(&SHELL, id, Cap(51)).unwrap();
    assert_eq!(desk.loader.0.borrow()[3..], ["signal 50", "signal 51"]);
    assert_eq!(desk.server.on_end(&SHELL, 99, Cap(52)), Err(IoError::NoSuchProcess));
}

#[test]
fn programs_are_listed_by_the_name_they_were_called_by_and_know_their_own_number() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.spawn(&SHELL, &cat()).unwrap();
    }
    let (mut all, mut first) = (Vec::new(), 0);
    loop {
        let page = desk.server.list(&SHELL, first).unwrap();
        let Some(last) = page.last() else { break };
        first = last.id + 1;
        all.extend(page);
    }
    assert_eq!(all.len(), 20);
    assert_eq!((all[3].id, all[3].name.as_str(), all[3].command.as_str(), all[3].parent), (4, "cat", "cat a b", 0));
    assert_eq!(desk.server.own_id(&Sender { badge: badge::FIRST_PROGRAM + 4 }), Ok(4));
    assert_eq!(desk.server.own_id(&SHELL), Ok(0));
}

#[test]
fn a_long_command_is_cut() {
    let mut desk = Desk::new();
    let arguments = list(&["echo", &"ä".repeat(100), "more"]);
    desk.spawn(&SHELL, &Wanted { arguments, ..cat() }).unwrap();
    let command = &desk.server.list(&SHELL, 0).unwrap()[0].command;
    assert_eq!(*command, format!("echo {}", "ä".repeat(77)));
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut desk = Desk::new();
    assert_eq!(desk.spawn(&SHELL, &Wanted { path: "/missing", ..cat() }), Err(IoError::NotFound));
    assert_eq!(desk.server.spawn(&SHELL, 1 << 30, Cap(1), Cap(2), Cap(3)), Err(IoError::InvalidInput));
    assert_eq!(desk.server.client_gone(&SHELL, 5), Err(IoError::PermissionDenied));
}

#[test]
fn the_programs_of_a_component_end_with_it() {
    let mut desk = Desk::new();
    let child = desk.spawn(&SHELL, &cat()).unwrap();
    let grandchild = desk.spawn(&Sender { badge: badge::FIRST_PROGRAM + u64::from(child) }, &cat()).unwrap();
    let other = desk.spawn(&Sender { badge: 12 }, &cat()).unwrap();
    // What a program leaves behind belongs to whoever started it.
    desk.server.ended(child, ExitStatus::Exited(0), Ending::Ended);
    desk.server.client_gone(&Sender { badge: badge::LIFECYCLE | 1 }, SHELL.badge).unwrap();
    assert!(desk.server.has_abandoned());
    // The next shell has the same badge; its programs are its own.
    let next = desk.spawn(&SHELL, &cat()).unwrap();
    desk.server.end_abandoned();
    assert!(!desk.server.has_abandoned());
    let left: Vec<u32> = desk.server.list(&SHELL, 0).unwrap().iter().map(|process| process.id).collect();
    assert_eq!(left, [other, next]);
    assert_eq!(desk.server.try_wait(&SHELL, grandchild), Err(IoError::NoSuchProcess));
}

/// A server with a program that runs, one that ended, and one that is watched.
fn busy() -> Desk {
    let mut desk = Desk::new();
    for id in 1..=3 {
        assert_eq!(desk.spawn(&SHELL, &cat()), Ok(id));
    }
    desk.server.on_end(&SHELL, 3, Cap(60)).unwrap();
    desk.server.ended(2, ExitStatus::Exited(-2), Ending::Ended);
    desk
}

#[test]
fn a_successor_goes_on_with_all_programs() {
    let desk = busy();
    let (mut next, taken_over) = Desk::successor(&desk.noted());
    assert_eq!(taken_over, Some(TakenOver { running: 2, lost: vec![] }));
    assert_eq!(next.loader.0.borrow()[..], ["settle", "go 1", "go 3"]);
    let ids = |desk: &mut Desk| desk.server.list(&SHELL, 0).unwrap();
    assert_eq!(ids(&mut next), ids(&mut busy()));
    assert_eq!(next.server.try_wait(&SHELL, 2), Ok(Some(ExitStatus::Exited(-2))));
    next.wait(3, 9);
    next.server.ended(3, ExitStatus::Killed, Ending::Stop);
    assert_eq!(next.answers.0.borrow().len(), 1);
    assert_eq!(next.loader.0.borrow()[3..], ["end 3 Stop", "signal 60"]);
    assert_eq!(next.spawn_with(9, &SHELL, &cat()), Ok(4), "numbers are not given twice");
}

#[test]
fn a_request_that_is_sent_again_starts_nothing_twice() {
    let mut desk = busy();
    assert_eq!(desk.spawn_with(1, &SHELL, &cat()), Ok(1));
    let (mut next, _) = Desk::successor(&desk.noted());
    assert_eq!(next.spawn_with(1, &SHELL, &cat()), Ok(1), "it runs");
    assert_eq!(next.spawn_with(2, &SHELL, &cat()), Ok(2), "it has ended");
    assert_eq!(next.loader.0.borrow()[3..], ["drop [21, 22, 23]", "drop [21, 22, 23]"]);
    assert_eq!(next.spawn_with(2, &Sender { badge: 12 }, &cat()), Ok(4), "another client's numbers are its own");
}

#[test]
fn an_end_that_was_begun_is_brought_to_its_end() {
    let mut desk = busy();
    let before = desk.loader.1.borrow().len();
    desk.server.kill(&SHELL, 1).unwrap();
    let begun = desk.loader.1.borrow()[before].clone();
    let (mut next, _) = Desk::successor(&begun);
    assert!(next.server.has_abandoned());
    next.server.end_abandoned();
    assert_eq!(next.loader.0.borrow()[1..], ["go 3", "end 1 Stop"]);
    assert_eq!(next.server.try_wait(&SHELL, 1), Ok(Some(ExitStatus::Killed)));
}

#[test]
fn an_end_of_which_the_successor_finds_nothing_is_known_all_the_same() {
    let mut desk = busy();
    let before = desk.loader.1.borrow().len();
    desk.server.ended(3, ExitStatus::Exited(4), Ending::Ended);
    let mut begun = desk.loader.1.borrow()[before].clone();
    let at = begun.windows(8).rposition(|window| window == 3_u64.to_le_bytes()).unwrap();
    begun[at] = 9;
    let (mut next, _) = Desk::successor(&begun);
    assert!(!next.server.has_abandoned());
    assert_eq!(next.server.try_wait(&SHELL, 3), Ok(Some(ExitStatus::Exited(4))));
}

#[test]
fn a_program_that_makes_no_sense_ends_alone() {
    let mut desk = busy();
    desk.server.kill(&SHELL, 1).unwrap();
    let mut state = desk.noted();
    // What the machine wrote of program 3: the last number 3 of eight bytes.
    let at = state.windows(8).rposition(|window| window == 3_u64.to_le_bytes()).unwrap();
    state[at] = 9;
    let (mut next, taken_over) = Desk::successor(&state);
    let lost = taken_over.unwrap().lost;
    assert_eq!(lost, [(3, "it is another's")]);
    next.server.report_lost(&lost);
    assert_eq!(next.loader.0.borrow()[..], ["settle", "forget 3", "signal 60"]);
    assert_eq!(next.server.try_wait(&SHELL, 3), Ok(Some(ExitStatus::Killed)), "who waits for it goes on");
    assert_eq!(next.server.try_wait(&SHELL, 2), Ok(Some(ExitStatus::Exited(-2))));
}

#[test]
fn programs_noted_before_a_change_that_makes_no_sense_go_on() {
    let mut state = busy().noted();
    state.extend([99, 0, 0, 0, 1, 2, 3]);
    let (mut next, taken_over) = Desk::successor(&state);
    assert_eq!(taken_over, Some(TakenOver { running: 2, lost: vec![] }));
    assert!(
        next.spawn_with(9, &SHELL, &cat()).unwrap() > 1000,
        "the number of one that is not known is not given again"
    );
}

/// What a client or a program does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Spawn(u64),
    End(u32, ExitStatus),
    Watch(u32),
    TryWait(u32),
    ComponentGone(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let badges = || prop_oneof![11_u64..13, (1_u64..6).prop_map(|id| badge::FIRST_PROGRAM + id)];
    let statuses = prop_oneof![any::<i32>().prop_map(ExitStatus::Exited), Just(ExitStatus::Killed)];
    prop_oneof![
        4 => badges().prop_map(Step::Spawn),
        3 => (1_u32..12, statuses).prop_map(|(id, status)| Step::End(id, status)),
        1 => (1_u32..12).prop_map(Step::Watch),
        1 => (1_u32..12).prop_map(Step::TryWait),
        1 => (11_u64..13).prop_map(Step::ComponentGone),
    ]
}

impl Desk {
    fn take(&mut self, step: Step) {
        match step {
            Step::Spawn(badge) => drop(self.spawn(&Sender { badge }, &cat())),
            Step::End(id, status) => self.server.ended(id, status, Ending::Ended),
            Step::Watch(id) => drop(self.server.on_end(&SHELL, id, Cap(100 + u64::from(id)))),
            Step::TryWait(id) => drop(self.server.try_wait(&SHELL, id)),
            Step::ComponentGone(client) => {
                self.server.client_gone(&Sender { badge: badge::LIFECYCLE | 1 }, client).unwrap()
            }
        }
    }
    /// All that can be asked of it.
    fn all(&mut self) -> impl PartialEq + std::fmt::Debug + use<> {
        let listed = self.server.list(&SHELL, 0).unwrap();
        let ends: Vec<_> = (1..40).map(|id| self.server.try_wait(&SHELL, id)).collect();
        self.server.end_abandoned();
        (1..40).for_each(|id| self.server.ended(id, ExitStatus::Killed, Ending::Stop));
        let next = self.spawn_with(0, &SHELL, &cat());
        (listed, ends, next, self.loader.0.borrow().clone())
    }
}

proptest! {
    #[test]
    fn changes_say_as_much_as_a_description_of_everything(steps in prop::collection::vec(step(), 1..30)) {
        let mut desks = [Desk::new(), Desk::with(Loader(Default::default(), Default::default(), true))];
        for step in steps {
            let [adding, whole] = desks.each_mut().map(|desk| {
                desk.take(step);
                let (mut next, taken_over) = Desk::successor(&desk.noted());
                (taken_over, next.all())
            });
            prop_assert_eq!(adding, whole);
        }
    }

    #[test]
    fn a_broken_state_is_never_a_panic(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut state = busy().noted();
        let at = at.index(state.len());
        state[at] = value;
        let (mut next, taken_over) = Desk::successor(&state);
        next.server.report_lost(&taken_over.unwrap_or_default().lost);
        next.server.end_abandoned();
        state.truncate(cut.index(state.len()));
        let _ = Desk::successor(&state);
    }
}
