//! What every file system behind the mount table can do, by node number.

use alloc::vec::Vec;

use crate::{
    cache::CacheStatistics,
    error::{Error, Result},
    memory::{Input, Output},
};

/// Longest name in a directory, in bytes.
pub const NAME_MAX: usize = 255;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// None of the above.
    Unknown,
}

impl Kind {
    /// The file-type bits of POSIX's `st_mode`.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::Fifo => 0o010000,
            Kind::CharacterDevice => 0o020000,
            Kind::Directory => 0o040000,
            Kind::BlockDevice => 0o060000,
            Kind::File => 0o100000,
            Kind::Symlink => 0o120000,
            Kind::Socket => 0o140000,
            Kind::Unknown => 0,
        }
    }
}

/// What is known of a node. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The node's number in its file system.
    pub node: u64,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names it has.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Units of 512 bytes that it takes.
    pub blocks: u64,
    /// Last read.
    pub accessed: i64,
    /// Last change of the data.
    pub modified: i64,
    /// Last change of anything.
    pub changed: i64,
}

impl Attributes {
    /// POSIX's `st_mode`: type and permissions.
    pub fn mode(&self) -> u32 {
        self.kind.mode_bits() | self.permissions
    }
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeChange {
    /// New permission bits.
    pub permissions: Option<u32>,
    /// New time of last read.
    pub accessed: Option<i64>,
    /// New time of last change.
    pub modified: Option<i64>,
}

/// A name's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// The node.
    pub node: u64,
    /// What it is.
    pub kind: Kind,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name; any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// The node it names.
    pub node: u64,
    /// What that is.
    pub kind: Kind,
    /// Where a listing goes on behind this entry.
    pub next: u64,
}

/// Space and nodes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in a block.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub blocks_free: u64,
    /// Nodes in all.
    pub files: u64,
    /// Nodes free.
    pub files_free: u64,
}

/// How far one open file has been read ahead; kept by the caller, one for each open file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadAhead {
    /// Where a sequential reader would go on.
    pub next: u64,
    /// Pages to read at once.
    pub window: u32,
    /// First page not yet asked for.
    pub end: u64,
}

/// Where a listing begins.
pub const DIRECTORY_START: u64 = 0;
/// Where a listing has ended.
pub const DIRECTORY_END: u64 = u64::MAX;

/// A mounted file system. Names never contain `/` or NUL and are never empty, `.` or `..`.
pub trait FileSystem {
    /// Its type, as `mount` shows it.
    fn type_name(&self) -> &'static str;
    /// Whether it refuses changes.
    fn is_read_only(&self) -> bool;
    /// The root directory.
    fn root(&self) -> u64;
    /// Finds a name.
    fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Child>;
    /// Attributes of a node.
    fn attributes(&mut self, node: u64) -> Result<Attributes>;
    /// Changes attributes.
    fn set_attributes(&mut self, node: u64, change: AttributeChange) -> Result<()>;
    /// Fills `output` from `position` on; stops early only at the end of the file.
    fn read(&mut self, node: u64, position: u64, output: &mut Output<'_>, ahead: &mut ReadAhead) -> Result<usize>;
    /// Writes all of `input` at `position`; fewer bytes only when space ran out after the first.
    fn write(&mut self, node: u64, position: u64, input: &mut Input<'_>) -> Result<usize>;
    /// Cuts or extends a file.
    fn truncate(&mut self, node: u64, size: u64) -> Result<()>;
    /// Makes an empty file.
    fn create(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64>;
    /// Makes a directory.
    fn make_directory(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64>;
    /// Makes a symbolic link.
    fn make_symlink(&mut self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64>;
    /// The target of a symbolic link.
    fn read_symlink(&mut self, node: u64) -> Result<Vec<u8>>;
    /// Gives a file one more name.
    fn link(&mut self, node: u64, directory: u64, name: &[u8]) -> Result<()>;
    /// Takes a name away; the node goes when it has no name and is not retained.
    fn unlink(&mut self, directory: u64, name: &[u8]) -> Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&mut self, directory: u64, name: &[u8]) -> Result<()>;
    /// Renames, replacing a file or an empty directory that has the new name.
    fn rename(&mut self, from: u64, old: &[u8], to: u64, new: &[u8]) -> Result<()>;
    /// Lists up to `most` entries from `position` on, without `.` and `..`.
    fn list(&mut self, directory: u64, position: u64, most: usize) -> Result<Vec<DirectoryEntry>>;
    /// Keeps a node, even without a name, until it is released as often.
    fn retain(&mut self, node: u64) -> Result<()>;
    /// Ends one `retain`.
    fn release(&mut self, node: u64);
    /// Makes a node's data and metadata durable.
    fn sync_node(&mut self, node: u64) -> Result<()>;
    /// Whether anything is not durable yet.
    fn needs_sync(&self) -> bool;
    /// Makes everything durable.
    fn sync(&mut self) -> Result<()>;
    /// Space and nodes.
    fn space(&mut self) -> Result<Space>;
    /// Whether it goes on where one of a former server stopped, so that that server's nodes are its nodes.
    fn is_resumed(&self) -> bool {
        false
    }
    /// After the nodes that are in use were retained again: those in use no more may go.
    fn end_resumption(&mut self) -> Result<()> {
        Ok(())
    }
    /// What its page cache holds, if it has one.
    fn cache_statistics(&self) -> Option<CacheStatistics> {
        None
    }
    /// Whether its character devices can be opened.
    fn opens_devices(&self) -> bool {
        false
    }
    /// The most bytes of the server's own memory that it takes.
    fn memory_limit(&self) -> u64 {
        0
    }
    /// Whether any node is retained.
    fn in_use(&self) -> bool;
    /// Writes everything and marks the file system clean. Retained nodes without a name are removed.
    fn unmount(&mut self) -> Result<()>;
}

/// Refuses names that no file system takes.
pub fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" => Err(Error::NotFound),
        b"." | b".." => Err(Error::InvalidArgument),
        _ if name.len() > NAME_MAX => Err(Error::NameTooLong),
        _ if name.contains(&0) || name.contains(&b'/') => Err(Error::InvalidArgument),
        _ => Ok(()),
    }
}
