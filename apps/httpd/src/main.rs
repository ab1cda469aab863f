//! The web server as a component and as a program.
//!
//! What survives a restart: nothing. Connections are broken off; clients make new ones.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "program/files.rs"]
mod files;
#[path = "program/gateway.rs"]
mod gateway;
#[path = "program/options.rs"]
mod options;
#[path = "program/serving.rs"]
mod serving;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::net::{Ipv4Addr, SocketAddr};

use motte::executor::Executor;
use motte::io::ErrorKind;
use motte::log;
use motte::net::{self, Buffers, TcpListener};
use motte::server::Tasks;
use motte::time::{Duration, SystemTime, UNIX_EPOCH, monotonic_ns};
use motte_httpd::site::Site;

use files::Files;
use gateway::Gateway;
use options::{Given, Options};
use serving::{Server, Serving};

motte::entry!(main);

/// Of a connection: a request fits what is received, most answers fit what is sent.
const BUFFERS: Buffers = Buffers { receive: 4096, send: 12288 };
/// Connections that may wait to be accepted.
const BACKLOG: u64 = 1024;
/// Whether the machine has an address is looked after this time, twice this time and so on, so many times.
const ADDRESS_LOOK: Duration = Duration::from_millis(50);
const ADDRESS_LOOKS: u32 = 10;
/// Attempts to listen: what was killed a moment ago may not be back yet.
const ATTEMPTS: u32 = 20;

fn main() -> Result<i32, String> {
    let options = match options::read(motte::env::args().skip(1)) {
        Given::Run(options) => options,
        Given::Help => {
            motte::print!("{}", options::HELP);
            return Ok(0);
        }
        Given::Wrong(what) => {
            motte::eprintln!("httpd: {what}; 'httpd --help' shows what it takes");
            return Ok(2);
        }
    };
    let executor = Executor::new().map_err(|error| format!("no tasks can be run: {error}"))?;
    let tasks = executor.tasks();
    net::wake_tasks(&tasks).map_err(|error| format!("the network cannot be used: {error}"))?;
    executor.run(serve(options, tasks))
}

async fn serve(options: Options, tasks: Tasks) -> Result<i32, String> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.port));
    let listener = listen(address, &tasks).await?;
    log::info!("serving {} at port {}", options.shown_folder(), options.port);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let files = Files::new(&options.folder);
    let site = Site::new(files, options.cache_bytes, now.saturating_sub(monotonic_ns()));
    let gateway = match options.dashboard {
        true => Some(Gateway::start().map_err(|error| error.to_string())?),
        false => None,
    };
    if let Some(gateway) = &gateway {
        tasks.spawn(announce(gateway.clone(), tasks.clone()));
    }
    let server = Rc::new(Server::new(site, gateway, tasks.clone(), options.connections));
    loop {
        match listener.accept_task().await {
            Ok((stream, _)) => {
                if let Some(serving) = Serving::begin(&server, stream) {
                    tasks.spawn(serving);
                }
            }
            Err(error) => {
                // Out of memory for sockets, for example: others end, and then there is room.
                log::warn!("a connection cannot be accepted: {error}");
                tasks.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits until the machine has an address that others reach it at, and has the page announced.
async fn announce(gateway: Arc<Gateway>, tasks: Tasks) {
    for look in 0..ADDRESS_LOOKS {
        if has_address() {
            return gateway.announce();
        }
        tasks.sleep(ADDRESS_LOOK * (1 << look)).await;
    }
}

fn has_address() -> bool {
    let Ok(admin) = net::admin() else { return false };
    let mut interfaces = (0..).map_while(|index| admin.interface(index).ok());
    interfaces.any(|interface| interface.name != "lo" && interface.up && !interface.addresses.is_empty())
}

async fn listen(address: SocketAddr, tasks: &Tasks) -> Result<TcpListener, String> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match TcpListener::bind_with(address, BACKLOG, BUFFERS) {
            Ok(listener) => return Ok(listener),
            Err(error) if attempts == ATTEMPTS || error.kind() == ErrorKind::PermissionDenied => {
                return Err(format!("port {} cannot be listened at: {error}", address.port()));
            }
            Err(_) => tasks.sleep(Duration::from_millis(250)).await,
        }
    }
}
