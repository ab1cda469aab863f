//! A machine driven from a program as a person would at its console: types commands, reads what they print.
//!
//! A command is framed by two `echo`s, so that neither the prompt nor the line editor's echo is taken for its output, and
//! so that its status is known. What is typed for a frame differs from what it prints (a quote lies in between), and so the echo of
//! the typing is never taken for the frame.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::compile::System;
use crate::disk::LockedDisk;
use crate::machine::{Console, Ending, Hardware, Machine};
use crate::network::Network;

/// How long a machine may take to its prompt.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How long the machine may take to print the address of its page. A system without a page never does.
const ADDRESS_LIMIT: Duration = Duration::from_secs(20);
/// How long a command may take when nothing else is said.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// How long a clean shutdown may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(60);

/// What the interrupt key sends.
const INTERRUPT: &[u8] = &[3];

/// What a command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it printed, standard error included: both go to the console.
    pub text: String,
    /// Its exit status.
    pub status: u8,
}

/// A booted machine with a shell at its console.
#[derive(Debug)]
pub struct Session {
    machine: Machine,
    console: UnixStream,
    /// What was read and not yet used.
    unread: Vec<u8>,
    /// Everything ever read: what a failed test shows.
    transcript: Vec<u8>,
    frames: u32,
}

/// How long the shell may take to answer Ctrl-C.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(30);

impl Session {
    /// Boots and waits until the shell answers.
    pub fn boot(system: &System, hardware: &Hardware, disk: Option<LockedDisk>) -> Result<Self> {
        let mut machine = Machine::start(system, hardware, disk, Console::Sockets, None)?;
        let console = machine.com1.take().context("the machine has no console")?;
        let mut session = Self { machine, console, unread: Vec::new(), transcript: Vec::new(), frames: 0 };
        session.wait_for_shell().context("the system did not come to its prompt")?;
        if hardware.network != Network::None && find(&session.transcript, b"?token=").is_none() {
            // Where there is a network, the address of the page is printed once, in whatever the console shows then.
            let _ = session.expect("?token=", ADDRESS_LIMIT);
        }
        Ok(session)
    }

    fn wait_for_shell(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT_LIMIT;
        // The first thing the shell prints is its prompt.
        self.read_until(deadline, |unread| (!unread.is_empty()).then_some(()))?;
        let at = self.ask(deadline)?.0;
        self.unread.drain(..at);
        Ok(())
    }

    /// Whether the shell answers what is typed now, and not only what is typed again later. What the console shows stays unread.
    pub fn answers(&mut self, limit: Duration) -> Result<bool> {
        Ok(self.ask(Instant::now() + limit)?.1)
    }

    /// Types an empty frame until it is answered: what is typed while nobody listens may get lost. Where the answer ends in what is unread,
    /// and whether it is the first one's.
    fn ask(&mut self, deadline: Instant) -> Result<(usize, bool)> {
        let mut first = true;
        loop {
            self.frames += 1;
            let ready = format!("ready-{}", self.frames);
            self.send(format!("echo 're''ady-{}'\r", self.frames).as_bytes())?;
            let patience = deadline.min(Instant::now() + Duration::from_secs(10));
            let answer = self.read_until(patience, |unread| find(unread, ready.as_bytes()));
            match answer {
                Ok(at) => return Ok((at + ready.len(), first)),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) if self.machine_has_ended()? => return self.fail("the machine ended"),
                Err(_) => first = false,
            }
        }
    }

    fn machine_has_ended(&mut self) -> Result<bool> {
        Ok(self.ending()?.is_some())
    }

    /// Runs one command line and waits for its end.
    pub fn run(&mut self, command: &str) -> Result<Output> {
        self.run_within(command, COMMAND_LIMIT)
    }

    /// Runs one command line that may take so long.
    pub fn run_within(&mut self, command: &str, limit: Duration) -> Result<Output> {
        self.start(command)?;
        self.finish(limit)
    }

    /// Types one command line and does not wait. [`Session::finish`] follows.
    pub fn start(&mut self, command: &str) -> Result<()> {
        self.frames += 1;
        let number = self.frames;
        // After `&` a `;` would be one separator too many.
        let separator = if command.trim_end().ends_with('&') { "" } else { ";" };
        let line = format!("echo 'be''gin-{number}:'; {command}{separator} echo 'e''nd-{number}:'$?:\r");
        self.send(line.as_bytes())
    }

    /// Presses Ctrl-C, which ends the whole line that [`Session::start`] typed, and has the shell say its status.
    pub fn interrupt(&mut self) -> Result<()> {
        self.send(INTERRUPT)?;
        self.expect("^C", INTERRUPT_LIMIT)?;
        self.expect("# ", INTERRUPT_LIMIT)?;
        let number = self.frames;
        let line = format!("s=$?; echo 'be''gin-{number}:'; echo 'e''nd-{number}:'$s:\r");
        self.send(line.as_bytes())
    }

    /// Types as it is, with no frame around it.
    pub fn type_keys(&mut self, keys: &str) -> Result<()> {
        self.send(keys.as_bytes())
    }

    /// Waits until the text appears on the console, and forgets what came before its end.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let at = self
            .read_until(Instant::now() + limit, |unread| find(unread, text.as_bytes()))
            .with_context(|| format!("`{text}` did not appear"))?;
        let before: Vec<u8> = self.unread.drain(..at + text.len()).collect();
        Ok(plain(&before))
    }

    /// Reads for so long; returns what the console showed meanwhile, whole lines only.
    pub fn watch(&mut self, time: Duration) -> Result<String> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if !self.receive(deadline)? && self.machine_has_ended()? {
                return self.fail("the machine ended");
            }
        }
        let end = self.unread.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.unread.drain(..end).collect();
        Ok(plain(&lines))
    }

    /// Waits for the end of the command that was started last.
    pub fn finish(&mut self, limit: Duration) -> Result<Output> {
        let deadline = Instant::now() + limit;
        let begin = format!("begin-{}:", self.frames);
        let end = format!("end-{}:", self.frames);
        let (from, to, status, after) = self.read_until(deadline, |unread| {
            let from = find(unread, begin.as_bytes())? + begin.len();
            let from = from + unread[from..].iter().position(|&byte| byte == b'\n')? + 1;
            let to = from + find(&unread[from..], end.as_bytes())?;
            let rest = &unread[to + end.len()..];
            let length = rest.iter().position(|&byte| byte == b':')?;
            let status = std::str::from_utf8(&rest[..length]).ok()?.parse::<u8>().ok()?;
            Some((from, to, status, to + end.len() + length + 1))
        })?;
        let text = plain(&self.unread[from..to]);
        self.unread.drain(..after);
        Ok(Output { text, status })
    }

    /// Shuts the system down as a person would; returns how the machine ended.
    pub fn shutdown(self) -> Result<Ending> {
        self.shutdown_hearing(|_| {})
    }

    /// The same; `hear` gets what the console showed until the end.
    pub fn shutdown_hearing(mut self, hear: impl FnOnce(&str)) -> Result<Ending> {
        self.send(b"shutdown\r")?;
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        // Read on, so that the machine never waits for a console that is full.
        while self.receive(deadline)? {}
        hear(&plain(&self.unread));
        match self.machine.wait_until(Some(deadline))? {
            Some(ending) => Ok(ending),
            None => self.fail("the system did not shut down"),
        }
    }

    /// How the machine ended, if it has.
    pub fn ending(&mut self) -> Result<Option<Ending>> {
        self.machine.wait_until(Some(Instant::now()))
    }

    /// The stub through which the machine is stopped and changed, if its hardware has one. To be asked for once.
    pub fn take_stub(&mut self) -> Option<UnixStream> {
        self.machine.stub.take()
    }

    /// Cuts the power.
    pub fn cut_power(mut self) -> Result<()> {
        self.machine.kill()
    }

    /// The kernel's log so far.
    #[must_use]
    pub fn kernel_log(&self) -> String {
        self.machine.kernel_log()
    }

    /// Everything the console has shown so far.
    #[must_use]
    pub fn transcript(&self) -> String {
        plain(&self.transcript)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        // A serial line has a small buffer and a person types slowly; long lines go in pieces.
        for piece in bytes.chunks(64) {
            self.console.write_all(piece).context("the machine's console is gone")?;
        }
        Ok(())
    }

    /// Reads once. False when the machine is gone or the time is over.
    fn receive(&mut self, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.console.set_read_timeout(Some(left))?;
        let mut buffer = [0; 4096];
        match self.console.read(&mut buffer) {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                self.transcript.extend_from_slice(&buffer[..count]);
                Ok(count > 0)
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Ok(false),
                std::io::ErrorKind::ConnectionReset => Ok(false),
                std::io::ErrorKind::Interrupted => Ok(true),
                _ => Err(error).context("the machine's console could not be read"),
            },
        }
    }

    fn read_until<T>(&mut self, deadline: Instant, found: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = found(&self.unread) {
                return Ok(found);
            }
            if !self.receive(deadline)? {
                if self.machine_has_ended()? {
                    return self.fail("the machine ended");
                }
                return self.fail("the console stayed silent");
            }
        }
    }

    /// An error with the end of what the console showed and of the kernel's log.
    fn fail<T>(&self, what: &str) -> Result<T> {
        let last = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        bail!(
            "{what}; the console's last lines:\n{}\nthe kernel log's last lines:\n{}",
            last(&self.transcript()),
            last(&self.kernel_log())
        )
    }
}

/// Where `needle` first lies in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// Text as a person sees it: no carriage returns, no escape sequences.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\x1b' => {
                // A control sequence ends with a letter (ECMA-48, 5.4); any other escape has one character.
                if characters.next_if_eq(&'[').is_some() {
                    for character in characters.by_ref() {
                        if ('@'..='~').contains(&character) {
                            break;
                        }
                    }
                } else {
                    characters.next();
                }
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_freed_of_carriage_returns_and_escapes() {
        assert_eq!(plain(b"\x1b[1mls\x1b[0m\r\nfile\r\n\x1b[2Kend"), "ls\nfile\nend");
    }

    #[test]
    fn a_needle_is_found_where_it_first_lies() {
        assert_eq!(find(b"begin-1:x begin-1:", b"begin-1:"), Some(0));
        assert_eq!(find(b"echo 'be''gin-1:'", b"begin-1:"), None);
    }
}
