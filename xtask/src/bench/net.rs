//! The network, measured from outside: a web server asked for a small file, and transfers in bulk. Motte's own programs beside nginx and a
//! program of ours on Linux, on the same machine with the same card. The plugin counts; what this machine and QEMU's network do is not
//! counted, but takes time.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::{self, BULK_MIB, Load};
use super::plugin::{Counter, Plugin};
use super::protocol::{Figure, Measurements};
use crate::disk::LockedDisk;
use crate::machine::{Console, Hardware, Machine, Software};
use crate::network::{Forward, HTTP, Network};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::workspace;

/// The machine's port that takes everything (`apps/bench`, `bench/linux/net.c`).
const SINK: u16 = 5001;
/// The machine's port that sends.
const SOURCE: u16 = 5002;
/// How many connections ask at a time.
const CONNECTIONS: [u64; 3] = [1, 16, 64];
/// How often they ask in all.
const REQUESTS: u64 = 5000;
/// How often is transferred in bulk.
const TRANSFERS: usize = 3;
/// How long the machine may take until it answers.
const START: Duration = Duration::from_secs(120);

/// What was measured of one system.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Instructions.
    pub counts: Measurements,
    /// Nanoseconds.
    pub times: Measurements,
}

/// Boots a system whose servers start by themselves, and measures it. `prefix` comes before the names of what is measured.
pub fn measure(
    who: &str,
    prefix: &str,
    software: Software<'_>,
    processor: &str,
    disk: Option<LockedDisk>,
    plugin: &Plugin,
) -> Result<Served> {
    let directory = RunDirectory::create(&workspace::run_directory())?;
    let counter = Counter { socket: directory.path().join("counts") };
    let ports = free_ports()?;
    let forwards = ports.iter().zip([HTTP, SINK, SOURCE]).map(|(&host, guest)| Forward { host, guest }).collect();
    let hardware = Hardware {
        network: Network::User(forwards),
        processor: processor.to_owned(),
        plugin: Some(plugin.answering(&counter.socket)),
        forgets_writes: true,
        ..Hardware::default()
    };
    let progress = Progress::spinner(&format!("measuring {who}: the network"));
    let mut machine = Machine::boot(software, &hardware, disk, Console::Sockets)?;
    let served = serve(who, prefix, ports, &counter, &progress);
    machine.kill()?;
    served.with_context(|| format!("{who} said:\n{}", machine.kernel_log()))
}

fn serve(who: &str, prefix: &str, ports: [u16; 3], counter: &Counter, progress: &Progress) -> Result<Served> {
    let [http, sink, source] = ports;
    let count = || counter.read();
    load::wait_for_server(http, START)?;
    let mut served = Served::default();
    for connections in CONNECTIONS {
        progress.message(&format!("{who}: {connections} connections"));
        let load = load::ask(http, connections, REQUESTS, count)?;
        let rate = REQUESTS as f64 / load.time.as_secs_f64();
        eprintln!("motte: {who}, {connections} connections: {rate:.0} requests a second, {} late", load.late);
        served.add(&format!("{prefix}http_req/{connections}"), &[load], REQUESTS);
    }
    for (name, port, sends) in [("tcp_in_per_mib", sink, true), ("tcp_out_per_mib", source, false)] {
        progress.message(&format!("{who}: {name}"));
        let loads = (0..TRANSFERS).map(|_| load::transfer(port, sends, count)).collect::<Result<Vec<_>>>()?;
        served.add(&format!("{prefix}{name}"), &loads, BULK_MIB);
    }
    Ok(served)
}

impl Served {
    fn add(&mut self, name: &str, loads: &[Load], operations: u64) {
        let figure = |of: fn(&Load) -> u64| Figure::of(loads.iter().map(|load| of(load) / operations).collect());
        for (to, figure) in [
            (&mut self.counts, figure(|load| load.instructions)),
            (&mut self.times, figure(|load| load.time.as_nanos() as u64)),
        ] {
            to.figures.extend(figure.map(|figure| (name.to_owned(), figure)));
        }
    }
}

/// Ports of this machine where nobody listens.
fn free_ports() -> Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port =
            listener.as_ref().ok().and_then(|listener| listener.local_addr().ok()).context("no port is free")?.port();
    }
    Ok(ports)
}
