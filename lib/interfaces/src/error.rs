//! The error that file-like services share. Its kinds are those that programs know from POSIX and from Rust's `std::io`.

use core::fmt;

use crate::{CallError, Wire};

macro_rules! io_errors {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        /// Why an operation on a file, stream or process failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Wire)]
        pub enum IoError { $($(#[$doc])* $name,)* }

        impl fmt::Display for IoError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

io_errors! {
    /// No such file or directory.
    NotFound, "no such file or directory";
    /// Not allowed.
    PermissionDenied, "permission denied";
    /// It exists already.
    AlreadyExists, "it exists already";
    /// An argument makes no sense.
    InvalidInput, "invalid argument";
    /// The data are not what they should be.
    InvalidData, "invalid data";
    /// The end came too early.
    UnexpectedEof, "unexpected end of file";
    /// Interrupted.
    Interrupted, "interrupted";
    /// It would have to wait.
    WouldBlock, "it would have to wait";
    /// Nobody reads the pipe.
    BrokenPipe, "broken pipe";
    /// A part of the path is not a directory.
    NotADirectory, "not a directory";
    /// It is a directory.
    IsADirectory, "is a directory";
    /// The directory is not empty.
    DirectoryNotEmpty, "directory not empty";
    /// The file system is read-only.
    ReadOnlyFilesystem, "read-only file system";
    /// No space left.
    StorageFull, "no space left on device";
    /// No memory left.
    OutOfMemory, "out of memory";
    /// The time is up.
    TimedOut, "timed out";
    /// The two paths lie on different file systems.
    CrossesDevices, "the paths are on different file systems";
    /// Too many links.
    TooManyLinks, "too many links";
    /// Too many symbolic links on the way.
    FilesystemLoop, "too many levels of symbolic links";
    /// The name is too long or has a character that it cannot have.
    InvalidFilename, "invalid file name";
    /// Not supported here.
    Unsupported, "not supported";
    /// It has no position to set.
    NotSeekable, "not seekable";
    /// The handle names nothing that is open.
    BadHandle, "bad file handle";
    /// It is in use.
    Busy, "it is in use";
    /// The device failed, or what lies on it is damaged.
    Device, "input/output error";
    /// No such process.
    NoSuchProcess, "no such process";
    /// The file is not a program that can run.
    NotExecutable, "not an executable program";
    /// The service that would do it is gone.
    ServiceGone, "the service is gone";
    /// The service was restarted before it answered; whether it was done is not known.
    ServiceRestarted, "the service did not answer, or was restarted before it did";
    /// Anything else.
    Other, "failed";
    /// Nobody listens there.
    ConnectionRefused, "connection refused";
    /// The other side, or the network stack's end, broke the connection off.
    ConnectionReset, "connection reset";
    /// This side broke the connection off.
    ConnectionAborted, "connection aborted";
    /// There is no connection.
    NotConnected, "not connected";
    /// Another socket has the address.
    AddressInUse, "address in use";
    /// This machine does not have the address.
    AddressNotAvailable, "address not available";
    /// No way leads there.
    NetworkUnreachable, "network unreachable";
    /// The other machine does not answer.
    HostUnreachable, "host unreachable";
}

impl From<CallError> for IoError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone => Self::ServiceGone,
            CallError::Restarted => Self::ServiceRestarted,
            CallError::UnknownMethod => Self::Unsupported,
            CallError::Malformed => Self::InvalidData,
            CallError::TooLarge => Self::InvalidInput,
            CallError::Kernel(motte_abi::Error::OutOfMemory) => Self::OutOfMemory,
            CallError::Kernel(motte_abi::Error::WouldBlock) => Self::WouldBlock,
            CallError::Kernel(_) => Self::Other,
        }
    }
}

impl core::error::Error for IoError {}
