//! Clients of the machine's servers, in this process: they ask a web server over and over, and send and receive in bulk.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// An answer that takes longer has not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests of each connection that are not counted: caches fill.
const WARM_UP: u64 = 20;
/// How much is sent or received in bulk.
pub const BULK_MIB: u64 = 16;
/// Bytes of the file that is asked for.
pub const FILE_BYTES: usize = 1024;

/// What came of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What the machine executed meanwhile.
    pub instructions: u64,
    /// How long it took.
    pub time: Duration,
    /// Answers that did not come in time.
    pub late: u64,
}

/// One connection to a web server.
struct Client {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { port, stream: BufReader::new(stream) })
    }

    /// Asks for the file. Whether the answer came in time; if not, on a new connection the next time.
    fn ask(&mut self) -> Result<bool> {
        match self.try_ask() {
            Ok(()) => Ok(true),
            Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(is_late) => {
                *self = Self::connect(self.port)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn try_ask(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(b"GET /bench.html HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut line = String::new();
        let mut length = None;
        self.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "the web server answered `{}`", line.trim_end());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        ensure!(length == Some(FILE_BYTES), "the web server sends {length:?} bytes instead of {FILE_BYTES}");
        self.stream.read_exact(&mut [0; FILE_BYTES])?;
        Ok(())
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Waits until the web server answers.
pub fn wait_for_server(port: u16, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = Client::connect(port).and_then(|mut client| client.ask());
        match answer {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if Instant::now() > deadline => return Err(error).context("the web server does not answer"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Has so many connections ask all the time, so many requests in all. `count` gives what the machine has executed.
pub fn ask(port: u16, connections: u64, requests: u64, count: impl Fn() -> Result<u64>) -> Result<Load> {
    let (ready, begin) = (Barrier::new(connections as usize + 1), Barrier::new(connections as usize + 1));
    let (asked, late) = (AtomicU64::new(0), AtomicU64::new(0));
    let client = || -> Result<()> {
        let warm = Client::connect(port).and_then(|mut client| {
            for _ in 0..WARM_UP {
                client.ask()?;
            }
            Ok(client)
        });
        // Also when it failed: the others wait for all.
        ready.wait();
        begin.wait();
        let mut client = warm?;
        while asked.fetch_add(1, Ordering::Relaxed) < requests {
            if !client.ask()? {
                late.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        ready.wait();
        let (before, started) = (count(), Instant::now());
        begin.wait();
        for client in clients {
            match client.join() {
                Ok(result) => result?,
                Err(_) => bail!("a client of the web server panicked"),
            }
        }
        let (time, instructions) = (started.elapsed(), count()? - before?);
        Ok(Load { instructions, time, late: late.load(Ordering::Relaxed) })
    })
}

/// Sends or receives in bulk. Of what is sent the receiver says at the end that it has it.
pub fn transfer(port: u16, sends: bool, count: impl Fn() -> Result<u64>) -> Result<Load> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(6 * PATIENCE))?;
    let (before, started) = (count()?, Instant::now());
    let mut buffer = vec![0; 1 << 16];
    let mut left = BULK_MIB << 20;
    while left > 0 {
        let some = if sends {
            stream.write(&buffer).context("the machine does not take what is sent")?
        } else {
            stream.read(&mut buffer).context("the machine does not send")?
        };
        ensure!(some > 0, "the machine ended the connection {left} bytes too early");
        left = left.saturating_sub(some as u64);
        buffer.truncate(left.clamp(1, 1 << 16) as usize);
    }
    if sends {
        stream.read_exact(&mut [0]).context("the machine does not say that it has everything")?;
    }
    Ok(Load { instructions: count()? - before, time: started.elapsed(), late: 0 })
}
