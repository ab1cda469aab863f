//! Packets between stack, driver and card, and what each makes of the others' lies.

mod support;

use std::sync::atomic::Ordering;

use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::Lifecycle;
use motte_interfaces::netdev::{Checksum, Direction, Netdev, ReceiveRequest, TransmitRequest};
use motte_interfaces::{Cap, ReplyToken, Responder, Sender, badge};
use motte_ring::Producer;
use motte_virtio::fake::{CLIENT, FRAME};
use proptest::prelude::*;
use support::{CSUM, EVENT_IDX, GUEST_CSUM, MAC, NoMarks, STACK, STATUS, USUAL, World};

#[test]
fn frames_pass_in_both_directions() {
    for features in [USUAL, MAC | STATUS] {
        let mut world = World::new(features);
        let mut port = world.port();
        for round in 0..500u32 {
            let frame = round.to_le_bytes().repeat(20);
            assert!(world.send(&mut port, &frame));
            port.flush();
            world.ring();
            assert_eq!(world.sent(), [([0; 12], frame.clone())]);
            let before = world.device.borrow().interrupts;
            assert!(port.prepare_to_sleep());
            let woken = world.machine.0.woken.get();
            assert!(world.deliver(&frame));
            assert!(world.interrupted(before), "round {round}");
            assert_eq!(world.machine.0.woken.get(), woken + 1);
            port.awake();
            assert_eq!(world.receive(&mut port), Some(frame));
        }
        assert_eq!(port.counters().spoilt, 0);
        assert!(world.machine.0.reports.borrow().is_empty());
    }
}

#[test]
fn to_send_costs_one_notification_a_batch_and_no_interrupt() {
    let mut world = World::new(USUAL);
    let mut port = world.port();
    let notified = world.device.borrow().queues[1].notified;
    for round in 1..=50 {
        for number in 0..32 {
            assert!(world.send(&mut port, &[number; 100]));
        }
        port.flush();
        world.ring();
        assert_eq!(world.sent().len(), 32);
        assert_eq!(world.device.borrow().queues[1].notified, notified + round);
    }
    assert_eq!(world.device.borrow().interrupts, 0);
    assert_eq!(world.machine.0.woken.get(), 0, "nobody waits for what was sent");
}

#[test]
fn a_stack_without_buffers_is_woken_when_some_are_back() {
    let mut world = World::new(USUAL);
    let mut port = world.port();
    while world.send(&mut port, &[1; 100]) {}
    assert!(port.prepare_to_sleep());
    world.ring();
    let before = world.device.borrow().interrupts;
    assert_eq!(world.sent().len(), 128);
    assert!(world.interrupted(before));
    assert_eq!(world.machine.0.woken.get(), 1);
    port.awake();
    assert!(port.can_transmit(1));
}

#[test]
fn empty_buffers_cost_no_signal_while_the_card_has_many() {
    let mut world = World::new(USUAL);
    let mut port = world.port();
    for round in 0..200 {
        assert!(world.deliver(&[1; 60]));
        world.server.work();
        assert!(world.receive(&mut port).is_some());
        port.flush();
        assert_eq!(world.rung.get(), 0, "round {round}");
    }
    // When they become few, the stack hears that they are wanted.
    for _ in 0..100 {
        assert!(world.deliver(&[1; 60]));
    }
    world.server.work();
    while world.receive(&mut port).is_some() {}
    port.flush();
    assert_eq!(world.rung.get(), 1);
    world.ring();
    for _ in 0..128 {
        assert!(world.deliver(&[1; 60]));
    }
}

#[test]
fn checksums_are_left_to_a_card_that_can() {
    let mut world = World::new(USUAL | CSUM | GUEST_CSUM);
    let mut port = world.port();
    for checksum in [Some(Checksum { start: 34, at: 16 }), None] {
        let buffer = port.reserve().unwrap();
        world.fill(&buffer, &[7; 60]);
        port.transmit(buffer, 60, checksum);
    }
    port.flush();
    world.ring();
    let headers: Vec<_> = world.sent().into_iter().map(|(header, _)| header).collect();
    assert_eq!(headers, [[1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0], [0; 12]]);
    for (flags, good) in [(0, false), (1, true), (2, true)] {
        assert!(world.deliver_as(&[1; 60], flags, 0));
        world.server.work();
        let frame = port.receive().unwrap();
        assert_eq!(frame.checksum_good, good);
        port.recycle(frame.buffer, &NoMarks);
    }
    // One that can not is not asked, and not believed.
    let mut world = World::new(USUAL);
    let mut port = world.port();
    let buffer = port.reserve().unwrap();
    port.transmit(buffer, 60, Some(Checksum { start: 34, at: 16 }));
    port.flush();
    world.ring();
    assert!(world.sent().is_empty());
    assert!(world.deliver_as(&[1; 60], 2, 0));
    world.server.work();
    assert!(!port.receive().unwrap().checksum_good);
    while port.can_transmit(1) && port.counters().refused == 0 {
        let _ = port.reserve();
    }
    assert_eq!(port.counters().refused, 1);
}

#[test]
fn a_watcher_hears_of_the_link_and_of_the_end() {
    let mut world = World::new(USUAL);
    let _port = world.port();
    world.server.watch(&STACK, true, Responder::new(ReplyToken(1)));
    world.server.configuration_changed();
    assert!(world.machine.0.answered.borrow().is_empty());
    world.device.borrow_mut().configuration[6] = 0;
    world.server.configuration_changed();
    assert_eq!(world.machine.0.answered.take(), [(1, Ok(()))]);
    world.server.watch(&STACK, true, Responder::new(ReplyToken(2)));
    assert_eq!(world.machine.0.answered.take(), [(2, Ok(()))], "it is down already");
    world.server.watch(&STACK, false, Responder::new(ReplyToken(3)));
    world.server.watch(&STACK, false, Responder::new(ReplyToken(4)));
    assert_eq!(world.machine.0.answered.take(), [(3, Err(IoError::Interrupted))]);
    world.server.detach(&STACK).unwrap();
    assert_eq!(world.machine.0.answered.take(), [(4, Err(IoError::Interrupted))]);
    world.server.watch(&STACK, false, Responder::new(ReplyToken(5)));
    assert_eq!(world.machine.0.answered.take(), [(5, Err(IoError::InvalidInput))], "it is not attached");
}

#[test]
fn the_card_uses_no_memory_of_a_stack_that_is_gone() {
    let mut world = World::new(USUAL);
    let _port = world.port();
    let resets = world.device.borrow().resets;
    assert_eq!(world.server.client_gone(&STACK, STACK.badge), Err(IoError::PermissionDenied));
    let supervisor = Sender { badge: badge::LIFECYCLE };
    world.server.client_gone(&supervisor, 12).unwrap();
    assert_eq!(world.device.borrow().resets, resets);
    world.server.client_gone(&supervisor, STACK.badge).unwrap();
    assert_eq!(world.device.borrow().resets, resets + 1);
    assert!(!world.deliver(&[1; 60]), "it has no buffer");
    let mut released = world.machine.0.released.take();
    released.sort_unstable();
    released.dedup();
    assert_eq!(released, [1, 2, 3, 4, 5, 10]);
    // Another one begins anew.
    let mut port = world.port();
    assert!(world.deliver(&[2; 60]));
    world.server.work();
    assert_eq!(world.receive(&mut port), Some(vec![2; 60]));
}

#[test]
fn a_driver_without_a_card_says_so() {
    let world = World::new(USUAL);
    let mut server =
        motte_virtio_net::NetServer::<motte_virtio::fake::View<support::Device>, _>::new(world.machine, None);
    assert_eq!(server.info(&STACK), Err(IoError::NotFound));
    assert_eq!(server.attach_memory(&STACK, 0, Cap(10)), Err(IoError::NotFound));
    let attached = server.attach_rings(&STACK, Direction::Receive, Cap(1), Cap(2), Cap(5));
    assert_eq!(attached, Err(IoError::NotFound));
    server.work();
    server.configuration_changed();
}

/// Each lie of the device's has it reset, and after the stack has attached anew packets flow.
#[test]
fn a_card_that_lies_is_reset() {
    type Lie = fn(&mut World);
    let lies: [(&str, Lie); 6] = [
        ("a chain it was never given", |world| world.device.borrow_mut().give_back(1, 6, 0)),
        ("the middle of a chain", |world| world.device.borrow_mut().give_back(0, 1, 60)),
        ("a chain beyond the queue", |world| world.device.borrow_mut().give_back(0, 60000, 60)),
        ("more than is in flight", |world| world.device.borrow_mut().queues[0].set_used(200)),
        ("more bytes than fit", |world| assert!(world.deliver_as(&[1; 60], 0, 2048))),
        ("fewer bytes than a header", |world| assert!(world.deliver_as(&[1; 60], 0, -61))),
    ];
    for (what, lie) in lies {
        let mut world = World::new(USUAL);
        let mut port = world.port();
        let resets = world.device.borrow().resets;
        world.server.watch(&STACK, true, Responder::new(ReplyToken(1)));
        lie(&mut world);
        world.server.work();
        assert_eq!(world.device.borrow().resets, resets + 1, "{what}");
        assert!(world.machine.0.reports.borrow()[0].contains("out of order"), "{what}");
        assert_eq!(world.machine.0.answered.take(), [(1, Err(IoError::Interrupted))], "{what}");
        assert_eq!(port.receive(), None, "{what}");
        world.attach().unwrap();
        assert!(port.refresh(&NoMarks));
        world.ring();
        assert!(world.deliver(&[2; 60]) && world.send(&mut port, &[3; 60]), "{what}");
        port.flush();
        world.server.work();
        assert_eq!(world.receive(&mut port), Some(vec![2; 60]), "{what}");
        assert_eq!(world.sent(), [([0; 12], vec![3; 60])], "{what}");
    }
}

#[test]
fn a_card_that_lies_again_and_again_is_given_up() {
    let mut world = World::new(USUAL);
    for _ in 0..3 {
        let _port = world.port();
        world.device.borrow_mut().give_back(0, 60000, 60);
        world.server.work();
    }
    let _port = world.port();
    world.device.borrow_mut().give_back(0, 60000, 60);
    world.server.work();
    assert!(world.machine.0.reports.borrow()[3].contains("given up"));
    assert_eq!(world.server.info(&STACK), Err(IoError::Device));
    assert_eq!(world.attach(), Err(IoError::Device));
    world.server.work();
}

#[test]
fn runts_are_not_handed_on() {
    let mut world = World::new(USUAL);
    let mut port = world.port();
    for length in [0, 1, 13] {
        assert!(world.deliver(&[1; 20][..length]));
    }
    assert!(world.deliver(&[2; 14]));
    world.server.work();
    assert_eq!(world.receive(&mut port), Some(vec![2; 14]));
    assert_eq!(world.receive(&mut port), None);
    // Their buffers are lent again.
    for _ in 0..128 {
        port.flush();
        world.server.work();
        assert!(world.deliver(&[1; 60]));
        world.server.work();
        assert!(world.receive(&mut port).is_some());
    }
}

#[test]
fn a_stack_that_lends_what_it_has_not_is_refused() {
    for words in [
        ReceiveRequest { offset: FRAME, length: 2048 }.words(),
        ReceiveRequest { offset: FRAME - 1024, length: 2048 }.words(),
        ReceiveRequest { offset: u64::MAX, length: 2048 }.words(),
        ReceiveRequest { offset: 0, length: 100 }.words(),
        [0, u64::MAX],
    ] {
        let mut world = World::new(USUAL);
        let _port = world.port();
        world.attach().unwrap();
        let page = world.machine.0.pages.borrow()[0].clone();
        Producer::<_, 2>::new(page).unwrap().push(words).unwrap();
        world.server.work();
        assert!(world.machine.0.reports.borrow()[0].contains("no buffer"), "{words:?}");
        assert!(!world.deliver(&[1; 60]), "{words:?}");
    }
    for words in [
        TransmitRequest { offset: FRAME, length: 60, checksum: None }.words(),
        TransmitRequest { offset: FRAME - 59, length: 60, checksum: None }.words(),
        TransmitRequest { offset: 0, length: 13, checksum: None }.words(),
        TransmitRequest { offset: 0, length: 1515, checksum: None }.words(),
        TransmitRequest { offset: 0, length: 60, checksum: Some(Checksum { start: 59, at: 0 }) }.words(),
        TransmitRequest { offset: 0, length: 60, checksum: Some(Checksum { start: 0xffff, at: 0xffff }) }.words(),
        [0, u64::MAX],
    ] {
        let mut world = World::new(USUAL | CSUM);
        let _port = world.port();
        world.attach().unwrap();
        let page = world.machine.0.pages.borrow()[2].clone();
        Producer::<_, 2>::new(page).unwrap().push(words).unwrap();
        world.server.work();
        assert!(world.sent().is_empty(), "{words:?}");
        let completion = &world.machine.0.pages.borrow()[3];
        assert_eq!([completion[32].load(Ordering::Relaxed), completion[33].load(Ordering::Relaxed)], [words[0], 1]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Sent,
    Deliver(usize, i32),
    Receive,
    Work,
    Attach,
    GiveBack(usize, u32, u32),
    SetUsed(usize, u16),
    Scribble(usize, usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (14..1514usize).prop_map(Step::Send),
        6 => Just(Step::Sent),
        6 => (0..1514usize, Just(0)).prop_map(|(length, extra)| Step::Deliver(length, extra)),
        6 => Just(Step::Receive),
        6 => Just(Step::Work),
        2 => Just(Step::Attach),
        1 => (0..1514usize, any::<i32>()).prop_map(|(length, extra)| Step::Deliver(length, extra % 5000)),
        1 => (0..2usize, 0..300u32, any::<u32>()).prop_map(|(queue, id, written)| Step::GiveBack(queue, id, written)),
        1 => (0..2usize, any::<u16>()).prop_map(|(queue, used)| Step::SetUsed(queue, used)),
        1 => (0..4usize, 0..512usize, any::<u64>()).prop_map(|(page, word, value)| Step::Scribble(page, word, value)),
    ]
}

proptest! {
    /// Whatever card and stack do, the driver lives, and the card is pointed at the stack's memory and the driver's own and at nothing else.
    #[test]
    fn neither_side_reaches_what_is_not_its_own(steps in proptest::collection::vec(step(), 1..150), events in any::<bool>()) {
        let mut world = World::new(MAC | STATUS | GUEST_CSUM | if events { EVENT_IDX } else { 0 });
        let mut port = world.port();
        for step in steps {
            match step {
                Step::Send(length) => { world.send(&mut port, &vec![1; length]); }
                Step::Sent => { world.sent(); }
                Step::Deliver(length, extra) => { world.deliver_as(&vec![2; length], 1, extra.max(-(length as i32) - 12)); }
                Step::Receive => { world.receive(&mut port); }
                Step::Work => world.server.work(),
                Step::Attach => { let _ = world.attach(); }
                Step::GiveBack(queue, id, written) => {
                    if world.device.borrow().status & 4 != 0 {
                        world.device.borrow_mut().give_back(queue, id, written);
                    }
                }
                Step::SetUsed(queue, used) => {
                    if world.device.borrow().status & 4 != 0 {
                        world.device.borrow_mut().queues[queue].set_used(used);
                    }
                }
                Step::Scribble(page, word, value) => {
                    world.machine.0.pages.borrow()[page][word].store(value, Ordering::Relaxed);
                }
            }
            port.refresh(&NoMarks);
            port.flush();
            world.ring();
            let mut device = world.device.borrow_mut();
            for queue in [0, 1] {
                device.take(queue);
                for &head in &device.queues[queue].taken {
                    let packet = device.queues[queue].chain(head)[1];
                    let end = packet.address + u64::from(packet.length);
                    prop_assert!(packet.address >= CLIENT && end <= CLIENT + FRAME);
                }
            }
        }
    }
}
