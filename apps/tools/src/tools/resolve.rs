//! nslookup and ping: names, and whether who has them answers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt, Parsed};
use crate::context::put;
use crate::context::{Context, Failure, Outcome};
use crate::net::{addresses, milliseconds, seconds};
use crate::sys::io::{self, ErrorKind};
use crate::sys::net::{EchoSocket, Family, IpAddr};
use crate::sys::thread;
use crate::sys::time::{Duration, Instant};

pub const NSLOOKUP: Tool = Tool {
    name: "nslookup",
    about: "find the addresses of a name",
    help: "Usage: nslookup [-4] [-6] NAME...
Asks the name servers for the addresses of names. 'ip dns' shows which servers are asked.
  -4  only addresses of IPv4   -6  only addresses of IPv6
Example: nslookup example.org",
    run: nslookup,
};

pub const PING: Tool = Tool {
    name: "ping",
    about: "ask a host whether it is there",
    help: "Usage: ping [-4] [-6] [-c COUNT] [-i SECONDS] [-s BYTES] [-W SECONDS] HOST
Sends ICMP echo requests and prints the answers. The status is 1 if there was none.
  -c COUNT  so many requests (default: 4)   -i SECONDS  from one to the next (default: 1)
  -s BYTES  so many bytes in each (default: 56)   -W SECONDS  wait so long for an answer (default: 2)
Example: ping -c 1 10.0.2.2",
    run: ping,
};

/// The most bytes of an echo request.
const MOST_BYTES: usize = 1400;

fn family(parsed: &Parsed) -> Family {
    match (parsed.has('4'), parsed.has('6')) {
        (true, false) => Family::V4,
        (false, true) => Family::V6,
        _ => Family::Any,
    }
}

fn nslookup(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[Opt::Flag('4', "ipv4"), Opt::Flag('6', "ipv6")])?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no name to look up"));
    }
    for name in &parsed.operands {
        match addresses(name, family(&parsed)) {
            Ok(found) => found.iter().for_each(|address| put!(context, "{name}  {address}\n")),
            Err(error) => context.error(complaint(name, &error.to_string())),
        }
    }
    Ok(context.status)
}

/// An error that may or may not name its host.
fn complaint(host: &str, error: &str) -> String {
    if error.contains(host) { error.to_string() } else { format!("{host}: {error}") }
}

struct Plan {
    count: u16,
    interval: Duration,
    bytes: usize,
    patience: Duration,
}

fn ping(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('4', "ipv4"),
        Opt::Flag('6', "ipv6"),
        Opt::Value('c', "count"),
        Opt::Value('i', "interval"),
        Opt::Value('s', "size"),
        Opt::Value('W', "timeout"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let [host] = parsed.operands.as_slice() else {
        return Err(args::misuse(context, "name one host"));
    };
    let number = |context: &Context, option, default: usize, most: usize| match parsed.value(option) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| args::misuse(context, format_args!("'{text}' is no number up to {most}"))),
    };
    let plan = Plan {
        count: number(context, 'c', 4, u16::MAX.into())? as u16,
        interval: seconds(context, parsed.value('i'), Duration::from_secs(1))?,
        bytes: number(context, 's', 56, MOST_BYTES)?,
        patience: seconds(context, parsed.value('W'), Duration::from_secs(2))?,
    };
    let found =
        addresses(host, family(&parsed)).map_err(|error| Failure::new(2, complaint(host, &error.to_string())))?;
    let socket =
        EchoSocket::new().map_err(|error| Failure::new(2, format_args!("cannot send echo requests: {error}")))?;
    put!(context, "{host} is {}; {} bytes in each request\n", found[0], plan.bytes);
    let times = ask(context, &socket, found[0], &plan)?;
    let (sent, answered) = (usize::from(plan.count), times.len());
    put!(context, "{sent} sent, {answered} answered, {} % lost", (sent - answered) * 100 / sent.max(1));
    if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) {
        let mean = times.iter().sum::<Duration>() / answered as u32;
        put!(context, "; {}, {}, {} ms", milliseconds(*least), milliseconds(mean), milliseconds(*most));
        put!(context, " at least, on average, at most");
    }
    put!(context, "\n");
    Ok(if times.is_empty() { 1 } else { 0 })
}

/// Sends the requests; how long each answer took that came.
fn ask(context: &mut Context, socket: &EchoSocket, address: IpAddr, plan: &Plan) -> Result<Vec<Duration>, Failure> {
    let failed = |error: io::Error| Failure::new(2, format_args!("{address}: {error}"));
    let bytes: Vec<u8> = (0..plan.bytes).map(|index| index as u8).collect();
    let mut times = Vec::new();
    for sequence in 0..plan.count {
        let start = Instant::now();
        socket.send(address, sequence, &bytes).map_err(failed)?;
        match wait(socket, (address, sequence), &bytes, start, plan.patience).map_err(failed)? {
            Some(time) => {
                put!(context, "answer {sequence} from {address} after {} ms\n", milliseconds(time));
                times.push(time);
            }
            None => put!(context, "no answer {sequence}\n"),
        }
        context.out.flush();
        if sequence + 1 < plan.count {
            thread::sleep(plan.interval.saturating_sub(start.elapsed()));
        }
    }
    Ok(times)
}

/// Waits for the answer to one request; late ones to others do not count.
fn wait(
    socket: &EchoSocket,
    expected: (IpAddr, u16),
    bytes: &[u8],
    start: Instant,
    patience: Duration,
) -> io::Result<Option<Duration>> {
    let mut buffer = [0; MOST_BYTES];
    loop {
        let left = patience.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok((length, from, sequence)) => {
                if (from, sequence) == expected && buffer[..length.min(MOST_BYTES)] == *bytes {
                    return Ok(Some(start.elapsed()));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
