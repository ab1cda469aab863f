//! Room for many who connect at the same moment to a port that QEMU leads to the machine.
//!
//! QEMU's network in user mode listens with a backlog of one. Of two hundred that connect at once, the host drops nearly all, and they try
//! again after one, three, seven seconds and so on; the machine sees nothing of it. Its sockets are therefore borrowed from QEMU and told to
//! listen with a larger backlog, which counts for all who have them. Where the host does not allow that, it stays as it is, and is said.

use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Connections that may wait for QEMU; the host may allow fewer.
const BACKLOG: i32 = 4096;
/// How long QEMU may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a backlog stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// QEMU has ended.
    Gone,
    /// QEMU does not listen.
    Late,
    /// The host does not let one process have another's sockets.
    Refused(Errno),
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        if error == Errno::SRCH { Self::Gone } else { Self::Refused(error) }
    }
}

/// Widens the backlogs of QEMU's sockets at these ports, as soon as it has them.
pub fn widen(qemu: u32, ports: Vec<u16>) {
    std::thread::spawn(move || {
        if let Err(Trouble::Refused(error)) = wait_and_widen(qemu, &ports) {
            eprintln!(
                "motte: of many who connect at once some will wait a second and more, for this host does not share QEMU's sockets: {error}"
            );
        }
    });
}

/// Waits until QEMU listens at these ports, and widens the backlogs.
fn wait_and_widen(qemu: u32, ports: &[u16]) -> Result<(), Trouble> {
    let pid = Pid::from_raw(qemu.cast_signed()).ok_or(Trouble::Gone)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + PATIENCE;
    while !widened(&listeners(pid, &process)?, ports) {
        if Instant::now() > deadline {
            return Err(Trouble::Late);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The sockets of a process that listen.
fn listeners(pid: Pid, process: &OwnedFd) -> Result<Vec<TcpListener>, Trouble> {
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).map_err(|_| Trouble::Gone)?;
    let is_socket = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let sockets = entries.flatten().filter(is_socket).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found = Vec::new();
    for number in sockets {
        match pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty()) {
            Ok(socket) if socket_acceptconn(&socket) == Ok(true) => found.push(TcpListener::from(socket)),
            // It was closed meanwhile.
            Ok(_) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
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
        match wait_and_widen(qemu.id(), &ports) {
            Err(Trouble::Refused(error)) => {
                eprintln!("\n*** NOT TESTED: this host does not share QEMU's sockets: {error} ***\n");
                return;
            }
            widened => assert_eq!(widened, Ok(())),
        }
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
