//! Frames that make no sense, floods, clients that lie, and more connections than there is room for: others are served on, and memory
//! stays within its bounds.

#[path = "support/malformed.rs"]
mod malformed;
mod support;

use malformed::{Ends, Random, cases, every_layer, spoil};
use motte_interfaces::Sender;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Buffers, NetAdmin, header};
use motte_interfaces::net_rules::Rules;
use support::{BUFFERS, Client, Host, Net, NetRequests, config};

/// From `a` to `b`.
const ENDS: Ends = Ends { hardware: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]], v4: [[10, 0, 0, 1], [10, 0, 0, 2]] };

fn sockets(host: &mut Host) -> (u64, u64) {
    let counters = host.stack.counters(&Sender { badge: 999 }).unwrap();
    (counters.sockets, counters.socket_bytes)
}

/// Whether a new client of `a` can speak with a listener of `b`.
fn are_others_served(net: &mut Net, badge: u64) -> bool {
    let (near, far) = (Client::new(&mut net.a, badge), Client::new(&mut net.b, badge));
    far.listen(&mut net.b, 0, "0.0.0.0:4242", 4).unwrap();
    let mut mine = near.connect(&mut net.a, 1, "10.0.0.2:4242").unwrap();
    net.pass(3_000_000);
    let Ok((mut theirs, _)) = far.accept(&mut net.b, 0, 1) else { return false };
    mine.write(b"still there");
    net.pass(3_000_000);
    let arrived = theirs.read() == b"still there";
    near.close(&mut net.a, 1);
    far.close(&mut net.b, 1);
    far.close(&mut net.b, 0);
    net.pass(100_000_000);
    arrived
}

/// Frames of all layers: neighbours, echo, UDP, TCP in all its states, over both families.
fn conversation(net: &mut Net) -> Vec<Vec<u8>> {
    net.kept = Some(Vec::new());
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let local = |host: &mut Host| {
        let addresses = host.stack.interface(&near.sender(), 1).unwrap().addresses;
        addresses.iter().find(|(ip, _)| ip.0.is_ipv6()).unwrap().0.0
    };
    let v6 = local(&mut net.b);
    far.listen(&mut net.b, 0, "[::]:80", 8).unwrap();
    let (_, _) = far.bind(&mut net.b, 1, "[::]:53").unwrap();
    for (slot, to) in [(2, "10.0.0.2:80".to_string()), (3, format!("[{v6}]:80"))] {
        let mut mine = near.connect(&mut net.a, slot, &to).unwrap();
        net.pass(2_000_000);
        assert!(mine.is_open(), "{to}");
        let (mut theirs, _) = far.accept(&mut net.b, 0, slot).unwrap();
        mine.write(&[1; 3000]);
        theirs.write(&[2; 3000]);
        net.pass(100_000);
        mine.finish();
        net.pass(100_000);
        near.close(&mut net.a, slot);
        net.pass(100_000);
    }
    near.connect(&mut net.a, 4, "10.0.0.2:81").unwrap();
    net.pass(100_000);
    net.kept.take().unwrap()
}

#[test]
fn frames_that_make_no_sense_harm_nobody() {
    let mut net = Net::new();
    let mut frames = conversation(&mut net);
    assert!(frames.len() > 12);
    frames.extend(every_layer(&ENDS));
    let (count, mut random) = cases();
    let before = sockets(&mut net.b);
    for round in 0..count {
        let mut frame = frames[random.below(frames.len())].clone();
        let other = &frames[random.below(frames.len())];
        spoil(&mut random, &mut frame, other);
        if !frame.is_empty() {
            net.b.card.deliver(&frame);
        }
        net.now += 50;
        net.b.stack.work(smoltcp::time::Instant::from_micros(net.now as i64));
        net.b.card.sent();
        if round % 1000 == 0 {
            net.now += 1_000_000;
        }
    }
    assert!(net.b.stack.counters(&Sender { badge: 999 }).unwrap().malformed as usize > count / 20);
    net.pass(200_000_000);
    let after = sockets(&mut net.b);
    assert!(after.0 <= before.0 + 8 && after.1 <= before.1 + 8 * 20_000, "{before:?}, then {after:?}");
    assert!(are_others_served(&mut net, 77));
}

/// A request for a connection, from anywhere.
fn request(random: &mut Random, port: u16) -> Vec<u8> {
    let from = [10, 0, 0, 3 + random.below(200) as u8];
    let ends = Ends { v4: [from, ENDS.v4[1]], ..ENDS };
    ends.syn(1024 + random.below(60000) as u16, port, random.next() as u32)
}

#[test]
fn a_flood_of_half_open_connections_stays_within_the_backlog_and_ends() {
    let mut net = Net::new();
    let far = Client::new(&mut net.b, 6);
    far.listen(&mut net.b, 0, "0.0.0.0:80", 16).unwrap();
    net.settle();
    let before = sockets(&mut net.b);
    let mut random = Random(7);
    for _ in 0..5000 {
        net.b.card.deliver(&request(&mut random, 80));
        net.now += 20;
        net.b.stack.work(smoltcp::time::Instant::from_micros(net.now as i64));
        net.b.card.sent();
        let now = sockets(&mut net.b);
        assert!(now.0 <= before.0 + 16, "{now:?}");
    }
    // The one who means it gets through, though the backlog is full of those who do not.
    let near = Client::new(&mut net.a, 5);
    let mine = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.settle();
    assert!(mine.is_open());
    far.accept(&mut net.b, 0, 1).unwrap();
    far.close(&mut net.b, 1);
    net.pass(200_000_000);
    assert_eq!(sockets(&mut net.b), before);
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    const AT_ONCE: u64 = 1000;
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let small = Buffers { receive: 2048, send: 2048 };
    far.slot(&mut net.b, 0, Buffers::NONE);
    let at = Address("0.0.0.0:80".parse().unwrap());
    NetRequests::listen(&mut net.b.stack, &far.sender(), 0, at, 1024, small).unwrap();
    let before = (sockets(&mut net.a), sockets(&mut net.b));
    for round in 0..10 {
        for slot in 1..=AT_ONCE {
            near.slot(&mut net.a, slot, small);
            let to = Address("10.0.0.2:80".parse().unwrap());
            net.a.stack.connect(&near.sender(), slot, to, small).unwrap();
            if slot % 50 == 0 {
                net.settle();
            }
        }
        net.pass(2_000_000);
        for slot in 1..=AT_ONCE {
            far.slot(&mut net.b, slot, small);
            net.b.stack.accept(&far.sender(), 0, slot, small).unwrap();
        }
        assert_eq!(sockets(&mut net.b).0, before.1.0 + AT_ONCE);
        for slot in 1..=AT_ONCE {
            // Now this side, now that one closes first.
            if (slot + round) % 2 == 0 { near.close(&mut net.a, slot) } else { far.close(&mut net.b, slot) }
        }
        net.pass(100_000);
        for slot in 1..=AT_ONCE {
            if (slot + round) % 2 == 0 { far.close(&mut net.b, slot) } else { near.close(&mut net.a, slot) }
        }
        net.pass(1_000_000);
    }
    net.pass(70_000_000);
    assert_eq!((sockets(&mut net.a), sockets(&mut net.b)), before);
}

#[test]
fn a_client_that_lies_harms_only_itself() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    far.listen(&mut net.b, 0, "0.0.0.0:80", 8).unwrap();
    for (slot, word) in [(1, header::PUT), (2, header::TAKEN)] {
        let mine = near.connect(&mut net.a, slot, "10.0.0.2:80").unwrap();
        net.settle();
        let (mut theirs, _) = far.accept(&mut net.b, 0, slot).unwrap();
        mine.word(word).store(1 << 40, std::sync::atomic::Ordering::SeqCst);
        theirs.write(b"something to put into the ring");
        mine.tell();
        net.settle();
        assert_eq!(mine.error(), Some(IoError::ConnectionAborted));
        assert_eq!(theirs.error(), Some(IoError::ConnectionReset));
    }
    let (mut lied, _) = near.bind(&mut net.a, 4, "0.0.0.0:0").unwrap();
    lied.write(&[0xff; 30]);
    net.settle();
    assert_eq!(lied.error(), Some(IoError::ConnectionAborted));
    assert_eq!(near.slot(&mut net.a, 9, BUFFERS).state(), 0);
    assert_eq!(net.a.stack.close(&near.sender(), 4000), Err(IoError::BadHandle));
    assert_eq!(net.a.stack.close(&near.sender(), u64::MAX), Err(IoError::BadHandle));
    assert!(are_others_served(&mut net, 77));
}

#[test]
fn a_client_has_no_more_than_its_quota() {
    let mut limited = config("10.0.0.1/24");
    limited.set("SOCKETS", "3").unwrap();
    let mut net = Net::new();
    net.a = Host::with(limited, 0x0200_0000_0001);
    let (one, other) = (Client::new(&mut net.a, 5), Client::new(&mut net.a, 6));
    for slot in 0..3 {
        one.bind(&mut net.a, slot, "0.0.0.0:0").unwrap();
    }
    assert_eq!(one.bind(&mut net.a, 3, "0.0.0.0:0").err(), Some(IoError::OutOfMemory));
    other.bind(&mut net.a, 0, "0.0.0.0:0").unwrap();
    one.close(&mut net.a, 1);
    one.bind(&mut net.a, 3, "0.0.0.0:0").unwrap();

    let mut small = config("10.0.0.1/24");
    small.set("SOCKET_MEMORY", "50").unwrap();
    let mut host = Host::with(small, 0x0200_0000_0001);
    let client = Client::new(&mut host, 5);
    client.bind(&mut host, 0, "0.0.0.0:0").unwrap();
    client.connect(&mut host, 1, "10.0.0.2:1").unwrap();
    assert_eq!(client.connect(&mut host, 2, "10.0.0.2:1").err(), Some(IoError::OutOfMemory));
}

#[test]
fn what_the_rules_do_not_name_is_refused() {
    let mut net = Net::new();
    let rules = Rules::parse("listen:80,connect:10.0.0.2:7").0;
    net.a.memory.rules.borrow_mut().insert(5, rules);
    let client = Client::new(&mut net.a, 5);
    let denied = Some(IoError::PermissionDenied);
    client.listen(&mut net.a, 0, "0.0.0.0:80", 1).unwrap();
    client.connect(&mut net.a, 1, "10.0.0.2:7").unwrap();
    client.bind(&mut net.a, 2, "0.0.0.0:0").unwrap();
    assert_eq!(client.listen(&mut net.a, 3, "0.0.0.0:81", 1).err(), denied);
    assert_eq!(client.connect(&mut net.a, 3, "10.0.0.2:8").err(), denied);
    assert_eq!(client.bind(&mut net.a, 3, "0.0.0.0:53").err(), denied);
    assert_eq!(net.a.stack.echo(&client.sender(), 3, BUFFERS).err(), denied);
    assert_eq!(net.a.stack.set_dhcp(&client.sender(), true).err(), denied);
}

#[test]
fn what_a_client_that_vanished_had_is_closed() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let before = sockets(&mut net.b);
    far.listen(&mut net.b, 0, "0.0.0.0:80", 8).unwrap();
    let mine = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    let waiting = near.connect(&mut net.a, 2, "10.0.0.2:80").unwrap();
    net.settle();
    far.accept(&mut net.b, 0, 1).unwrap();
    let sender = Sender { badge: motte_interfaces::badge::LIFECYCLE };
    motte_net::server::Lifecycle::client_gone(&mut net.b.stack, &sender, 6).unwrap();
    net.settle();
    assert!(mine.has_ended() && waiting.error() == Some(IoError::ConnectionReset));
    near.close(&mut net.a, 1);
    near.close(&mut net.a, 2);
    net.pass(100_000_000);
    assert_eq!(sockets(&mut net.b), before);
    let again = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.settle();
    assert_eq!(again.error(), Some(IoError::ConnectionRefused));
}

#[test]
fn the_memory_of_a_client_that_died_is_not_touched() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let before = sockets(&mut net.b);
    far.listen(&mut net.b, 0, "0.0.0.0:80", 8).unwrap();
    let mut mine = near.connect(&mut net.a, 1, "10.0.0.2:80").unwrap();
    net.settle();
    let (mut theirs, _) = far.accept(&mut net.b, 0, 1).unwrap();
    far.bind(&mut net.b, 2, "0.0.0.0:53").unwrap();
    theirs.write(b"last words");
    mine.write(b"to the dead");
    far.alive.set(false);
    net.settle();
    assert_eq!(mine.error(), Some(IoError::ConnectionReset));
    // Its successor has the same badge.
    let far = Client::new(&mut net.b, 6);
    far.listen(&mut net.b, 0, "0.0.0.0:80", 8).unwrap();
    far.close(&mut net.b, 0);
    net.pass(100_000_000);
    assert_eq!(sockets(&mut net.b), before);
}
