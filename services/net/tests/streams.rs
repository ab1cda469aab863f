//! Connections between two stacks.

mod support;

use motte_interfaces::error::IoError;
use motte_interfaces::net::{NetAdmin, ready};
use support::{Client, Net, NetRequests, Socket};

const LISTENER: u64 = 0;

/// A connection from `a` to a listener of `b`'s.
fn connected(net: &mut Net) -> (Client, Socket, Client, Socket) {
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    far.listen(&mut net.b, LISTENER, "0.0.0.0:80", 8).unwrap();
    let mine = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.settle();
    assert!(mine.is_open());
    let (theirs, peer) = far.accept(&mut net.b, LISTENER, 1).unwrap();
    net.settle();
    assert_eq!(peer.ip().to_string(), "10.0.0.1");
    (near, mine, far, theirs)
}

/// Moves bytes from one end to the other, and returns what arrived.
fn carry(net: &mut Net, from: &mut Socket, to: &mut Socket, bytes: &[u8]) -> Vec<u8> {
    let (mut put, mut got) = (0, Vec::new());
    let mut idle = 0;
    while got.len() < bytes.len() && idle < 100 {
        put += from.write(&bytes[put..]);
        net.settle();
        let some = to.read();
        if some.is_empty() {
            idle += 1;
            net.pass(200_000);
        } else {
            idle = 0;
        }
        got.extend(some);
    }
    got
}

#[test]
fn bytes_arrive_both_ways_and_ends_are_seen() {
    let mut net = Net::new();
    let (near, mut mine, far, mut theirs) = connected(&mut net);
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    assert!(carry(&mut net, &mut mine, &mut theirs, &bytes) == bytes);
    assert!(carry(&mut net, &mut theirs, &mut mine, &bytes) == bytes);
    mine.write(b"last");
    mine.finish();
    net.settle();
    assert_eq!(theirs.read(), b"last");
    net.settle();
    assert!(theirs.has_ended() && !mine.has_ended());
    theirs.write(b"words");
    far.close(&mut net.b, 1);
    net.settle();
    assert_eq!(mine.read(), b"words");
    net.settle();
    assert!(mine.has_ended() && mine.error().is_none());
    near.close(&mut net.a, 1);
    net.pass(70_000_000);
    assert_eq!(net.a.stack.counters(&near.sender()).unwrap().sockets, 0);
    assert_eq!(net.b.stack.counters(&far.sender()).unwrap().sockets, 1);
}

#[test]
fn segments_that_come_together_are_acknowledged_at_once_and_a_single_one_later() {
    let mut net = Net::new();
    let (_near, mut mine, far, _theirs) = connected(&mut net);
    let mut answers_to = |net: &mut Net, bytes: &[u8], micros| {
        let sent = |net: &mut Net| net.b.stack.counters(&far.sender()).unwrap().frames_sent;
        let before = sent(net);
        mine.write(bytes);
        net.pass(micros);
        sent(net) - before
    };
    // Less than half of the window: more would be answered because that opens again.
    assert_eq!(answers_to(&mut net, &[5; 3000], 1000), 1);
    assert_eq!(answers_to(&mut net, &[5; 30], 1000), 0);
    assert_eq!(answers_to(&mut net, &[], 20_000), 1);
}

#[test]
fn lost_frames_are_sent_again() {
    for every in [7, 13, 29] {
        let mut net = Net::new();
        let (_near, mut mine, _far, mut theirs) = connected(&mut net);
        net.lose = Some(every);
        let bytes: Vec<u8> = (0..60_000u32).map(|n| (n ^ n >> 8) as u8).collect();
        assert!(carry(&mut net, &mut mine, &mut theirs, &bytes) == bytes, "one of {every}");
    }
}

#[test]
fn a_reader_that_does_not_read_holds_the_writer_up() {
    let mut net = Net::new();
    let (_near, mut mine, far, mut theirs) = connected(&mut net);
    let mut written = 0;
    for _ in 0..200 {
        written += mine.write(&[7; 4096]);
        net.pass(10_000);
    }
    // Both rings and both of the stacks' buffers.
    assert!(written <= 4 * 8192, "{written} bytes were taken");
    let before = net.b.stack.counters(&far.sender()).unwrap().socket_bytes;
    let mut read = 0;
    for _ in 0..100 {
        read += theirs.read().len();
        net.pass(1_000_000);
    }
    assert_eq!(read, written);
    assert_eq!(net.b.stack.counters(&far.sender()).unwrap().socket_bytes, before);
}

#[test]
fn nobody_listening_is_a_refusal_and_nobody_there_a_time_out() {
    let mut net = Net::new();
    let near = Client::new(&mut net.a, 5);
    let refused = near.connect(&mut net.a, 1, "10.0.0.2:81").unwrap();
    let silent = near.connect(&mut net.a, 2, "10.0.0.3:81").unwrap();
    net.settle();
    assert_eq!(refused.error(), Some(IoError::ConnectionRefused));
    assert_eq!(silent.error(), None);
    net.pass(40_000_000);
    assert_eq!(silent.error(), Some(IoError::TimedOut));
    assert_eq!(near.connect(&mut net.a, 3, "[2001:db8::1]:81").err(), Some(IoError::NetworkUnreachable));
}

#[test]
fn the_loop_joins_clients_of_one_machine() {
    let mut net = Net::new();
    let (one, other) = (Client::new(&mut net.a, 5), Client::new(&mut net.a, 6));
    for (slot, (at, to)) in
        [("127.0.0.1:9", "127.0.0.1:9"), ("[::]:10", "[::1]:10"), ("0.0.0.0:11", "10.0.0.1:11")].into_iter().enumerate()
    {
        let slot = slot as u64;
        other.listen(&mut net.a, slot, at, 8).unwrap();
        let mut mine = one.connect(&mut net.a, slot, to).unwrap();
        net.settle();
        let (mut theirs, _) = other.accept(&mut net.a, slot, 10 + slot).unwrap();
        assert_eq!(carry(&mut net, &mut mine, &mut theirs, &[3; 50_000]).len(), 50_000, "{to}");
    }
    assert!(net.a.card.sent().is_empty());
}

#[test]
fn one_signal_tells_of_a_batch_and_calls_that_wait_are_answered() {
    let mut net = Net::new();
    let (near, mut mine, far, mut theirs) = connected(&mut net);
    far.news();
    let signals = |net: &Net| net.b.memory.signals.borrow().get(&far.wake.0).copied().unwrap_or(0);
    let before = signals(&net);
    for _ in 0..5 {
        mine.write(b"more");
        net.settle();
    }
    assert_eq!(signals(&net), before + 1);
    assert_eq!(far.news(), [1]);
    theirs.read();

    let token = near.wait(&mut net.a, 1, ready::READ, u64::MAX);
    net.settle();
    assert_eq!(net.a.answers.take::<u64>(token), None);
    theirs.write(b"now");
    net.settle();
    assert_eq!(net.a.answers.take(token), Some(Ok(ready::READ)));
    mine.read();
    let token = near.wait(&mut net.a, 1, ready::READ, 5_000_000);
    net.pass(4_000);
    assert_eq!(net.a.answers.take::<u64>(token), None);
    net.pass(2_000);
    assert_eq!(net.a.answers.take(token), Some(Ok(0)));
}

#[test]
fn a_stack_that_was_restarted_resets_what_it_does_not_know() {
    let mut net = Net::new();
    let (_near, mut mine, far, _theirs) = connected(&mut net);
    net.b.restart();
    net.settle();
    // The client is told, and begins anew.
    let error = net.b.stack.close(&far.sender(), 1).unwrap_err();
    assert_eq!(error, IoError::ServiceRestarted);
    let far = Client::new(&mut net.b, 6);
    far.listen(&mut net.b, LISTENER, "0.0.0.0:80", 8).unwrap();
    mine.write(b"are you there?");
    net.pass(3_000_000);
    assert_eq!(mine.error(), Some(IoError::ConnectionReset));
    let near = Client::new(&mut net.a, 7);
    let again = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.pass(3_000_000);
    assert!(again.is_open());
}

#[test]
fn connections_outlive_a_driver() {
    let mut net = Net::new();
    let (_near, mut mine, _far, mut theirs) = connected(&mut net);
    mine.write(&[1; 4000]);
    net.b.card.kill();
    net.settle();
    net.b.card.start();
    let bytes = vec![2; 30_000];
    let mut got = carry(&mut net, &mut mine, &mut theirs, &bytes);
    for _ in 0..20 {
        net.pass(1_000_000);
        got.extend(theirs.read());
    }
    assert_eq!((got.len(), got[3999], got[4000]), (34_000, 1, 2));
}

#[test]
fn what_is_lost_with_the_driver_is_sent_again_at_once() {
    let mut net = Net::new();
    let (_near, mut mine, _far, mut theirs) = connected(&mut net);
    theirs.write(b"go on");
    net.settle();
    net.lose = Some(1);
    mine.write(b"lost");
    net.settle();
    assert_eq!(theirs.read(), b"");
    net.lose = None;
    net.b.card.kill();
    net.settle();
    net.b.card.start();
    // No time passes.
    net.settle();
    assert_eq!(theirs.read(), b"lost");
    // Where nothing was lost, nothing comes twice.
    net.b.card.kill();
    net.settle();
    net.b.card.start();
    net.settle();
    assert_eq!((theirs.read(), mine.read()), (Vec::new(), b"go on".to_vec()));
    mine.write(b"and on");
    net.settle();
    assert_eq!(theirs.read(), b"and on");
}

#[test]
fn who_waits_for_room_to_send_leaves_the_driver_time_to_make_some() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    far.listen(&mut net.b, LISTENER, "0.0.0.0:80", 1024).unwrap();
    // Both know each other's address.
    near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.settle();
    net.a.card.kill();
    net.settle();
    let sockets: Vec<Socket> = (2..400).map(|slot| near.connect(&mut net.a, slot, "10.0.0.2:80").unwrap()).collect();
    net.settle();
    assert!(net.a.stack.next_time().is_some_and(|time| time >= net.now + 50_000), "{:?}", net.a.stack.next_time());
    net.a.card.start();
    net.settle();
    assert!(sockets.iter().all(Socket::is_open));
}
