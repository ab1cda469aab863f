//! Room for many who connect at the same moment to a port that QEMU leads to the machine.
//!
//! QEMU's network in user mode listens with a backlog of one. Of two hundred that connect at once, the host drops nearly all, and they try
//! again after one, three, seven seconds and so on; the machine sees nothing of it. Its sockets are therefore borrowed from QEMU and told to
//! listen with a larger backlog, which counts for all who have them. Where the host does not allow that, it stays as it is.

use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Connections that may wait for QEMU; the host may allow fewer.
const BACKLOG: i32 = 4096;
/// How long QEMU may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Widens the backlogs of QEMU's sockets at these ports, as soon as it has them.
pub fn widen(qemu: u32, ports: Vec<u16>) {
    std::thread::spawn(move || wait_and_widen(qemu, &ports));
}

/// Waits until QEMU listens at these ports, and widens the backlogs. Whether that was possible.
fn wait_and_widen(qemu: u32, ports: &[u16]) -> bool {
    let Some(pid) = Pid::from_raw(qemu.cast_signed()) else { return false };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let deadline = Instant::now() + PATIENCE;
    while let Some(found) = listeners(pid, &process) {
        if widened(&found, ports) {
            return true;
        }
        if Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The sockets of a process that listen; `None` if it is gone, or does not show them.
fn listeners(pid: Pid, process: &OwnedFd) -> Option<Vec<TcpListener>> {
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).ok()?;
    let is_socket = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let sockets = entries.flatten().filter(is_socket).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found = Vec::new();
    for number in sockets {
        match pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty()) {
            Ok(socket) if socket_acceptconn(&socket) == Ok(true) => found.push(TcpListener::from(socket)),
            // It was closed meanwhile.
            Ok(_) | Err(rustix::io::Errno::BADF) => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// Widens what is there of these ports; whether all are.
fn widened(found: &[TcpListener], ports: &[u16]) -> bool {
    ports.iter().all(|&port| {
        let socket = found.iter().find(|socket| socket.local_addr().is_ok_and(|address| address.port() == port));
        socket.is_some_and(|socket| rustix::net::listen(socket, BACKLOG).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;
    use crate::prepare::{self, Tool};
    use crate::process::Guarded;

    /// A port of this machine where nobody listens.
    fn free_port() -> u16 {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn many_connect_while_qemu_accepts_none() {
        prepare::tools(&[Tool::Qemu]).unwrap();
        let ports = [free_port(), free_port()];
        let forwards = ports.map(|port| format!(",hostfwd=tcp:127.0.0.1:{port}-:80")).concat();
        let mut command = Tool::Qemu.command();
        command.args(["-S", "-display", "none", "-nodefaults", "-netdev", &format!("user,id=n0{forwards}")]);
        let qemu = Guarded::spawn(&mut command).unwrap();
        assert!(wait_and_widen(qemu.id(), &ports));
        let pid = Pid::from_raw(qemu.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        for port in ports {
            let address = (Ipv4Addr::LOCALHOST, port).into();
            let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(5));
            let streams: Vec<_> = (0..200).map(connect).collect();
            assert!(streams.iter().all(Result::is_ok), "{:?}", streams.last());
        }
    }
}
