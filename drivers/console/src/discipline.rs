//! The line discipline: what happens to a byte that is typed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use motte_interfaces::console::mode;

use crate::kept::Description;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const KILL_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

/// The longest line that is edited; more is not taken.
const LONGEST: usize = 4096;

/// The most bytes that wait to be read; more is not taken.
const READ_AHEAD: usize = 65536;

/// What a typed byte asks for, besides input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Nothing.
    Input,
    /// Ctrl-C: interrupt whatever runs in the foreground.
    Interrupt,
}

/// Input on its way from the line to its reader.
#[derive(Debug)]
pub struct Discipline {
    mode: u64,
    line: Vec<u8>,
    ready: VecDeque<u8>,
    /// Positions in `ready` (counted from its front) after which a reader sees the end: Ctrl-D.
    ends: VecDeque<usize>,
}

impl Default for Discipline {
    fn default() -> Self {
        Self { mode: mode::COOKED, line: Vec::new(), ready: VecDeque::new(), ends: VecDeque::new() }
    }
}

impl Discipline {
    /// The mode bits.
    pub fn mode(&self) -> u64 {
        self.mode
    }

    /// Writes down what was typed.
    pub(crate) fn describe(&self, description: &mut Description) {
        description.mode = self.mode;
        description.line.clone_from(&self.line);
        description.ready = self.ready.iter().copied().collect();
        description.ends = self.ends.iter().copied().collect();
    }

    /// With what was typed before.
    pub(crate) fn from(description: &Description) -> Self {
        let Description { mode, line, ready, ends, .. } = description.clone();
        Self { mode, line, ready: ready.into(), ends: ends.into() }
    }

    /// Sets the mode bits. An unfinished line becomes input when lines are no longer wanted.
    pub fn set_mode(&mut self, mode: u64) {
        if mode & mode::LINES == 0 {
            self.ready.extend(self.line.drain(..));
        }
        self.mode = mode;
    }

    /// A byte is typed; `echo` gets what is to be shown.
    pub fn typed(&mut self, byte: u8, echo: &mut Vec<u8>) -> Typed {
        if byte == INTERRUPT && self.mode & mode::INTERRUPT != 0 {
            self.line.clear();
            self.show(b"^C\n", echo);
            return Typed::Interrupt;
        }
        if self.mode & mode::LINES == 0 {
            if self.ready.len() < READ_AHEAD {
                self.ready.push_back(byte);
                self.show(&[byte], echo);
            }
            return Typed::Input;
        }
        match byte {
            b'\r' | b'\n' => {
                self.line.push(b'\n');
                self.show(b"\n", echo);
                self.finish_line();
            }
            END if self.line.is_empty() => self.ends.push_back(self.ready.len()),
            END => self.finish_line(),
            BACKSPACE | DELETE => self.erase(echo),
            KILL_LINE => {
                while !self.line.is_empty() {
                    self.erase(echo);
                }
            }
            KILL_WORD => {
                while self.line.last() == Some(&b' ') {
                    self.erase(echo);
                }
                while self.line.last().is_some_and(|&last| last != b' ') {
                    self.erase(echo);
                }
            }
            _ if self.line.len() < LONGEST => {
                self.line.push(byte);
                match byte {
                    b'\t' => self.show(b" ", echo),
                    0..0x20 => self.show(&[b'^', byte + 0x40], echo),
                    _ => self.show(&[byte], echo),
                }
            }
            _ => self.show(b"\x07", echo),
        }
        Typed::Input
    }

    /// Whether a reader need not wait.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.ends.is_empty() || self.mode & mode::NO_INPUT != 0
    }

    /// Takes up to `length` bytes: at most one line where lines are wanted. Nothing means the end.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        if self.ends.front() == Some(&0) {
            self.ends.pop_front();
            return Vec::new();
        }
        let mut count = length.min(self.ready.len());
        if let Some(&end) = self.ends.front() {
            count = count.min(end);
        }
        if self.mode & mode::LINES != 0
            && let Some(newline) = self.ready.iter().position(|&byte| byte == b'\n')
        {
            count = count.min(newline + 1);
        }
        for end in &mut self.ends {
            *end -= count;
        }
        self.ready.drain(..count).collect()
    }

    /// Puts back what was taken last.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        self.ends.iter_mut().for_each(|end| *end += bytes.len());
        if bytes.is_empty() {
            self.ends.push_front(0);
        }
        bytes.into_iter().rev().for_each(|byte| self.ready.push_front(byte));
    }

    fn finish_line(&mut self) {
        if self.ready.len() + self.line.len() <= READ_AHEAD {
            self.ready.extend(self.line.drain(..));
        }
        self.line.clear();
    }

    fn erase(&mut self, echo: &mut Vec<u8>) {
        // A character is its first byte and the continuation bytes behind it.
        while let Some(byte) = self.line.pop() {
            if byte & 0xc0 == 0x80 {
                continue;
            }
            let width = if byte < 0x20 && byte != b'\t' { 2 } else { 1 };
            for _ in 0..width {
                self.show(b"\x08 \x08", echo);
            }
            return;
        }
    }

    fn show(&self, bytes: &[u8], echo: &mut Vec<u8>) {
        if self.mode & mode::ECHO != 0 {
            echo.extend_from_slice(bytes);
        }
    }
}
