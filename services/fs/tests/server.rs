//! What clients of the service see.

mod support;

use std::{cell::RefCell, collections::BTreeMap, ptr::NonNull, rc::Rc};

use motte_fs::{
    cache::PAGE_SIZE,
    device_fs::DeviceFs,
    ext4::Ext4,
    kept::{Kept, STATE_BYTES},
    memory::{LentPages, Region},
    memory_fs::MemoryFs,
    server::{FilesServer, Root, Roots},
    vfs::Vfs,
};
use motte_interfaces::{
    ANSWER_OK, Bytes, Cap, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Wire, Writer, badge,
    error::IoError,
    fs::{FileKind, Files, open},
    stream::{SharedPages, Stream, StreamKind, Whence},
};
use support::{MemoryDisk, Random, assert_clean, clock, have_tools, make_image, mount};

type Answer = (u64, Vec<u64>);

/// The last answer, as label and words.
#[derive(Clone, Default)]
struct Answers(Rc<RefCell<Option<Answer>>>);

impl Replier for Answers {
    fn reply(&mut self, _: ReplyToken, put: &mut dyn FnMut(&mut Writer<'_>) -> Outcome) {
        let mut buffer = [0; 112];
        let mut writer = Writer::new(&mut buffer);
        let label = put(&mut writer).label().expect("an answer");
        let length = writer.length();
        let words = buffer[..length].to_vec();
        *self.0.borrow_mut() = Some((label, words));
    }
}

impl Answers {
    fn take<T: Wire>(&self) -> Result<T, IoError> {
        let (label, words) = self.0.borrow_mut().take().expect("an answer");
        let mut reader = Reader::new(&words, &[]);
        if label == ANSWER_OK { Ok(T::take(&mut reader).unwrap()) } else { Err(IoError::take(&mut reader).unwrap()) }
    }
}

const FOUR: usize = 4 * PAGE_SIZE;

type Fours = BTreeMap<(u64, u64), Box<[u8]>>;

/// Buffers of four pages each, so that every range beyond them is in pieces.
#[derive(Clone, Default)]
struct Pages(Rc<RefCell<Fours>>);

impl SharedPages for Pages {
    fn attach(&mut self, badge: u64, first: u64, _: [Cap; 4]) -> Result<(), IoError> {
        self.0.borrow_mut().insert((badge, first / 4), vec![0; FOUR].into());
        Ok(())
    }
    fn read(&self, _: u64, _: u64, _: &mut [u8]) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }
    fn write(&mut self, _: u64, _: u64, _: &[u8]) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }
    fn detach(&mut self, badge: u64) {
        self.0.borrow_mut().retain(|(owner, _), _| *owner != badge);
    }
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        Ok(Cap(badge))
    }
}

// SAFETY: the boxes stay in place until they are attached anew or detached, and the tests look at them only between requests.
unsafe impl LentPages for Pages {
    fn range(&self, badge: u64, offset: u64, length: usize) -> Result<(NonNull<u8>, usize), IoError> {
        let mut all = self.0.borrow_mut();
        if !all.keys().any(|(owner, _)| *owner == badge) {
            return Err(IoError::InvalidData);
        }
        let four = all.get_mut(&(badge, offset / FOUR as u64)).ok_or(IoError::InvalidInput)?;
        let rest = &mut four[(offset % FOUR as u64) as usize..];
        Ok((NonNull::from(&mut rest[0]), rest.len().min(length)))
    }
}

const CLIENT: Sender = Sender { badge: 0x1003 };
const OTHER: Sender = Sender { badge: 0x1004 };
/// Sees `/srv/www` only, and changes nothing.
const CONFINED: Sender = Sender { badge: 7 };
/// Sees `/srv` only.
const KEEPER: Sender = Sender { badge: 8 };
const SUPERVISOR: Sender = Sender { badge: badge::LIFECYCLE | 2 };

struct Machine {
    server: FilesServer<Answers, Pages>,
    answers: Answers,
    pages: Pages,
}

impl Machine {
    fn over(vfs: Vfs, generation: u64) -> Self {
        let (answers, pages) = (Answers::default(), Pages::default());
        let server = FilesServer::new(
            answers.clone(),
            pages.clone(),
            vfs,
            Roots::from([(CONFINED.badge, Root::parse("/srv/www:ro")), (KEEPER.badge, Root::parse("/srv"))]),
            generation,
        );
        Self { server, answers, pages }
    }

    /// A start of a server whose cache and open files outlive it.
    fn start(disk: &MemoryDisk, cache: Region, kept: Kept, generation: u64) -> Self {
        let (mounted, _) = Ext4::mount_kept(Box::new(disk.clone()), cache, clock(), kept, generation).unwrap();
        let mut vfs = Vfs::new(Box::new(mounted), "disk", clock());
        assert_eq!(vfs.keep_in(kept), Ok(0));
        let (answers, pages) = (Answers::default(), Pages::default());
        let server = FilesServer::resume(answers.clone(), pages.clone(), vfs, Roots::new(), kept);
        Self { server, answers, pages }
    }

    fn new() -> Self {
        Self::over(tree(8 << 20), 1)
    }

    fn open(&mut self, path: &str, flags: u64) -> Result<u64, IoError> {
        self.server.open(&CLIENT, path, flags, 0o644)
    }

    fn create(&mut self, path: &str) -> u64 {
        self.open(path, open::READ | open::WRITE | open::CREATE).unwrap()
    }

    fn read_as(&mut self, sender: &Sender, handle: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.server.read(sender, handle, length, Responder::new(ReplyToken(1)));
        self.answers.take::<Bytes>().map(|bytes| bytes.0)
    }

    fn read(&mut self, handle: u64, length: u64) -> Result<Vec<u8>, IoError> {
        self.read_as(&CLIENT, handle, length)
    }

    fn write(&mut self, handle: u64, data: &[u8]) -> Result<u64, IoError> {
        self.server.write(&CLIENT, handle, data, Responder::new(ReplyToken(1)));
        self.answers.take()
    }

    fn read_shared(&mut self, handle: u64, offset: u64, length: u64) -> Result<u64, IoError> {
        self.server.read_shared(&CLIENT, handle, offset, length, Responder::new(ReplyToken(1)));
        self.answers.take()
    }

    fn write_shared(&mut self, handle: u64, offset: u64, length: u64) -> Result<u64, IoError> {
        self.server.write_shared(&CLIENT, handle, offset, length, Responder::new(ReplyToken(1)));
        self.answers.take()
    }

    fn attach(&mut self, fours: u64) {
        for four in 0..fours {
            self.server.attach(&CLIENT, four * 4, Cap(1), Cap(2), Cap(3), Cap(4)).unwrap();
        }
    }

    fn fill(&self, four: u64, bytes: &[u8]) {
        self.pages.0.borrow_mut().get_mut(&(CLIENT.badge, four)).unwrap()[..bytes.len()].copy_from_slice(bytes);
    }

    fn lent(&self, four: u64) -> Vec<u8> {
        self.pages.0.borrow()[&(CLIENT.badge, four)].to_vec()
    }

    fn names(&mut self, path: &str) -> Vec<(u8, String)> {
        let handle = self.open(path, open::READ | open::DIRECTORY).unwrap();
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let (next, bytes) = self.server.read_directory(&CLIENT, handle, cookie).unwrap();
            let mut buffer = [0; 112];
            let mut writer = Writer::new(&mut buffer);
            (next, bytes.clone()).put(&mut writer);
            assert!(!writer.overflowed(), "an answer must fit a message");
            let mut rest = &bytes.0[..];
            while !rest.is_empty() {
                let length = usize::from(rest[9]);
                names.push((rest[0], String::from_utf8(rest[10..10 + length].to_vec()).unwrap()));
                rest = &rest[10 + length..];
            }
            if next == 0 {
                self.server.close(&CLIENT, handle).unwrap();
                return names;
            }
            cookie = next;
        }
    }
}

fn tree(limit: u64) -> Vfs {
    let mut vfs = Vfs::new(Box::new(MemoryFs::new(limit, clock())), "memory", clock());
    vfs.mount_in_root(Box::new(MemoryFs::new(64 << 10, clock())), "memory", "tmp", "").unwrap();
    vfs.mount_in_root(Box::new(DeviceFs::new(&clock())), "device", "dev", "").unwrap();
    vfs.set_memory_pool(limit + (128 << 10));
    vfs
}

#[test]
fn what_is_written_is_read_in_messages_and_through_pages() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    assert_eq!(machine.write(handle, b"hello world"), Ok(11));
    assert_eq!(machine.server.seek(&CLIENT, handle, Whence::Start, 6), Ok(6));
    assert_eq!(machine.read(handle, 1 << 40), Ok(b"world".to_vec()));
    assert_eq!(machine.read(handle, 10), Ok(vec![]));
    assert_eq!(machine.server.kind(&CLIENT, handle), Ok(StreamKind::File));

    machine.attach(3);
    machine.fill(0, &[1; FOUR]);
    machine.fill(1, &[2; FOUR]);
    assert_eq!(machine.write_shared(handle, 100, 2 * FOUR as u64 - 100), Ok(2 * FOUR as u64 - 100));
    machine.server.seek(&CLIENT, handle, Whence::Start, 11).unwrap();
    assert_eq!(machine.read_shared(handle, FOUR as u64, 3 * FOUR as u64), Ok(2 * FOUR as u64 - 100));
    assert_eq!(machine.lent(0), [1; FOUR]);
    assert_eq!(machine.lent(1)[..FOUR - 100], [1; FOUR - 100]);
    assert_eq!(machine.lent(1)[FOUR - 100..], [2; 100]);
    assert_eq!(machine.lent(2)[..FOUR - 100], [2; FOUR - 100]);
    assert_eq!(machine.lent(2)[FOUR - 100..], [0; 100]);
    assert_eq!(machine.read_shared(handle, 0, 100), Ok(0));
}

#[test]
fn a_client_that_lent_nothing_is_told_to_lend_anew() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    assert_eq!(machine.read_shared(handle, 0, 1000), Err(IoError::InvalidData));
    assert_eq!(machine.write_shared(handle, 0, 1000), Err(IoError::InvalidData));
}

#[test]
fn a_duplicate_shares_the_position_and_outlives_its_maker() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    machine.write(handle, b"abcdef").unwrap();
    machine.server.seek(&CLIENT, handle, Whence::Start, 0).unwrap();
    let cap = machine.server.duplicate(&CLIENT, handle).unwrap();
    let holder = Sender { badge: cap.0 };
    assert_eq!(holder.badge & (badge::OBJECT | badge::LIFECYCLE), badge::OBJECT);
    assert_eq!(machine.read(handle, 2), Ok(b"ab".to_vec()));
    assert_eq!(machine.read_as(&holder, 0, 2), Ok(b"cd".to_vec()));
    machine.server.client_gone(&SUPERVISOR, CLIENT.badge).unwrap();
    assert_eq!(machine.read(handle, 2), Err(IoError::BadHandle));
    assert_eq!(machine.read_as(&holder, 0, 2), Ok(b"ef".to_vec()));
    let again = Sender { badge: machine.server.duplicate(&holder, 0).unwrap().0 };
    assert_ne!(again, holder);
    machine.server.close(&holder, 0).unwrap();
    assert_eq!(machine.read_as(&holder, 0, 2), Err(IoError::BadHandle));
    assert_eq!(machine.server.seek(&again, 0, Whence::Current, -1), Ok(5));
}

#[test]
fn handles_of_others_and_of_an_earlier_server_lead_nowhere() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    let duplicate = Sender { badge: machine.server.duplicate(&CLIENT, handle).unwrap().0 };
    assert_eq!(machine.read_as(&OTHER, handle, 1), Err(IoError::BadHandle));
    for wrong in [0, 1, handle + 1, handle | 0xffff_ffff, u64::MAX, 1 << 63] {
        assert_eq!(machine.read(wrong, 1), Err(IoError::BadHandle), "{wrong:#x}");
        assert_eq!(machine.server.close(&CLIENT, wrong), Err(IoError::BadHandle), "{wrong:#x}");
    }

    let mut later = Machine::over(tree(1 << 20), 2);
    later.create("/file");
    assert_eq!(later.read(handle, 1), Err(IoError::ServiceRestarted));
    assert_eq!(later.read_as(&duplicate, 0, 1), Err(IoError::ServiceRestarted));
}

#[test]
fn a_large_directory_is_listed_completely_and_in_pieces_that_fit() {
    let mut machine = Machine::new();
    machine.server.create_directory(&CLIENT, "/many", 0o755).unwrap();
    let mut expected: Vec<(u8, String)> = (0..500)
        .map(|index| (0, format!("{index:03}{}", "n".repeat(index % 253))))
        .chain([(1, "directory".into()), (2, "link".into())])
        .collect();
    for (kind, name) in &expected {
        let path = format!("/many/{name}");
        match kind {
            0 => {
                let handle = machine.create(&path);
                machine.server.close(&CLIENT, handle).unwrap();
            }
            1 => machine.server.create_directory(&CLIENT, &path, 0o755).unwrap(),
            _ => machine.server.symbolic_link(&CLIENT, "nowhere", &path).unwrap(),
        }
    }
    let mut found = machine.names("/many");
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let file = machine.create("/many/directory/file");
    assert_eq!(machine.server.read_directory(&CLIENT, file, 0).map(drop), Err(IoError::NotADirectory));
    let directory = machine.open("/many", open::READ).unwrap();
    assert_eq!(machine.read(directory, 1), Err(IoError::IsADirectory));
    assert_eq!(machine.server.kind(&CLIENT, directory), Ok(StreamKind::Directory));
    let cookie = machine.server.read_directory(&CLIENT, directory, u64::MAX - 7);
    assert_eq!(cookie, Ok((0, Bytes(vec![]))));
}

#[test]
fn places_of_mounts_need_not_exist_and_are_listed() {
    let mut machine = Machine::new();
    machine.create("/file");
    let mut names = machine.names("/");
    names.sort();
    assert_eq!(names, [(0, "file".into()), (1, "dev".into()), (1, "tmp".into())]);
    let mounts = machine.server.mounts(&CLIENT, 0).unwrap();
    let lines: Vec<_> = mounts.iter().map(|mount| (&mount.target[..], &mount.kind[..])).collect();
    assert_eq!(lines, [("/", "memory"), ("/tmp", "memory"), ("/dev", "device")]);
    assert_eq!(machine.server.mounts(&CLIENT, 3), Ok(vec![]));
    assert_eq!(machine.server.canonicalize(&CLIENT, "/tmp/../dev/."), Ok("/dev".into()));
    assert_eq!(machine.server.create_directory(&CLIENT, "/tmp", 0), Err(IoError::AlreadyExists));
    assert_eq!(machine.server.remove_directory(&CLIENT, "/dev"), Err(IoError::Busy));
    assert_eq!(machine.server.rename(&CLIENT, "/file", "/tmp/x"), Err(IoError::CrossesDevices));
    assert_eq!(machine.server.rename(&CLIENT, "/tmp", "/x"), Err(IoError::Busy));
    machine.create("/tmp/x");
    assert_eq!(machine.server.unmount(&CLIENT, "/tmp"), Err(IoError::Busy));
    assert_eq!(machine.server.unmount(&CLIENT, "/"), Err(IoError::Busy));
    machine.server.client_gone(&SUPERVISOR, CLIENT.badge).unwrap();
    assert_eq!(machine.server.unmount(&CLIENT, "/tmp"), Ok(()));
    assert_eq!(machine.server.metadata(&CLIENT, "/tmp", true).map(drop), Err(IoError::NotFound));
}

#[test]
fn a_directory_on_the_disk_is_covered_and_nothing_is_written_for_the_mounts() {
    if !have_tools() {
        return;
    }
    let from = tempfile::tempdir().unwrap();
    std::fs::create_dir(from.path().join("tmp")).unwrap();
    std::fs::write(from.path().join("dev"), "a file in the way").unwrap();
    let disk = MemoryDisk::new(make_image(16, &[], Some(from.path())));
    let mut vfs = Vfs::new(Box::new(mount(&disk).unwrap().0), "disk", clock());
    vfs.mount_in_root(Box::new(MemoryFs::new(64 << 10, clock())), "memory", "tmp", "").unwrap();
    vfs.mount_in_root(Box::new(DeviceFs::new(&clock())), "device", "dev", "").unwrap();
    let mut machine = Machine::over(vfs, 1);
    let null = machine.open("/dev/null", open::WRITE).unwrap();
    assert_eq!(machine.write(null, b"gone"), Ok(4));
    let mut names = machine.names("/");
    names.sort();
    assert_eq!(names, [(1, "dev".into()), (1, "lost+found".into()), (1, "tmp".into())]);
    let mount = machine.server.mount(&CLIENT, "disk", "/tmp", "ext4", "");
    assert_eq!(mount, Err(IoError::Busy));
    machine.server.shut_down(&SUPERVISOR).unwrap();
    assert_clean(&disk.image(), "after the shutdown");
    let target = tempfile::tempdir().unwrap();
    support::extract(&disk.image(), target.path());
    assert_eq!(std::fs::read(target.path().join("dev")).unwrap(), b"a file in the way");
}

#[test]
fn devices_take_and_give_what_their_names_say() {
    let mut machine = Machine::new();
    assert_eq!(machine.names("/dev"), [(3, "null".into()), (3, "zero".into()), (3, "full".into())]);
    let null = machine.open("/dev/null", open::READ | open::WRITE | open::TRUNCATE | open::CREATE).unwrap();
    assert_eq!(machine.write(null, &[1; 700]), Ok(700));
    assert_eq!(machine.read(null, 10), Ok(vec![]));
    machine.attach(1);
    assert_eq!(machine.write_shared(null, 0, FOUR as u64), Ok(FOUR as u64));
    let zero = machine.open("/dev/zero", open::READ).unwrap();
    assert_eq!(machine.read(zero, 10), Ok(vec![0; 10]));
    machine.fill(0, &[9; FOUR]);
    assert_eq!(machine.read_shared(zero, 0, FOUR as u64), Ok(FOUR as u64));
    assert_eq!(machine.lent(0), [0; FOUR]);
    let full = machine.open("/dev/full", open::WRITE | open::APPEND).unwrap();
    assert_eq!(machine.write(full, b"x"), Err(IoError::StorageFull));
    assert_eq!(machine.open("/dev/new", open::WRITE | open::CREATE), Err(IoError::PermissionDenied));
    assert_eq!(machine.server.remove_file(&CLIENT, "/dev/null"), Err(IoError::PermissionDenied));
    assert_eq!(machine.open("/dev/null", open::READ | open::DIRECTORY), Err(IoError::NotADirectory));
    let info = machine.server.metadata(&CLIENT, "/dev/null", true).unwrap();
    assert_eq!((info.kind, info.mode), (FileKind::Other, 0o666));
}

#[test]
fn a_full_file_system_says_so_and_keeps_what_fitted() {
    let mut machine = Machine::new();
    let handle = machine.create("/tmp/big");
    machine.attach(5);
    let first = machine.write_shared(handle, 0, 5 * FOUR as u64).unwrap();
    assert!((48 << 10..64 << 10).contains(&first), "{first}");
    assert_eq!(machine.write_shared(handle, 0, 5 * FOUR as u64), Err(IoError::StorageFull));
    assert_eq!(machine.server.handle_metadata(&CLIENT, handle).unwrap().size, first);
    machine.server.set_length(&CLIENT, handle, 0).unwrap();
    machine.server.seek(&CLIENT, handle, Whence::Start, 0).unwrap();
    assert_eq!(machine.write(handle, b"again"), Ok(5));
    let info = machine.server.file_system(&CLIENT, "/tmp/big").unwrap();
    assert_eq!((info.kind.as_str(), info.block_size, info.blocks), ("memory", 4096, 16));
}

#[test]
fn memory_for_mounts_is_bounded() {
    let mut machine = Machine::new();
    machine.server.create_directory(&CLIENT, "/m", 0o755).unwrap();
    let mut mount = |options: &str| machine.server.mount(&CLIENT, "memory", "/m", "memory", options);
    assert_eq!(mount("size=1g"), Err(IoError::StorageFull));
    assert_eq!(mount("nonsense"), Err(IoError::InvalidInput));
    assert_eq!(mount("size=40k"), Ok(()));
    assert_eq!(mount("size=40k"), Err(IoError::StorageFull));
    assert_eq!(machine.server.unmount(&CLIENT, "/m"), Ok(()));
    let mut mount = |kind: &str| machine.server.mount(&CLIENT, "disk", "/m", kind, "size=64k");
    assert_eq!(mount("ntfs"), Err(IoError::Unsupported));
    assert_eq!(mount("ext4"), Err(IoError::NotFound));
    assert_eq!(mount("memory"), Ok(()));
}

#[test]
fn senseless_arguments_are_errors_and_nothing_else() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    machine.attach(2);
    let (most, end) = (u64::MAX, 2 * FOUR as u64);
    assert_eq!(machine.read_shared(handle, end, 1), Err(IoError::InvalidInput));
    for (offset, length) in [(end, 1), (most, 1), (most, most), (most - 5, 100)] {
        assert_eq!(machine.write_shared(handle, offset, length), Err(IoError::InvalidInput));
        assert_eq!(machine.read_shared(handle, offset, length), Err(IoError::InvalidInput));
    }
    assert_eq!(machine.write_shared(handle, end - 10, most), Ok(10));
    assert_eq!(machine.write_shared(handle, 0, 0), Ok(0));
    assert_eq!(machine.write(handle, b""), Ok(0));
    assert_eq!(machine.server.seek(&CLIENT, handle, Whence::Start, i64::MIN), Err(IoError::InvalidInput));
    assert_eq!(machine.server.seek(&CLIENT, handle, Whence::Start, i64::MAX), Ok(i64::MAX as u64));
    assert_eq!(machine.write(handle, b"x"), Err(IoError::InvalidInput));
    assert_eq!(machine.read(handle, 1), Ok(vec![]));
    assert_eq!(machine.server.set_length(&CLIENT, handle, most), Err(IoError::InvalidInput));
    assert_eq!(machine.open("/file", most), Err(IoError::InvalidInput));
    assert_eq!(machine.open("/file", 0), Err(IoError::InvalidInput));
    assert_eq!(machine.open("relative", open::READ), Err(IoError::InvalidInput));
    assert_eq!(machine.open("", open::READ), Err(IoError::NotFound));
    assert_eq!(machine.open("/a\0b", open::WRITE | open::CREATE), Err(IoError::InvalidInput));
    assert_eq!(machine.open(&format!("/{}", "n".repeat(256)), open::READ), Err(IoError::InvalidFilename));
    let mut random = Random(11);
    for _ in 0..20_000 {
        let mut any = || match random.below(4) {
            0 => random.below(64),
            1 => handle.wrapping_add(random.below(4)),
            2 => u64::MAX - random.below(8),
            _ => random.next(),
        };
        let (a, b, c) = (any(), any(), any());
        let sender = [CLIENT, OTHER, Sender { badge: badge::OBJECT | a }][(c % 3) as usize];
        let _ = machine.server.read_directory(&sender, a, b);
        let _ = machine.server.seek(&sender, a, Whence::Current, b.cast_signed());
        let _ = machine.server.handle_metadata(&sender, a);
        machine.server.read_shared(&sender, a, b, c, Responder::new(ReplyToken(1)));
        machine.server.read(&sender, a, b, Responder::new(ReplyToken(1)));
    }
}

#[test]
fn only_those_who_may_report_deaths_close_for_others_and_shut_down() {
    let mut machine = Machine::new();
    let handle = machine.create("/file");
    assert_eq!(machine.server.client_gone(&OTHER, CLIENT.badge), Err(IoError::PermissionDenied));
    assert_eq!(machine.server.shut_down(&CLIENT), Err(IoError::PermissionDenied));
    machine.attach(1);
    machine.server.client_gone(&SUPERVISOR, CLIENT.badge).unwrap();
    assert!(machine.pages.0.borrow().is_empty());
    assert_eq!(machine.read(handle, 1), Err(IoError::BadHandle));
    assert_eq!(machine.server.shut_down(&SUPERVISOR), Ok(()));
    assert_eq!(machine.server.shut_down(&SUPERVISOR), Ok(()));
    assert_eq!(machine.server.client_gone(&SUPERVISOR, 1), Ok(()));
    assert_eq!(machine.open("/file", open::READ), Err(IoError::ServiceGone));
    assert_eq!(machine.read(handle, 1), Err(IoError::ServiceGone));
    assert_eq!(machine.server.sync_all(&CLIENT), Err(IoError::ServiceGone));
    machine.server.write_back();
}

#[test]
fn changes_reach_the_disk_without_anybody_asking() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let mut machine = Machine::over(support::mount_vfs(&disk), 1);
    let handle = machine.create("/file");
    machine.write(handle, b"kept").unwrap();
    assert!(machine.server.take_changed() && !machine.server.take_changed());
    let info = machine.server.cache(&CLIENT).unwrap();
    assert_eq!(info.capacity, 3 << 20);
    assert!(info.dirty > 0 && info.used >= info.dirty);
    machine.server.write_back();
    assert_eq!(machine.server.cache(&CLIENT).unwrap().dirty, 0);
    machine.read(handle, 10).unwrap();
    assert!(machine.open("/file", open::WRITE | open::CREATE).is_ok());
    assert!(!machine.server.take_changed(), "nothing was changed");
    // The machine stops here.
    let mut after = Machine::over(support::mount_vfs(&MemoryDisk::new(disk.image())), 1);
    let handle = after.open("/file", open::READ).unwrap();
    assert_eq!(after.read(handle, 10), Ok(b"kept".to_vec()));
}

#[test]
fn a_client_with_a_root_of_its_own_sees_nothing_else() {
    let mut machine = Machine::new();
    for path in ["/srv", "/srv/www", "/srv/www/sub"] {
        machine.server.create_directory(&CLIENT, path, 0o755).unwrap();
    }
    for (path, text) in [("/secret", "secret"), ("/srv/www/secret", "public")] {
        let handle = machine.create(path);
        machine.write(handle, text.as_bytes()).unwrap();
    }
    for (target, link) in
        [("/secret", "absolute"), ("../../secret", "relative"), ("sub/../secret", "inside"), ("/../..", "above")]
    {
        machine.server.symbolic_link(&CLIENT, target, &format!("/srv/www/{link}")).unwrap();
    }
    // Every way up ends in its own root, so each of these is the public one.
    let names = ["secret", "absolute", "relative", "inside", "above/secret", "../secret", "sub/../../../secret"];
    for name in names {
        let handle = machine.server.open(&CONFINED, &format!("/{name}"), open::READ, 0).unwrap();
        assert_eq!(machine.read_as(&CONFINED, handle, 100), Ok(b"public".to_vec()), "{name}");
    }
    assert_eq!(machine.server.canonicalize(&CONFINED, "/above"), Ok("/".into()));
    assert_eq!(machine.server.metadata(&CONFINED, "/srv", true).unwrap_err(), IoError::NotFound);
    assert_eq!(machine.server.metadata(&KEEPER, "/www/secret", true).unwrap().size, 6);
    // The others see what they saw before.
    assert_eq!(machine.server.metadata(&CLIENT, "/srv/www/secret", true).unwrap().size, 6);
    assert_eq!(machine.server.metadata(&CONFINED, "/secret", true).unwrap().size, 6);
    assert_eq!(machine.server.mounts(&CONFINED, 0).unwrap_err(), IoError::PermissionDenied);
    assert_eq!(machine.server.mount(&KEEPER, "x", "/www", "memory", ""), Err(IoError::PermissionDenied));
    assert_eq!(machine.server.unmount(&KEEPER, "/www"), Err(IoError::PermissionDenied));
    // One may write below its root, the other may not.
    let create = open::WRITE | open::CREATE;
    assert_eq!(machine.server.open(&CONFINED, "/new", create, 0o644), Err(IoError::ReadOnlyFilesystem));
    assert_eq!(machine.server.open(&CONFINED, "/secret", open::WRITE, 0), Err(IoError::ReadOnlyFilesystem));
    assert_eq!(machine.server.remove_file(&CONFINED, "/secret"), Err(IoError::ReadOnlyFilesystem));
    assert_eq!(machine.server.rename(&CONFINED, "/secret", "/s"), Err(IoError::ReadOnlyFilesystem));
    machine.server.open(&KEEPER, "/../new", create, 0o644).unwrap();
    machine.server.rename(&KEEPER, "/new", "/www/new").unwrap();
    assert!(machine.server.metadata(&CLIENT, "/srv/www/new", true).is_ok());
}

#[test]
fn the_holder_of_an_open_directory_reads_below_it_and_nowhere_else() {
    let mut machine = Machine::new();
    machine.server.create_directory(&CLIENT, "/folder", 0o755).unwrap();
    machine.create("/folder/file");
    let file = machine.create("/file");
    let folder = machine.open("/folder", open::READ | open::DIRECTORY).unwrap();
    let object = Sender { badge: machine.server.duplicate(&CLIENT, folder).unwrap().0 };
    assert!(machine.server.metadata(&object, "/file", true).is_ok());
    assert!(machine.server.metadata(&object, "/../../file", true).is_ok());
    assert_eq!(machine.server.metadata(&object, "/folder/file", true).unwrap_err(), IoError::NotFound);
    assert_eq!(machine.server.remove_file(&object, "/file"), Err(IoError::ReadOnlyFilesystem));
    // One that stands for a file leads nowhere.
    let object = Sender { badge: machine.server.duplicate(&CLIENT, file).unwrap().0 };
    assert_eq!(machine.server.open(&object, "/file", open::READ, 0), Err(IoError::NotADirectory));
}

#[test]
fn what_a_server_had_not_written_back_is_due_at_its_successor() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let (cache, kept) = (Region::leaked(2 << 20), Kept::new(Region::leaked(STATE_BYTES)).unwrap());
    let mut first = Machine::start(&disk, cache, kept, 1);
    let handle = first.create("/file");
    first.write(handle, b"kept").unwrap();
    core::mem::forget(first);
    let mut second = Machine::start(&disk, cache, kept, 2);
    assert!(second.server.take_changed());
    second.server.write_back();
    assert_eq!(second.server.cache(&CLIENT).unwrap().dirty, 0);
    assert_eq!(second.server.shut_down(&SUPERVISOR), Ok(()));
    assert_clean(&disk.image(), "after an unmount");
}
