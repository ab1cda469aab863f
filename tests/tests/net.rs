//! The network from outside the machine: connections come in through QEMU's network in user mode.

#[path = "../../services/net/tests/support/malformed.rs"]
mod malformed;
mod wire;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use malformed::{Ends, cases, every_layer, spoil};
use motte_tests::Bench;
use wire::{Host, Wire};
use xtask::machine::Hardware;
use xtask::network::{Forward, Network};

/// How long something may take that should be there at once.
const PATIENCE: Duration = Duration::from_secs(60);

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Sends a line and reads it back.
fn echo(stream: &mut TcpStream, line: &str) -> std::io::Result<()> {
    stream.write_all(line.as_bytes())?;
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, line.as_bytes());
    Ok(())
}

/// A connection on which something was sent back, once there is somebody who does.
fn connect(port: u16) -> TcpStream {
    let began = Instant::now();
    loop {
        let tried = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            echo(&mut stream, "hello").map(|()| stream)
        });
        match tried {
            Ok(stream) => return stream,
            Err(error) if began.elapsed() > PATIENCE => panic!("nobody answers: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn connections_outlive_the_driver_and_listeners_the_stack() {
    let bench = Bench::new().unwrap();
    let disk = bench.disk("64M", &[]).unwrap();
    let port = free_port();
    let network = Network::User(vec![Forward { host: port, guest: 7 }]);
    let mut session = bench.boot_on(&Hardware { network, ..Hardware::default() }, Some(&disk)).unwrap();
    session.run("echo-server 7 > /tmp/echo &").unwrap();
    let mut stream = connect(port);
    for address in ["127.0.0.1", "10.0.2.15"] {
        let tried = session.run(&format!("nc -z {address} 7; echo $?; nc -z -v {address} 8; echo $?")).unwrap().text;
        assert!(tried.starts_with("0\n") && tried.ends_with("1\n") && !tried.contains("open"), "{tried}");
    }

    for round in 0..3 {
        assert_eq!(session.run("kill virtio-net").unwrap().status, 0);
        for line in 0..20 {
            echo(&mut stream, &format!("line {line} of round {round}")).expect("the connection lives on");
        }
    }

    assert_eq!(session.run("kill net").unwrap().status, 0);
    let mut again = connect(port);
    echo(&mut again, "the same program").unwrap();
    let reset = echo(&mut stream, "anybody?").map_err(|error| error.kind());
    assert!(reset.is_err(), "{reset:?}");
    let programs = session.run("ps").unwrap().text;
    assert!(programs.contains("echo-server 7"), "{programs}");

    // As many at once as such a program has room for, and as often as it takes to see what is left behind.
    for _ in 0..20 {
        let mut streams: Vec<TcpStream> = (0..20).map(|_| connect(port)).collect();
        streams.iter_mut().for_each(|stream| echo(stream, "one of many").unwrap());
    }
    echo(&mut again, "still the same program").unwrap();
    session.shutdown().unwrap();
}

/// What the page's state says of a component: how often it was started, its memory and the most that it may have.
fn component(state: &serde_json::Value, name: &str) -> [u64; 3] {
    let components = state["components"].as_array().unwrap();
    let component = components.iter().find(|component| component["name"] == name).unwrap();
    ["generation", "memory", "memory_quota"].map(|what| component[what].as_u64().unwrap())
}

#[test]
fn frames_that_make_no_sense_and_floods_harm_nobody() {
    // The other end's, and the card's as QEMU gives it.
    let ends =
        Ends { hardware: [[2, 0, 0, 0, 0, 1], [0x52, 0x54, 0, 0x12, 0x34, 0x56]], v4: [[10, 0, 0, 1], [10, 0, 0, 2]] };
    let bench = Bench::new().unwrap();
    let disk = bench.disk("64M", &[]).unwrap();
    let mut wire = Wire::new(bench.directory());
    let mut session = bench.boot_on(&Hardware { network: wire.network(), ..Hardware::default() }, Some(&disk)).unwrap();
    let addresses = "ip addr add 10.0.0.2/24 && ip dns set 10.0.0.1";
    assert_eq!(session.run(addresses).unwrap().status, 0);
    let mut number = 0;
    let mut host = |wire: &mut Wire, work: &mut dyn FnMut(&mut Host<'_>)| {
        number += 1;
        work(&mut Host::new(wire, ends.hardware[0], ends.v4, number));
    };
    let mut state = serde_json::Value::Null;
    let mut look = |wire: &mut Wire| {
        host(wire, &mut |host| {
            assert!(host.ping(), "no answer to a ping");
            assert!(host.get("/index.html").expect("the file").contains("This is Motte"));
            state = serde_json::from_str(&host.get("/api/state").expect("the state")).unwrap();
        });
        ["net", "virtio-net", "httpd"].map(|name| component(&state, name))
    };

    // A conversation's frames, of which those that make no sense are made, with some of every layer.
    wire.kept = Some(Vec::new());
    let before = look(&mut wire);
    let mut frames = wire.kept.take().unwrap();
    frames.extend(every_layer(&ends));
    session.run("nslookup a.org > /dev/null 2>&1 &").unwrap();
    let (count, mut random) = cases();
    for _ in 0..count {
        let known = frames.len() + wire.answers.len();
        let of = |number: usize| frames.get(number).unwrap_or_else(|| &wire.answers[number - frames.len()]);
        let (mut frame, other) = (of(random.below(known)).clone(), of(random.below(known)).clone());
        spoil(&mut random, &mut frame, &other);
        if !frame.is_empty() {
            wire.send(&frame);
        }
        while wire.receive_frame().is_some() {}
    }
    assert!(!wire.answers.is_empty(), "a name was asked for");
    // Some of them may have been an order to take another address.
    session.run(addresses).unwrap();
    let spoilt = look(&mut wire);

    // Connections that are asked for and never opened, and some that are opened and never used.
    for _ in 0..count / 4 {
        let from = [10, 0, 0, 3 + random.below(200) as u8];
        let port = 1024 + random.below(60_000) as u16;
        wire.send(&Ends { v4: [from, ends.v4[1]], ..ends }.syn(port, 80, random.next() as u32));
        while wire.receive_frame().is_some() {}
    }
    Host::new(&mut wire, ends.hardware[0], ends.v4, 90).abandon(100);
    let flooded = look(&mut wire);

    for after in [spoilt, flooded] {
        for (before, after) in before.iter().zip(after) {
            let [starts, memory, quota] = after;
            assert!(starts == before[0] && memory <= quota, "{before:?} became {after:?}");
        }
    }
    let counted = session.run("netstat -s").unwrap().text;
    let malformed: u32 = counted
        .lines()
        .find(|line| line.contains("no sense"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("a number of frames that make no sense");
    assert!(malformed as usize > count / 20, "{counted}");
    session.shutdown().unwrap();
}
