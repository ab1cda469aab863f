//! The other end of transfers in bulk that are measured from outside the machine.

use core::net::{Ipv4Addr, SocketAddr};

use motte::io::{self, Read, Write};
use motte::net::{Buffers, TcpListener, TcpStream};
use motte::thread;

use crate::failure::Failure;

/// Who connects here sends [`BULK`] bytes and gets one back.
const SINK: u16 = 5001;
/// Who connects here gets [`BULK`] bytes.
const SOURCE: u16 = 5002;
const BULK: usize = 16 << 20;
/// What is read or written at once.
const PIECE: usize = 64 << 10;
const BUFFERS: Buffers = Buffers { receive: 256 << 10, send: 64 << 10 };

/// Serves until the machine is turned off.
pub fn serve() -> Result<(), Failure> {
    let listen = |port| TcpListener::bind_with(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), 16, BUFFERS);
    let (sink, source) = (listen(SINK)?, listen(SOURCE)?);
    thread::try_spawn(move || accept(&source, send)).map_err(|_| Failure::Unavailable("no thread can be made"))?;
    accept(&sink, receive);
    Ok(())
}

fn accept(listener: &TcpListener, serve: fn(TcpStream) -> io::Result<()>) {
    while let Ok((stream, _)) = listener.accept() {
        // Who breaks the transfer off is told by that.
        let _ = serve(stream);
    }
}

fn receive(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = alloc::vec![0; PIECE];
    let mut left = BULK;
    while left > 0 {
        match stream.read(&mut buffer[..left.min(PIECE)])? {
            0 => return Ok(()),
            count => left -= count,
        }
    }
    stream.write_all(b"!")
}

fn send(mut stream: TcpStream) -> io::Result<()> {
    let buffer = alloc::vec![0; PIECE];
    (0..BULK / PIECE).try_for_each(|_| stream.write_all(&buffer))
}
