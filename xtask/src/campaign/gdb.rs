//! The debugger's side of QEMU's stub: GDB's remote serial protocol, as far as it takes to stop, read and change a machine
//! (GDB manual, appendix E).
//!
//! While the machine runs, the first byte that QEMU gets stops it; so nothing is sent then but the interrupt byte. Packets are not
//! acknowledged to QEMU: it takes the next command for the acknowledgement.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long the stub may take to answer, on a host that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// The byte that stops a machine.
const INTERRUPT: u8 = 3;
/// The most bytes of memory in one packet.
const PIECE: usize = 1024;

/// Numbers of the general registers that mean something here; message words are in R12 to R15, RBX, RBP.
pub mod register {
    #![allow(missing_docs)]
    pub const RAX: usize = 0;
    pub const RBX: usize = 1;
    pub const RDX: usize = 3;
    pub const RSI: usize = 4;
    pub const RDI: usize = 5;
    pub const RBP: usize = 6;
    pub const RSP: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
    pub const RIP: usize = 16;
    pub const CR3: usize = 29;
}

/// The general registers and RIP in one packet.
const GENERAL: usize = register::RIP + 1;
/// Where CR3 stands among all registers: after RFLAGS (4 bytes), six segments (4 each), three bases, CR0 and CR2.
const CR3_OFFSET: usize = GENERAL * 8 + 4 + 6 * 4 + 3 * 8 + 2 * 8;

/// The processor's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// By their numbers in [`register`], RIP among them.
    pub general: [u64; GENERAL],
    /// The root of the page tables.
    pub cr3: u64,
}

impl Registers {
    /// Where the processor is.
    #[must_use]
    pub const fn rip(&self) -> u64 {
        self.general[register::RIP]
    }
}

/// A machine's stub.
#[derive(Debug)]
pub struct Gdb {
    stream: UnixStream,
    unread: Vec<u8>,
}

impl Gdb {
    /// Takes over a machine, which is then stopped.
    pub fn connect(stream: UnixStream) -> Result<Self> {
        let mut gdb = Self { stream, unread: Vec::new() };
        gdb.write(&[INTERRUPT])?;
        // A machine that was stopped already does not answer that; it answers the question why.
        gdb.send("?")?;
        // Without asking for its description, registers cannot be set one by one.
        gdb.send("qXfer:features:read:target.xml:0,400")?;
        while !gdb.receive(PATIENCE)?.context("the stub does not answer")?.contains("<target") {}
        Ok(gdb)
    }

    /// Stops a machine that runs, if it has not stopped by itself just now.
    pub fn interrupt(&mut self) -> Result<()> {
        self.write(&[INTERRUPT])?;
        self.receive(PATIENCE)?.context("the machine does not stop")?;
        Ok(())
    }

    /// Lets it run.
    pub fn resume(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Waits until it stops at a breakpoint; false if it still runs after so long.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        Ok(self.receive(limit)?.is_some())
    }

    /// Executes one instruction, without interrupts.
    pub fn step(&mut self) -> Result<()> {
        self.send("s")?;
        self.receive(PATIENCE)?.context("the stub does not answer a step")?;
        Ok(())
    }

    /// Reads the registers.
    pub fn registers(&mut self) -> Result<Registers> {
        let bytes = bytes(&self.command("g")?)?;
        let word = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u64::from_le_bytes(*b));
        let all = (0..GENERAL).map(|number| word(number * 8)).collect::<Option<Vec<u64>>>();
        let general = all.and_then(|all| all.try_into().ok()).context("the stub gives too few registers")?;
        Ok(Registers { general, cr3: word(CR3_OFFSET).context("the stub gives no CR3")? })
    }

    /// Reads one register of 64 bits.
    pub fn register(&mut self, number: usize) -> Result<u64> {
        let bytes = bytes(&self.command(&format!("p{number:x}"))?)?;
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("the stub gives no register")
    }

    /// Sets one register of 64 bits.
    pub fn set_register(&mut self, number: usize, value: u64) -> Result<()> {
        self.expect_ok(&format!("P{number:x}={}", hexadecimal(&value.to_le_bytes())))
    }

    /// Reads memory at an address as the processor would now see it.
    pub fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut read = Vec::with_capacity(length);
        while read.len() < length {
            let (at, some) = (address + read.len() as u64, PIECE.min(length - read.len()));
            let piece = bytes(&self.command(&format!("m{at:x},{some:x}"))?)?;
            ensure!(piece.len() == some, "memory at {at:#x} cannot be read");
            read.extend(piece);
        }
        Ok(read)
    }

    /// Writes memory, whatever the page tables say of writing.
    pub fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        for (index, piece) in bytes.chunks(PIECE).enumerate() {
            let at = address + (index * PIECE) as u64;
            self.expect_ok(&format!("M{at:x},{:x}:{}", piece.len(), hexadecimal(piece)))?;
        }
        Ok(())
    }

    /// Has the machine stop before the instruction at an address, in whatever address space.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("Z0,{address:x},1"))
    }

    /// Takes a breakpoint away.
    pub fn clear_breakpoint(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("z0,{address:x},1"))
    }

    fn expect_ok(&mut self, command: &str) -> Result<()> {
        let answer = self.command(command)?;
        ensure!(answer == "OK", "the stub answers `{answer}` to `{command}`");
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        self.receive(PATIENCE)?.with_context(|| format!("the stub does not answer `{command}`"))
    }

    fn send(&mut self, command: &str) -> Result<()> {
        self.write(format!("${command}#{:02x}", checksum(command.as_bytes())).as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the machine is gone")
    }

    /// The next packet; `None` if none comes within the limit.
    fn receive(&mut self, limit: Duration) -> Result<Option<String>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(packet) = take_packet(&mut self.unread) {
                ensure!(!packet.starts_with(['W', 'X']), "the machine is gone");
                return Ok(Some(packet));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the machine is gone"),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the machine is gone"),
            }
        }
    }
}

/// Takes the first whole packet, and the acknowledgements before it.
fn take_packet(unread: &mut Vec<u8>) -> Option<String> {
    let start = unread.iter().position(|&byte| byte == b'$')?;
    let length = unread[start..].iter().position(|&byte| byte == b'#')?;
    let end = start + length + 3;
    if unread.len() < end {
        return None;
    }
    let packet = String::from_utf8_lossy(&unread[start + 1..start + length]).into_owned();
    unread.drain(..end);
    Some(packet)
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect::<Option<_>>();
    bytes.with_context(|| format!("the stub answers `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_one_by_one() {
        let mut unread = b"+$T05thread:01;#07+$OK#9a$par".to_vec();
        assert_eq!(take_packet(&mut unread).as_deref(), Some("T05thread:01;"));
        assert_eq!(take_packet(&mut unread).as_deref(), Some("OK"));
        assert_eq!(take_packet(&mut unread), None);
        assert_eq!(unread, b"$par");
    }

    #[test]
    fn bytes_come_back_from_their_digits() {
        assert_eq!(bytes(&hexadecimal(&[0, 0x7f, 0xff])).unwrap(), [0, 0x7f, 0xff]);
        assert!(bytes("E14").is_err());
        assert_eq!(checksum(b"OK"), 0x9a);
    }
}
