//! What can go wrong in a file operation, with the meaning POSIX gives each case.

use core::fmt;

use motte_interfaces::error::IoError;
use rsext4::Ext4ErrorKind;

/// Result of a file operation.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a file operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Error {
    /// A component of the path does not exist (ENOENT).
    NotFound = 1,
    /// A component that must be a directory is none (ENOTDIR).
    NotADirectory,
    /// The operation is not for directories (EISDIR).
    IsADirectory,
    /// The directory still holds entries (ENOTEMPTY).
    DirectoryNotEmpty,
    /// The name is taken (EEXIST).
    AlreadyExists,
    /// No block or inode is left (ENOSPC).
    NoSpace,
    /// The file system is mounted read-only (EROFS).
    ReadOnlyFilesystem,
    /// Source and target lie on different file systems (EXDEV).
    CrossesDevices,
    /// A name is longer than 255 bytes or a path longer than 4,096 (ENAMETOOLONG).
    NameTooLong,
    /// The file has as many links as its file system allows (EMLINK).
    TooManyLinks,
    /// An argument makes no sense (EINVAL).
    InvalidArgument,
    /// The device failed or the file system is damaged (EIO).
    Io,
    /// No open file has this handle, or it was not opened for this (EBADF).
    BadHandle,
    /// The file is in use: a mount point, or a mounted file system with open files (EBUSY).
    Busy,
    /// More than 40 symbolic links on one path (ELOOP).
    Loop,
    /// The operation is not permitted on this file (EPERM, EACCES).
    PermissionDenied,
    /// The file would be larger than the file system can hold (EFBIG).
    FileTooLarge,
    /// The file system cannot do this (ENOTSUP).
    Unsupported,
    /// The server ran out of memory or of handles (ENOMEM, ENFILE).
    OutOfMemory,
}

impl Error {
    /// Every error, in the order of its number.
    pub const ALL: [Error; 19] = [
        Error::NotFound,
        Error::NotADirectory,
        Error::IsADirectory,
        Error::DirectoryNotEmpty,
        Error::AlreadyExists,
        Error::NoSpace,
        Error::ReadOnlyFilesystem,
        Error::CrossesDevices,
        Error::NameTooLong,
        Error::TooManyLinks,
        Error::InvalidArgument,
        Error::Io,
        Error::BadHandle,
        Error::Busy,
        Error::Loop,
        Error::PermissionDenied,
        Error::FileTooLarge,
        Error::Unsupported,
        Error::OutOfMemory,
    ];

    /// The number that stands for this error in a message; never 0.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The error a message's number stands for.
    pub fn from_code(code: u8) -> Option<Error> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NotFound => "no such file or directory",
            Error::NotADirectory => "not a directory",
            Error::IsADirectory => "is a directory",
            Error::DirectoryNotEmpty => "the directory is not empty",
            Error::AlreadyExists => "the file already exists",
            Error::NoSpace => "no space is left on the device",
            Error::ReadOnlyFilesystem => "the file system is read-only",
            Error::CrossesDevices => "source and target are on different file systems",
            Error::NameTooLong => "the file name is too long",
            Error::TooManyLinks => "the file has too many links",
            Error::InvalidArgument => "invalid argument",
            Error::Io => "input/output error",
            Error::BadHandle => "the file is not open for this",
            Error::Busy => "the file or file system is in use",
            Error::Loop => "too many levels of symbolic links",
            Error::PermissionDenied => "permission denied",
            Error::FileTooLarge => "the file is too large",
            Error::Unsupported => "the file system does not support this",
            Error::OutOfMemory => "the file server is out of memory",
        })
    }
}

impl core::error::Error for Error {}

impl From<rsext4::Ext4Error> for Error {
    fn from(error: rsext4::Ext4Error) -> Self {
        match error.kind() {
            Ext4ErrorKind::ReadOnly => Error::ReadOnlyFilesystem,
            Ext4ErrorKind::NoSpace | Ext4ErrorKind::QuotaExceeded => Error::NoSpace,
            Ext4ErrorKind::NoMemory => Error::OutOfMemory,
            Ext4ErrorKind::TooManyLinks => Error::TooManyLinks,
            Ext4ErrorKind::PermissionDenied => Error::PermissionDenied,
            Ext4ErrorKind::NotFound => Error::NotFound,
            Ext4ErrorKind::AlreadyExists => Error::AlreadyExists,
            Ext4ErrorKind::NotDirectory => Error::NotADirectory,
            Ext4ErrorKind::IsDirectory => Error::IsADirectory,
            Ext4ErrorKind::NotEmpty => Error::DirectoryNotEmpty,
            Ext4ErrorKind::Busy => Error::Busy,
            Ext4ErrorKind::InvalidInput | Ext4ErrorKind::BadFileDescriptor => Error::InvalidArgument,
            Ext4ErrorKind::FileTooLarge => Error::FileTooLarge,
            Ext4ErrorKind::Unsupported | Ext4ErrorKind::UnsupportedFeature | Ext4ErrorKind::UnsupportedCapability => {
                Error::Unsupported
            }
            Ext4ErrorKind::Io
            | Ext4ErrorKind::Corrupted
            | Ext4ErrorKind::ChecksumMismatch
            | Ext4ErrorKind::JournalAborted
            | Ext4ErrorKind::Overflow
            | Ext4ErrorKind::Timeout
            | Ext4ErrorKind::BadSuperblock
            | Ext4ErrorKind::InvalidMagic => Error::Io,
        }
    }
}

impl From<Error> for IoError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => IoError::NotFound,
            Error::NotADirectory => IoError::NotADirectory,
            Error::IsADirectory => IoError::IsADirectory,
            Error::DirectoryNotEmpty => IoError::DirectoryNotEmpty,
            Error::AlreadyExists => IoError::AlreadyExists,
            Error::NoSpace => IoError::StorageFull,
            Error::ReadOnlyFilesystem => IoError::ReadOnlyFilesystem,
            Error::CrossesDevices => IoError::CrossesDevices,
            Error::NameTooLong => IoError::InvalidFilename,
            Error::TooManyLinks => IoError::TooManyLinks,
            Error::InvalidArgument | Error::FileTooLarge => IoError::InvalidInput,
            Error::Io => IoError::Device,
            Error::BadHandle => IoError::BadHandle,
            Error::Busy => IoError::Busy,
            Error::Loop => IoError::FilesystemLoop,
            Error::PermissionDenied => IoError::PermissionDenied,
            Error::Unsupported => IoError::Unsupported,
            Error::OutOfMemory => IoError::OutOfMemory,
        }
    }
}
