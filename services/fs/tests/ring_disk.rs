//! The disk behind rings: order, batches larger than the ring, drivers that die, lie or stop.

mod support;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    ops::Deref,
    rc::Rc,
};

use motte_fs::{
    disk::{Direction, Disk, DiskError, Geometry, Transfer},
    memory::Region,
    ring_disk::{Driver, RingDisk, Rings},
};
use motte_ring::{AtomicU64, Consumer, PAGE_WORDS, Producer};
use support::Random;

/// A page that both sides share.
#[derive(Clone)]
struct Page(Rc<Vec<AtomicU64>>);

impl Page {
    fn new() -> Self {
        Self(Rc::new((0..PAGE_WORDS).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Deref for Page {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Works,
    /// Dies after so many further requests.
    DiesAfter(u32),
    /// Never comes back.
    Gone,
    /// Writes nonsense into the ring.
    Lies,
    /// Says that something is done and does nothing.
    Idles,
    Fails,
    /// Fails until somebody doubts it.
    FailsUntilDoubted,
    /// Knows nothing of its rings until somebody doubts it.
    ForgetsUntilDoubted,
    /// Takes no rings until somebody doubts it.
    RefusesUntilDoubted,
}

struct Peer {
    rings: Option<(Consumer<Page, 8>, Producer<Page, 2>, Page)>,
    /// What was asked for and not done: tag, operation, sector, offset, length.
    asked: VecDeque<[u64; 8]>,
    done: BTreeMap<u64, u32>,
    mood: Mood,
    attached: u32,
    flushes: u32,
    most_asked: usize,
    random: Random,
}

#[derive(Clone)]
struct Mock(Rc<RefCell<Peer>>);

impl Mock {
    fn new(mood: Mood) -> Self {
        Self(Rc::new(RefCell::new(Peer {
            rings: None,
            asked: VecDeque::new(),
            done: BTreeMap::new(),
            mood,
            attached: 0,
            flushes: 0,
            most_asked: 0,
            random: Random(3),
        })))
    }

    fn disk(&self) -> RingDisk<Mock> {
        let geometry = Geometry { sectors: 1 << 20, read_only: false };
        RingDisk::new(self.clone(), geometry, true).unwrap()
    }
}

impl Peer {
    /// Does some of what was asked for, in any order.
    fn work(&mut self) {
        let Some((requests, completions, page)) = &mut self.rings else { return };
        while let Ok(Some(request)) = requests.pop() {
            self.asked.push_back(request);
        }
        self.most_asked = self.most_asked.max(self.asked.len());
        if self.mood == Mood::Lies {
            page[0].store(u64::MAX / 2, core::sync::atomic::Ordering::Release);
            return;
        }
        if self.mood == Mood::Idles {
            return;
        }
        for _ in 0..1 + self.random.below(5) {
            if self.asked.is_empty() {
                break;
            }
            if let Mood::DiesAfter(left) = &mut self.mood {
                if *left == 0 {
                    (self.rings, self.mood) = (None, Mood::Works);
                    self.asked.clear();
                    return;
                }
                *left -= 1;
            }
            let index = self.random.below(self.asked.len() as u64) as usize;
            let Some(request) = self.asked.remove(index) else { break };
            if request[0] == 2 {
                self.flushes += 1;
            }
            *self.done.entry(request[2]).or_default() += 1;
            completions
                .push([request[1], u64::from(matches!(self.mood, Mood::Fails | Mood::FailsUntilDoubted))])
                .unwrap();
            completions.push([u64::MAX - 1, 0]).unwrap();
        }
    }
}

impl Driver for Mock {
    type Memory = Page;

    fn attach(&mut self) -> Result<Rings<Page>, DiskError> {
        let mut peer = self.0.borrow_mut();
        if matches!(peer.mood, Mood::Gone | Mood::RefusesUntilDoubted) {
            return Err(DiskError);
        }
        peer.attached += 1;
        peer.asked.clear();
        let (requests, completions) = (Page::new(), Page::new());
        peer.rings = Some((
            Consumer::new(requests.clone()).unwrap(),
            Producer::new(completions.clone()).unwrap(),
            completions.clone(),
        ));
        Ok(Rings { requests: Producer::new(requests).unwrap(), completions: Consumer::new(completions).unwrap() })
    }

    fn ring(&mut self) -> bool {
        self.0.borrow().rings.is_some()
    }

    fn doubt(&mut self) -> bool {
        let mut peer = self.0.borrow_mut();
        let is_new =
            matches!(peer.mood, Mood::FailsUntilDoubted | Mood::ForgetsUntilDoubted | Mood::RefusesUntilDoubted);
        if is_new {
            (peer.mood, peer.rings) = (Mood::Works, None);
        }
        is_new
    }

    fn wait(&mut self) -> bool {
        let mut peer = self.0.borrow_mut();
        if peer.mood == Mood::ForgetsUntilDoubted {
            return false;
        }
        peer.work();
        peer.rings.is_some()
    }
}

fn batch(first: u64, count: u64) -> Vec<Transfer> {
    (0..count).map(|n| Transfer { sector: (first + n) * 8, offset: n as usize * 4096, length: 4096 }).collect()
}

fn memory() -> Region {
    support::region(4096)
}

#[test]
fn a_batch_larger_than_the_ring_is_done_once_and_completely() {
    let mock = Mock::new(Mood::Works);
    let mut disk = mock.disk();
    let first = disk.submit(memory(), Direction::Read, &batch(0, 100)).unwrap();
    let second = disk.submit(memory(), Direction::Write, &batch(100, 50)).unwrap();
    disk.wait(second).unwrap();
    disk.wait(first).unwrap();
    disk.flush().unwrap();
    let peer = mock.0.borrow();
    assert_eq!((peer.done.len(), peer.flushes, peer.attached), (150, 1, 1));
    assert!(peer.most_asked > 8, "requests must be under way together");
}

#[test]
fn what_a_dead_driver_left_undone_is_asked_of_the_next() {
    for after in 0..80 {
        let mock = Mock::new(Mood::DiesAfter(after));
        let mut disk = mock.disk();
        let first = disk.submit(memory(), Direction::Write, &batch(0, 40)).unwrap();
        let second = disk.submit(memory(), Direction::Read, &batch(40, 30)).unwrap();
        disk.wait(first).unwrap();
        disk.wait(second).unwrap();
        let peer = mock.0.borrow();
        assert_eq!(peer.done.len(), 70);
        assert!(peer.attached <= 2);
    }
}

#[test]
fn a_driver_that_does_not_come_back_is_an_error_until_it_does() {
    let mock = Mock::new(Mood::Works);
    let mut disk = mock.disk();
    let ticket = disk.submit(memory(), Direction::Read, &batch(0, 4)).unwrap();
    mock.0.borrow_mut().mood = Mood::Gone;
    mock.0.borrow_mut().rings = None;
    assert_eq!(disk.wait(ticket), Err(DiskError));
    assert_eq!(disk.submit(memory(), Direction::Read, &batch(0, 4)).map(drop), Err(DiskError));
    assert_eq!(disk.flush(), Err(DiskError));
    mock.0.borrow_mut().mood = Mood::Works;
    let ticket = disk.submit(memory(), Direction::Read, &batch(0, 4)).unwrap();
    assert_eq!(disk.wait(ticket), Ok(()));
}

#[test]
fn a_driver_that_lies_is_given_up() {
    for mood in [Mood::Lies, Mood::Idles] {
        let mock = Mock::new(mood);
        let mut disk = mock.disk();
        let ticket = disk.submit(memory(), Direction::Read, &batch(0, 4)).unwrap();
        assert_eq!(disk.wait(ticket), Err(DiskError));
        assert!(mock.0.borrow().attached < 20);
    }
}

#[test]
fn a_device_error_fails_its_batch_only() {
    let mock = Mock::new(Mood::Fails);
    let mut disk = mock.disk();
    let ticket = disk.submit(memory(), Direction::Read, &batch(0, 4)).unwrap();
    assert_eq!(disk.wait(ticket), Err(DiskError));
    mock.0.borrow_mut().mood = Mood::Works;
    let ticket = disk.submit(memory(), Direction::Read, &batch(0, 4)).unwrap();
    assert_eq!(disk.wait(ticket), Ok(()));
    assert_eq!(disk.wait(ticket), Err(DiskError), "a batch is waited for once");
}

#[test]
fn a_driver_that_fails_or_forgets_is_doubted_and_asked_again() {
    for (mood, attached) in [(Mood::FailsUntilDoubted, 2), (Mood::ForgetsUntilDoubted, 3)] {
        let mock = Mock::new(mood);
        let mut disk = mock.disk();
        let ticket = disk.submit(memory(), Direction::Write, &batch(0, 20)).unwrap();
        disk.wait(ticket).unwrap();
        let peer = mock.0.borrow();
        assert_eq!(peer.attached, attached);
        assert!((0..20).all(|n| peer.done.contains_key(&(n * 8))));
    }
}

#[test]
fn a_driver_that_takes_no_rings_is_doubted() {
    let mock = Mock::new(Mood::RefusesUntilDoubted);
    let mut disk = mock.disk();
    let ticket = disk.submit(memory(), Direction::Write, &batch(0, 4)).unwrap();
    disk.wait(ticket).unwrap();
    assert_eq!(mock.0.borrow().attached, 1);
}
