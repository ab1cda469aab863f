//! Finding and starting a device.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use motte_virtio::StartError;
use support::{BLK_SIZE, Device, EVENT_IDX, FLUSH, READ_ONLY, VERSION_1, disk};

fn device(features: u64) -> Rc<RefCell<Device>> {
    Rc::new(RefCell::new(Device::new(features)))
}

#[test]
fn a_disk_is_reset_first_and_runs_with_the_features_it_offers() {
    let device = device(FLUSH | EVENT_IDX | BLK_SIZE | 1 << 12);
    let mut disk = disk(&device);
    disk.start(|| {}).unwrap();
    {
        let device = device.borrow();
        assert_eq!(device.accepted, FLUSH | EVENT_IDX | BLK_SIZE | VERSION_1);
        assert_eq!((device.status, device.resets), (0xf, 1));
    }
    let info = disk.info();
    assert_eq!((info.sectors, info.read_only, info.write_cache, info.queue_depth), (8192, false, true, 64));
    disk.reset(|| {}).unwrap();
    assert!(disk.queue().is_none());
    disk.start(|| {}).unwrap();
    assert!(disk.queue().is_some());
}

#[test]
fn what_a_disk_lacks_is_said() {
    let start = |change: fn(&mut Device)| {
        let device = device(0);
        change(&mut device.borrow_mut());
        disk(&device).start(|| {})
    };
    assert_eq!(start(|device| device.features = 0), Err(StartError::Legacy));
    assert_eq!(start(|device| device.queues[0].size = 0), Err(StartError::Queue));
    assert_eq!(start(|device| device.queues[0].size = 2), Err(StartError::Queue));
    assert_eq!(start(|device| device.has_vector = false), Err(StartError::Vector));
    assert_eq!(start(|device| device.stuck_reset = true), Err(StartError::Reset));
    assert_eq!(start(|device| device.queues[0].size = 4), Ok(()));
}

#[test]
fn a_read_only_disk_without_a_cache_says_so() {
    let device = device(READ_ONLY);
    device.borrow_mut().queues[0].size = 16;
    let mut disk = disk(&device);
    disk.start(|| {}).unwrap();
    let info = disk.info();
    assert_eq!((info.read_only, info.write_cache, info.queue_depth), (true, false, 5));
}
