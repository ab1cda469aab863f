//! Files and directories.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

pub use std::fs::{
    create_dir, create_dir_all, hard_link, read, remove_dir, remove_file, rename,
};
pub use std::os::unix::fs::symlink;

use super::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};

/// An open file.
pub struct File(std::fs::File);

impl File {
    /// Opens a file for reading.
    pub fn open(path: &str) -> Result<File> {
        std::fs::File::open(path).map(File)
    }

    /// Makes a file, or empties it, for writing.
    pub fn create(path: &str) -> Result<File> {
        std::fs::File::create(path).map(File)
    }

    /// What is known of the file.
    pub fn metadata(&self) -> Result<Metadata> {
        self.0.metadata().map(Metadata)
    }

    /// Waits until the file's bytes are on the disk.
    pub fn sync_all(&self) -> Result<()> {
        self.0.sync_all()
    }

    /// Cuts or extends the file.
    pub fn set_len(&self, length: u64) -> Result<()> {
        self.0.set_len(length)
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for File {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

impl Seek for File {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        self.0.seek(position)
    }
}

/// How a file is to be opened.
pub struct OpenOptions(std::fs::OpenOptions);

impl OpenOptions {
    /// Nothing asked for yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> OpenOptions {
        OpenOptions(std::fs::OpenOptions::new())
    }

    /// For reading.
    pub fn read(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.read(yes);
        self
    }

    /// For writing.
    pub fn write(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.write(yes);
        self
    }

    /// For writing at its end.
    pub fn append(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.append(yes);
        self
    }

    /// Emptied at once.
    pub fn truncate(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.truncate(yes);
        self
    }

    /// Made where it does not exist.
    pub fn create(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.create(yes);
        self
    }

    /// Made, and an error where it exists.
    pub fn create_new(&mut self, yes: bool) -> &mut OpenOptions {
        self.0.create_new(yes);
        self
    }

    /// Opens it.
    pub fn open(&self, path: &str) -> Result<File> {
        self.0.open(path).map(File)
    }
}

/// What is known of a file.
#[derive(Clone)]
pub struct Metadata(std::fs::Metadata);

#[allow(clippy::len_without_is_empty)]
impl Metadata {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.is_dir()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.0.is_file()
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0.is_symlink()
    }

    /// Type and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.mode()
    }

    /// The owner's number.
    pub fn uid(&self) -> u32 {
        self.0.uid()
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.0.gid()
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.0.nlink()
    }

    /// Its inode number.
    pub fn ino(&self) -> u64 {
        self.0.ino()
    }

    /// The number of the file system it is in.
    pub fn dev(&self) -> u64 {
        self.0.dev()
    }

    /// Blocks of 512 bytes that it takes.
    pub fn blocks(&self) -> u64 {
        self.0.blocks()
    }

    /// Last read, in seconds since 1970.
    pub fn atime(&self) -> i64 {
        self.0.atime()
    }

    /// Last written, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.0.mtime()
    }

    /// Last changed, its metadata included, in seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.0.ctime()
    }
}

/// The entries of a directory.
pub struct ReadDir(std::fs::ReadDir);

/// One entry of a directory.
pub struct DirEntry(std::fs::DirEntry);

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Result<DirEntry>> {
        self.0.next().map(|entry| entry.map(DirEntry))
    }
}

impl DirEntry {
    /// Its name.
    pub fn file_name(&self) -> String {
        self.0.file_name().to_string_lossy().to_string()
    }
}

/// What is known of a file, links followed.
pub fn metadata(path: &str) -> Result<Metadata> {
    std::fs::metadata(path).map(Metadata)
}

/// What is known of a file or link.
pub fn symlink_metadata(path: &str) -> Result<Metadata> {
    std::fs::symlink_metadata(path).map(Metadata)
}

/// Lists a directory, without `.` and `..`.
pub fn read_dir(path: &str) -> Result<ReadDir> {
    std::fs::read_dir(path).map(ReadDir)
}

/// Where a symbolic link points.
pub fn read_link(path: &str) -> Result<String> {
    Ok(std::fs::read_link(path)?.to_string_lossy().to_string())
}

/// The path from the root without links, `.` and `..`.
pub fn canonicalize(path: &str) -> Result<String> {
    Ok(std::fs::canonicalize(path)?.to_string_lossy().to_string())
}

/// Sets the permission bits.
pub fn set_permissions(path: &str, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Sets the times of last reading and writing, in seconds since 1970.
pub fn set_times(path: &str, accessed: Option<i64>, modified: Option<i64>) -> Result<()> {
    let point = |seconds: i64| match u64::try_from(seconds) {
        Ok(after) => SystemTime::UNIX_EPOCH + Duration::from_secs(after),
        Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
    };
    let mut times = std::fs::FileTimes::new();
    if let Some(seconds) = accessed {
        times = times.set_accessed(point(seconds));
    }
    if let Some(seconds) = modified {
        times = times.set_modified(point(seconds));
    }
    std::fs::File::open(path)?.set_times(times)
}

/// A file system's size and use.
#[derive(Clone, Debug)]
pub struct StatFs {
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks not in use.
    pub blocks_free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes not in use.
    pub files_free: u64,
    /// The kind of file system.
    pub kind: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// Made-up figures for a path that exists.
pub fn statfs(path: &str) -> Result<StatFs> {
    if !Path::new(path).exists() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok(StatFs {
        block_size: 4096,
        blocks: 262_144,
        blocks_free: 196_608,
        files: 65_536,
        files_free: 65_000,
        kind: "ext4".to_string(),
        read_only: false,
    })
}

/// One mounted file system.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The device or name it comes from.
    pub source: String,
    /// Where it is in the tree.
    pub target: String,
    /// The kind of file system.
    pub kind: String,
    /// Its options, with commas between.
    pub options: String,
}

/// Two made-up mounts.
pub fn mounts() -> Result<Vec<Mount>> {
    let sample = |source: &str, target: &str, kind: &str| Mount {
        source: source.to_string(),
        target: target.to_string(),
        kind: kind.to_string(),
        options: "rw".to_string(),
    };
    Ok(alloc::vec![sample("virtio-blk", "/", "ext4"), sample("memory", "/tmp", "memory")])
}

/// Mounts a file system; not on the host.
pub fn mount(_source: &str, _target: &str, _kind: &str, _options: &str) -> Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Unmounts a file system; not on the host.
pub fn unmount(_target: &str) -> Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Waits until everything written is on the disk; nothing to do on the host.
pub fn sync() -> Result<()> {
    Ok(())
}
