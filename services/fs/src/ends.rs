//! A server that ends between two stores: to kept memory, to the page cache, to the disk. The next goes on with what they hold, the client
//! repeats the request that got no answer, and every byte that was answered is there.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

#[path = "../tests/support/mod.rs"]
mod support;

use self::support::{MemoryDisk, Random, assert_clean, clock, have_tools, make_image};
use crate::{
    disk::{Direction, Disk, DiskError, Geometry, Ticket, Transfer},
    error::Error,
    ext4::Ext4,
    filesystem::FileSystem,
    kept::{Kept, STATE_BYTES},
    memory::{Input, Output, Region},
    vfs::{Handle, OpenFlags, Vfs, Whence},
};

thread_local! {
    /// Stores until the server ends; none: it does not.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

/// A server ended.
struct End;

/// Before a store. Returns how many bytes of it still happen.
pub(crate) fn store(length: usize) -> usize {
    match LEFT.get() {
        _ if ENDED.get() => 0,
        Some(0) => {
            ENDED.set(true);
            length / 2
        }
        left => {
            LEFT.set(left.map(|left| left - 1));
            length
        }
    }
}

/// After a store.
pub(crate) fn stored() {
    if ENDED.get() && !std::thread::panicking() {
        resume_unwind(Box::new(End));
    }
}

/// Runs `action`, which ends in the middle of its last store if it makes more than `stores`.
fn until<T>(stores: Option<u64>, action: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(stores);
    let result = catch_unwind(AssertUnwindSafe(action));
    LEFT.set(None);
    ENDED.set(false);
    match result {
        Ok(result) => Some(result),
        Err(end) if end.is::<End>() => None,
        Err(other) => resume_unwind(other),
    }
}

/// A disk whose transfers count as stores.
struct EndingDisk(MemoryDisk);

impl Disk for EndingDisk {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn submit(&mut self, memory: Region, direction: Direction, transfers: &[Transfer]) -> Result<Ticket, DiskError> {
        for transfer in transfers {
            if store(2) < 2 {
                stored();
            }
            let left = LEFT.replace(None);
            let result = self.0.submit(memory, direction, &[*transfer]);
            LEFT.set(left);
            result?;
        }
        Ok(Ticket(0))
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), DiskError> {
        self.0.wait(ticket)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.0.flush()
    }
}

const CLIENT: u64 = 1;
const EVERYTHING: OpenFlags = OpenFlags(OpenFlags::READ.0 | OpenFlags::WRITE.0 | OpenFlags::CREATE.0);
const NAMES: u64 = 6;
const MOST_BYTES: usize = 1 << 20;
/// Requests of one run.
const REQUESTS: usize = 100;

/// What a client asks for.
#[derive(Clone, Debug)]
enum Request {
    Open(String, OpenFlags),
    Write(Handle, Vec<u8>),
    Read(Handle, usize),
    Seek(Handle, usize),
    SetLength(Handle, usize),
    Close(Handle),
    Unlink(String),
    Rename(String, String),
    Sync,
    SyncOpen(Handle),
}

#[derive(Debug, PartialEq)]
enum Answer {
    Opened(Handle),
    Written(usize),
    Read(Vec<u8>),
    Done,
}

fn once(vfs: &Vfs, already: Error, result: crate::Result<()>) -> crate::Result<()> {
    if vfs.was_done() && result == Err(already) { Ok(()) } else { result }
}

impl Request {
    fn carry_out(&self, vfs: &mut Vfs) -> crate::Result<Answer> {
        match self {
            Request::Open(name, flags) => return vfs.open(CLIENT, name, *flags, 0o644).map(Answer::Opened),
            Request::Write(handle, data) => {
                if let Some(appended) = vfs.appended(CLIENT, *handle)? {
                    return Ok(Answer::Written(appended));
                }
                return vfs.write(CLIENT, *handle, None, &mut Input::new(data)).map(Answer::Written);
            }
            Request::Read(handle, length) => {
                let mut data = vec![0; *length];
                let got = vfs.read(CLIENT, *handle, None, &mut Output::new(&mut data))?;
                data.truncate(got);
                return Ok(Answer::Read(data));
            }
            Request::Seek(handle, position) => {
                vfs.seek(CLIENT, *handle, Whence::Start, *position as i64)?;
            }
            Request::SetLength(handle, size) => vfs.set_length(CLIENT, *handle, *size as u64)?,
            Request::Close(handle) => match vfs.close(CLIENT, *handle) {
                Err(Error::BadHandle) if vfs.is_repeated() => {}
                result => result?,
            },
            Request::Unlink(name) => {
                let result = vfs.unlink(name);
                once(vfs, Error::NotFound, result)?;
            }
            Request::Rename(from, to) => {
                let result = vfs.rename(from, to);
                once(vfs, Error::NotFound, result)?;
            }
            Request::Sync => vfs.sync()?,
            Request::SyncOpen(handle) => vfs.sync_open(CLIENT, *handle)?,
        }
        Ok(Answer::Done)
    }
}

struct Open {
    file: usize,
    position: usize,
    appends: bool,
}

/// What should be there.
#[derive(Default)]
struct Model {
    contents: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    handles: BTreeMap<Handle, Open>,
}

impl Model {
    /// What the answer to `request` changes.
    fn answered(&mut self, request: &Request, answer: Answer) {
        match (request, answer) {
            (Request::Open(name, flags), Answer::Opened(handle)) => {
                let file = *self.names.entry(name.clone()).or_insert_with(|| {
                    self.contents.push(Vec::new());
                    self.contents.len() - 1
                });
                if flags.any(OpenFlags::TRUNCATE) {
                    self.contents[file].clear();
                }
                let open = Open { file, position: 0, appends: flags.any(OpenFlags::APPEND) };
                assert!(self.handles.insert(handle, open).is_none(), "a handle was given twice");
            }
            (Request::Write(handle, data), Answer::Written(count)) => {
                let open = self.handles.get_mut(handle).unwrap();
                let content = &mut self.contents[open.file];
                let start = if open.appends { content.len() } else { open.position };
                if count > 0 {
                    content.resize(content.len().max(start + count), 0);
                    content[start..start + count].copy_from_slice(&data[..count]);
                }
                open.position = start + count;
            }
            (Request::Read(handle, length), Answer::Read(data)) => {
                let open = self.handles.get_mut(handle).unwrap();
                let content = &self.contents[open.file];
                let end = (open.position + length).min(content.len());
                let expected = content.get(open.position..end).unwrap_or(&[]);
                assert!(data == expected, "read {} bytes at {}", data.len(), open.position);
                open.position += data.len();
            }
            (Request::Seek(handle, position), Answer::Done) => {
                self.handles.get_mut(handle).unwrap().position = *position;
            }
            (Request::SetLength(handle, size), Answer::Done) => {
                let file = self.handles[handle].file;
                self.contents[file].resize(*size, 0);
            }
            (Request::Close(handle), Answer::Done) => drop(self.handles.remove(handle)),
            (Request::Unlink(name), Answer::Done) => drop(self.names.remove(name)),
            (Request::Rename(from, to), Answer::Done) => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
            }
            (Request::Sync | Request::SyncOpen(_), Answer::Done) => {}
            (request, answer) => panic!("{request:?} was answered by {answer:?}"),
        }
    }

    /// Compares with what is there while `unanswered` is under way.
    fn check(&self, vfs: &mut Vfs, unanswered: Option<&Request>) {
        // What is asked here is no client's request.
        vfs.begin_request(0);
        let mut may_differ = BTreeSet::new();
        let mut may_be_missing = BTreeSet::new();
        match unanswered {
            Some(Request::Open(name, flags)) if flags.any(OpenFlags::TRUNCATE) => {
                may_differ.extend(self.names.get(name));
            }
            Some(Request::SetLength(handle, _)) => drop(may_differ.insert(self.handles[handle].file)),
            Some(Request::Unlink(name)) => drop(may_be_missing.insert(name)),
            Some(Request::Rename(from, to)) => may_be_missing.extend([from, to]),
            _ => {}
        }
        let written = match unanswered {
            Some(Request::Write(handle, data)) => {
                let open = &self.handles[handle];
                let start = if open.appends { self.contents[open.file].len() } else { open.position };
                Some((open.file, start..start + data.len(), data))
            }
            _ => None,
        };
        let same = |found: &[u8], file: usize, what: &str| {
            let expected = &self.contents[file];
            match &written {
                _ if may_differ.contains(&file) => {}
                Some((of, range, data)) if *of == file => {
                    let least = expected.len();
                    assert!(
                        found.len() >= least && found.len() <= least.max(range.end),
                        "{what}: {} not {least}, {range:?}",
                        found.len()
                    );
                    for (at, byte) in found.iter().enumerate() {
                        let old = expected.get(at).copied().unwrap_or(0);
                        let new = range.contains(&at).then(|| data[at - range.start]);
                        assert!(*byte == old || Some(*byte) == new, "{what}: byte {at} of {least} in {range:?}");
                    }
                }
                _ => {
                    let other = found.iter().zip(expected).position(|(a, b)| a != b);
                    let (length, right) = (found.len(), expected.len());
                    assert!(found == expected, "{what}: {length} bytes, not {right}, the first other one at {other:?}");
                }
            }
        };
        for (name, file) in &self.names {
            match support::read_file(vfs, name) {
                Ok(found) => {
                    let moved = match unanswered {
                        Some(Request::Rename(from, to)) if to == name => Some(self.names[from]),
                        _ => None,
                    };
                    // The second name of a rename may lead to the first's file already.
                    if moved.is_none_or(|moved| found != self.contents[moved]) {
                        same(&found, *file, name);
                    }
                }
                Err(Error::NotFound) if may_be_missing.contains(name) => {}
                Err(error) => panic!("{name}: {error:?}"),
            }
        }
        for (handle, open) in &self.handles {
            let mut data = vec![0; 2 * MOST_BYTES];
            match vfs.read(CLIENT, *handle, Some(0), &mut Output::new(&mut data)) {
                Ok(got) => same(&data[..got], open.file, "an open file"),
                Err(_) if matches!(unanswered, Some(Request::Close(closing)) if closing == handle) => {}
                Err(error) => panic!("an open file: {error:?}"),
            }
        }
    }
}

/// What outlives a server, and the server.
struct World {
    disk: MemoryDisk,
    cache: Region,
    kept: Kept,
    generation: u64,
    request: u64,
    vfs: Option<Vfs>,
    model: Model,
    random: Random,
    /// How often a server ended.
    ends: usize,
}

impl World {
    fn new(image: Vec<u8>, seed: u64) -> Self {
        let mut world = Self {
            disk: MemoryDisk::new(image),
            cache: Region::leaked(2 << 20),
            kept: Kept::new(Region::leaked(STATE_BYTES)).unwrap(),
            generation: 0,
            request: 0,
            vfs: None,
            model: Model::default(),
            random: Random(seed),
            ends: 0,
        };
        world.vfs = world.start(None);
        world
    }

    /// Starts a server; none if it ended before it served.
    fn start(&mut self, stores: Option<u64>) -> Option<Vfs> {
        self.generation += 1;
        let disk = Box::new(EndingDisk(self.disk.clone()));
        let (cache, kept, generation) = (self.cache, self.kept, self.generation);
        until(stores, || {
            let (mounted, _) = Ext4::mount_kept(disk, cache, clock(), kept, generation).unwrap();
            assert_eq!(mounted.is_resumed(), generation > 1, "the next server begins anew");
            let mut vfs = Vfs::new(Box::new(mounted), "disk", clock());
            assert_eq!(vfs.keep_in(kept), Ok(0), "open files were lost");
            vfs
        })
    }

    /// After how many stores the next end comes.
    fn moment(&mut self) -> Option<u64> {
        match self.random.below(4) {
            0 => None,
            _ => {
                let most = 1 << self.random.below(13);
                Some(self.random.below(most))
            }
        }
    }

    /// The server ended: starts others until one serves.
    fn recover(&mut self, unanswered: Option<&Request>) {
        loop {
            std::mem::forget(self.vfs.take());
            self.ends += 1;
            let moment = self.moment();
            self.vfs = self.start(moment);
            if let Some(vfs) = &mut self.vfs {
                return self.model.check(vfs, unanswered);
            }
        }
    }

    /// Carries out a request, as often as it takes.
    fn ask(&mut self, request: &Request) {
        self.request += 1;
        loop {
            let moment = self.moment();
            let number = self.request;
            let vfs = self.vfs.as_mut().unwrap();
            let answer = until(moment, || {
                vfs.begin_request(number);
                request.carry_out(vfs)
            });
            match answer {
                Some(Ok(answer)) => return self.model.answered(request, answer),
                Some(Err(error)) => panic!("{request:?}: {error:?}"),
                None => self.recover(Some(request)),
            }
        }
    }

    fn name(&mut self) -> String {
        let which = self.random.below(NAMES);
        format!("/f{which}")
    }

    fn some_request(&mut self) -> Request {
        let handles: Vec<Handle> = self.model.handles.keys().copied().collect();
        let pick = (!handles.is_empty()).then(|| handles[self.random.below(handles.len() as u64) as usize]);
        loop {
            let name = self.name();
            let known = self.model.names.contains_key(&name);
            let size = self.random.below(1 << (8 + self.random.0 % 11)) as usize;
            match (self.random.below(20), pick) {
                (0..3, _) | (_, None) if handles.len() < 5 => {
                    let more = [OpenFlags::default(), OpenFlags::APPEND, OpenFlags::TRUNCATE];
                    return Request::Open(name, EVERYTHING | more[self.random.below(3) as usize]);
                }
                (3..11, Some(handle)) => {
                    let open = &self.model.handles[&handle];
                    let start = if open.appends { self.model.contents[open.file].len() } else { open.position };
                    if start + size <= MOST_BYTES {
                        return Request::Write(handle, self.random.bytes(size));
                    }
                }
                (11, Some(handle)) => return Request::Read(handle, size),
                (12, Some(handle)) => return Request::Seek(handle, size),
                (13, Some(handle)) => return Request::SetLength(handle, size),
                (14, Some(handle)) => return Request::Close(handle),
                (15, _) if known => return Request::Unlink(name),
                (16, _) if known => {
                    let to = self.name();
                    if to != name {
                        return Request::Rename(name, to);
                    }
                }
                (17, _) => return Request::Sync,
                (18, Some(handle)) => return Request::SyncOpen(handle),
                _ => {}
            }
        }
    }

    fn finish(mut self) {
        let mut vfs = self.vfs.take().unwrap();
        self.model.check(&mut vfs, None);
        vfs.shutdown().unwrap();
        assert_clean(&self.disk.image(), "after an unmount");
        self.model.handles.clear();
        self.model.check(&mut support::mount_vfs(&self.disk), None);
    }
}

/// How many runs, and the first one's seed: `MOTTE_ENDS=1000 MOTTE_SEED=7` for longer tests.
fn seeds() -> core::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("MOTTE_SEED").unwrap_or(0);
    first..first + number("MOTTE_ENDS").unwrap_or(20)
}

#[test]
fn whatever_was_answered_is_there_after_an_end_at_any_store() {
    if !have_tools() {
        return;
    }
    let image = make_image(16, &["-b", "4096"], None);
    let mut ends = 0;
    for seed in seeds() {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(image.clone(), seed);
            for _ in 0..REQUESTS {
                let request = world.some_request();
                world.ask(&request);
            }
            ends += world.ends;
            world.finish();
        }));
        if let Err(failure) = result {
            println!("with MOTTE_SEED={seed}");
            resume_unwind(failure);
        }
    }
    assert!(ends > 0, "no server ended");
}
