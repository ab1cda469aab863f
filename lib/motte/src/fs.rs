//! Files and directories, in the shape of `std::fs`, with `&str` for paths.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::fs::{FileInfo, FileKind, FilesClient, open};

use crate::io::{self, Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use crate::service::{Connection, Shared};
use crate::session::{End, Handle, Session};
use crate::sync::OnceLock;

/// The program's session with the file system service, once there is one.
static SESSION: OnceLock<Arc<Session>> = OnceLock::new();

#[inline]
fn session() -> Result<&'static Arc<Session>> {
    match SESSION.get() {
        Some(session) => Ok(session),
        None => begin_session(),
    }
}

#[cold]
fn begin_session() -> Result<&'static Arc<Session>> {
    static FILES: Shared = Shared::new("fs");
    let connection = FILES.connection().map_err(Error::other)?;
    Ok(SESSION.get_or_init(|| Session::new(connection)))
}

fn client() -> Result<FilesClient<Connection>> {
    Ok(FilesClient::new(*session()?.client.transport()))
}

/// A path from the root, without `.` and empty parts. `..` is left to the service, which knows symbolic links.
pub(crate) fn absolute(path: &str) -> Result<Cow<'_, str>> {
    if path.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    if path.starts_with('/') {
        return Ok(Cow::Borrowed(path));
    }
    let directory = crate::env::current_dir()?;
    let between = if directory.ends_with('/') { "" } else { "/" };
    Ok(Cow::Owned(format!("{directory}{between}{path}")))
}

const TYPE_DIRECTORY: u32 = 0o040000;
const TYPE_FILE: u32 = 0o100000;
const TYPE_SYMLINK: u32 = 0o120000;
const TYPE_OTHER: u32 = 0o020000;

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType(FileKind);

impl FileType {
    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.0 == FileKind::Directory
    }
    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.0 == FileKind::File
    }
    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0 == FileKind::Symlink
    }
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub struct Metadata(FileInfo);

#[allow(clippy::len_without_is_empty, reason = "as in std")]
impl Metadata {
    /// Bytes.
    pub fn len(&self) -> u64 {
        self.0.size
    }
    /// Its kind.
    pub fn file_type(&self) -> FileType {
        FileType(self.0.kind)
    }
    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }
    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }
    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }
    /// Type and permission bits, as POSIX has them.
    pub fn mode(&self) -> u32 {
        let kind = match self.0.kind {
            FileKind::File => TYPE_FILE,
            FileKind::Directory => TYPE_DIRECTORY,
            FileKind::Symlink => TYPE_SYMLINK,
            FileKind::Other => TYPE_OTHER,
        };
        kind | self.0.mode & 0o7777
    }
    /// Owner.
    pub fn uid(&self) -> u32 {
        self.0.uid
    }
    /// Group.
    pub fn gid(&self) -> u32 {
        self.0.gid
    }
    /// Hard links.
    pub fn nlink(&self) -> u64 {
        u64::from(self.0.links)
    }
    /// Inode number.
    pub fn ino(&self) -> u64 {
        self.0.inode
    }
    /// Number of the file system.
    pub fn dev(&self) -> u64 {
        self.0.device
    }
    /// 512-byte units in use.
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }
    /// Last access, seconds since 1970.
    pub fn atime(&self) -> i64 {
        self.0.accessed
    }
    /// Last change of contents, seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.0.modified
    }
    /// Last change of the inode, seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.0.changed
    }
}

/// An open file.
#[derive(Debug)]
pub struct File {
    handle: Handle,
}

impl File {
    /// Opens for reading.
    pub fn open(path: &str) -> Result<Self> {
        OpenOptions::new().read(true).open(path)
    }
    /// Opens for writing, emptied or made.
    pub fn create(path: &str) -> Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }
    /// How to open.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }
    /// What is known of it.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata(self.client().handle_metadata(self.handle.number)?))
    }
    /// Returns when contents and metadata are on the disk.
    pub fn sync_all(&self) -> Result<()> {
        Ok(self.client().sync(self.handle.number)?)
    }
    /// As [`File::sync_all`].
    pub fn sync_data(&self) -> Result<()> {
        self.sync_all()
    }
    /// Cuts or extends it with zeros.
    pub fn set_len(&self, length: u64) -> Result<()> {
        Ok(self.client().set_length(self.handle.number, length)?)
    }
    /// A second handle with the same position.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { handle: self.handle.try_clone()? })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn client(&self) -> FilesClient<Connection> {
        FilesClient::new(*self.handle.session.client.transport())
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.handle.read(buffer)
    }
}

impl Write for File {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.handle.write(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        self.handle.seek(position)
    }
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.handle.read(buffer)
    }
}

impl Write for &File {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.handle.write(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn open_file(path: &str, flags: u64, mode: u32) -> Result<File> {
    let session = session()?;
    let client = FilesClient::new(*session.client.transport());
    let number = client.open(&absolute(path)?, flags, mode)?;
    Ok(File { handle: Handle { session: session.clone(), number, end: End::Close } })
}

/// How to open a file.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    flags: u64,
    mode: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing allowed yet.
    pub fn new() -> Self {
        Self { flags: 0, mode: 0o644 }
    }
    fn set(&mut self, flag: u64, on: bool) -> &mut Self {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
        self
    }
    /// For reading.
    pub fn read(&mut self, on: bool) -> &mut Self {
        self.set(open::READ, on)
    }
    /// For writing.
    pub fn write(&mut self, on: bool) -> &mut Self {
        self.set(open::WRITE, on)
    }
    /// Every write goes to the end.
    pub fn append(&mut self, on: bool) -> &mut Self {
        self.set(open::APPEND, on)
    }
    /// Emptied first.
    pub fn truncate(&mut self, on: bool) -> &mut Self {
        self.set(open::TRUNCATE, on)
    }
    /// Made if it is not there.
    pub fn create(&mut self, on: bool) -> &mut Self {
        self.set(open::CREATE, on)
    }
    /// Made, and an error if it is there.
    pub fn create_new(&mut self, on: bool) -> &mut Self {
        self.set(open::CREATE_NEW, on)
    }
    /// Permission bits of a file that is made.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }
    /// Opens.
    pub fn open(&self, path: &str) -> Result<File> {
        // Who appends writes, whether that was said or not.
        let flags = if self.flags & open::APPEND == 0 { self.flags } else { self.flags | open::WRITE };
        if flags & (open::READ | open::WRITE) == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        open_file(path, flags, self.mode)
    }
}

/// The entries of a directory.
#[derive(Debug)]
pub struct ReadDir {
    directory: File,
    path: String,
    cookie: Option<u64>,
    ready: alloc::collections::VecDeque<DirEntry>,
}

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct DirEntry {
    directory: String,
    name: String,
    kind: FileKind,
}

impl DirEntry {
    /// Its name.
    pub fn file_name(&self) -> String {
        self.name.clone()
    }
    /// The directory's path and its name.
    pub fn path(&self) -> String {
        if self.directory.ends_with('/') {
            format!("{}{}", self.directory, self.name)
        } else {
            format!("{}/{}", self.directory, self.name)
        }
    }
    /// What it is; a symbolic link is not followed.
    pub fn file_type(&self) -> Result<FileType> {
        Ok(FileType(self.kind))
    }
    /// What is known of it; a symbolic link is not followed.
    pub fn metadata(&self) -> Result<Metadata> {
        symlink_metadata(&self.path())
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;
    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let cookie = self.cookie?;
            match self.directory.client().read_directory(self.directory.handle.number, cookie) {
                Ok((next, bytes)) => {
                    self.cookie = (next != 0).then_some(next);
                    self.ready.extend(unpack(&self.path, &bytes.0));
                }
                Err(error) => {
                    self.cookie = None;
                    return Some(Err(error.into()));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// Takes packed entries apart; what is cut off or not UTF-8 is left out.
fn unpack<'a>(directory: &'a str, mut bytes: &'a [u8]) -> impl Iterator<Item = DirEntry> + 'a {
    core::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<10>()?;
        let (name, rest) = rest.split_at_checked(usize::from(head[9]))?;
        bytes = rest;
        let kind = match head[0] {
            0 => FileKind::File,
            1 => FileKind::Directory,
            2 => FileKind::Symlink,
            _ => FileKind::Other,
        };
        Some(DirEntry { directory: directory.to_string(), name: String::from_utf8_lossy(name).into_owned(), kind })
    })
}

/// The entries of a directory, without `.` and `..`.
pub fn read_dir(path: &str) -> Result<ReadDir> {
    let directory = open_file(path, open::READ | open::DIRECTORY, 0)?;
    Ok(ReadDir { directory, path: path.to_string(), cookie: Some(0), ready: Default::default() })
}

/// What is known of what a path leads to.
pub fn metadata(path: &str) -> Result<Metadata> {
    Ok(Metadata(client()?.metadata(&absolute(path)?, true)?))
}

/// What is known of a path; a symbolic link at its end is not followed.
pub fn symlink_metadata(path: &str) -> Result<Metadata> {
    Ok(Metadata(client()?.metadata(&absolute(path)?, false)?))
}

/// Whether there is something at the path.
pub fn exists(path: &str) -> Result<bool> {
    match metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory.
pub fn create_dir(path: &str) -> Result<()> {
    Ok(client()?.create_directory(&absolute(path)?, 0o755)?)
}

/// Makes a directory and those above it.
pub fn create_dir_all(path: &str) -> Result<()> {
    let path = absolute(path)?;
    for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        match create_dir(&path[..at]) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && metadata(&path[..at])?.is_dir() => {}
            other => other?,
        }
    }
    Ok(())
}

/// Removes an empty directory.
pub fn remove_dir(path: &str) -> Result<()> {
    Ok(client()?.remove_directory(&absolute(path)?)?)
}

/// Removes a directory and everything in it.
pub fn remove_dir_all(path: &str) -> Result<()> {
    if !symlink_metadata(path)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let entries = read_dir(path)?.collect::<Result<Vec<_>>>()?;
    for entry in entries {
        if entry.file_type()?.is_dir() {
            remove_dir_all(&entry.path())?;
        } else {
            remove_file(&entry.path())?;
        }
    }
    remove_dir(path)
}

/// Removes a file's name.
pub fn remove_file(path: &str) -> Result<()> {
    Ok(client()?.remove_file(&absolute(path)?)?)
}

/// Renames, replacing what is at `to`.
pub fn rename(from: &str, to: &str) -> Result<()> {
    Ok(client()?.rename(&absolute(from)?, &absolute(to)?)?)
}

/// Makes a second name.
pub fn hard_link(original: &str, link: &str) -> Result<()> {
    Ok(client()?.hard_link(&absolute(original)?, &absolute(link)?)?)
}

/// Makes a symbolic link at `link` that says `target`.
pub fn symlink(target: &str, link: &str) -> Result<()> {
    Ok(client()?.symbolic_link(target, &absolute(link)?)?)
}

/// What a symbolic link says.
pub fn read_link(path: &str) -> Result<String> {
    Ok(client()?.read_link(&absolute(path)?)?)
}

/// The path from the root without symbolic links, `.` and `..`.
pub fn canonicalize(path: &str) -> Result<String> {
    Ok(client()?.canonicalize(&absolute(path)?)?)
}

/// Sets permission bits.
pub fn set_permissions(path: &str, mode: u32) -> Result<()> {
    Ok(client()?.set_mode(&absolute(path)?, mode)?)
}

/// Sets access and modification time, in seconds since 1970.
pub fn set_times(path: &str, accessed: Option<i64>, modified: Option<i64>) -> Result<()> {
    Ok(client()?.set_times(&absolute(path)?, accessed, modified)?)
}

/// Copies contents and permission bits; returns how many bytes.
pub fn copy(from: &str, to: &str) -> Result<u64> {
    let mut source = File::open(from)?;
    let mode = source.metadata()?.mode() & 0o7777;
    let mut target = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(to)?;
    io::copy(&mut source, &mut target)
}

/// The whole contents.
pub fn read(path: &str) -> Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The whole contents as text.
pub fn read_to_string(path: &str) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

/// Replaces the whole contents.
pub fn write(path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
    File::create(path)?.write_all(contents.as_ref())
}

/// What is known of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of motte_interfaces::fs::FileSystemInfo")]
pub struct StatFs {
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub files: u64,
    pub files_free: u64,
    pub kind: String,
    pub read_only: bool,
}

/// About the file system on which a path lies.
pub fn statfs(path: &str) -> Result<StatFs> {
    let info = client()?.file_system(&absolute(path)?)?;
    Ok(StatFs {
        block_size: info.block_size,
        blocks: info.blocks,
        blocks_free: info.blocks_free,
        files: info.files,
        files_free: info.files_free,
        kind: info.kind,
        read_only: info.read_only,
    })
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of motte_interfaces::fs::MountInfo")]
pub struct Mount {
    pub source: String,
    pub target: String,
    pub kind: String,
    pub options: String,
}

/// All mounts.
pub fn mounts() -> Result<Vec<Mount>> {
    let client = client()?;
    let mut all = Vec::new();
    loop {
        let page = client.mounts(all.len() as u64)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.into_iter().map(|mount| Mount {
            source: mount.source,
            target: mount.target,
            kind: mount.kind,
            options: mount.options,
        }));
    }
}

/// Mounts a file system.
pub fn mount(source: &str, target: &str, kind: &str, options: &str) -> Result<()> {
    Ok(client()?.mount(source, &absolute(target)?, kind, options)?)
}

/// Takes a mount away.
pub fn unmount(target: &str) -> Result<()> {
    Ok(client()?.unmount(&absolute(target)?)?)
}

/// Returns when everything is on the disk.
pub fn sync() -> Result<()> {
    Ok(client()?.sync_all()?)
}

/// Bytes of the page cache: capacity, in use, not yet on the disk.
pub fn cache() -> Result<(u64, u64, u64)> {
    let info = client()?.cache()?;
    Ok((info.capacity, info.used, info.dirty))
}

/// A directory must exist to be worked in; used by [`crate::env::set_current_dir`].
pub(crate) fn directory(path: &str) -> Result<String> {
    let path = canonicalize(path)?;
    if metadata(&path)?.is_dir() { Ok(path) } else { Err(IoError::NotADirectory.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_appending_leaves_writing_as_it_was() {
        let mut options = OpenOptions::new();
        options.write(true).create(true).append(false).truncate(true);
        assert_eq!(options.flags, open::WRITE | open::CREATE | open::TRUNCATE);
    }
}
