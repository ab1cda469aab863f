//! The network from outside the machine: connections come in through QEMU's network in user mode.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use motte_tests::Bench;
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
    let port = free_port();
    let network = Network::User(vec![Forward { host: port, guest: 7 }]);
    let mut session = bench.boot_on(&Hardware { network, ..Hardware::default() }, None).unwrap();
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
