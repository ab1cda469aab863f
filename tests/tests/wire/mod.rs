//! The other end of a machine's network card, when that is a bare wire: a small stack of its own, and whatever frames a test wants to send.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use motte_net::frame::{ETHERNET, fill_checksum};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::{icmp, tcp};
use smoltcp::wire::{EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, Ipv4Address};
use xtask::network::Network;

use crate::malformed::name_answer;

/// How long an answer may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long QEMU may take to read a frame, which it does not while the machine has no empty buffer.
const BUSY: Duration = Duration::from_secs(20);
/// How long the answer to one echo request is waited for.
const ECHO: Duration = Duration::from_secs(5);
/// The first of the ports that connections come from.
const PORTS: u16 = 20_000;

/// The wire.
pub struct Wire {
    socket: UnixDatagram,
    machine: PathBuf,
    other: PathBuf,
    /// Answers to the questions for names that came, as frames.
    pub answers: Vec<Vec<u8>>,
    /// Frames that the stack at this end sent, if they are to be kept.
    pub kept: Option<Vec<Vec<u8>>>,
}

impl Wire {
    /// A wire with its sockets in that folder.
    pub fn new(folder: &Path) -> Self {
        let (machine, other) = (folder.join("machine"), folder.join("other"));
        let socket = UnixDatagram::bind(&other).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, machine, other, answers: Vec::new(), kept: None }
    }

    /// The machine's network.
    pub fn network(&self) -> Network {
        Network::Wire(self.machine.clone(), self.other.clone())
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        let deadline = Instant::now() + BUSY;
        while let Err(error) = self.socket.send_to(frame, &self.machine) {
            assert!(
                error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline,
                "a frame is not taken: {error}"
            );
            // QEMU may wait for this end to read.
            self.receive_frame();
            std::thread::yield_now();
        }
    }

    /// The next frame that came, if there is one.
    pub fn receive_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 2048];
        let length = self.socket.recv(&mut frame).ok()?;
        frame.truncate(length);
        self.note_question(&frame);
        Some(frame)
    }

    /// Notes the answer to a question for a name (UDP over IPv4 to port 53).
    fn note_question(&mut self, frame: &[u8]) {
        let Some((head, rest)) = frame.split_at_checked(ETHERNET + 28) else { return };
        if head[12..15] != [8, 0, 0x45] || head[23] != 17 || head[36..38] != [0, 53] || rest.len() < 2 {
            return;
        }
        let message = name_answer(u16::from_be_bytes([rest[0], rest[1]]));
        let mut answer = [&head[6..12], &head[..6], &head[12..26], &head[30..34], &head[26..30]].concat();
        answer.extend([&head[36..38], &head[34..36], &[0; 4], &message[..]].concat());
        answer[16..18].copy_from_slice(&(28 + message.len() as u16).to_be_bytes());
        answer[38..40].copy_from_slice(&(8 + message.len() as u16).to_be_bytes());
        fill_checksum(&mut answer[ETHERNET..], false);
        self.answers.push(answer);
    }
}

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        Some((Received(self.receive_frame()?), Sending(self)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        Some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

pub struct Sending<'a>(&'a mut Wire);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let result = work(&mut frame);
        if let Some(kept) = &mut self.0.kept {
            kept.push(frame.clone());
        }
        self.0.send(&frame);
        result
    }
}

/// A host at the wire's other end, which knows nothing of what was before it.
pub struct Host<'a> {
    pub wire: &'a mut Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    machine: IpAddress,
    port: u16,
}

impl<'a> Host<'a> {
    /// `number` is another one for each host.
    pub fn new(wire: &'a mut Wire, hardware: [u8; 6], [own, machine]: [[u8; 4]; 2], number: u16) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(hardware)));
        config.random_seed = number.into();
        let mut interface = Interface::new(config, wire, smoltcp::time::Instant::now());
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(Ipv4Address::from(own).into(), 24)).unwrap());
        let port = PORTS + number * 500;
        Self { wire, interface, sockets: SocketSet::new(Vec::new()), machine: Ipv4Address::from(machine).into(), port }
    }

    /// Lets frames come and go until there is a result; `None` if there is none in time.
    fn until<R>(&mut self, mut work: impl FnMut(&mut Interface, &mut SocketSet<'static>) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.interface.poll(smoltcp::time::Instant::now(), self.wire, &mut self.sockets);
            let result = work(&mut self.interface, &mut self.sockets);
            if result.is_some() {
                self.interface.poll(smoltcp::time::Instant::now(), self.wire, &mut self.sockets);
                return result;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        None
    }

    /// Whether the machine answers an ICMP echo request. Each may be lost while there is much on the way, and is sent again.
    pub fn ping(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.ping_once() {
                return true;
            }
        }
        false
    }

    fn ping_once(&mut self) -> bool {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 512]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(self.port)).unwrap();
        let request = Icmpv4Repr::EchoRequest { ident: self.port, seq_no: 1, data: b"still there?" };
        let place = socket.send(request.buffer_len(), self.machine).unwrap();
        request.emit(&mut Icmpv4Packet::new_unchecked(place), &Default::default());
        let handle = self.sockets.add(socket);
        let asked = Instant::now();
        let answer = self.until(|_, sockets| {
            if asked.elapsed() > ECHO {
                return Some(Vec::new());
            }
            sockets.get_mut::<icmp::Socket<'_>>(handle).recv().ok().map(|(bytes, _)| bytes.to_vec())
        });
        self.sockets.remove(handle);
        answer.is_some_and(|bytes| bytes.ends_with(b"still there?"))
    }

    fn begin(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 65535]);
        let handle = self.sockets.add(tcp::Socket::new(buffer(), buffer()));
        self.port += 1;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.interface.context(), (self.machine, 80), self.port).unwrap();
        handle
    }

    /// Opens so many connections to the web server, of which nothing more will be heard.
    pub fn abandon(mut self, count: usize) {
        let handles: Vec<SocketHandle> = (0..count).map(|_| self.begin()).collect();
        let open = self.until(|_, sockets| {
            handles.iter().all(|&handle| sockets.get::<tcp::Socket<'_>>(handle).may_send()).then_some(())
        });
        open.expect("connections open");
    }

    /// The web server's answer to a request.
    pub fn get(&mut self, path: &str) -> Option<String> {
        let handle = self.begin();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let (mut sent, mut answer) = (false, Vec::new());
        self.until(|_, sockets| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            if !sent && socket.can_send() {
                socket.send_slice(request.as_bytes()).unwrap();
                sent = true;
            }
            while socket.can_recv() {
                let some = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
                answer.extend(some);
            }
            (sent && !socket.may_recv()).then(|| socket.close())
        })?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
    }
}
