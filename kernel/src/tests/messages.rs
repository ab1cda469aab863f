//! Messages, replies, notifications.

use super::invariants::check;
use super::new;
use super::world::{T, World};
use motte_abi::syscall::ThreadState;
use motte_abi::{Error, MessageInfo, ObjectType, Rights, Syscall::*};

const INFO: MessageInfo = MessageInfo::new(7, 6, 0);

/// A root thread at priority 100 and a server at 200 that waits in a receive on an endpoint.
struct Pair<'w> {
    endpoint: u64,
    reply: u64,
    server: T<'w>,
    server_slot: u64,
    root: T<'w>,
}

fn pair(w: &World) -> Pair<'_> {
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    w.set_priority(100);
    let (server_slot, server) = w.spawn(200);
    assert!(w.runs(server));
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(root));
    Pair { endpoint, reply, server, server_slot, root }
}

#[test]
fn a_call_carries_words_and_badge_and_is_answered() {
    let w = new();
    let p = pair(&w);
    let badged = w.mint(p.endpoint, 42);
    w.start(Call, &[badged, INFO.0], [1, 2, 3, 4, 5, 6]);
    assert!(w.runs(p.server));
    let (badge, info, words) = w.received(p.server);
    assert_eq!((badge, info.label(), info.length(), info.is_call()), (42, 7, 6, true));
    assert_eq!(words, [1, 2, 3, 4, 5, 6]);
    check(&w);
    w.start(ReplyReceive, &[p.endpoint, MessageInfo::new(9, 2, 0).0, p.reply], [10, 20, 0, 0, 0, 0]);
    assert!(w.runs(p.root));
    let (_, info, words) = w.received(p.root);
    assert_eq!((info.label(), info.length(), info.is_call(), words[..2].to_vec()), (9, 2, false, [10, 20].into()));
    check(&w);
    // And once more, the server now waiting through ReplyReceive.
    w.start(Call, &[badged, INFO.0], [3; 6]);
    assert_eq!(w.received(p.server).2, [3; 6]);
    check(&w);
}

#[test]
fn callers_queue_until_a_receive_with_a_reply_object() {
    let w = new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    w.set_priority(100);
    let (_, first) = w.spawn(200);
    w.start(Call, &[endpoint, INFO.0], [1; 6]);
    let (_, second) = w.spawn(200);
    w.start(Send, &[endpoint, INFO.0], [2; 6]);
    check(&w);
    let root = w.current();
    // Without a Reply object the call stays in the queue and the send is taken.
    w.start(Receive, &[endpoint, 0, 0], [0; 6]);
    assert_eq!(w.received(root).2, [2; 6]);
    assert!(!w.received(root).1.is_call());
    assert!(w.runs(second));
    w.start(TryReceive, &[endpoint, 0, 0], [0; 6]);
    assert_eq!(w.result(second), Err(Error::WouldBlock));
    w.start(TryReceive, &[endpoint, 0, reply], [0; 6]);
    assert_eq!(w.received(second).2, [1; 6]);
    assert!(w.received(second).1.is_call());
    assert_eq!(w.call(TryReceive, &[endpoint, 0, reply]), Err(Error::Busy));
    w.ok(Reply, &[reply, INFO.0]);
    assert_eq!(w.call(Reply, &[reply, INFO.0]), Err(Error::PeerGone));
    assert_eq!(w.result(first).map(|_| ()), Ok(()));
    check(&w);
}

#[test]
fn non_blocking_forms_say_so() {
    let w = new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let notification = w.make(ObjectType::Notification, 0);
    assert_eq!(w.call(TrySend, &[endpoint, INFO.0]), Err(Error::WouldBlock));
    assert_eq!(w.call(TryCall, &[endpoint, INFO.0]), Err(Error::WouldBlock));
    assert_eq!(w.call(TryReceive, &[endpoint, 0, reply]), Err(Error::WouldBlock));
    assert_eq!(w.call(TryReplyReceive, &[endpoint, INFO.0, reply]), Err(Error::WouldBlock));
    assert_eq!(w.call(Poll, &[notification]), Err(Error::WouldBlock));
    check(&w);
}

#[test]
fn a_caller_is_woken_when_its_server_dies() {
    let w = new();
    let p = pair(&w);
    w.start(Call, &[p.endpoint, INFO.0], [0; 6]);
    assert!(w.runs(p.server));
    // The server destroys its own Reply object, as revoking its memory would.
    w.ok(CapDelete, &[0, p.reply]);
    check(&w);
    assert_eq!(w.result(p.root), Err(Error::PeerRestarted));
    w.ok(ThreadSuspend, &[p.server_slot]);
    assert!(w.runs(p.root));
    check(&w);
}

#[test]
fn waiting_peers_of_a_destroyed_endpoint_are_told() {
    let w = new();
    let p = pair(&w);
    let (_, caller) = w.spawn(200);
    let other = w.make(ObjectType::Endpoint, 0);
    assert!(w.runs(caller));
    w.start(Call, &[other, INFO.0], [0; 6]);
    assert!(w.runs(p.root));
    w.ok(CapDelete, &[0, other]);
    assert_eq!(w.result(caller), Err(Error::PeerGone));
    assert!(w.runs(caller));
    w.ok(CapDelete, &[0, p.endpoint]);
    assert_eq!(w.result(p.server), Err(Error::PeerGone));
    check(&w);
}

#[test]
fn a_closed_endpoint_turns_callers_away_until_it_is_opened() {
    let w = new();
    let p = pair(&w);
    let send_only = w.copy(p.endpoint, Rights::SEND);
    assert_eq!(w.call(EndpointClose, &[send_only]), Err(Error::MissingRight));
    w.ok(EndpointClose, &[p.endpoint]);
    assert_eq!(w.call(Call, &[send_only, INFO.0]), Err(Error::PeerGone));
    assert_eq!(w.call(Send, &[send_only, INFO.0]), Err(Error::PeerGone));
    w.ok(EndpointOpen, &[p.endpoint]);
    w.start(Call, &[send_only, INFO.0], [0; 6]);
    assert!(w.runs(p.server));
    check(&w);
}

#[test]
fn long_messages_and_capabilities_travel_through_the_buffers() {
    let w = new();
    let p = pair(&w);
    let frame = w.make(ObjectType::Frame, 4096);
    let notification = w.mint(w.make(ObjectType::Notification, 0), 5);
    for index in 0..112 {
        w.set_buffer(p.root, index, 1000 + index);
    }
    let (caps, receive_slots) = (112, 116);
    for (index, cap) in [frame, 9999, notification, notification].into_iter().enumerate() {
        w.set_buffer(p.root, caps + index as u64, cap);
    }
    // The third receive slot is occupied, the fourth is free.
    let free = [w.free_slot(), w.free_slot(), p.endpoint, w.free_slot()];
    for (index, slot) in free.into_iter().enumerate() {
        w.set_buffer(p.server, receive_slots + index as u64, slot);
    }
    let info = MessageInfo::new(1, 112, 4);
    let no_grant = w.copy(p.endpoint, Rights::SEND);
    assert_eq!(w.message(Call, &[no_grant, info.0], [0; 6]), Err(Error::MissingRight));
    w.start(Call, &[p.endpoint, info.0], [1, 2, 3, 4, 5, 6]);
    let (_, info, words) = w.received(p.server);
    assert_eq!((info.length(), info.caps(), words), (112, 4, [1, 2, 3, 4, 5, 6]));
    for index in 6..112 {
        assert_eq!(w.buffer(p.server, index), 1000 + index);
    }
    let arrived: [u64; 4] = core::array::from_fn(|index| w.buffer(p.server, caps + index as u64));
    assert_eq!(arrived, [free[0], 0, 0, free[3]]);
    assert_eq!(w.ok(CapIdentify, &[0, free[0]])[0], ObjectType::Frame as u64);
    assert_eq!(w.ok(CapIdentify, &[0, free[3]])[2], 5);
    check(&w);
    // What arrived was derived from what was sent.
    w.ok(CapRevoke, &[0, frame]);
    assert_eq!(w.ok(CapIdentify, &[0, free[0]])[0], 0);
    check(&w);
}

#[test]
fn descriptions_are_checked() {
    let w = new();
    let p = pair(&w);
    for bad in [113, 127, 5 << 7, 1 << 10, 1 << 11, 1 << 15] {
        assert_eq!(w.call(Call, &[p.endpoint, bad]), Err(Error::InvalidArgument), "{bad:#x}");
        assert_eq!(w.call(Reply, &[p.reply, bad]), Err(Error::InvalidArgument), "{bad:#x}");
    }
    assert_eq!(w.call(Call, &[0, 0]), Err(Error::InvalidCapability));
    assert_eq!(w.call(Call, &[u64::MAX, 0]), Err(Error::InvalidCapability));
    assert_eq!(w.call(Call, &[p.reply, 0]), Err(Error::WrongType));
    let receive_only = w.copy(p.endpoint, Rights::RECEIVE);
    assert_eq!(w.call(Call, &[receive_only, 0]), Err(Error::MissingRight));
}

#[test]
fn a_bound_notification_ends_a_receive() {
    let w = new();
    let p = pair(&w);
    let notification = w.make(ObjectType::Notification, 0);
    w.ok(ThreadBindNotification, &[p.server_slot, notification]);
    let badged = w.mint(notification, 0b100);
    w.start(Signal, &[badged], [0; 6]);
    assert!(w.runs(p.server));
    let (_, info, words) = w.received(p.server);
    assert!(info.is_notification());
    assert_eq!(words[0], 0b100);
    check(&w);
    // Bits that came meanwhile are there at the next receive.
    w.ok(Signal, &[notification]);
    w.ok(Signal, &[badged]);
    w.start(Receive, &[p.endpoint, 0, p.reply], [0; 6]);
    assert!(w.runs(p.server));
    assert_eq!(w.received(p.server).2[0], 0b101);
    assert_eq!(w.call(ThreadBindNotification, &[1, notification]), Err(Error::WrongType));
    let other = w.thread(w.untyped(), 1, 0).0;
    assert_eq!(w.call(ThreadBindNotification, &[other, notification]), Err(Error::Busy));
    w.ok(ThreadBindNotification, &[p.server_slot, 0]);
    check(&w);
}

#[test]
fn a_wait_takes_all_bits() {
    let w = new();
    let notification = w.make(ObjectType::Notification, 0);
    let (one, two) = (w.mint(notification, 1), w.mint(notification, 2));
    w.ok(Signal, &[one]);
    w.ok(Signal, &[two]);
    assert_eq!(w.ok(Wait, &[notification])[0], 3);
    let root = w.current();
    w.set_priority(100);
    let (_, waiter) = w.spawn(200);
    w.start(Wait, &[notification], [0; 6]);
    assert!(w.runs(root));
    check(&w);
    w.start(Signal, &[two], [0; 6]);
    assert!(w.runs(waiter));
    assert_eq!(w.result(waiter).unwrap()[0], 2);
    check(&w);
    w.start(Wait, &[notification], [0; 6]);
    w.ok(CapRevoke, &[0, notification]);
    assert_eq!(waiter.state.get(), ThreadState::Waiting);
    w.ok(CapDelete, &[0, notification]);
    assert_eq!(w.result(waiter), Err(Error::PeerGone));
    check(&w);
}

#[test]
fn a_stopped_wait_is_cancelled() {
    let w = new();
    let p = pair(&w);
    w.ok(ThreadSuspend, &[p.server_slot]);
    check(&w);
    assert_eq!(w.ok(ThreadInfo, &[p.server_slot])[0], 0);
    w.start(ThreadResume, &[p.server_slot], [0; 6]);
    assert!(w.runs(p.server));
    assert_eq!(w.result(p.server), Err(Error::Cancelled));
    w.start(Receive, &[p.endpoint, 0, p.reply], [0; 6]);
    // A caller that is stopped leaves its Reply object empty.
    let (caller_slot, caller) = w.spawn(150);
    w.start(Call, &[p.endpoint, 0], [0; 6]);
    assert!(w.runs(p.server));
    w.ok(ThreadSuspend, &[caller_slot]);
    check(&w);
    assert_eq!(w.call(Reply, &[p.reply, 0]), Err(Error::PeerGone));
    assert_eq!(w.result(caller), Err(Error::Cancelled));
    check(&w);
}

#[test]
fn messages_arrive_in_order() {
    let w = new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    w.set_priority(100);
    for number in 0..5 {
        w.spawn(200);
        w.start(Send, &[endpoint, 0], [number; 6]);
    }
    let root = w.current();
    w.set_priority(255);
    for number in 0..5 {
        w.start(Receive, &[endpoint, 0, 0], [0; 6]);
        assert_eq!(w.received(root).2[0], number);
        check(&w);
    }
}
