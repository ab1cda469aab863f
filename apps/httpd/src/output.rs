//! What is still to be sent on a connection: pieces, taken from memory or from files as there is room for them.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::folder::{Entry, Folder};
use crate::site::{Kept, PIECE, Site};
use crate::target;

/// A piece of an answer.
pub enum Piece<F> {
    /// A few fixed bytes.
    Fixed(&'static [u8]),
    /// Bytes of this answer alone.
    Own(Vec<u8>),
    /// Part of a file that is kept.
    Kept(Rc<Kept>, Range<usize>),
    /// What the dashboard answered.
    Shared(Arc<[u8]>),
    /// Part of a file; the file comes with the first part of it.
    File(Rc<core::cell::RefCell<F>>, Range<u64>),
    /// Lines of a listing, in chunks if `true`.
    Listing(vec::IntoIter<Entry>, bool),
}

/// A file could not be read to the end that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The pieces, and how much of the first one was sent.
pub struct Output<F> {
    pieces: VecDeque<Piece<F>>,
    sent: usize,
    /// The most bytes that the scratch memory gets at once: no more than the peer took last, if that was little.
    gather: usize,
}

impl<F> Default for Output<F> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), sent: 0, gather: PIECE }
    }
}

impl<F> Output<F> {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Piece<F>) {
        let is_empty = match &piece {
            Piece::Fixed(bytes) => bytes.is_empty(),
            Piece::Own(bytes) => bytes.is_empty(),
            Piece::Kept(_, range) => range.is_empty(),
            Piece::Shared(bytes) => bytes.is_empty(),
            Piece::File(_, range) => range.is_empty(),
            Piece::Listing(..) => false,
        };
        if !is_empty {
            self.pieces.push_back(piece);
        }
    }

    /// The bytes to send next, as many as lie together or fit the scratch memory. Not empty unless the output is.
    pub fn bytes<'a, D: Folder<File = F>>(&'a mut self, site: &'a mut Site<D>) -> Result<&'a [u8], Broken> {
        // A single long piece is sent from where it lies.
        match self.pieces.front() {
            Some(Piece::Kept(kept, range)) if self.pieces.len() == 1 || range.len() >= PIECE => {
                let Some(Piece::Kept(kept, range)) = self.pieces.front() else { return Ok(&[]) };
                return Ok(&kept.bytes[range.clone()][self.sent..]);
            }
            Some(Piece::Listing(..)) => self.write_listing(),
            _ => {}
        }
        if let Some(Piece::Shared(bytes)) = self.pieces.front()
            && bytes.len() - self.sent >= PIECE
        {
            let Some(Piece::Shared(bytes)) = self.pieces.front() else { return Ok(&[]) };
            return Ok(&bytes[self.sent..]);
        }
        let Site { folder, scratch, .. } = site;
        let mut length = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            let skip = if index == 0 { self.sent } else { 0 };
            let room = &mut scratch[length..self.gather];
            let bytes = match piece {
                Piece::Fixed(bytes) => &bytes[skip..],
                Piece::Own(bytes) => &bytes[skip..],
                Piece::Kept(kept, range) => &kept.bytes[range.clone()][skip..],
                Piece::Shared(bytes) => &bytes[skip..],
                Piece::File(file, range) => {
                    let left = range.end - range.start - skip as u64;
                    let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if most == 0 {
                        break;
                    }
                    let at = range.start + skip as u64;
                    match folder.read(&mut file.borrow_mut(), at, &mut room[..most]) {
                        Ok(count) if count > 0 => length += count,
                        // What lies before it is still sent.
                        _ if length > 0 => break,
                        _ => return Err(Broken),
                    }
                    break;
                }
                Piece::Listing(..) => break,
            };
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            length += count;
            if count < bytes.len() {
                break;
            }
        }
        Ok(&scratch[..length])
    }

    /// Says how many of these bytes were sent.
    pub fn sent(&mut self, mut count: usize) {
        // A reader with little room gets as little read for it, so that what it did not take is not read again and again.
        self.gather = count.next_power_of_two().clamp(2048, PIECE / 2) * 2;
        while let Some(piece) = self.pieces.front_mut() {
            let length = match piece {
                Piece::Fixed(bytes) => bytes.len(),
                Piece::Own(bytes) => bytes.len(),
                Piece::Kept(_, range) => range.len(),
                Piece::Shared(bytes) => bytes.len(),
                Piece::File(_, range) => {
                    let part = (range.end - range.start).min(count as u64);
                    range.start += part;
                    count -= part as usize;
                    if range.is_empty() {
                        self.pieces.pop_front();
                        continue;
                    }
                    return;
                }
                Piece::Listing(..) => return,
            };
            if count < length - self.sent {
                self.sent += count;
                return;
            }
            count -= length - self.sent;
            self.sent = 0;
            self.pieces.pop_front();
        }
    }

    /// Puts the next lines of the listing in front before what is left of it.
    fn write_listing(&mut self) {
        let Some(Piece::Listing(mut entries, chunked)) = self.pieces.pop_front() else { return };
        let mut text = Vec::new();
        for entry in entries.by_ref().take(64) {
            put_entry(&entry, &mut text);
        }
        if entries.len() > 0 {
            self.pieces.push_front(Piece::Listing(entries, chunked));
        }
        if !text.is_empty() {
            self.pieces.push_front(Piece::Own(if chunked { chunk(&text) } else { text }));
        }
    }
}

/// One line of a listing.
fn put_entry(entry: &Entry, text: &mut Vec<u8>) {
    let slash = if entry.is_directory { "/" } else { "" };
    text.extend_from_slice(b"<li><a href=\"./");
    target::encode(&entry.name, text);
    text.extend_from_slice(slash.as_bytes());
    text.extend_from_slice(b"\">");
    text.extend_from_slice(escaped(&entry.name).as_bytes());
    text.extend_from_slice(slash.as_bytes());
    text.extend_from_slice(b"</a></li>\n");
}

/// Text as it may stand in HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Bytes as one chunk (RFC 9112, section 7.1).
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = alloc::format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The last chunk.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
