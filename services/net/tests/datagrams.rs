//! UDP, ICMP echo, names, between two stacks.

mod support;

use std::net::{IpAddr, SocketAddr};

use motte_interfaces::error::IoError;
use motte_interfaces::net::{DatagramHeader, Family, Ip, NetAdmin};
use motte_interfaces::{ReplyToken, Responder};
use support::{BUFFERS, Client, Net, NetRequests, Socket};

fn send(socket: &mut Socket, to: &str, bytes: &[u8]) {
    let header = DatagramHeader { length: bytes.len() as u16, address: to.parse().unwrap() };
    socket.write(&[&header.to_bytes()[..], bytes].concat());
}

fn receive(socket: &mut Socket) -> Vec<(SocketAddr, Vec<u8>)> {
    let bytes = socket.read();
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk() {
        let header = DatagramHeader::from_bytes(*head);
        let (data, behind) = behind.split_at(header.length.into());
        all.push((header.address, data.to_vec()));
        rest = behind;
    }
    all
}

#[test]
fn datagrams_arrive_whole_with_where_they_came_from() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let (mut mine, local) = near.bind(&mut net.a, 0, "0.0.0.0:0").unwrap();
    let (mut theirs, _) = far.bind(&mut net.b, 0, "0.0.0.0:53").unwrap();
    for length in [0, 1, 700, 1472] {
        send(&mut mine, "10.0.0.2:53", &vec![9; length]);
        net.settle();
        let got = receive(&mut theirs);
        assert_eq!(got, [(SocketAddr::new("10.0.0.1".parse().unwrap(), local.port()), vec![9; length])]);
    }
    send(&mut theirs, &format!("10.0.0.1:{}", local.port()), b"back");
    send(&mut theirs, "127.0.0.1:53", b"to oneself");
    net.settle();
    assert_eq!(receive(&mut mine).len(), 1);
    assert_eq!(receive(&mut theirs), [("127.0.0.1:53".parse().unwrap(), b"to oneself".to_vec())]);
    assert_eq!(far.bind(&mut net.b, 1, "0.0.0.0:53").err(), Some(IoError::AddressInUse));
}

#[test]
fn what_nobody_takes_is_dropped_and_counted() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let (mut mine, _) = near.bind(&mut net.a, 0, "0.0.0.0:0").unwrap();
    let (mut theirs, _) = far.bind(&mut net.b, 0, "0.0.0.0:53").unwrap();
    for _ in 0..20 {
        send(&mut mine, "10.0.0.2:53", &[1; 1000]);
        net.settle();
    }
    assert_eq!(receive(&mut theirs).len(), 8);
    assert_eq!(net.b.stack.counters(&far.sender()).unwrap().datagrams_dropped, 12);
    send(&mut mine, "10.0.0.2:53", &[2; 1000]);
    net.settle();
    assert_eq!(receive(&mut theirs).len(), 1);
}

#[test]
fn an_echo_request_is_answered_over_the_wire_and_in_the_loop() {
    let mut net = Net::new();
    let near = Client::new(&mut net.a, 5);
    let mut echo = near.slot(&mut net.a, 0, BUFFERS);
    net.a.stack.echo(&near.sender(), 0, BUFFERS).unwrap();
    for (sequence, to) in ["10.0.0.2", "127.0.0.1", "::1", "10.0.0.1"].into_iter().enumerate() {
        let ip: IpAddr = to.parse().unwrap();
        send(&mut echo, &SocketAddr::new(ip, sequence as u16).to_string(), b"hello");
        net.settle();
        assert_eq!(receive(&mut echo), [(SocketAddr::new(ip, sequence as u16), b"hello".to_vec())], "{to}");
    }
}

/// Answers a question that has come with one address, valid for so many seconds.
fn answer(server: &mut Socket, seconds: u32, address: Option<[u8; 4]>) -> usize {
    let questions = receive(server);
    for (from, question) in &questions {
        let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
        let mut message = question.clone();
        message[2..4].copy_from_slice(&[0x81, if address.is_some() { 0x80 } else { 0x83 }]);
        if let Some(address) = address.filter(|_| is_a) {
            message[7] = 1;
            message.extend([0xc0, 12, 0, 1, 0, 1]);
            message.extend(seconds.to_be_bytes());
            message.extend([0, 4]);
            message.extend(address);
        }
        send(server, &from.to_string(), &message);
    }
    questions.len()
}

#[test]
fn names_are_asked_for_once_as_long_as_the_answer_lasts() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let (mut server, _) = far.bind(&mut net.b, 0, "0.0.0.0:53").unwrap();
    net.a.stack.set_name_servers(&near.sender(), vec![Ip("10.0.0.2".parse().unwrap())]).unwrap();
    let look_up = |net: &mut Net, name: &str, family| {
        let token = net.a.token();
        let responder = Responder::new(ReplyToken(token));
        NetRequests::lookup(&mut net.a.stack, &near.sender(), name, family, responder);
        net.settle();
        token
    };
    let addresses = |net: &Net, token| net.a.answers.take::<Vec<Ip>>(token);

    let first = look_up(&mut net, "Example.ORG.", Family::Any);
    assert_eq!(addresses(&net, first), None);
    assert_eq!(answer(&mut server, 60, Some([10, 9, 8, 7])), 2);
    net.settle();
    assert_eq!(addresses(&net, first), Some(Ok(vec![Ip("10.9.8.7".parse().unwrap())])));

    net.pass(20_000_000);
    let cached = look_up(&mut net, "example.org", Family::V4);
    assert_eq!(addresses(&net, cached), Some(Ok(vec![Ip("10.9.8.7".parse().unwrap())])));
    assert_eq!(answer(&mut server, 0, None), 0);
    net.pass(45_000_000);
    let anew = look_up(&mut net, "example.org", Family::V4);
    assert_eq!(answer(&mut server, 60, Some([10, 9, 8, 6])), 1);
    net.settle();
    assert_eq!(addresses(&net, anew), Some(Ok(vec![Ip("10.9.8.6".parse().unwrap())])));

    let nothing = look_up(&mut net, "nowhere.example", Family::V4);
    answer(&mut server, 0, None);
    net.settle();
    assert_eq!(addresses(&net, nothing), Some(Err(IoError::NotFound)));
    let silent = look_up(&mut net, "silent.example", Family::V4);
    net.pass(20_000_000);
    assert_eq!(addresses(&net, silent), Some(Err(IoError::TimedOut)));
    let own = look_up(&mut net, "localhost", Family::V4);
    assert_eq!(addresses(&net, own), Some(Ok(vec![Ip("127.0.0.1".parse().unwrap())])));
    for wrong in ["", "a..b", "with space", &"x".repeat(64)] {
        let token = look_up(&mut net, wrong, Family::Any);
        assert_eq!(addresses(&net, token), Some(Err(IoError::InvalidInput)), "{wrong}");
    }
}

#[test]
fn an_answer_that_is_not_to_the_question_is_no_answer() {
    let mut net = Net::new();
    let (near, far) = (Client::new(&mut net.a, 5), Client::new(&mut net.b, 6));
    let (mut server, _) = far.bind(&mut net.b, 0, "0.0.0.0:53").unwrap();
    net.a.stack.set_name_servers(&near.sender(), vec![Ip("10.0.0.2".parse().unwrap())]).unwrap();
    let token = net.a.token();
    let responder = Responder::new(ReplyToken(token));
    NetRequests::lookup(&mut net.a.stack, &near.sender(), "example.org", Family::V4, responder);
    net.settle();
    for (from, question) in receive(&mut server) {
        let mut forged = question.clone();
        forged[2..4].copy_from_slice(&[0x81, 0x80]);
        forged[7] = 1;
        forged.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 6, 6, 6, 6]);
        let mut other_number = forged.clone();
        other_number[0] ^= 1;
        let mut other_name = forged.clone();
        other_name[13] ^= 1;
        for length in 0..forged.len() - 1 {
            send(&mut server, &from.to_string(), &forged[..length]);
            net.settle();
        }
        for message in [other_number, other_name] {
            send(&mut server, &from.to_string(), &message);
        }
        net.settle();
    }
    let answer = net.a.answers.take::<Vec<Ip>>(token);
    assert!(!matches!(answer, Some(Ok(_))), "{answer:?}");
}
