//! Buffers between stack and driver, with restarts and lies in between.

use std::collections::VecDeque;

use motte_interfaces::netdev::{Checksum, NetdevInfo, Received, Transmitted};
use motte_netdev::fake::{FakeCard, FakeDriver};
use motte_netdev::{Buffer, Layout, Memory, Port};
use proptest::prelude::*;

fn port(card: &FakeCard) -> Port<FakeDriver> {
    let mut port = Port::new(card.driver(), card.layout());
    assert!(port.refresh(&card.memory()));
    port
}

fn send(card: &FakeCard, port: &mut Port<FakeDriver>, frame: &[u8]) -> bool {
    let Some(mut buffer) = port.reserve() else { return false };
    card.memory().with(&mut buffer, |bytes| bytes[..frame.len()].copy_from_slice(frame));
    port.transmit(buffer, frame.len(), None);
    true
}

fn receive(card: &FakeCard, port: &mut Port<FakeDriver>) -> Option<Vec<u8>> {
    let mut frame = port.receive()?;
    let bytes = card.memory().with(&mut frame.buffer, |bytes| bytes[..frame.length].to_vec());
    port.recycle(frame.buffer, &card.memory());
    Some(bytes)
}

#[test]
fn frames_pass_in_both_directions() {
    let card = FakeCard::new();
    let mut port = port(&card);
    assert_eq!(port.info().unwrap().mac_bytes(), [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    for round in 0..1000u32 {
        let frame = round.to_le_bytes().repeat(20);
        assert!(send(&card, &mut port, &frame));
        assert_eq!(card.sent(), std::slice::from_ref(&frame));
        assert!(card.deliver(&frame));
        assert_eq!(receive(&card, &mut port), Some(frame));
        assert_eq!(port.receive(), None);
    }
    let counters = port.counters();
    assert_eq!((counters.received, counters.transmitted), ((1000, 80_000), (1000, 80_000)));
}

#[test]
fn what_is_full_says_so_and_goes_on() {
    let card = FakeCard::new();
    let mut port = port(&card);
    let sent = (0..).take_while(|number: &u8| send(&card, &mut port, &[*number; 64])).count();
    assert_eq!(sent, card.layout().transmit);
    assert!(!port.can_transmit(1));
    assert_eq!(card.sent().len(), sent);
    assert!(port.can_transmit(1));
    let delivered = (0..).take_while(|number: &u8| card.deliver(&[*number; 64])).count();
    assert_eq!(delivered, card.layout().receive);
    for number in 0..delivered {
        assert_eq!(receive(&card, &mut port), Some(vec![number as u8; 64]));
    }
    assert!(card.deliver(&[9; 64]));
}

#[test]
fn the_driver_is_signalled_once_for_a_batch_and_only_if_it_sleeps() {
    let card = FakeCard::new();
    let mut port = port(&card);
    card.sent();
    let before = card.signals();
    send(&card, &mut port, &[1; 60]);
    port.flush();
    assert_eq!(card.signals(), before, "it is awake");
    card.sent();
    assert!(card.sleep());
    send(&card, &mut port, &[1; 60]);
    send(&card, &mut port, &[2; 60]);
    port.flush();
    port.flush();
    assert_eq!(card.signals(), before + 1);
}

#[test]
fn the_stack_is_woken_only_when_it_sleeps() {
    let card = FakeCard::new();
    let mut port = port(&card);
    card.deliver(&[1; 60]);
    assert_eq!(card.wakes(), 0);
    assert!(!port.prepare_to_sleep(), "a frame lies there");
    assert!(receive(&card, &mut port).is_some());
    assert!(port.prepare_to_sleep());
    card.deliver(&[1; 60]);
    assert_eq!(card.wakes(), 1);
    port.awake();
    card.deliver(&[1; 60]);
    assert_eq!(card.wakes(), 1);
    while receive(&card, &mut port).is_some() {}
    // With buffers to spare it is nothing to wake for that one was sent; without, it is.
    send(&card, &mut port, &[1; 60]);
    assert!(port.prepare_to_sleep());
    card.sent();
    assert_eq!(card.wakes(), 1);
    while send(&card, &mut port, &[1; 60]) {}
    assert!(port.prepare_to_sleep());
    card.sent();
    assert!(card.wakes() > 1);
}

#[test]
fn a_restart_loses_no_frame_that_was_to_be_sent() {
    let card = FakeCard::new();
    let mut port = port(&card);
    send(&card, &mut port, &[1; 60]);
    assert_eq!(card.sent().len(), 1);
    send(&card, &mut port, &[2; 60]);
    send(&card, &mut port, &[3; 60]);
    card.deliver(&[4; 60]);
    let held = port.reserve().unwrap();
    card.kill();
    assert!(send(&card, &mut port, &[5; 60]));
    card.start();
    assert!(port.refresh(&card.memory()));
    assert!(!port.refresh(&card.memory()));
    assert_eq!(card.sent(), [[2; 60], [3; 60], [5; 60]]);
    assert_eq!(receive(&card, &mut port), Some(vec![4; 60]), "what the former driver had handed over");
    port.recycle(held, &card.memory());
    // No buffer was lost.
    let sent = (0..).take_while(|number: &u8| send(&card, &mut port, &[*number; 64])).count();
    assert_eq!(sent, card.layout().transmit);
    let delivered = (0..).take_while(|number: &u8| card.deliver(&[*number; 64])).count();
    assert_eq!(delivered, card.layout().receive);
    assert_eq!(port.counters().attachments, 2);
}

/// A frame of ARP, or of IP with as many bytes as it says.
fn frame_of(ethertype: u16, length: usize, byte: u8) -> Vec<u8> {
    let mut frame = vec![byte; length];
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    match ethertype {
        0x0800 => frame[16..18].copy_from_slice(&(length as u16 - 14).to_be_bytes()),
        0x86dd => frame[18..20].copy_from_slice(&(length as u16 - 54).to_be_bytes()),
        _ => {}
    }
    frame
}

#[test]
fn a_restart_loses_no_frame_that_the_card_had_received() {
    let card = FakeCard::new();
    let mut port = port(&card);
    for round in 1..20 {
        let frames = [frame_of(0x0800, 100, round), frame_of(0x86dd, 1514, round), frame_of(0x0806, 42, round)];
        assert!(card.deliver(&frames[0]));
        assert!(card.deliver_unreported(&frames[1]));
        assert!(card.deliver_unreported(&frames[2]));
        assert!(card.deliver_unreported(&frame_of(0x0000, 60, round)), "what says of itself nothing is not kept");
        card.restart();
        port.refresh(&card.memory());
        for frame in frames {
            assert_eq!(receive(&card, &mut port), Some(frame));
        }
        assert_eq!(port.receive(), None);
    }
    assert_eq!(port.counters().unreported, 38);
    // What was found once is not found again, and one that claims to be larger than its buffer is none.
    let mut lie = frame_of(0x0800, 100, 1);
    lie[16..18].copy_from_slice(&60000u16.to_be_bytes());
    assert!(card.deliver_unreported(&lie));
    card.restart();
    port.refresh(&card.memory());
    assert_eq!(port.receive(), None);
    assert_eq!((0..).take_while(|_: &u8| card.deliver(&[1; 64])).count(), card.layout().receive);
}

#[test]
fn checksums_are_the_cards_to_fill_in_where_it_can() {
    let info =
        NetdevInfo { transmit_checksums: true, receive_checksums: true, ..port(&FakeCard::new()).info().unwrap() };
    let card = FakeCard::with(info, Layout::STANDARD);
    let mut port = port(&card);
    let mut buffer = port.reserve().unwrap();
    card.memory().with(&mut buffer, |bytes| bytes[..8].copy_from_slice(&[9, 9, 0x12, 0x34, 0, 1, 0xff, 0xff]));
    port.transmit(buffer, 8, Some(Checksum { start: 2, at: 2 }));
    // 0x1234 + 0x0001 + 0xffff, folded, is 0x1235.
    assert_eq!(card.sent(), [[9, 9, 0x12, 0x34, 0xed, 0xca, 0xff, 0xff]]);
    card.deliver_checked(&[1; 60]);
    let frame = port.receive().unwrap();
    assert!(frame.checksum_good);
    port.recycle(frame.buffer, &card.memory());
}

#[test]
fn the_link_is_as_it_was_last_heard() {
    let card = FakeCard::new();
    let port = port(&card);
    assert!(port.info().unwrap().link_up);
    card.set_link(false);
    assert!(!port.info().unwrap().link_up);
}

#[test]
fn a_driver_that_lies_is_asked_for_new_rings() {
    let buffer = Layout::STANDARD.buffer as u64;
    let first_transmit = Layout::STANDARD.receive as u64 * buffer;
    let received = |offset, length| Received { offset, length, checksum_good: false }.words();
    type Lie = fn(&FakeCard, [u64; 2]);
    let lies: [(&str, Lie, [u64; 2]); 6] = [
        ("a transmit buffer", FakeCard::lie_received, received(first_transmit, 60)),
        ("within a buffer", FakeCard::lie_received, received(1, 60)),
        ("longer than the buffer", FakeCard::lie_received, received(0, buffer as u32 + 1)),
        ("far away", FakeCard::lie_received, received(u64::MAX, 60)),
        ("never sent", FakeCard::lie_transmitted, Transmitted { offset: first_transmit, sent: true }.words()),
        ("no status", FakeCard::lie_transmitted, [first_transmit, 7]),
    ];
    for (what, lie, words) in lies {
        let card = FakeCard::new();
        let mut port = port(&card);
        lie(&card, words);
        // What was sent is not taken back before buffers are wanted.
        let held: Vec<Buffer> = std::iter::from_fn(|| port.reserve()).collect();
        assert_eq!(port.receive(), None, "{what}");
        held.into_iter().for_each(|buffer| port.recycle(buffer, &card.memory()));
        assert_eq!((card.renewals(), port.counters().spoilt), (1, 1), "{what}");
        assert!(port.refresh(&card.memory()));
        assert!(card.deliver(&[1; 60]) && send(&card, &mut port, &[2; 60]), "{what}");
        assert_eq!((receive(&card, &mut port), card.sent()), (Some(vec![1; 60]), vec![vec![2; 60]]), "{what}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    Transmit,
    Deliver,
    Receive,
    Hold,
    Release,
    Kill,
    Start,
    LieReceived([u64; 2]),
    LieTransmitted([u64; 2]),
}

fn step() -> impl Strategy<Value = Step> {
    let second = || prop_oneof![0u64..70, any::<u64>()];
    let words = || (0u64..20, second()).prop_map(|(buffer, second)| [buffer * 2048, second]);
    prop_oneof![
        6 => Just(Step::Send),
        6 => Just(Step::Transmit),
        6 => Just(Step::Deliver),
        6 => Just(Step::Receive),
        2 => Just(Step::Hold),
        2 => Just(Step::Release),
        1 => Just(Step::Kill),
        2 => Just(Step::Start),
        1 => words().prop_map(Step::LieReceived),
        1 => words().prop_map(Step::LieTransmitted),
    ]
}

proptest! {
    /// Whatever the driver does, buffers are neither lost nor handed out twice, and an honest driver's frames come through in order.
    #[test]
    fn buffers_are_neither_lost_nor_doubled(steps in proptest::collection::vec(step(), 1..200)) {
        let honest = !steps.iter().any(|step| matches!(step, Step::LieReceived(_) | Step::LieTransmitted(_)));
        let info = port(&FakeCard::new()).info().unwrap();
        let layout = Layout { buffer: 2048, receive: 8, transmit: 8 };
        let card = FakeCard::with(info, layout);
        let mut port = port(&card);
        let (mut held, mut held_frames) = (Vec::new(), Vec::new());
        let (mut unsent, mut under_way) = (VecDeque::new(), VecDeque::new());
        for (number, step) in steps.into_iter().enumerate() {
            let bytes = vec![number as u8; 60];
            match step {
                Step::Send => {
                    if send(&card, &mut port, &bytes) {
                        unsent.push_back(bytes);
                    }
                }
                Step::Transmit => for frame in card.sent() {
                    prop_assert!(!honest || unsent.pop_front() == Some(frame));
                },
                Step::Deliver => if card.deliver(&bytes) {
                    under_way.push_back(bytes);
                },
                Step::Receive => {
                    let frame = receive(&card, &mut port);
                    prop_assert!(!honest || frame == under_way.pop_front());
                }
                Step::Hold => {
                    held.extend(port.reserve());
                    if let Some(frame) = port.receive() {
                        under_way.pop_front();
                        held_frames.push(frame.buffer);
                    }
                }
                Step::Release => held.drain(..).chain(held_frames.drain(..)).for_each(|buffer| port.recycle(buffer, &card.memory())),
                Step::Kill => card.kill(),
                Step::Start => card.restart(),
                Step::LieReceived(words) => card.lie_received(words),
                Step::LieTransmitted(words) => card.lie_transmitted(words),
            }
            port.refresh(&card.memory());
            let mut offsets: Vec<usize> = held.iter().chain(&held_frames).map(Buffer::offset).collect();
            offsets.sort_unstable();
            prop_assert!(offsets.windows(2).all(|pair| pair[0] != pair[1]));
        }
        held.drain(..).chain(held_frames.drain(..)).for_each(|buffer| port.recycle(buffer, &card.memory()));
        card.restart();
        port.refresh(&card.memory());
        while receive(&card, &mut port).is_some() {}
        card.sent();
        let sent = (0..).take_while(|number: &u8| send(&card, &mut port, &[*number; 64])).count();
        let delivered = (0..).take_while(|number: &u8| card.deliver(&[*number; 64])).count();
        prop_assert_eq!((sent, delivered), (8, 8));
    }
}
