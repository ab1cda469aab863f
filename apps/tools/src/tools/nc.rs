//! nc.

use alloc::string::String;

use super::Tool;
use crate::args::{self, Opt, Parsed};
use crate::context::{Context, Failure, Outcome};
use crate::net::{addresses, dial, port, seconds};
use crate::sys::io::{self, ErrorKind, Read, Write};
use crate::sys::net::{Family, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket, unspecified};
use crate::sys::thread;
use crate::sys::time::Duration;

pub const NC: Tool = Tool {
    name: "nc",
    about: "speak with a port over the network",
    help: "Usage: nc [-u] [-w SECONDS] HOST PORT
       nc -l [-u] [-k] [-w SECONDS] [ADDRESS] PORT
       nc -z [-v] [-w SECONDS] HOST PORT[-PORT]
Connects, sends what comes on standard input, and prints what is received, until the other side ends.
  -l  wait for a connection instead; at ADDRESS only, if there is one   -k  and then for the next
  -u  UDP: each piece of input is a datagram; ends when nothing came for SECONDS (-w)
  -z  only try whether the ports can be connected to   -v  say what is tried
  -w SECONDS  give up when nothing comes for so long
Example: echo hello | nc 127.0.0.1 7",
    run: nc,
};

/// How long a port is tried.
const PATIENCE: Duration = Duration::from_secs(10);
const PIECE: usize = 16 * 1024;
/// The most bytes of a datagram that passes an Ethernet in one piece.
const DATAGRAM: usize = 1400;

fn nc(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('l', "listen"),
        Opt::Flag('u', "udp"),
        Opt::Flag('k', "keep-open"),
        Opt::Flag('z', "zero"),
        Opt::Flag('v', "verbose"),
        Opt::Value('w', "wait"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let patience = match parsed.value('w') {
        Some(text) => Some(seconds(context, Some(text), PATIENCE)?),
        None => None,
    };
    let operands: alloc::vec::Vec<&str> = parsed.operands.iter().map(String::as_str).collect();
    match operands[..] {
        [local] if parsed.has('l') => listen(context, &parsed, "0.0.0.0", local, patience),
        [address, local] if parsed.has('l') => listen(context, &parsed, address, local, patience),
        _ if parsed.has('l') => Err(args::misuse(context, "name the port to listen at")),
        [host, ports] if parsed.has('z') => scan(context, &parsed, host, ports, patience),
        [host, remote] => connect(context, &parsed, host, remote, patience),
        _ => Err(args::misuse(context, "name a host and a port")),
    }
}

fn connect(context: &mut Context, parsed: &Parsed, host: &str, remote: &str, patience: Option<Duration>) -> Outcome {
    let port = port(context, remote)?;
    let failed = |error: io::Error| Failure::new(1, format_args!("cannot reach port {port} of {host}: {error}"));
    if parsed.has('u') {
        let address = addresses(host, Family::Any).map_err(failed)?[0];
        let socket = UdpSocket::bind(unspecified(address)).map_err(failed)?;
        let remote = SocketAddr::new(address, port);
        return datagrams(context, socket, Some(remote), patience);
    }
    let stream = dial(host, port, patience.unwrap_or(PATIENCE)).map_err(failed)?;
    stream.set_read_timeout(patience).map_err(failed)?;
    speak(context, stream)
}

fn listen(context: &mut Context, parsed: &Parsed, address: &str, local: &str, patience: Option<Duration>) -> Outcome {
    let port = port(context, local)?;
    let Ok(address) = address.parse() else {
        return Err(args::misuse(context, format_args!("'{address}' is no address to listen at")));
    };
    let local = SocketAddr::new(address, port);
    let failed = |error: io::Error| Failure::new(1, format_args!("cannot listen at {local}: {error}"));
    if parsed.has('u') {
        let socket = UdpSocket::bind(local).map_err(failed)?;
        return datagrams(context, socket, None, patience);
    }
    let listener = TcpListener::bind(local).map_err(failed)?;
    loop {
        let (stream, _) = listener.accept().map_err(failed)?;
        stream.set_read_timeout(patience).map_err(failed)?;
        let status = speak(context, stream)?;
        if !parsed.has('k') || context.out.is_broken() {
            return Ok(status);
        }
    }
}

/// Sends standard input in a thread of its own, and prints what comes until its end.
fn speak(context: &mut Context, stream: TcpStream) -> Outcome {
    let failed = |error: io::Error| Failure::new(1, format_args!("the connection broke off: {error}"));
    let mut sender = stream.try_clone().map_err(failed)?;
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        let mut input = io::stdin();
        while let Ok(count) = input.read(&mut piece) {
            if count == 0 || sender.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        // Who reads at the other side learns that this was all. One that is gone needs no telling.
        let _ = sender.shutdown(Shutdown::Write);
    });
    let (mut stream, mut piece) = (stream, vec![0; PIECE]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(0),
            Ok(count) => {
                context.out.bytes(&piece[..count]);
                context.out.flush();
            }
            // Nothing came for as long as was to be waited.
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => return Ok(0),
            Err(error) => return Err(failed(error)),
        }
        if context.out.is_broken() {
            return Ok(0);
        }
    }
}

/// Sends each piece of standard input as a datagram, to `remote` or to whoever sent one first, and prints what comes.
fn datagrams(
    context: &mut Context,
    socket: UdpSocket,
    remote: Option<SocketAddr>,
    patience: Option<Duration>,
) -> Outcome {
    let failed = |error: io::Error| Failure::new(1, format_args!("datagrams do not pass: {error}"));
    let mut piece = vec![0; 65536];
    if let Some(remote) = remote {
        let mut input = io::stdin();
        loop {
            let count = input.read(&mut piece[..DATAGRAM]).map_err(failed)?;
            if count == 0 {
                break;
            }
            socket.send_to(&piece[..count], remote).map_err(failed)?;
        }
    }
    // Nobody says when datagrams end.
    socket.set_read_timeout(patience.or(remote.map(|_| Duration::from_secs(1)))).map_err(failed)?;
    loop {
        match socket.recv_from(&mut piece) {
            Ok((count, from)) => {
                if remote.is_none_or(|remote| remote == from) {
                    context.out.bytes(&piece[..count]);
                    context.out.flush();
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => return Ok(0),
            Err(error) => return Err(failed(error)),
        }
        if context.out.is_broken() {
            return Ok(0);
        }
    }
}

fn scan(context: &mut Context, parsed: &Parsed, host: &str, ports: &str, patience: Option<Duration>) -> Outcome {
    let (first, last) = match ports.split_once('-') {
        Some((first, last)) => (port(context, first)?, port(context, last)?),
        None => (port(context, ports)?, port(context, ports)?),
    };
    let mut status = 1;
    for port in first..=last {
        match dial(host, port, patience.unwrap_or(PATIENCE)) {
            Ok(_) => {
                status = 0;
                if parsed.has('v') {
                    context.note(format_args!("port {port} of {host} is open"));
                }
            }
            Err(error) if parsed.has('v') => context.note(format_args!("port {port} of {host}: {error}")),
            Err(_) => {}
        }
    }
    Ok(status)
}
