//! Sets the clock by time servers of the network. Which ones, the manifest says (`args`): without any it has nothing to do.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use motte::abi::Error;
use motte::interfaces::clock::ClockClient;
use motte::log;
use motte::net::{SocketAddr, ToSocketAddrs, UdpSocket, unspecified};
use motte::service;
use motte::thread;
use motte::time::monotonic_ns;
use motte_sntp::{BYTES, PORT, request, time};

motte::entry!(main);

/// From one time to the next: nobody's clock is far off by then, and no server minds.
const INTERVAL: Duration = Duration::from_secs(1024);
/// After a failure it is tried again so soon at first, and then less and less often.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most messages that are looked at for one answer.
const MOST_STRAYS: usize = 8;

/// Where a server named in the manifest is to be asked.
fn address(server: &str) -> motte::io::Result<SocketAddr> {
    let mut found = match server.to_socket_addrs() {
        Ok(found) => found,
        Err(_) => (server, PORT).to_socket_addrs()?,
    };
    found.next().ok_or_else(|| motte::io::ErrorKind::NotFound.into())
}

/// A number that nobody can tell beforehand, as far as the processor's time of day allows.
fn nonce() -> u64 {
    // A step of SplitMix64 (Steele et al., 2014) over the time: what matters is that an answer cannot be made without seeing the question.
    let mixed = (monotonic_ns() ^ monotonic_ns().rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Asks a server for the time, in nanoseconds since 1970.
fn ask(server: &str) -> Result<u64, String> {
    let failed = |error: motte::io::Error| format!("{error}");
    let server = address(server).map_err(failed)?;
    let socket = UdpSocket::bind(unspecified(server.ip())).map_err(failed)?;
    let nonce = nonce();
    let start = monotonic_ns();
    socket.send_to(&request(nonce), server).map_err(failed)?;
    let mut refusal = String::from("it does not answer");
    for _ in 0..MOST_STRAYS {
        let left = PATIENCE.saturating_sub(Duration::from_nanos(monotonic_ns() - start));
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left)).map_err(failed)?;
        let mut answer = [0; BYTES];
        let Ok((length, from)) = socket.recv_from(&mut answer) else { break };
        if from != server {
            continue;
        }
        match time(&answer[..length.min(BYTES)], nonce, monotonic_ns() - start) {
            Ok(time) => return Ok(time),
            Err(why) => refusal = format!("{why}"),
        }
    }
    Err(refusal)
}

/// Sets the clock by the first server that tells the time.
fn set_clock(clock: &ClockClient<service::Connection>, servers: &[String]) -> Result<(), String> {
    let mut failures = Vec::new();
    for server in servers {
        match ask(server) {
            Ok(time) => {
                let before = clock.offset().map_err(|error| format!("the clock cannot be read: {error}"))?;
                clock.set(time).map_err(|error| format!("the clock cannot be set: {error}"))?;
                let off = i128::from(time) - i128::from(before) - i128::from(monotonic_ns());
                log::info!("the clock was set by {server}; it was {} ms off", off / 1_000_000);
                return Ok(());
            }
            Err(why) => failures.push(format!("{server}: {why}")),
        }
    }
    Err(failures.join("; "))
}

fn main() -> Result<(), Error> {
    let servers: Vec<String> = motte::env::args().skip(1).collect();
    if servers.is_empty() {
        log::error!("no time server is named: write args = [\"SERVER\"] into this component's stanza of the manifest");
        return Ok(());
    }
    let clock = match service::connect("clock") {
        Ok(connection) => ClockClient::new(connection),
        Err(error) => {
            log::error!("the clock cannot be reached: {error}");
            return Err(Error::PeerGone);
        }
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match set_clock(&clock, &servers) {
            Ok(()) => {
                pause = FIRST_PAUSE;
                thread::sleep(INTERVAL);
            }
            Err(why) => {
                log::warn!("no server tells the time: {why}");
                thread::sleep(pause);
                pause = (pause * 2).min(INTERVAL);
            }
        }
    }
}
