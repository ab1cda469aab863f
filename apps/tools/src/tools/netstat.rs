//! netstat and ip: looking at the network stack, and setting it up.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_interfaces::Transport;
use motte_interfaces::badge::FIRST_PROGRAM;
use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Family, InterfaceInfo, Ip, NetAdminClient, SocketInfo, SocketKind};

use super::Tool;
use super::processes::print_table;
use crate::args::{self, Opt, Parsed};
use crate::context::put;
use crate::context::{Context, Failure, Outcome};
use crate::sys::net::{self, IpAddr};
use crate::sys::{process, system};
use crate::text::human;

pub const NETSTAT: Tool = Tool {
    name: "netstat",
    about: "show sockets, and what the network has carried",
    help: "Usage: netstat [-l] [-t] [-u] [-s]
Lists the sockets: kind, bytes received and sent, what waits (connections to be accepted, or bytes to be sent),
addresses, state, and whose it is.
  -l  only those that listen   -t  only TCP   -u  only UDP
  -s  what was counted instead: frames, connections, datagrams, lookups
Example: netstat -l",
    run: netstat,
};

pub const IP: Tool = Tool {
    name: "ip",
    about: "show or set addresses, routers and name servers",
    help: "Usage: ip [link|addr|route|dns] [show]
       ip addr add ADDRESS/PREFIX [dev INTERFACE]
       ip addr del ADDRESS [dev INTERFACE]
       ip route add default via ADDRESS
       ip route del default [via ADDRESS]
       ip dns set ADDRESS...
       ip dhcp on|off
Shows the network's interfaces, or sets them up until the network stack is restarted; what is to last is written
in the manifest. The interface is eth0 unless another is named. An address that is given ends DHCP.
Example: ip addr add 192.168.7.2/24",
    run: ip,
};

fn admin() -> Result<NetAdminClient<impl Transport>, Failure> {
    net::admin().map_err(|error| Failure::new(1, format_args!("the network stack cannot be reached: {error}")))
}

/// What `get` returns for 0, 1, … until there is no more.
fn all<T>(mut get: impl FnMut(u64) -> Result<T, IoError>) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    loop {
        match get(found.len() as u64) {
            Ok(one) => found.push(one),
            Err(IoError::NotFound) => return Ok(found),
            Err(error) => return Err(Failure::new(1, format_args!("the network stack does not say: {error}"))),
        }
    }
}

fn netstat(context: &mut Context, args: &[String]) -> Outcome {
    let known =
        [Opt::Flag('l', "listening"), Opt::Flag('t', "tcp"), Opt::Flag('u', "udp"), Opt::Flag('s', "statistics")];
    let parsed = args::parse(context, args, &known)?;
    if let Some(operand) = parsed.operands.first() {
        return Err(args::misuse(context, format_args!("'{operand}' is not known here")));
    }
    let admin = admin()?;
    if parsed.has('s') {
        return statistics(context, &admin);
    }
    let mut next = 0;
    let sockets = all(|_| {
        let socket = admin.sockets(next)?;
        next = socket.number + 1;
        Ok(socket)
    })?;
    let head = ["KIND", "RECEIVED", "SENT", "WAITING", "LOCAL", "REMOTE", "STATE", "OWNER"].map(String::from);
    let mut table = vec![head.to_vec()];
    let owners = Owners::read();
    for socket in sockets.iter().filter(|socket| is_wanted(socket.kind, &parsed)) {
        table.push(row(socket, &owners));
    }
    print_table(context, &table, &[true, false, false, false, true, true, true, true]);
    Ok(0)
}

fn is_wanted(kind: SocketKind, parsed: &Parsed) -> bool {
    let is_tcp = matches!(kind, SocketKind::Listener | SocketKind::Stream);
    let family = match (parsed.has('t'), parsed.has('u')) {
        (true, false) => is_tcp,
        (false, true) => kind == SocketKind::Datagram,
        _ => true,
    };
    family && (!parsed.has('l') || kind == SocketKind::Listener)
}

fn row(socket: &SocketInfo, owners: &Owners) -> Vec<String> {
    let kind = match socket.kind {
        SocketKind::Listener | SocketKind::Stream => "tcp",
        SocketKind::Datagram => "udp",
        SocketKind::Echo => "icmp",
    };
    vec![
        kind.to_string(),
        human(socket.received),
        human(socket.sent),
        human(socket.waiting),
        place(socket.local),
        place(socket.remote),
        socket.state.clone(),
        owners.name(socket.owner),
    ]
}

/// An address and a port, with `*` for any.
fn place(Address(address): Address) -> String {
    let port = if address.port() == 0 { "*".to_string() } else { address.port().to_string() };
    match address.ip() {
        ip if ip.is_unspecified() => format!("*:{port}"),
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

/// Names of those who have sockets.
struct Owners {
    components: Vec<String>,
    processes: Vec<(u64, String)>,
}

impl Owners {
    /// As far as they can be had; numbers stand for the others.
    fn read() -> Self {
        let components = system::components().unwrap_or_default().into_iter().map(|component| component.name).collect();
        let processes = process::list().unwrap_or_default();
        let processes = processes.into_iter().map(|process| (u64::from(process.id), process.name)).collect();
        Self { components, processes }
    }

    fn name(&self, badge: u64) -> String {
        if badge == 0 {
            return "-".to_string();
        }
        match badge.checked_sub(FIRST_PROGRAM) {
            // Components are numbered from 1, in the order of the manifest.
            None => self.components.get(badge as usize - 1).cloned().unwrap_or_else(|| badge.to_string()),
            Some(id) => match self.processes.iter().find(|(number, _)| *number == id) {
                Some((_, name)) => format!("{name} ({id})"),
                None => id.to_string(),
            },
        }
    }
}

fn statistics(context: &mut Context, admin: &NetAdminClient<impl Transport>) -> Outcome {
    let counted = admin.counters().map_err(unsaid)?;
    let lines = [
        ("frames received", counted.frames_received),
        ("frames sent", counted.frames_sent),
        ("bytes received", counted.bytes_received),
        ("bytes sent", counted.bytes_sent),
        ("frames that made no sense", counted.malformed),
        ("frames that nobody wanted", counted.dropped),
        ("connections begun", counted.connections_opened),
        ("connections accepted", counted.connections_accepted),
        ("connections that failed", counted.connections_failed),
        ("connections refused because a backlog or quota was full", counted.backlog_full),
        ("resets sent", counted.resets_sent),
        ("resets received", counted.resets_received),
        ("datagrams received", counted.datagrams_received),
        ("datagrams sent", counted.datagrams_sent),
        ("datagrams dropped because nobody took them", counted.datagrams_dropped),
        ("names looked up", counted.lookups),
        ("names that were known already", counted.lookups_cached),
        ("times that the driver was attached", counted.driver_attached),
        ("sockets open", counted.sockets),
        ("bytes of memory in sockets", counted.socket_bytes),
    ];
    for (what, count) in lines {
        put!(context, "{count:>12} {what}\n");
    }
    Ok(0)
}

fn unsaid(error: IoError) -> Failure {
    Failure::new(1, format_args!("the network stack does not say: {error}"))
}

/// What the network stack refused.
fn refused(what: &str, error: IoError) -> Failure {
    let why = match error {
        IoError::PermissionDenied => "only those may whom the manifest grants 'admin' of the network".to_string(),
        IoError::NotFound => "there is no such interface or address; 'ip addr' lists them".to_string(),
        error => error.to_string(),
    };
    Failure::new(1, format_args!("cannot {what}: {why}"))
}

fn ip(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    let words: Vec<&str> = parsed.operands.iter().map(String::as_str).collect();
    let admin = admin()?;
    let done = |result: Result<(), IoError>, what: &str| match result {
        Ok(()) => Ok(0),
        Err(error) => Err(refused(what, error)),
    };
    match words[..] {
        [] | ["addr" | "address" | "a"] | ["addr" | "address" | "a", "show" | "list"] => {
            show(context, &admin, addresses)
        }
        ["link" | "l"] | ["link" | "l", "show" | "list"] => show(context, &admin, |_, _| {}),
        ["route" | "r"] | ["route" | "r", "show" | "list"] => show(context, &admin, routes),
        ["dns"] | ["dns", "show" | "list"] => show(context, &admin, name_servers),
        ["addr" | "address" | "a", "add", address, ref rest @ ..] => {
            let (address, prefix) = prefixed(context, address)?;
            done(admin.add_address(interface(context, rest)?, Ip(address), prefix), "add the address")
        }
        ["addr" | "address" | "a", "del" | "delete", address, ref rest @ ..] => {
            let address = parse(context, address.split('/').next().unwrap_or(address))?;
            done(admin.remove_address(interface(context, rest)?, Ip(address)), "remove the address")
        }
        ["route" | "r", "add" | "replace", "default", "via", address] => {
            let address = parse(context, address)?;
            done(admin.set_gateway(family(address), Some(Ip(address))), "set the router")
        }
        ["route" | "r", "del" | "delete", "default"] => done(admin.set_gateway(Family::V4, None), "remove the router"),
        ["route" | "r", "del" | "delete", "default", "via", address] => {
            let address = parse(context, address)?;
            done(admin.set_gateway(family(address), None), "remove the router")
        }
        ["dns", "set", ref servers @ ..] => {
            let servers: Vec<Ip> =
                servers.iter().map(|server| parse(context, server).map(Ip)).collect::<Result<_, _>>()?;
            done(admin.set_name_servers(&servers), "set the name servers")
        }
        ["dhcp", state @ ("on" | "off")] => done(admin.set_dhcp(state == "on"), "switch DHCP"),
        _ => Err(args::misuse(context, format_args!("'{}' is not understood", words.join(" ")))),
    }
}

fn parse(context: &Context, text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| args::misuse(context, format_args!("'{text}' is no address such as 10.0.2.15 or fe80::1")))
}

/// An address and the length of its prefix.
fn prefixed(context: &Context, text: &str) -> Result<(IpAddr, u64), Failure> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(args::misuse(
            context,
            format_args!("'{text}' lacks the length of its prefix: write it like {text}/24"),
        ));
    };
    let address = parse(context, address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match prefix.parse() {
        Ok(prefix) if prefix <= most => Ok((address, prefix)),
        _ => {
            Err(args::misuse(context, format_args!("'{prefix}' is no length of a prefix; it is a number up to {most}")))
        }
    }
}

fn interface<'a>(context: &Context, rest: &[&'a str]) -> Result<&'a str, Failure> {
    match rest {
        [] => Ok("eth0"),
        ["dev", name] => Ok(name),
        _ => Err(args::misuse(context, format_args!("'{}' is not understood", rest.join(" ")))),
    }
}

const fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

fn show(
    context: &mut Context,
    admin: &NetAdminClient<impl Transport>,
    more: fn(&mut Context, &InterfaceInfo),
) -> Outcome {
    for interface in all(|index| admin.interface(index))? {
        let state = if interface.up { "up" } else { "down" };
        put!(context, "{}: {state}, packets up to {} bytes", interface.name, interface.mtu);
        if interface.hardware != 0 {
            let [_, _, a, b, c, d, e, f] = interface.hardware.to_be_bytes();
            put!(context, ", {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        }
        put!(context, "\n");
        more(context, &interface);
    }
    Ok(0)
}

fn addresses(context: &mut Context, interface: &InterfaceInfo) {
    for (Ip(address), prefix) in &interface.addresses {
        let by = if interface.dhcp && address.is_ipv4() { ", by DHCP" } else { "" };
        put!(context, "  {address}/{prefix}{by}\n");
    }
}

fn routes(context: &mut Context, interface: &InterfaceInfo) {
    for (Ip(address), prefix) in &interface.addresses {
        put!(context, "  {address}/{prefix} directly\n");
    }
    for Ip(gateway) in interface.gateway4.iter().chain(&interface.gateway6) {
        put!(context, "  all else via {gateway}\n");
    }
}

fn name_servers(context: &mut Context, interface: &InterfaceInfo) {
    for Ip(server) in &interface.name_servers {
        put!(context, "  {server}\n");
    }
}
