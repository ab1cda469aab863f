//! What was written is read, under the name that it was given and as long as it was made.
//!
//! Nothing is written to a disk for the question's sake: new files are made in memory, and on the disk only while it has something
//! to write anyway.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::fs::{FileKind, FilesClient, open};
use motte_interfaces::stream::{StreamClient, Whence};

use super::{FILES, Machine, pattern};
use crate::complaint::{Answer, Kind};

/// The folder of what belongs to the questions on the disk.
const FOLDER: &str = "/var/lib/health";
/// A file that is always there, and what it holds.
const KNOWN: &str = "/var/lib/health/known";
const KNOWN_SEED: u64 = 8;
const KNOWN_BYTES: usize = 6000;
/// Where new files are made.
const SCRATCH: [&str; 2] = ["/tmp/health", "/var/lib/health/scratch"];

/// A client of the file server.
struct Client<'a, M: Machine> {
    machine: &'a M,
    files: FilesClient<&'a M::Transport>,
    streams: StreamClient<&'a M::Transport>,
}

/// Asks. `is_known`: the file that is always there was seen to be as it should be. Before that it is written anew if it is not: what lies on a
/// disk may be damaged, and no restart mends that.
pub fn ask<M: Machine>(machine: &M, files: &M::Transport, is_known: &mut bool, seed: u64) -> Answer {
    let client = Client { machine, files: FilesClient::new(files), streams: StreamClient::new(files) };
    let [a, b, c, d] = machine.pages();
    FILES.does("take lent pages", client.streams.attach(0, a, b, c, d))?;
    match client.known() {
        Err(complaint) if complaint.kind == Kind::Wrong && !*is_known => {
            client.write_known()?;
            client.known()?;
        }
        answer => answer?,
    }
    *is_known = true;
    client.scratch(SCRATCH[0], seed)?;
    let cache = FILES.does("tell of its cache", client.files.cache())?;
    if cache.dirty > 0 { client.scratch(SCRATCH[1], seed) } else { Ok(()) }
}

impl<M: Machine> Client<'_, M> {
    /// Opens a file for one piece of work.
    fn with<T>(&self, path: &str, flags: u64, work: impl FnOnce(u64) -> Answer<T>) -> Answer<T> {
        let handle = FILES.does(&format!("open {path}"), self.files.open(path, flags, 0o644))?;
        let done = work(handle);
        let closed = FILES.does(&format!("close {path}"), self.streams.close(handle));
        done.and_then(|done| closed.map(|()| done))
    }

    /// Reads from lent pages to the end.
    fn holds(&self, handle: u64, path: &str, right: &[u8]) -> Answer {
        let asked = format!("read {path}");
        let mut at = 0;
        loop {
            // The rest in two pieces, and more than there is: it ends where it ends.
            let most = (right.len() / 2 + 1) as u64;
            let count = FILES.does(&asked, self.streams.read_shared(handle, 0, most))?;
            let rest = &right[at..];
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len() + 1);
            if count == 0 {
                return FILES.says(&format!("the length of what {path} holds"), at, right.len());
            }
            let found = self.machine.get(count);
            FILES.gives(&format!("{path} from byte {at} on"), &found, &rest[..count.min(rest.len())])?;
            at += count;
        }
    }

    /// A file that was written once holds what it held.
    fn known(&self) -> Answer {
        let bytes = pattern(KNOWN_SEED, KNOWN_BYTES);
        match self.files.metadata(KNOWN, true) {
            // It was never written, or somebody has removed it.
            Err(IoError::NotFound) => return self.write_known(),
            info => FILES.says(
                &format!("the size of {KNOWN}"),
                FILES.does(&format!("tell of {KNOWN}"), info)?.size,
                bytes.len() as u64,
            )?,
        }
        self.with(KNOWN, open::READ, |handle| self.holds(handle, KNOWN, &bytes))
    }

    fn write_known(&self) -> Answer {
        let bytes = pattern(KNOWN_SEED, KNOWN_BYTES);
        for at in FOLDER.match_indices('/').skip(1).map(|(at, _)| at).chain([FOLDER.len()]) {
            match self.files.create_directory(&FOLDER[..at], 0o755) {
                Err(IoError::AlreadyExists) => {}
                made => FILES.does(&format!("make {}", &FOLDER[..at]), made)?,
            }
        }
        self.with(KNOWN, open::WRITE | open::CREATE | open::TRUNCATE, |handle| {
            self.write(handle, KNOWN, &bytes)?;
            FILES.does(&format!("write {KNOWN} to the disk"), self.files.sync(handle))
        })
    }

    fn write(&self, handle: u64, path: &str, bytes: &[u8]) -> Answer {
        self.machine.put(bytes);
        let written = self.streams.write_shared(handle, 0, bytes.len() as u64);
        let written = FILES.does(&format!("write {path}"), written)?;
        FILES.says(&format!("the bytes written to {path}"), written, bytes.len() as u64)
    }

    /// Makes a folder with a file in it, and takes both away again.
    fn scratch(&self, folder: &str, seed: u64) -> Answer {
        match self.files.create_directory(folder, 0o755) {
            Ok(()) => {}
            // A former round did not come to its end.
            Err(IoError::AlreadyExists) => self.clear(folder)?,
            // There is no such place in this system.
            Err(IoError::NotFound) => return Ok(()),
            Err(error) => return FILES.does(&format!("make {folder}"), Err(error)),
        }
        let (first, second) = (format!("{folder}/{seed:x}"), format!("{folder}/{seed:x}-renamed"));
        let inline = pattern(seed, 1 + (seed % 700) as usize);
        let bytes: Vec<u8> = [inline.clone(), pattern(!seed, 3000 + (seed % 5000) as usize)].concat();
        let length = bytes.len() as u64;
        self.with(&first, open::READ | open::WRITE | open::CREATE_NEW, |handle| {
            let written = FILES.does(&format!("write {first}"), self.streams.write(handle, &inline))?;
            FILES.says(&format!("the bytes written to {first}"), written, inline.len() as u64)?;
            self.write(handle, &first, &bytes[inline.len()..])?;
            let size = FILES.does(&format!("tell of {first}"), self.files.handle_metadata(handle))?.size;
            FILES.says(&format!("the size of {first}"), size, length)?;
            self.seek(handle, Whence::Start, 0, 0)?;
            self.holds(handle, &first, &bytes)?;
            self.seek(handle, Whence::End, -3, length - 3)?;
            let end = FILES.does(&format!("read the end of {first}"), self.streams.read(handle, 8))?;
            FILES.gives(&format!("the end of {first}"), &end.0, &bytes[bytes.len() - 3..])?;
            FILES.does(&format!("cut {first}"), self.files.set_length(handle, length / 2))?;
            let size = FILES.does(&format!("tell of {first}"), self.files.handle_metadata(handle))?.size;
            FILES.says(&format!("the size of {first} when it was cut"), size, length / 2)
        })?;
        FILES.does(&format!("rename {first}"), self.files.rename(&first, &second))?;
        FILES.refuses(
            &format!("tell of {first}, which was renamed"),
            self.files.metadata(&first, true),
            IoError::NotFound,
        )?;
        let info = FILES.does(&format!("tell of {second}"), self.files.metadata(&second, true))?;
        FILES.says(&format!("kind and size of {second}"), (info.kind, info.size), (FileKind::File, length / 2))?;
        let half = &bytes[..bytes.len() / 2];
        self.with(&second, open::READ, |handle| self.holds(handle, &second, half))?;
        FILES.says(&format!("the names in {folder}"), self.names(folder)?, [format!("{seed:x}-renamed")].into())?;
        FILES.does(&format!("remove {second}"), self.files.remove_file(&second))?;
        FILES.refuses(
            &format!("tell of {second}, which was removed"),
            self.files.metadata(&second, true),
            IoError::NotFound,
        )?;
        FILES.does(&format!("remove {folder}"), self.files.remove_directory(folder))
    }

    fn seek(&self, handle: u64, whence: Whence, offset: i64, right: u64) -> Answer {
        let position = FILES.does("set a position", self.streams.seek(handle, whence, offset))?;
        FILES.says("a position that was set", position, right)
    }

    /// Removes what lies in a folder.
    fn clear(&self, folder: &str) -> Answer {
        for name in self.names(folder)? {
            FILES.does(&format!("remove {name} from {folder}"), self.files.remove_file(&format!("{folder}/{name}")))?;
        }
        Ok(())
    }

    /// The names in a small folder.
    fn names(&self, folder: &str) -> Answer<Vec<String>> {
        self.with(folder, open::READ | open::DIRECTORY, |handle| {
            let (_, entries) = FILES.does(&format!("list {folder}"), self.files.read_directory(handle, 0))?;
            Ok(names(&entries.0))
        })
    }
}

/// The names of packed entries ([`FilesClient::read_directory`]).
fn names(mut entries: &[u8]) -> Vec<String> {
    core::iter::from_fn(|| {
        let (head, rest) = entries.split_first_chunk::<10>()?;
        let (name, rest) = rest.split_at_checked(usize::from(head[9]))?;
        entries = rest;
        Some(String::from_utf8_lossy(name).into_owned())
    })
    .collect()
}
