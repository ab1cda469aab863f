//! The files that are served, and the small ones among them kept in memory with their heads, ready to be sent.
//!
//! A kept file is looked at again, by its attributes, when that was last done [`FRESH_NS`] ago: so long may an answer be behind the disk.
//! The file system counts time in seconds; a file that was changed in the second in which it was read is read again until that second is over.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use hashbrown::HashMap;

use crate::date;
use crate::folder::{Folder, FolderError, Info};
use crate::media;

/// How long a kept file is taken to be as it was.
pub const FRESH_NS: u64 = 100_000_000;
/// The largest file that is kept.
const LARGEST_KEPT: u64 = 64 << 10;
/// Bytes that are read, or gathered for one write, at once.
pub const PIECE: usize = 16 << 10;
/// What is sent for a directory, if it is there.
const INDEX: &str = "index.html";
/// What a directory's path has at most; a longer one is no file.
const LONGEST_PATH: usize = 1024;

/// What an answer says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes.
    pub size: u64,
    /// Last change, in seconds since 1970.
    pub modified: i64,
    /// Its entity tag, with its quotes. A weak one begins with `W/`.
    pub tag: String,
    /// Its media type.
    pub media: &'static str,
}

/// A file that is kept: its answer's head and contents, one behind the other.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Head and contents.
    pub bytes: Vec<u8>,
    /// Bytes of the head.
    pub head: usize,
    /// What is known of it.
    pub meta: Meta,
    /// Where the date lies in the head, and the second that it says.
    date_at: usize,
    date: i64,
    /// Where the file is.
    source: Box<str>,
    info: Info,
    /// When its attributes were last looked at.
    checked_ns: u64,
    /// Whether it cannot have been changed unseen.
    settled: bool,
}

/// What a path leads to.
pub enum Found<F> {
    /// A small file.
    Kept(Rc<Kept>),
    /// A large file.
    File(F, Meta),
    /// A directory without an index.
    Directory,
    /// A directory, named without the slash at its end.
    NeedsSlash,
}

/// The folder and what is kept of it.
pub struct Site<F: Folder> {
    /// The folder.
    pub folder: F,
    kept: HashMap<Box<str>, Rc<Kept>>,
    kept_bytes: usize,
    /// The most bytes that are kept.
    room: usize,
    /// Where pieces of answers are put together.
    pub(crate) scratch: Vec<u8>,
    now_ns: u64,
    unix_offset_ns: u64,
    date: i64,
    date_text: date::Text,
}

impl<F: Folder> Site<F> {
    /// Serves a folder, and keeps at most `room` bytes of files. `unix_offset_ns` is the time since 1970 when the monotonic clock shows 0.
    pub fn new(folder: F, room: usize, unix_offset_ns: u64) -> Self {
        let mut site = Self {
            folder,
            kept: HashMap::new(),
            kept_bytes: 0,
            room,
            scratch: vec![0; PIECE],
            now_ns: 0,
            unix_offset_ns,
            date: -1,
            date_text: date::format(0),
        };
        site.set_time(0);
        site
    }

    /// Says what the monotonic clock shows.
    pub fn set_time(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let second = (self.unix_offset_ns.saturating_add(now_ns) / 1_000_000_000) as i64;
        if second != self.date {
            self.date = second;
            self.date_text = date::format(second);
        }
    }

    /// What the monotonic clock showed last.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The date, for a head.
    pub fn date(&self) -> &str {
        date::text(&self.date_text)
    }

    /// What a path leads to.
    pub fn find(&mut self, path: &str) -> Result<Found<F::File>, FolderError> {
        if let Some(kept) = self.kept.get(path)
            && self.now_ns.saturating_sub(kept.checked_ns) < FRESH_NS
        {
            return Ok(Found::Kept(kept.clone()));
        }
        self.look(path)
    }

    /// As [`Site::find`], when nothing is known or it is no longer fresh.
    #[cold]
    fn look(&mut self, path: &str) -> Result<Found<F::File>, FolderError> {
        if path.len() > LONGEST_PATH {
            return Err(FolderError::NotFound);
        }
        if let Some(kept) = self.kept.get_mut(path) {
            if kept.settled && self.folder.info(&kept.source) == Ok(kept.info) {
                let (checked_ns, date) = (self.now_ns, self.date);
                // Copied, if it is being sent to somebody slow.
                let kept_entry = Rc::make_mut(kept);
                kept_entry.checked_ns = checked_ns;
                if kept_entry.date != date {
                    kept_entry.date = date;
                    let at = kept_entry.date_at;
                    kept_entry.bytes[at..at + self.date_text.len()].copy_from_slice(&self.date_text);
                }
                return Ok(Found::Kept(kept.clone()));
            }
            self.forget(path);
        }
        if !path.ends_with('/') {
            return match self.folder.info(path)? {
                Info { is_directory: true, .. } => Ok(Found::NeedsSlash),
                _ => self.load(path, path),
            };
        }
        let index = alloc::format!("{path}{INDEX}");
        match self.load(path, &index) {
            Err(FolderError::NotFound) => match self.folder.info(path)? {
                Info { is_directory: true, .. } => Ok(Found::Directory),
                _ => Err(FolderError::NotFound),
            },
            found => found,
        }
    }

    /// Opens the file at `source`, and keeps it as `path` if it is small.
    fn load(&mut self, path: &str, source: &str) -> Result<Found<F::File>, FolderError> {
        let (mut file, info) = self.folder.open(source)?;
        if info.is_directory {
            return Err(FolderError::NotFound);
        }
        // A change within the same second could not be told from this one.
        let settled = info.modified.max(info.changed) + 1 < self.date;
        let media = media::of_name(source);
        if info.size > LARGEST_KEPT {
            let weak = if settled { "" } else { "W/" };
            let tag = alloc::format!("{weak}\"{:x}-{:x}-{:x}\"", info.inode, info.size, info.modified);
            return Ok(Found::File(file, Meta { size: info.size, modified: info.modified, tag, media }));
        }
        let mut contents = vec![0; info.size as usize];
        let mut length = 0;
        while length < contents.len() {
            match self.folder.read(&mut file, length as u64, &mut contents[length..])? {
                0 => break,
                count => length += count,
            }
        }
        contents.truncate(length);
        let tag = alloc::format!("\"{:016x}\"", fingerprint(&contents));
        let meta = Meta { size: length as u64, modified: info.modified, tag, media };
        let mut bytes = Vec::with_capacity(contents.len() + 320);
        let date_at = self.put_head(&mut bytes, &meta);
        let head = bytes.len();
        bytes.extend_from_slice(&contents);
        let kept = Rc::new(Kept {
            bytes,
            head,
            meta,
            date_at,
            date: self.date,
            source: source.into(),
            info,
            checked_ns: self.now_ns,
            settled,
        });
        self.keep(path, kept.clone());
        Ok(Found::Kept(kept))
    }

    /// Writes the head of a whole file on a connection that stays open; returns where the date lies.
    fn put_head(&self, bytes: &mut Vec<u8>, meta: &Meta) -> usize {
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
        let date_at = bytes.len();
        bytes.extend_from_slice(&self.date_text);
        let mut head = String::new();
        let _ = write!(head, "\r\nContent-Length: {}\r\n", meta.size);
        meta.put_fields(&mut head);
        head.push_str("\r\n");
        bytes.extend_from_slice(head.as_bytes());
        date_at
    }

    fn keep(&mut self, path: &str, kept: Rc<Kept>) {
        let bytes = kept.bytes.len();
        if bytes > self.room {
            return;
        }
        if self.kept_bytes + bytes > self.room {
            // Rare, and cheap to mend: whatever is wanted is read again.
            self.kept.clear();
            self.kept_bytes = 0;
        }
        self.kept_bytes += bytes;
        if let Some(former) = self.kept.insert(path.into(), kept) {
            self.kept_bytes -= former.bytes.len();
        }
    }

    fn forget(&mut self, path: &str) {
        if let Some(former) = self.kept.remove(path) {
            self.kept_bytes -= former.bytes.len();
        }
    }
}

impl Meta {
    /// The fields that say what a file is.
    pub fn put_fields(&self, head: &mut String) {
        let _ = write!(
            head,
            "Content-Type: {}\r\nLast-Modified: {}\r\nETag: {}\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n",
            self.media,
            date::text(&date::format(self.modified)),
            self.tag,
        );
    }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv-21), over words: tells the versions of one file apart.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^ hash >> 29
    })
}
