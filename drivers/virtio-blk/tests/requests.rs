//! The driver between a client and a device, either of which may lie.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use motte_interfaces::block::Block;
use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::{CLIENT_GONE, Lifecycle};
use motte_interfaces::stream::StreamClient;
use motte_interfaces::{CallError, Cap, Method, Reader, ReplyToken, Responder, Sender, Transport, Writer, badge};
use motte_ring::{Consumer, Producer};
use motte_virtio_blk::BlockServer;
use proptest::prelude::*;
use support::{Device, EVENT_IDX, FLUSH, FRAME, Mock, Page, READ_ONLY, View, disk};

const CLIENT: Sender = Sender { badge: 11 };

struct World {
    device: Rc<RefCell<Device>>,
    mock: Mock,
    server: BlockServer<View, Mock>,
    requests: Producer<Page, 8>,
    completions: Consumer<Page, 2>,
}

const READ: u64 = 0;
const WRITE: u64 = 1;
const FLUSH_REQUEST: u64 = 2;

impl World {
    fn new(features: u64) -> Self {
        Self::with(Device::new(features))
    }

    fn with(device: Device) -> Self {
        let device = Rc::new(RefCell::new(device));
        let mut disk = disk(&device);
        disk.start(|| {}).unwrap();
        let mock = Mock::default();
        let mut server = BlockServer::new(mock.clone(), Some(disk));
        for index in 0..2 {
            server.attach_memory(&CLIENT, index, Cap(10 + index)).unwrap();
        }
        let requests = Producer::new(mock.0.pages.borrow()[0].clone()).unwrap();
        let mut completions = Consumer::new(mock.0.pages.borrow()[1].clone()).unwrap();
        assert_eq!(server.attach_rings(&CLIENT, Cap(1), Cap(2), Cap(3)), Ok(Cap(99)));
        completions.prepare_to_sleep().unwrap();
        Self { device, mock, server, requests, completions }
    }

    fn push(&mut self, operation: u64, tag: u64, sector: u64, offset: u64, length: u64) {
        self.requests.push([operation, tag, sector, offset, length, 0, 0, 0]).unwrap();
    }

    /// The client rings if the driver sleeps.
    fn ring(&mut self) {
        if self.requests.must_wake() {
            self.server.work();
        }
    }

    /// The device takes what there is, completes the first `count`, and interrupts if it is to.
    fn run(&mut self, count: usize) {
        let raised = {
            let mut device = self.device.borrow_mut();
            let before = device.interrupts;
            device.take();
            for _ in 0..count.min(device.taken()) {
                device.complete(0);
            }
            device.interrupts > before
        };
        if raised {
            self.server.interrupt();
        }
    }

    fn take(&mut self) -> Vec<(u64, u64)> {
        let mut taken = Vec::new();
        while let Some([tag, status]) = self.completions.pop().unwrap() {
            taken.push((tag, status));
        }
        taken
    }

    fn reports(&self) -> Vec<String> {
        self.mock.0.reports.borrow().clone()
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut world = World::new(FLUSH | EVENT_IDX);
    for (index, byte) in world.device.borrow_mut().client[..4096].iter_mut().enumerate() {
        *byte = (index * 7) as u8;
    }
    world.push(WRITE, 1, 100, 0, 4096);
    world.push(READ, 2, 50, FRAME + 8192, 512);
    world.ring();
    assert_eq!(world.device.borrow().queues[0].notified, 1, "one notification for both");
    world.run(9);
    assert_eq!(world.take(), [(1, 0), (2, 0)]);
    world.push(READ, 3, 100, FRAME, 4096);
    world.ring();
    world.run(9);
    assert_eq!(world.take(), [(3, 0)]);
    let device = world.device.borrow();
    assert_eq!(device.client[..4096], device.client[FRAME as usize..][..4096]);
    assert_eq!(device.client[FRAME as usize + 8192..][..512], device.disk[50 * 512..51 * 512]);
    assert_eq!(world.mock.0.woken.get(), 2);
    assert!(world.reports().is_empty());
}

#[test]
fn requests_that_make_no_sense_are_answered_so_and_reach_no_device() {
    let mut world = World::new(FLUSH);
    let last = 8192;
    let bad = [
        (3, 0, 0, 512),                 // no such operation
        (READ, 0, 0, 0),                // nothing
        (READ, 0, 0, 100),              // no whole sector
        (READ, 0, 100, 512),            // misaligned
        (READ, 0, FRAME - 512, 1024),   // across a frame
        (READ, 0, 2 * FRAME, 512),      // no frame
        (READ, 0, u64::MAX - 511, 512), // far outside
        (READ, 0, 0, FRAME + 512),      // too long
        (READ, last, 0, 512),           // beyond the disk
        (READ, last - 1, 0, 1024),      // partly beyond
        (READ, u64::MAX, 0, 512),       // overflow
        (READ, 0, 512, u64::MAX - 511), // overflow
    ];
    for (tag, (operation, sector, offset, length)) in bad.into_iter().enumerate() {
        world.push(operation, tag as u64, sector, offset, length);
    }
    world.ring();
    let answers = world.take();
    assert_eq!(answers.len(), bad.len());
    assert!(answers.iter().all(|(_, status)| *status == 2), "{answers:?}");
    world.device.borrow_mut().take();
    assert!(world.device.borrow().taken() == 0);
    world.push(READ, 77, last - 1, FRAME - 512, 512);
    world.ring();
    world.run(1);
    assert_eq!(world.take(), [(77, 0)]);
}

#[test]
fn a_read_only_disk_is_not_written() {
    let mut world = World::new(READ_ONLY);
    world.push(WRITE, 1, 0, 0, 512);
    world.ring();
    assert_eq!(world.take(), [(1, 2)]);
}

#[test]
fn blocks_larger_than_sectors_are_kept_whole() {
    let mut device = Device::new(support::BLK_SIZE);
    device.configuration[20..24].copy_from_slice(&4096u32.to_le_bytes());
    let mut world = World::with(device);
    world.push(READ, 1, 1, 0, 4096);
    world.push(READ, 2, 8, 0, 512);
    world.push(READ, 3, 8, 512, 4096);
    world.ring();
    world.run(9);
    assert_eq!(world.take(), [(1, 2), (2, 2), (3, 0)]);
}

#[test]
fn completions_come_in_any_order_and_many_are_in_flight() {
    let mut world = World::new(FLUSH | EVENT_IDX);
    let mut tag = 0;
    for _ in 0..3 {
        for _ in 0..32 {
            world.push(READ, tag, tag, tag * 512, 512);
            tag += 1;
        }
        world.server.work();
    }
    world.device.borrow_mut().take();
    assert_eq!(world.device.borrow().taken(), 64, "the queue is full");
    {
        let mut device = world.device.borrow_mut();
        while let Some(last) = device.taken().checked_sub(1) {
            device.complete(last);
        }
    }
    world.server.interrupt();
    assert_eq!(world.take().iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), (0..64).rev().collect::<Vec<_>>());
    world.run(99);
    let rest = world.take();
    assert_eq!(rest.len(), 32);
    assert!(world.requests.must_wake(), "the driver sleeps again");
}

#[test]
fn a_flush_waits_for_the_writes_before_it() {
    let mut world = World::new(FLUSH | EVENT_IDX);
    world.push(WRITE, 1, 0, 0, 512);
    world.push(WRITE, 2, 8, 0, 512);
    world.push(FLUSH_REQUEST, 3, 0, 0, 0);
    world.push(WRITE, 4, 16, 0, 512);
    world.ring();
    world.device.borrow_mut().take();
    assert_eq!(world.device.borrow().taken(), 2);
    world.run(1);
    assert_eq!(world.device.borrow().flushes, 0);
    world.run(1);
    world.device.borrow_mut().take();
    assert_eq!(world.device.borrow().taken(), 2, "the flush and the write behind it");
    world.run(9);
    assert_eq!(world.take(), [(1, 0), (2, 0), (3, 0), (4, 0)]);
    assert_eq!(world.device.borrow().flushes, 1);
}

#[test]
fn a_disk_without_a_cache_needs_no_flush() {
    let mut world = World::new(EVENT_IDX);
    world.push(FLUSH_REQUEST, 1, 0, 0, 0);
    world.push(WRITE, 2, 0, 0, 512);
    world.push(FLUSH_REQUEST, 3, 0, 0, 0);
    world.ring();
    assert_eq!(world.take(), [(1, 0)]);
    world.run(9);
    assert_eq!(world.take(), [(2, 0), (3, 0)]);
    assert_eq!(world.device.borrow().flushes, 0);
}

#[test]
fn a_device_error_is_told_to_the_client_and_logged_once() {
    let mut world = World::new(EVENT_IDX);
    world.device.borrow_mut().answer = 1;
    for tag in 0..4 {
        world.push(READ, tag, 9, 0, 512);
    }
    world.ring();
    world.run(9);
    assert_eq!(world.take(), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    let reports = world.reports();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("input/output error when reading at sector 9"), "{reports:?}");
    world.device.borrow_mut().answer = 0xff;
    world.push(READ, 5, 9, 0, 512);
    world.ring();
    world.run(9);
    assert_eq!(world.take(), [(5, 1)], "a status that was never written is no success");
}

#[test]
fn a_device_that_lies_is_reset_and_in_the_end_given_up() {
    let mut world = World::new(EVENT_IDX);
    for round in 0..4 {
        world.push(READ, round, 0, 0, 512);
        world.ring();
        world.device.borrow_mut().take();
        match round % 3 {
            0 => world.device.borrow_mut().give_back(1),
            1 => world.device.borrow_mut().give_back(3 * 63),
            _ => {
                let used = world.device.borrow().used();
                world.device.borrow_mut().set_used(used.wrapping_add(2));
            }
        }
        world.server.interrupt();
        assert_eq!(world.take(), [(round, 1)]);
    }
    assert_eq!(world.reports().len(), 4);
    assert!(world.reports()[3].contains("given up"));
    assert_eq!(world.server.info(&CLIENT), Err(IoError::Device));
    world.push(READ, 9, 0, 0, 512);
    world.push(FLUSH_REQUEST, 10, 0, 0, 0);
    world.ring();
    assert_eq!(world.take().iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [9, 10]);
}

#[test]
fn a_device_that_asks_for_a_reset_gets_it() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    world.device.borrow_mut().status |= 64;
    world.server.interrupt();
    assert_eq!(world.take(), [(1, 1)]);
    assert_eq!(world.device.borrow().status, 0xf);
    world.push(READ, 2, 0, 0, 512);
    world.ring();
    world.run(1);
    assert_eq!(world.take(), [(2, 0)]);
}

#[test]
fn a_client_that_spoils_its_ring_loses_it_until_it_attaches_anew() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    world.mock.0.pages.borrow()[0][0].store(1 << 40, Ordering::Relaxed);
    world.server.work();
    assert_eq!(world.reports().len(), 1);
    assert_eq!(*world.mock.0.released.borrow(), [1, 2, 3]);
    world.run(1);
    world.server.work();
    assert!(world.take().is_empty());
    for page in world.mock.0.pages.borrow().iter() {
        page.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
    world.requests = Producer::new(world.mock.0.pages.borrow()[0].clone()).unwrap();
    world.completions = Consumer::new(world.mock.0.pages.borrow()[1].clone()).unwrap();
    world.push(READ, 2, 0, 0, 512);
    world.server.attach_rings(&CLIENT, Cap(1), Cap(2), Cap(3)).unwrap();
    world.run(1);
    assert_eq!(world.take(), [(2, 0)]);
}

#[test]
fn completions_that_nobody_takes_stop_the_requests_only() {
    let mut world = World::new(EVENT_IDX);
    for tag in 0..400 {
        if world.requests.push([9, tag, 0, 0, 0, 0, 0, 0]).is_err() {
            world.server.work();
            let _ = world.requests.push([9, tag, 0, 0, 0, 0, 0, 0]);
        }
    }
    world.server.work();
    assert_eq!(world.take().len(), 128, "as many as the ring holds");
    world.server.work();
    assert!(!world.take().is_empty());
    assert!(world.reports().is_empty());
}

#[test]
fn what_a_client_took_away_is_not_touched() {
    let mut world = World::new(EVENT_IDX);
    world.mock.0.gone.borrow_mut().push(10);
    world.push(READ, 1, 0, 0, 512);
    world.push(READ, 2, 0, FRAME, 512);
    world.ring();
    world.run(9);
    assert_eq!(world.take(), [(1, 2), (2, 0)]);
    world.push(READ, 3, 0, FRAME, 512);
    world.ring();
    world.mock.0.gone.borrow_mut().push(2);
    world.run(9);
    assert!(world.take().is_empty(), "its rings are gone");
    assert_eq!(*world.mock.0.released.borrow(), [1, 2, 3]);
}

#[test]
fn a_client_that_vanishes_leaves_no_request_behind() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    assert_eq!(world.server.client_gone(&CLIENT, CLIENT.badge), Err(IoError::PermissionDenied));
    let registry = Sender { badge: badge::LIFECYCLE };
    let resets = world.device.borrow().resets;
    assert_eq!(world.server.client_gone(&registry, 12), Ok(()));
    assert_eq!(world.device.borrow().resets, resets, "another client's end is no reason");
    assert_eq!(world.server.client_gone(&registry, CLIENT.badge), Ok(()));
    assert_eq!(world.device.borrow().resets, resets + 1);
    assert_eq!(*world.mock.0.released.borrow(), [1, 2, 3, 10, 11]);
    assert!(world.take().is_empty());
    assert!(world.server.info(&CLIENT).is_ok());
}

#[test]
fn new_rings_are_given_when_nothing_of_the_former_ones_is_under_way() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    for page in world.mock.0.pages.borrow().iter() {
        page.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
    let resets = world.device.borrow().resets;
    assert!(world.server.attach_rings(&CLIENT, Cap(1), Cap(2), Cap(3)).is_ok());
    assert_eq!(world.device.borrow().resets, resets + 1, "the device could still write to the client's memory");
    assert!(world.server.attach_rings(&CLIENT, Cap(1), Cap(2), Cap(3)).is_ok());
    assert_eq!(world.device.borrow().resets, resets + 1, "nothing is under way");
}

#[test]
fn another_client_replaces_the_former_one() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    let other = Sender { badge: 12 };
    world.server.attach_memory(&other, 0, Cap(10)).unwrap();
    assert_eq!(*world.mock.0.released.borrow(), [1, 2, 3, 10, 11]);
    world.run(1);
    assert!(world.take().is_empty());
}

#[test]
fn without_a_disk_everything_is_not_found() {
    let mock = Mock::default();
    let mut server = BlockServer::<View, Mock>::new(mock.clone(), None);
    assert_eq!(server.info(&CLIENT), Err(IoError::NotFound));
    assert_eq!(server.attach_rings(&CLIENT, Cap(1), Cap(2), Cap(3)), Err(IoError::NotFound));
    assert_eq!(*mock.0.released.borrow(), [1, 2, 3]);
    server.work();
    server.interrupt();
    assert!(mock.0.reports.borrow().is_empty());
}

#[test]
fn memory_that_is_no_large_frame_or_out_of_range_is_refused() {
    let mut world = World::new(0);
    assert_eq!(world.server.attach_memory(&CLIENT, 0, Cap(50)), Err(IoError::InvalidInput));
    assert_eq!(world.server.attach_memory(&CLIENT, 512, Cap(10)), Err(IoError::InvalidInput));
    assert_eq!(*world.mock.0.released.borrow(), [50, 10]);
    assert_eq!(world.server.attach_rings(&CLIENT, Cap(1), Cap(7), Cap(3)), Err(IoError::InvalidInput));
}

proptest! {
    #[test]
    fn every_request_is_answered_once_whatever_the_order(
        steps in prop::collection::vec((0u64..4, 0u64..9000, 0u64..10_000, 0u64..9, 0usize..8), 1..200),
        event_index in any::<bool>(),
        small in any::<bool>(),
    ) {
        let mut device = Device::new(FLUSH | if event_index { EVENT_IDX } else { 0 });
        device.queues[0].size = if small { 8 } else { 256 };
        let mut world = World::with(device);
        let mut answered = vec![0; steps.len()];
        for (tag, (operation, sector, offset, length, completed)) in steps.iter().copied().enumerate() {
            while world.requests.room().unwrap() == 0 {
                world.run(usize::MAX);
                world.take().into_iter().for_each(|(tag, _)| answered[tag as usize] += 1);
            }
            world.push(operation, tag as u64, sector, offset * 512, length * 512);
            world.ring();
            world.run(completed);
            world.take().into_iter().for_each(|(tag, _)| answered[tag as usize] += 1);
        }
        for _ in 0..4 * steps.len() {
            world.run(usize::MAX);
            world.take().into_iter().for_each(|(tag, _)| answered[tag as usize] += 1);
        }
        prop_assert!(answered.iter().all(|count| *count == 1), "{:?}", answered);
        prop_assert!(world.reports().is_empty());
    }

    #[test]
    fn a_hostile_device_and_client_cause_no_panic_and_no_double_answer(
        steps in prop::collection::vec((0u8..6, any::<u32>(), any::<[u64; 8]>()), 1..100),
    ) {
        let mut world = World::new(FLUSH | EVENT_IDX);
        for (what, number, words) in steps {
            match what {
                0 => drop(world.requests.push(words)),
                1 => drop(world.requests.push([words[0] % 3, words[1], words[2] % 8000, words[3] % 4 * 512, 512, 0, 0, 0])),
                2 => world.run(number as usize % 5),
                3 => {
                    if world.device.borrow().status & 4 != 0 {
                        world.device.borrow_mut().give_back(number % 200);
                    }
                }
                4 => {
                    if world.device.borrow().status & 4 != 0 {
                        world.device.borrow_mut().set_used(number as u16);
                    }
                }
                _ => world.mock.0.pages.borrow()[number as usize % 2][words[0] as usize % 512].store(words[1], Ordering::Relaxed),
            }
            world.server.work();
            world.server.interrupt();
            let _ = world.completions.pop();
        }
    }
}

/// Notes the label of a call.
struct Label(RefCell<u64>);

impl Transport for Label {
    fn call<R>(
        &self,
        method: &Method,
        _: impl Fn(&mut Writer<'_>),
        _: impl FnOnce(u64, &mut Reader<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        *self.0.borrow_mut() = method.label;
        Err(CallError::Gone)
    }
}

#[test]
fn the_label_of_a_report_is_that_of_the_stream_interface() {
    let client = StreamClient::new(Label(RefCell::new(0)));
    let _ = client.client_gone(1);
    assert_eq!(*client.transport().0.borrow(), CLIENT_GONE);
}

#[test]
fn a_client_that_waits_is_answered_instead_of_signalled() {
    let mut world = World::new(FLUSH | EVENT_IDX);
    world.completions.awake();
    let wait = |world: &mut World, sender: &Sender, token| {
        world.server.wait(sender, Responder::new(ReplyToken(token)));
        world.mock.0.answered.take()
    };
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    assert_eq!(wait(&mut world, &CLIENT, 1), []);
    world.run(1);
    assert_eq!(world.mock.0.answered.take(), [(1, Ok(()))]);
    assert_eq!(wait(&mut world, &CLIENT, 2), [(2, Ok(()))], "it has not taken the completion");
    assert_eq!(world.take(), [(1, 0)]);
    assert_eq!(world.mock.0.woken.get(), 0);

    assert_eq!(wait(&mut world, &CLIENT, 3), []);
    assert_eq!(
        wait(&mut world, &Sender { badge: 12 }, 4),
        [(3, Err(IoError::Interrupted)), (4, Err(IoError::InvalidInput))]
    );
    assert_eq!(wait(&mut world, &CLIENT, 5), []);
    world.server.client_gone(&Sender { badge: badge::LIFECYCLE | 2 }, CLIENT.badge).unwrap();
    assert_eq!(world.mock.0.answered.take(), [(5, Err(IoError::InvalidInput))]);
}

#[test]
#[should_panic(expected = "a client knows of a disk that was not found")]
fn a_driver_that_was_told_of_no_disk_ends_when_a_client_knows_of_one() {
    let mut server = BlockServer::<View, Mock>::new(Mock::default(), None);
    let _ = server.attach_memory(&CLIENT, 0, Cap(10));
}

#[test]
#[should_panic(expected = "given up waiting for 1 requests")]
fn a_driver_whose_client_waited_in_vain_ends() {
    let mut world = World::new(EVENT_IDX);
    world.push(READ, 1, 0, 0, 512);
    world.ring();
    let _ = world.server.attach_memory(&CLIENT, 0, Cap(10));
}
