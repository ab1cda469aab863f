//! Finding out about a card and starting it.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use motte_interfaces::netdev::Direction;
use motte_virtio::StartError;
use motte_virtio::fake::FakeDevice;
use support::{CSUM, EVENT_IDX, GUEST_CSUM, MAC, STATUS, USUAL, VERSION_1, card, device};

#[test]
fn a_card_is_reset_first_and_runs_with_the_features_it_offers() {
    let device = Rc::new(RefCell::new(Box::new(device(USUAL | CSUM | GUEST_CSUM | 1 << 15 | 1 << 11))));
    let mut card = card(&device);
    card.start(|| {}).unwrap();
    assert_eq!(device.borrow().accepted, MAC | STATUS | EVENT_IDX | CSUM | GUEST_CSUM | VERSION_1);
    assert_eq!((device.borrow().status, device.borrow().resets), (0xf, 1));
    let info = card.info();
    assert_eq!(info.mac_bytes(), [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!((info.mtu, info.depth, info.link_up), (1500, 128, true));
    assert!(info.transmit_checksums && info.receive_checksums);
    card.reset(|| {}).unwrap();
    assert!(card.packets(Direction::Receive).is_none());
    card.start(|| {}).unwrap();
    assert!(card.packets(Direction::Transmit).is_some());
}

#[test]
fn a_card_with_little_to_offer_is_used_as_it_is() {
    let device = Rc::new(RefCell::new(Box::new(device(0))));
    device.borrow_mut().queues[0].size = 16;
    let mut card = card(&device);
    card.start(|| {}).unwrap();
    let info = card.info();
    assert_eq!(info.mac_bytes(), [2, 0, 0, 0, 0, 1], "an address of its own");
    assert_eq!((info.depth, info.link_up), (8, true));
    assert!(!info.transmit_checksums && !info.receive_checksums);
}

#[test]
fn a_cable_that_is_pulled_out_is_seen() {
    let device = Rc::new(RefCell::new(Box::new(device(USUAL))));
    let mut card = card(&device);
    card.start(|| {}).unwrap();
    assert!(card.link_up());
    device.borrow_mut().configuration[6] = 0;
    assert!(!card.link_up());
}

#[test]
fn what_a_card_lacks_is_said_and_it_can_be_tried_again() {
    let start = |change: fn(&mut FakeDevice)| {
        let device = Rc::new(RefCell::new(Box::new(device(USUAL))));
        let mut card = card(&device);
        change(&mut device.borrow_mut());
        let result = card.start(|| {});
        // Whatever it was, the queues' memory is not lost over it.
        **device.borrow_mut() = FakeDevice::new(USUAL, vec![0; 8], &[]);
        assert_eq!(card.start(|| {}), Err(StartError::Queue));
        result
    };
    assert_eq!(start(|device| device.features = 0), Err(StartError::Legacy));
    assert_eq!(start(|device| device.queues[0].size = 0), Err(StartError::Queue));
    assert_eq!(start(|device| device.queues[1].size = 1), Err(StartError::Queue));
    assert_eq!(start(|device| device.has_vector = false), Err(StartError::Vector));
    assert_eq!(start(|device| device.stuck_reset = true), Err(StartError::Reset));
    assert_eq!(start(|device| device.queues[1].size = 2), Ok(()));
}
