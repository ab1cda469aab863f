//! Files: the file system service. Paths are absolute and `/`-separated; the client library adds the working directory.
//! Open files are read and written through [`crate::stream`], on the same endpoint.
//!
//! # What survives a restart of the service
//! - Every change that was answered, synced or not: names, attributes and data of files on the disk. What was not synced lies in kept memory, as
//!   before; a power cut takes it away.
//! - Open files, under the same handles: position, mode, whether a write goes to the end; files without a name; directories that
//!   are being listed; duplicates, which go on sharing a position.
//! - A request that was in hand is repeated by the client's stub and done once: methods that are not idempotent by nature carry a
//!   number (`#[numbered]`), and the service notes it with what a repetition must go back to.
//! - Pages that a client lent must be lent anew; requests that name them get `InvalidData` until then. The client library does.
//!
//! Not kept are file systems in memory (`/tmp`, and mounts that clients made) and what is open there, open files beyond the 2,048th and handles
//! beyond the 4,096th: such a handle is `BadHandle` afterwards. When what was kept turns out to be broken, the service begins anew with what is
//! on the disk, and every handle from before is `ServiceRestarted`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::IoError;
use crate::{Bytes, Wire, interface};

/// Flags of [`Files::open`].
pub mod open {
    /// For reading.
    pub const READ: u64 = 1;
    /// For writing.
    pub const WRITE: u64 = 1 << 1;
    /// Every write goes to the end.
    pub const APPEND: u64 = 1 << 2;
    /// Empty it first.
    pub const TRUNCATE: u64 = 1 << 3;
    /// Make it if it is not there.
    pub const CREATE: u64 = 1 << 4;
    /// Make it, and fail if it is there.
    pub const CREATE_NEW: u64 = 1 << 5;
    /// Fail unless it is a directory.
    pub const DIRECTORY: u64 = 1 << 6;
    /// Do not follow a symbolic link at the end of the path.
    pub const NO_FOLLOW: u64 = 1 << 7;
}

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else (device nodes, sockets, named pipes on a disk that another system wrote).
    Other,
}

/// What is known of a file. Times are seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct FileInfo {
    /// Kind.
    pub kind: FileKind,
    /// Permission bits (lower 12 bits of the mode).
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// 512-byte units in use.
    pub blocks: u64,
    /// Inode number.
    pub inode: u64,
    /// Number of the file system (mount) it lies on.
    pub device: u64,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access, seconds since 1970.
    pub accessed: i64,
    /// Last change of contents.
    pub modified: i64,
    /// Last change of the inode.
    pub changed: i64,
}

/// What is known of a file system.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FileSystemInfo {
    /// Bytes to a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub blocks_free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes free.
    pub files_free: u64,
    /// `ext4`, `memory`.
    pub kind: String,
    /// Mounted read-only.
    pub read_only: bool,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct MountInfo {
    /// What is mounted: a device's name.
    pub source: String,
    /// Where.
    pub target: String,
    /// `ext4`, `memory`.
    pub kind: String,
    /// As `rw` or `ro`, and a remark where there is something to say.
    pub options: String,
}

/// Memory that the service uses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct CacheInfo {
    /// Size of the page cache.
    pub capacity: u64,
    /// Of it in use.
    pub used: u64,
    /// Of it not yet on the disk.
    pub dirty: u64,
}

/// The file system service.
#[interface("fs")]
pub trait Files {
    /// Opens and returns a handle. `mode` counts when a file is made.
    #[numbered]
    fn open(&self, path: &str, flags: u64, mode: u32) -> Result<u64, IoError>;
    /// Information by path; `follow` a symbolic link at its end.
    #[idempotent]
    fn metadata(&self, path: &str, follow: bool) -> Result<FileInfo, IoError>;
    /// Information by handle.
    #[idempotent]
    fn handle_metadata(&self, handle: u64) -> Result<FileInfo, IoError>;
    /// Entries of an open directory from `cookie` on (0 first): the next cookie, 0 at the end, and the entries packed one after the other as
    /// kind (1 byte: 0 file, 1 directory, 2 symlink, 3 other), inode (8 bytes, little-endian), name length (1 byte), name. `.` and `..` are left out.
    #[idempotent]
    fn read_directory(&self, handle: u64, cookie: u64) -> Result<(u64, Bytes), IoError>;
    /// Sets a file's length.
    #[idempotent]
    fn set_length(&self, handle: u64, length: u64) -> Result<(), IoError>;
    /// Returns when the file's contents and metadata are on the disk.
    #[idempotent]
    fn sync(&self, handle: u64) -> Result<(), IoError>;
    /// Returns when everything is on the disk.
    #[idempotent]
    fn sync_all(&self) -> Result<(), IoError>;
    /// Makes a directory.
    #[numbered]
    fn create_directory(&self, path: &str, mode: u32) -> Result<(), IoError>;
    /// Removes an empty directory.
    #[numbered]
    fn remove_directory(&self, path: &str) -> Result<(), IoError>;
    /// Removes a name; the file lives on while it is open or has another name.
    #[numbered]
    fn remove_file(&self, path: &str) -> Result<(), IoError>;
    /// Renames, replacing what is at `to`.
    #[numbered]
    fn rename(&self, from: &str, to: &str) -> Result<(), IoError>;
    /// Makes a second name.
    #[numbered]
    fn hard_link(&self, original: &str, link: &str) -> Result<(), IoError>;
    /// Makes a symbolic link at `link` that says `target`.
    #[numbered]
    fn symbolic_link(&self, target: &str, link: &str) -> Result<(), IoError>;
    /// What a symbolic link says.
    #[idempotent]
    fn read_link(&self, path: &str) -> Result<String, IoError>;
    /// The path without symbolic links, `.` and `..`.
    #[idempotent]
    fn canonicalize(&self, path: &str) -> Result<String, IoError>;
    /// Sets permission bits.
    #[idempotent]
    fn set_mode(&self, path: &str, mode: u32) -> Result<(), IoError>;
    /// Sets the times, in seconds since 1970; `None` leaves one as it is.
    #[idempotent]
    fn set_times(&self, path: &str, accessed: Option<i64>, modified: Option<i64>) -> Result<(), IoError>;
    /// About the file system on which `path` lies.
    #[idempotent]
    fn file_system(&self, path: &str) -> Result<FileSystemInfo, IoError>;
    /// One page of the mounts, from number `first` on.
    #[idempotent]
    fn mounts(&self, first: u64) -> Result<Vec<MountInfo>, IoError>;
    /// Mounts a file system of `kind` (`ext4` of a source `disk`, or `memory`) at `target`. Options: `rw` or `ro`, comma separated.
    #[numbered]
    fn mount(&self, source: &str, target: &str, kind: &str, options: &str) -> Result<(), IoError>;
    /// Takes a mount away, when nothing of it is open.
    #[numbered]
    fn unmount(&self, target: &str) -> Result<(), IoError>;
    /// The page cache.
    #[idempotent]
    fn cache(&self) -> Result<CacheInfo, IoError>;
    /// Writes everything back and unmounts everything; later requests fail. For the shutdown; accepted from the supervisor only.
    #[idempotent]
    fn shut_down(&self) -> Result<(), IoError>;
}
