//! Requests to the file system service.
//!
//! Open files belong to the client whose badge the request carried. A handle names the server's generation as well as the open file, so
//! that one from before a restart is told apart ([`IoError::ServiceRestarted`]) and never leads to another file. A capability made by
//! `duplicate` stands for one open file: its badge is that of a client of its own, which has this one file, as handle 0.
//!
//! A client's paths begin at the root, or at the folder that the manifest gives it as one ([`Root`]), which it does not see beyond. The paths of
//! such a capability's holder begin at its open directory, and it changes nothing there.
//!
//! What survives a restart of this service stands in [`motte_interfaces::fs`].

mod root;
mod stream;

use alloc::{string::String, vec::Vec};

use motte_interfaces::{
    Bytes, Replier, Sender, badge,
    error::IoError,
    fs::{CacheInfo, FileInfo, FileKind, FileSystemInfo, Files, MountInfo},
};

use crate::{
    cache::PAGE_SIZE,
    filesystem::{AttributeChange, DirectoryEntry, Kind},
    kept::{Kept, Word},
    memory::LentPages,
    vfs::{Handle, OpenFlags, Status, Vfs},
};

pub use root::{Root, Roots};

/// Bytes of packed entries in one answer: 112 words, less the cookie's and the length's.
const ENTRY_BYTES: usize = 110 * 8;
/// Bytes of an entry before its name.
const ENTRY_HEAD: usize = 10;
/// Entries asked for at once; about as many as fit.
const ENTRIES: usize = 40;
/// Words of an answer that mounts may take.
const MOUNT_WORDS: usize = 110;
/// The longest text of a mount's line.
const MOUNT_TEXT: usize = 200;
/// What a memory file system may hold when its options do not say.
const MEMORY_DEFAULT: u64 = 1 << 20;
/// Bits of a generation that go into handles and badges, below [`badge::LIFECYCLE`].
const GENERATION_MASK: u64 = (1 << 30) - 1;

/// The service. `R` answers callers, `P` has the pages that they lend.
pub struct FilesServer<R, P> {
    replier: R,
    pages: P,
    /// `None` after the shutdown.
    vfs: Option<Vfs>,
    roots: Roots,
    /// The generation from which on handles count.
    epoch: u64,
    next_object: u64,
    kept: Option<Kept>,
    /// Whether something was changed since this was last asked.
    changed: bool,
    /// Whether the last sync on our own account failed.
    sync_failed: bool,
}

impl<R: Replier, P: LentPages> FilesServer<R, P> {
    /// Serves `vfs`; `epoch` is the number of the start of this service, from 1, from which on handles count.
    pub fn new(replier: R, pages: P, vfs: Vfs, roots: Roots, epoch: u64) -> Self {
        let epoch = (epoch & GENERATION_MASK).max(1);
        Self {
            replier,
            pages,
            vfs: Some(vfs),
            roots,
            epoch,
            next_object: 1,
            kept: None,
            changed: false,
            sync_failed: false,
        }
    }

    /// As [`FilesServer::new`], going on with the handles and objects that `kept` tells of.
    pub fn resume(replier: R, pages: P, vfs: Vfs, roots: Roots, kept: Kept) -> Self {
        let mut server = Self::new(replier, pages, vfs, roots, kept.word(Word::Epoch));
        server.next_object = kept.word(Word::NextObject).max(1);
        server.kept = Some(kept);
        // What the former server had not written back yet waits still.
        server.changed = true;
        server
    }

    /// A request with this number comes next; 0 if it has none.
    #[inline]
    pub fn begin_request(&mut self, number: u64) {
        if let Some(vfs) = &mut self.vfs {
            vfs.begin_request(number);
        }
    }

    /// The result of a change of names. A request that repeats one which was done finds its work done.
    fn once(&mut self, already: &[IoError], result: Result<(), IoError>) -> Result<(), IoError> {
        match result {
            Err(error) if already.contains(&error) && self.vfs()?.was_done() => Ok(()),
            result => result,
        }
    }

    fn vfs(&mut self) -> Result<&mut Vfs, IoError> {
        self.vfs.as_mut().ok_or(IoError::ServiceGone)
    }

    /// The tree, for a change of it.
    fn change(&mut self) -> Result<&mut Vfs, IoError> {
        self.changed = true;
        self.vfs()
    }

    /// Whether requests since this was last asked have left something that is not on the disk: then [`FilesServer::write_back`] is due in
    /// a while.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed) && self.vfs.as_ref().is_some_and(Vfs::needs_sync)
    }

    /// The client that sent a request.
    fn client(&self, sender: &Sender) -> Result<u64, IoError> {
        let client = sender.badge & !badge::LIFECYCLE;
        let earlier = client & badge::OBJECT != 0 && client >> 32 & GENERATION_MASK != self.epoch;
        if earlier { Err(IoError::ServiceRestarted) } else { Ok(client) }
    }

    /// The handle as clients know it.
    fn number(&self, handle: Handle) -> u64 {
        self.epoch << 32 | u64::from(handle)
    }

    /// The open file that a handle names.
    fn file(&self, sender: &Sender, handle: u64) -> Result<(u64, Handle), IoError> {
        let client = self.client(sender)?;
        if handle == 0 && client & badge::OBJECT != 0 {
            return Ok((client, 0));
        }
        match handle >> 32 {
            generation if generation == self.epoch => Ok((client, handle as Handle)),
            generation if (1..self.epoch).contains(&generation) => Err(IoError::ServiceRestarted),
            _ => Err(IoError::BadHandle),
        }
    }

    /// Writes back what waits in memory, as is done every few seconds. A failure is logged, once until it works again.
    pub fn write_back(&mut self) {
        let Some(vfs) = &mut self.vfs else { return };
        if !vfs.needs_sync() {
            return;
        }
        match vfs.sync() {
            Ok(()) => self.sync_failed = false,
            Err(error) => {
                if !self.sync_failed {
                    log::error!("files cannot be written to the disk: {error}");
                }
                self.sync_failed = true;
            }
        }
    }
}

fn kind_of(kind: Kind) -> FileKind {
    match kind {
        Kind::File => FileKind::File,
        Kind::Directory => FileKind::Directory,
        Kind::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

fn info(status: Status) -> FileInfo {
    let attributes = status.attributes;
    FileInfo {
        kind: kind_of(attributes.kind),
        mode: attributes.permissions,
        size: attributes.size,
        blocks: attributes.blocks,
        inode: attributes.node,
        device: u64::from(status.device),
        links: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        accessed: attributes.accessed,
        modified: attributes.modified,
        changed: attributes.changed,
    }
}

/// Packs as many entries as fit into an answer; returns how many.
fn pack(entries: &[DirectoryEntry], into: &mut Vec<u8>) -> usize {
    let mut packed = 0;
    for entry in entries {
        let Ok(length) = u8::try_from(entry.name.len()) else { continue };
        if into.len() + ENTRY_HEAD + entry.name.len() > ENTRY_BYTES {
            break;
        }
        into.push(match kind_of(entry.kind) {
            FileKind::File => 0,
            FileKind::Directory => 1,
            FileKind::Symlink => 2,
            FileKind::Other => 3,
        });
        into.extend_from_slice(&entry.node.to_le_bytes());
        into.push(length);
        into.extend_from_slice(&entry.name);
        packed += 1;
    }
    packed
}

/// A text of a mount's line, cut where it would not fit a message.
fn short(mut text: String) -> String {
    if text.len() > MOUNT_TEXT {
        text.truncate(text.floor_char_boundary(MOUNT_TEXT));
        text.push('…');
    }
    text
}

impl<R: Replier, P: LentPages> Files for FilesServer<R, P> {
    fn open(&mut self, sender: &Sender, path: &str, flags: u64, mode: u32) -> Result<u64, IoError> {
        let client = self.client(sender)?;
        let flags = OpenFlags(u32::try_from(flags).map_err(|_| IoError::InvalidInput)?);
        let made = OpenFlags::CREATE | OpenFlags::CREATE_NEW | OpenFlags::TRUNCATE;
        let changes = flags.any(made | OpenFlags::WRITE | OpenFlags::APPEND);
        self.changed |= flags.any(made);
        let vfs = if changes { self.look_to_change(sender)? } else { self.look(sender)? };
        let handle = vfs.open(client, path, flags, mode & 0o7777)?;
        Ok(self.number(handle))
    }

    fn metadata(&mut self, sender: &Sender, path: &str, follow: bool) -> Result<FileInfo, IoError> {
        Ok(info(self.look(sender)?.status(path, follow)?))
    }

    fn handle_metadata(&mut self, sender: &Sender, handle: u64) -> Result<FileInfo, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        Ok(info(self.vfs()?.status_of_open(client, handle)?))
    }

    fn read_directory(&mut self, sender: &Sender, handle: u64, cookie: u64) -> Result<(u64, Bytes), IoError> {
        let (client, handle) = self.file(sender, handle)?;
        let vfs = self.vfs()?;
        let entries = vfs.list(client, handle, Some(cookie), ENTRIES)?;
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        let packed = pack(&entries, &mut bytes);
        let Some(last) = packed.checked_sub(1).and_then(|last| entries.get(last)) else {
            return Ok((0, Bytes(bytes)));
        };
        let ended = packed == entries.len() && vfs.list(client, handle, Some(last.next), 1)?.is_empty();
        Ok((if ended { 0 } else { last.next }, Bytes(bytes)))
    }

    fn set_length(&mut self, sender: &Sender, handle: u64, length: u64) -> Result<(), IoError> {
        let (client, handle) = self.file(sender, handle)?;
        Ok(self.change()?.set_length(client, handle, length)?)
    }

    fn sync(&mut self, sender: &Sender, handle: u64) -> Result<(), IoError> {
        let (client, handle) = self.file(sender, handle)?;
        Ok(self.vfs()?.sync_open(client, handle)?)
    }

    fn sync_all(&mut self, _: &Sender) -> Result<(), IoError> {
        Ok(self.vfs()?.sync()?)
    }

    fn create_directory(&mut self, sender: &Sender, path: &str, mode: u32) -> Result<(), IoError> {
        let result = self.change_from(sender)?.make_directory(path, mode & 0o7777);
        self.once(&[IoError::AlreadyExists], result.map_err(IoError::from))
    }

    fn remove_directory(&mut self, sender: &Sender, path: &str) -> Result<(), IoError> {
        let result = self.change_from(sender)?.remove_directory(path);
        self.once(&[IoError::NotFound], result.map_err(IoError::from))
    }

    fn remove_file(&mut self, sender: &Sender, path: &str) -> Result<(), IoError> {
        let result = self.change_from(sender)?.unlink(path);
        self.once(&[IoError::NotFound], result.map_err(IoError::from))
    }

    fn rename(&mut self, sender: &Sender, from: &str, to: &str) -> Result<(), IoError> {
        let result = self.change_from(sender)?.rename(from, to);
        self.once(&[IoError::NotFound], result.map_err(IoError::from))
    }

    fn hard_link(&mut self, sender: &Sender, original: &str, link: &str) -> Result<(), IoError> {
        let result = self.change_from(sender)?.link(original, link);
        self.once(&[IoError::AlreadyExists], result.map_err(IoError::from))
    }

    fn symbolic_link(&mut self, sender: &Sender, target: &str, link: &str) -> Result<(), IoError> {
        let result = self.change_from(sender)?.make_symlink(target, link);
        self.once(&[IoError::AlreadyExists], result.map_err(IoError::from))
    }

    fn read_link(&mut self, sender: &Sender, path: &str) -> Result<String, IoError> {
        Ok(self.look(sender)?.read_symlink(path)?)
    }

    fn canonicalize(&mut self, sender: &Sender, path: &str) -> Result<String, IoError> {
        Ok(self.look(sender)?.canonicalize(path)?)
    }

    fn set_mode(&mut self, sender: &Sender, path: &str, mode: u32) -> Result<(), IoError> {
        let change = AttributeChange { permissions: Some(mode & 0o7777), ..AttributeChange::default() };
        Ok(self.change_from(sender)?.set_attributes(path, true, change)?)
    }

    fn set_times(
        &mut self,
        sender: &Sender,
        path: &str,
        accessed: Option<i64>,
        modified: Option<i64>,
    ) -> Result<(), IoError> {
        let change = AttributeChange { accessed, modified, ..AttributeChange::default() };
        Ok(self.change_from(sender)?.set_attributes(path, true, change)?)
    }

    fn file_system(&mut self, sender: &Sender, path: &str) -> Result<FileSystemInfo, IoError> {
        let info = self.look(sender)?.space(path)?;
        Ok(FileSystemInfo {
            block_size: u64::from(info.space.block_size),
            blocks: info.space.blocks,
            blocks_free: info.space.blocks_free,
            files: info.space.files,
            files_free: info.space.files_free,
            kind: info.kind.into(),
            read_only: info.read_only,
        })
    }

    fn mounts(&mut self, sender: &Sender, first: u64) -> Result<Vec<MountInfo>, IoError> {
        let skip = usize::try_from(first).unwrap_or(usize::MAX);
        let mut room = MOUNT_WORDS;
        let mut page = Vec::new();
        for mount in self.whole(sender)?.mounts().into_iter().skip(skip) {
            let line = MountInfo {
                source: short(mount.source),
                target: short(mount.target),
                kind: mount.kind,
                options: short(mount.options),
            };
            let texts = [&line.source, &line.target, &line.kind, &line.options];
            let words = texts.iter().map(|text| 1 + text.len().div_ceil(8)).sum::<usize>();
            if words > room {
                break;
            }
            room -= words;
            page.push(line);
        }
        Ok(page)
    }

    fn mount(&mut self, sender: &Sender, source: &str, target: &str, kind: &str, options: &str) -> Result<(), IoError> {
        let vfs = self.whole(sender)?;
        match kind {
            "memory" => Ok(vfs.mount_memory(target, options, MEMORY_DEFAULT)?),
            // There is one disk, and it is mounted at the start if it can be.
            "ext4" if vfs.mounts().iter().any(|mount| mount.source == source) => Err(IoError::Busy),
            "ext4" => Err(IoError::NotFound),
            _ => Err(IoError::Unsupported),
        }
    }

    fn unmount(&mut self, sender: &Sender, target: &str) -> Result<(), IoError> {
        Ok(self.whole(sender)?.unmount(target)?)
    }

    fn cache(&mut self, _: &Sender) -> Result<CacheInfo, IoError> {
        let statistics = self.vfs()?.cache_statistics();
        let bytes = |pages: usize| (pages * PAGE_SIZE) as u64;
        Ok(CacheInfo {
            capacity: bytes(statistics.frames),
            used: bytes(statistics.used),
            dirty: bytes(statistics.dirty),
        })
    }

    fn shut_down(&mut self, sender: &Sender) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        match self.vfs.take() {
            Some(mut vfs) => Ok(vfs.shutdown()?),
            None => Ok(()),
        }
    }
}
