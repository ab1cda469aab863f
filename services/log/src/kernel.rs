//! Cuts the kernel's log, a ring of bytes that the kernel goes on writing, into lines.

use alloc::string::String;
use alloc::vec::Vec;

/// Where one was in the ring, and the line that has not ended yet.
#[derive(Debug, Default)]
pub struct KernelLines {
    taken: u64,
    unfinished: Vec<u8>,
}

/// A longer line of the kernel's is cut here.
const LONGEST: usize = 512;

impl KernelLines {
    /// Goes on behind so many bytes.
    pub fn from(taken: u64) -> Self {
        Self { taken, unfinished: Vec::new() }
    }

    /// Bytes of the lines that have ended.
    pub fn cut(&self) -> u64 {
        self.taken - self.unfinished.len() as u64
    }

    /// The lines that have ended since the last time. `written` is how many bytes the kernel ever wrote, `byte` gives the
    /// one at an index of the ring of `size` bytes. Bytes that were overwritten before they were taken are lost; a line says so.
    pub fn take(&mut self, written: u64, size: usize, byte: impl Fn(usize) -> u8) -> Vec<String> {
        let mut lines = Vec::new();
        if size == 0 || written < self.taken {
            return lines;
        }
        let oldest = written.saturating_sub(size as u64);
        if oldest > self.taken {
            lines.push(alloc::format!("({} bytes of kernel messages were overwritten)", oldest - self.taken));
            self.taken = oldest;
            self.unfinished.clear();
        }
        while self.taken < written {
            let next = byte((self.taken % size as u64) as usize);
            self.taken += 1;
            if next == b'\n' || self.unfinished.len() == LONGEST {
                lines.push(String::from_utf8_lossy(&self.unfinished).into_owned());
                self.unfinished.clear();
            }
            if next != b'\n' {
                self.unfinished.push(next);
            }
        }
        lines
    }
}
