//! A server that ends without a word, and one that goes on where it stopped: everything that was answered is there, whether it was synced or not,
//! open files and their positions among it; and the disk as it was at that moment is one that mounts by itself.
#![allow(missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use motte_fs::{
    Error,
    ext4::Ext4,
    filesystem::FileSystem,
    kept::{Kept, STATE_BYTES, Word},
    memory::{Input, Output, Region},
    vfs::{Handle, OpenFlags, Vfs, Whence},
};
use proptest::prelude::*;
use support::{MemoryDisk, assert_clean, clock, have_tools, make_image, read_file, write_file};

/// A client's badge.
const CLIENT: u64 = 1;

/// What outlives a server.
struct Machine {
    disk: MemoryDisk,
    cache: Region,
    kept: Kept,
    generation: u64,
    request: u64,
}

impl Machine {
    fn new() -> Self {
        Self::with_options(&["-b", "4096"])
    }

    fn with_options(options: &[&str]) -> Self {
        let image = make_image(16, options, None);
        let kept = Kept::new(Region::leaked(STATE_BYTES)).unwrap();
        Self { disk: MemoryDisk::new(image), cache: Region::leaked(2 << 20), kept, generation: 0, request: 0 }
    }

    /// Starts a server; whether it goes on where another stopped.
    fn start(&mut self) -> (Vfs, bool) {
        self.generation += 1;
        let disk = Box::new(self.disk.clone());
        let (mounted, _) = Ext4::mount_kept(disk, self.cache, clock(), self.kept, self.generation).unwrap();
        let resumed = mounted.is_resumed();
        let mut vfs = Vfs::new(Box::new(mounted), "disk", clock());
        assert_eq!(vfs.keep_in(self.kept), Ok(0));
        (vfs, resumed)
    }

    /// Ends a server where it stands, and starts the next.
    fn crash(&mut self, vfs: Vfs) -> Vfs {
        std::mem::forget(vfs);
        let (vfs, resumed) = self.start();
        assert!(resumed, "the next server begins anew");
        vfs
    }

    fn next(&mut self, vfs: &mut Vfs) -> u64 {
        self.request += 1;
        vfs.begin_request(self.request);
        self.request
    }

    fn end(self, mut vfs: Vfs) {
        vfs.shutdown().unwrap();
        assert_clean(&self.disk.image(), "after an unmount");
    }
}

fn open(vfs: &mut Vfs, path: &str, flags: OpenFlags) -> Handle {
    vfs.open(CLIENT, path, flags, 0o644).unwrap()
}

fn write(vfs: &mut Vfs, handle: Handle, data: &[u8]) {
    let mut input = Input::new(data);
    input.skip(vfs.appended(CLIENT, handle).unwrap().unwrap_or(0));
    while input.remaining() > 0 {
        vfs.write(CLIENT, handle, None, &mut input).unwrap();
    }
}

fn read(vfs: &mut Vfs, handle: Handle, length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    let got = vfs.read(CLIENT, handle, None, &mut Output::new(&mut data)).unwrap();
    data.truncate(got);
    data
}

const EVERYTHING: OpenFlags = OpenFlags(OpenFlags::READ.0 | OpenFlags::WRITE.0 | OpenFlags::CREATE.0);

#[test]
fn a_server_that_cannot_continue_the_journal_is_doubted_once() {
    if !have_tools() {
        return;
    }
    let mut machine = Machine::new();
    let (mut vfs, _) = machine.start();
    let sync = |vfs: &mut Vfs| catch_unwind(AssertUnwindSafe(|| vfs.sync()));
    for round in 0..2 {
        write_file(&mut vfs, "/kept", format!("round {round}").as_bytes()).unwrap();
        machine.disk.state().fail_writes = true;
        let end = sync(&mut vfs).unwrap_err();
        assert!(end.downcast_ref::<String>().unwrap().starts_with("the journal cannot be continued"));
        // It was right only as long as it ran: nothing is marked, and the next goes on.
        machine.disk.state().fail_writes = false;
        vfs = machine.crash(vfs);
        assert_eq!(sync(&mut vfs).unwrap(), Ok(()));
        assert_eq!(read_file(&mut vfs, "/kept").unwrap(), format!("round {round}").as_bytes());
    }
    write_file(&mut vfs, "/kept", b"more").unwrap();
    machine.disk.state().fail_writes = true;
    assert!(sync(&mut vfs).is_err());
    machine.disk.state().fail_writes = false;
    vfs = machine.crash(vfs);
    machine.disk.state().fail_writes = true;
    // It says the same, and is believed.
    assert_eq!(sync(&mut vfs).unwrap(), Err(Error::Io));
}

#[test]
fn open_files_stay_open_with_their_positions() {
    if !have_tools() {
        return;
    }
    let mut machine = Machine::new();
    let (mut vfs, resumed) = machine.start();
    assert!(!resumed);
    write_file(&mut vfs, "/read", b"one two three").unwrap();
    let reading = open(&mut vfs, "/read", OpenFlags::READ);
    assert_eq!(read(&mut vfs, reading, 4), b"one ");
    let appending = open(&mut vfs, "/log", OpenFlags::APPEND | OpenFlags::CREATE);
    write(&mut vfs, appending, b"first ");
    let gone = open(&mut vfs, "/gone", EVERYTHING);
    write(&mut vfs, gone, &[7; 10_000]);
    vfs.unlink("/gone").unwrap();
    let directory = open(&mut vfs, "/", OpenFlags::READ | OpenFlags::DIRECTORY);
    let shared = 1 << 60;
    vfs.duplicate(CLIENT, reading, shared).unwrap();

    let mut vfs = machine.crash(vfs);
    assert_eq!(read(&mut vfs, reading, 4), b"two ");
    write(&mut vfs, appending, b"second");
    assert_eq!(read_file(&mut vfs, "/log").unwrap(), b"first second");
    vfs.seek(CLIENT, gone, Whence::Start, 0).unwrap();
    assert_eq!(read(&mut vfs, gone, 20_000), [7; 10_000]);
    assert!(vfs.status("/gone", true).is_err());
    assert!(!vfs.list(CLIENT, directory, Some(0), 10).unwrap().is_empty());

    let mut vfs = machine.crash(vfs);
    let mut data = [0; 5];
    vfs.read(shared, 0, None, &mut Output::new(&mut data)).unwrap();
    assert_eq!(&data, b"three", "a duplicate shares the position");
    for handle in [reading, appending, gone, directory] {
        vfs.close(CLIENT, handle).unwrap();
    }
    vfs.client_gone(shared);
    machine.end(vfs);
}

#[test]
fn what_was_open_before_anything_was_kept_gives_no_number_twice() {
    if !have_tools() {
        return;
    }
    let machine = Machine::new();
    let (mounted, _) =
        Ext4::mount_kept(Box::new(machine.disk.clone()), machine.cache, clock(), machine.kept, 1).unwrap();
    let mut vfs = Vfs::new(Box::new(mounted), "disk", clock());
    let before = open(&mut vfs, "/", OpenFlags::READ | OpenFlags::DIRECTORY);
    vfs.close(CLIENT, before).unwrap();
    assert_eq!(vfs.keep_in(machine.kept), Ok(0));
    let [first, second] = ["/first", "/second"].map(|path| open(&mut vfs, path, EVERYTHING));
    write(&mut vfs, first, b"of the first");
    vfs.close(CLIENT, second).unwrap();
    write(&mut vfs, first, b" only");
    vfs.close(CLIENT, first).unwrap();
    assert_eq!(read_file(&mut vfs, "/first").unwrap(), b"of the first only");
    machine.end(vfs);
}

#[test]
fn a_repeated_request_is_done_once() {
    if !have_tools() {
        return;
    }
    let mut machine = Machine::new();
    let (mut vfs, _) = machine.start();
    write_file(&mut vfs, "/text", b"one two three").unwrap();
    let reading = open(&mut vfs, "/text", OpenFlags::READ);
    let request = machine.next(&mut vfs);
    assert_eq!(read(&mut vfs, reading, 4), b"one ");
    let mut vfs = machine.crash(vfs);
    vfs.begin_request(request);
    assert_eq!(read(&mut vfs, reading, 4), b"one ", "the answer was lost, so it is read again");
    machine.next(&mut vfs);
    assert_eq!(read(&mut vfs, reading, 4), b"two ");

    let appending = open(&mut vfs, "/log", OpenFlags::APPEND | OpenFlags::CREATE);
    machine.next(&mut vfs);
    write(&mut vfs, appending, b"a");
    let request = machine.next(&mut vfs);
    write(&mut vfs, appending, b"b");
    let mut vfs = machine.crash(vfs);
    vfs.begin_request(request);
    write(&mut vfs, appending, b"b");
    machine.next(&mut vfs);
    write(&mut vfs, appending, b"c");
    assert_eq!(read_file(&mut vfs, "/log").unwrap(), b"abc");

    let request = machine.next(&mut vfs);
    let made = vfs.open(CLIENT, "/new", OpenFlags::WRITE | OpenFlags::CREATE_NEW, 0o644).unwrap();
    let mut vfs = machine.crash(vfs);
    vfs.begin_request(request);
    assert_eq!(vfs.open(CLIENT, "/new", OpenFlags::WRITE | OpenFlags::CREATE_NEW, 0o644), Ok(made));
    machine.next(&mut vfs);
    assert_eq!(vfs.open(CLIENT, "/new", OpenFlags::WRITE | OpenFlags::CREATE_NEW, 0o644), Err(Error::AlreadyExists));

    let request = machine.next(&mut vfs);
    vfs.unlink("/text").unwrap();
    let mut vfs = machine.crash(vfs);
    vfs.begin_request(request);
    assert_eq!(vfs.unlink("/text"), Err(Error::NotFound));
    assert!(vfs.was_done());
    machine.end(vfs);
}

#[test]
fn broken_kept_memory_begins_anew_with_what_was_synced() {
    if !have_tools() {
        return;
    }
    for word in 0..12 {
        let mut machine = Machine::new();
        let (mut vfs, _) = machine.start();
        write_file(&mut vfs, "/synced", b"safe").unwrap();
        vfs.sync().unwrap();
        write_file(&mut vfs, "/unsynced", b"perhaps").unwrap();
        std::mem::forget(vfs);
        let mut state = machine.kept.memory();
        match word {
            // Words of the index.
            0..4 => (0..512).for_each(|at| state.set_word((64 << 10) + (at * 4 + word) * 8, 0x1234_5678 << word)),
            4 => machine.kept.set(Word::Redo, u64::MAX),
            5 => machine.kept.set(Word::Placing, u64::MAX),
            6 => machine.kept.set(Word::Sequence, 77),
            7 => machine.kept.set(Word::Sealed, 2),
            8 => machine.kept.set(Word::Magic, 1),
            9 => machine.cache.zero(0, 2 << 20),
            10 => machine.kept.set(Word::Sealed, 9),
            _ => (0..100).for_each(|at| state.set_word((640 << 10) + at * 8, u64::MAX / 3)),
        }
        let (mut vfs, _) = machine.start();
        if word != 9 {
            assert_eq!(read_file(&mut vfs, "/synced").as_deref(), Ok(&b"safe"[..]), "case {word}");
        }
        let _ = write_file(&mut vfs, "/after", b"goes on");
        let _ = vfs.shutdown();
    }
}

/// What should be in the files.
#[derive(Default)]
struct Model {
    contents: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    /// Handle, file, position.
    handles: Vec<(Handle, usize, usize)>,
}

fn check(vfs: &mut Vfs, model: &Model) {
    for (name, id) in &model.names {
        assert!(read_file(vfs, name).unwrap() == model.contents[*id], "{name}");
    }
    for (handle, id, _) in &model.handles {
        let expected = &model.contents[*id];
        let mut data = vec![0; expected.len() + 1];
        let got = vfs.read(CLIENT, *handle, Some(0), &mut Output::new(&mut data)).unwrap();
        let other = data[..got].iter().zip(expected).position(|(a, b)| a != b);
        let right = expected.len();
        assert!(data[..got] == *expected, "an open file: {got} bytes, not {right}, the first other one at {other:?}");
    }
}

#[test]
fn without_whole_pages_a_server_begins_anew_with_what_was_synced() {
    if !have_tools() {
        return;
    }
    for options in [&["-b", "1024"][..], &["-b", "4096", "-O", "^extent,^64bit"]] {
        let mut machine = Machine::with_options(options);
        let (mut vfs, _) = machine.start();
        write_file(&mut vfs, "/synced", &[5; 30_000]).unwrap();
        vfs.sync().unwrap();
        write_file(&mut vfs, "/not", &[6; 30_000]).unwrap();
        std::mem::forget(vfs);
        let (mut vfs, resumed) = machine.start();
        assert!(!resumed);
        assert_eq!(read_file(&mut vfs, "/synced").unwrap(), [5; 30_000]);
        machine.end(vfs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]
    #[test]
    fn whatever_was_answered_is_there(
        steps in proptest::collection::vec((0u8..16, 0usize..6, 0usize..30_000), 1..120)
    ) {
        if !have_tools() {
            return Ok(());
        }
        let mut machine = Machine::new();
        let (mut vfs, _) = machine.start();
        vfs.make_directory("/d", 0o755).unwrap();
        let mut model = Model::default();
        for (number, (step, which, size)) in steps.into_iter().enumerate() {
            let name = format!("{}f{which}", if which % 2 == 0 { "/" } else { "/d/" });
            let data: Vec<u8> = (0..size).map(|at| (at * 7 + number) as u8).collect();
            let pick = (!model.handles.is_empty()).then(|| which % model.handles.len());
            match (step, pick) {
                (0..3, _) if model.handles.len() < 8 => {
                    let handle = open(&mut vfs, &name, EVERYTHING);
                    let id = *model.names.entry(name).or_insert_with(|| {
                        model.contents.push(Vec::new());
                        model.contents.len() - 1
                    });
                    model.handles.push((handle, id, 0));
                }
                (3..7, Some(pick)) => {
                    let (handle, id, position) = &mut model.handles[pick];
                    write(&mut vfs, *handle, &data);
                    let file = &mut model.contents[*id];
                    let end = *position + data.len();
                    file.resize(file.len().max(if data.is_empty() { 0 } else { end }), 0);
                    if !data.is_empty() {
                        file[*position..end].copy_from_slice(&data);
                    }
                    *position = end;
                }
                (7, Some(pick)) => {
                    let (handle, _, position) = &mut model.handles[pick];
                    *position = size;
                    vfs.seek(CLIENT, *handle, Whence::Start, size as i64).unwrap();
                }
                (8, Some(pick)) => {
                    let (handle, id, _) = model.handles[pick];
                    vfs.set_length(CLIENT, handle, size as u64 / 2).unwrap();
                    model.contents[id].resize(size / 2, 0);
                }
                (9, Some(pick)) => {
                    let (handle, ..) = model.handles.swap_remove(pick);
                    vfs.close(CLIENT, handle).unwrap();
                }
                (10, _) if model.names.remove(&name).is_some() => vfs.unlink(&name).unwrap(),
                (11, _) if model.names.contains_key(&name) => {
                    let id = model.names.remove(&name).unwrap();
                    vfs.rename(&name, "/d/renamed").unwrap();
                    model.names.insert("/d/renamed".into(), id);
                }
                (12, _) => vfs.sync().unwrap(),
                (13, Some(pick)) => vfs.sync_open(CLIENT, model.handles[pick].0).unwrap(),
                _ => {
                    let cut = MemoryDisk::new(machine.disk.image());
                    vfs = machine.crash(vfs);
                    check(&mut vfs, &model);
                    // And if the power had been cut instead: the disk mounts by itself.
                    let mut after = support::mount_vfs(&cut);
                    after.shutdown().unwrap();
                    assert_clean(&cut.image(), "after a power cut");
                }
            }
        }
        vfs = machine.crash(vfs);
        check(&mut vfs, &model);
        machine.end(vfs);
    }
}
