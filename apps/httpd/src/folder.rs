//! What the server needs of a file system: one folder, by paths that begin at it.

use alloc::string::String;
use alloc::vec::Vec;

/// Why a file cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderError {
    /// It is not there.
    NotFound,
    /// It may not be read.
    Forbidden,
    /// The file system does not answer, or has no memory left.
    Unavailable,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether it is a directory; what is neither that nor a file is not found.
    pub is_directory: bool,
    /// Bytes.
    pub size: u64,
    /// Last change of the contents, in seconds since 1970.
    pub modified: i64,
    /// Last change of anything, in seconds since 1970.
    pub changed: i64,
    /// Number of the file.
    pub inode: u64,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// The folder. Paths begin with a slash.
pub trait Folder {
    /// An open file; closed when dropped.
    type File;

    /// What is known of a file.
    fn info(&mut self, path: &str) -> Result<Info, FolderError>;
    /// Opens a file.
    fn open(&mut self, path: &str) -> Result<(Self::File, Info), FolderError>;
    /// Reads from a position on; 0 at the end.
    fn read(&mut self, file: &mut Self::File, at: u64, into: &mut [u8]) -> Result<usize, FolderError>;
    /// Names in a directory, at most `most`; and whether there are more.
    fn list(&mut self, path: &str, most: usize) -> Result<(Vec<Entry>, bool), FolderError>;
}
