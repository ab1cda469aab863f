//! One pipe: bytes, and how many hold each end.

use alloc::collections::VecDeque;

/// Bytes that a pipe holds before its writer must wait, as on Linux.
pub const CAPACITY: usize = 65536;

/// A queue of bytes with two kinds of ends.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
}

/// Which end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where bytes come out.
    Reading,
    /// Where bytes go in.
    Writing,
}

impl Pipe {
    /// Bytes that can be written now.
    pub fn room(&self) -> usize {
        CAPACITY - self.bytes.len()
    }

    /// Bytes that can be read now.
    pub fn available(&self) -> usize {
        self.bytes.len()
    }

    /// Appends as many as there is room for; returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..count]);
        count
    }

    /// Moves the oldest bytes into `into`; returns how many.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let first = count.min(front.len());
        into[..first].copy_from_slice(&front[..first]);
        into[first..count].copy_from_slice(&back[..count - first]);
        self.bytes.drain(..count);
        count
    }

    /// Somebody holds an end.
    pub fn hold(&mut self, end: End) {
        *self.holders(end) += 1;
    }

    /// Somebody let go of an end. Returns whether nobody holds either any more.
    pub fn release(&mut self, end: End) -> bool {
        *self.holders(end) -= 1;
        self.readers == 0 && self.writers == 0
    }

    /// Whether nobody will ever write again.
    pub fn ended(&self) -> bool {
        self.writers == 0
    }

    /// Whether nobody will ever read again.
    pub fn broken(&self) -> bool {
        self.readers == 0
    }

    fn holders(&mut self, end: End) -> &mut usize {
        match end {
            End::Reading => &mut self.readers,
            End::Writing => &mut self.writers,
        }
    }
}
