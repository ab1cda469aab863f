//! Input and output: traits, errors, buffers and the standard streams, in the shape of `std::io`.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use motte_interfaces::error::IoError;

pub use crate::standard::{Stderr, Stdin, Stdout, stderr, stdin, stdout};

/// A result of input or output.
pub type Result<T> = core::result::Result<T, Error>;

/// What kind of error; the names are those of `std::io::ErrorKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it, as in std")]
pub enum ErrorKind {
    NotFound,
    PermissionDenied,
    AlreadyExists,
    InvalidInput,
    InvalidData,
    UnexpectedEof,
    WriteZero,
    Interrupted,
    WouldBlock,
    BrokenPipe,
    NotADirectory,
    IsADirectory,
    DirectoryNotEmpty,
    ReadOnlyFilesystem,
    StorageFull,
    OutOfMemory,
    TimedOut,
    CrossesDevices,
    TooManyLinks,
    InvalidFilename,
    Unsupported,
    NotSeekable,
    ConnectionReset,
    ResourceBusy,
    FilesystemLoop,
    ExecutableFormat,
    ConnectionRefused,
    ConnectionAborted,
    NotConnected,
    AddrInUse,
    AddrNotAvailable,
    NetworkUnreachable,
    HostUnreachable,
    Other,
}

impl ErrorKind {
    /// The kind as the end of a sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "no such file or directory",
            Self::PermissionDenied => "permission denied",
            Self::AlreadyExists => "file exists",
            Self::InvalidInput => "invalid argument",
            Self::InvalidData => "invalid data",
            Self::UnexpectedEof => "unexpected end of file",
            Self::WriteZero => "nothing could be written",
            Self::Interrupted => "interrupted",
            Self::WouldBlock => "it would have to wait",
            Self::BrokenPipe => "broken pipe",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::DirectoryNotEmpty => "directory not empty",
            Self::ReadOnlyFilesystem => "read-only file system",
            Self::StorageFull => "no space left on device",
            Self::OutOfMemory => "out of memory",
            Self::TimedOut => "timed out",
            Self::CrossesDevices => "the paths are on different file systems",
            Self::TooManyLinks => "too many links",
            Self::InvalidFilename => "invalid file name",
            Self::Unsupported => "not supported",
            Self::NotSeekable => "not seekable",
            Self::ConnectionReset => "the service was restarted before it answered",
            Self::ResourceBusy => "it is in use",
            Self::FilesystemLoop => "too many levels of symbolic links",
            Self::ExecutableFormat => "not an executable program",
            Self::ConnectionRefused => "connection refused",
            Self::ConnectionAborted => "connection aborted",
            Self::NotConnected => "not connected",
            Self::AddrInUse => "address in use",
            Self::AddrNotAvailable => "address not available",
            Self::NetworkUnreachable => "network unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::Other => "failed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// An error of input or output.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: Option<String>,
}

impl Error {
    /// An error with a text of its own.
    pub fn new(kind: ErrorKind, text: impl fmt::Display) -> Self {
        Self { kind, text: Some(text.to_string()) }
    }

    /// An error of no particular kind.
    pub fn other(text: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Other, text)
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_deref().unwrap_or(self.kind.text()))
    }
}

impl core::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, text: None }
    }
}

impl From<IoError> for Error {
    fn from(error: IoError) -> Self {
        use ErrorKind as K;
        let kind = match error {
            IoError::NotFound => K::NotFound,
            IoError::PermissionDenied => K::PermissionDenied,
            IoError::AlreadyExists => K::AlreadyExists,
            IoError::InvalidInput => K::InvalidInput,
            IoError::InvalidData => K::InvalidData,
            IoError::UnexpectedEof => K::UnexpectedEof,
            IoError::Interrupted => K::Interrupted,
            IoError::WouldBlock => K::WouldBlock,
            IoError::BrokenPipe => K::BrokenPipe,
            IoError::NotADirectory => K::NotADirectory,
            IoError::IsADirectory => K::IsADirectory,
            IoError::DirectoryNotEmpty => K::DirectoryNotEmpty,
            IoError::ReadOnlyFilesystem => K::ReadOnlyFilesystem,
            IoError::StorageFull => K::StorageFull,
            IoError::OutOfMemory => K::OutOfMemory,
            IoError::TimedOut => K::TimedOut,
            IoError::CrossesDevices => K::CrossesDevices,
            IoError::TooManyLinks => K::TooManyLinks,
            IoError::FilesystemLoop => K::FilesystemLoop,
            IoError::InvalidFilename => K::InvalidFilename,
            IoError::Unsupported => K::Unsupported,
            IoError::NotSeekable => K::NotSeekable,
            IoError::Busy => K::ResourceBusy,
            IoError::NotExecutable => K::ExecutableFormat,
            IoError::ServiceRestarted => K::ConnectionReset,
            IoError::ConnectionReset => return Self::new(K::ConnectionReset, error),
            IoError::ConnectionRefused => K::ConnectionRefused,
            IoError::ConnectionAborted => K::ConnectionAborted,
            IoError::NotConnected => K::NotConnected,
            IoError::AddressInUse => K::AddrInUse,
            IoError::AddressNotAvailable => K::AddrNotAvailable,
            IoError::NetworkUnreachable => K::NetworkUnreachable,
            IoError::HostUnreachable => K::HostUnreachable,
            IoError::BadHandle | IoError::Device | IoError::NoSuchProcess | IoError::ServiceGone | IoError::Other => {
                return Self::new(K::Other, error);
            }
        };
        kind.into()
    }
}

/// Something bytes come from.
pub trait Read {
    /// Reads into `buffer`; returns how many bytes, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Fills `buffer`, or fails with `UnexpectedEof`.
    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Reads to the end and appends to `into`; returns how many bytes.
    fn read_to_end(&mut self, into: &mut Vec<u8>) -> Result<usize> {
        let before = into.len();
        let mut step = 4096;
        loop {
            let at = into.len();
            into.resize(at + step, 0);
            let read = self.read(&mut into[at..]);
            into.truncate(at + *read.as_ref().unwrap_or(&0));
            match read? {
                0 => return Ok(into.len() - before),
                // Whoever fills the buffer has more: ask for more at a time.
                count if count == step => step = (step * 2).min(65536),
                _ => {}
            }
        }
    }

    /// Reads to the end and appends to `into`, as text.
    fn read_to_string(&mut self, into: &mut String) -> Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "the text is not UTF-8"))?;
        into.push_str(&text);
        Ok(count)
    }

    /// By reference.
    fn by_ref(&mut self) -> &mut Self
    where
        Self: Sized,
    {
        self
    }
}

/// Something bytes go to.
pub trait Write {
    /// Writes from `buffer`; returns how many bytes were taken.
    fn write(&mut self, buffer: &[u8]) -> Result<usize>;

    /// Passes on what is kept back.
    fn flush(&mut self) -> Result<()>;

    /// Writes everything.
    fn write_all(&mut self, mut buffer: &[u8]) -> Result<()> {
        while !buffer.is_empty() {
            match self.write(buffer)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => buffer = &buffer[count..],
            }
        }
        Ok(())
    }

    /// Writes formatted text.
    fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> Result<()> {
        struct Adapter<'a, W: ?Sized>(&'a mut W, Result<()>);
        impl<W: Write + ?Sized> fmt::Write for Adapter<'_, W> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write_all(text.as_bytes()).map_err(|error| {
                    self.1 = Err(error);
                    fmt::Error
                })
            }
        }
        let mut adapter = Adapter(self, Ok(()));
        match fmt::write(&mut adapter, arguments) {
            Ok(()) => Ok(()),
            Err(fmt::Error) => adapter.1.and(Err(Error::other("a value could not be formatted"))),
        }
    }

    /// By reference.
    fn by_ref(&mut self) -> &mut Self
    where
        Self: Sized,
    {
        self
    }
}

/// Where to go, and from where it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekFrom {
    /// From the start.
    Start(u64),
    /// From the end.
    End(i64),
    /// From the current position.
    Current(i64),
}

/// Something with a position.
pub trait Seek {
    /// Sets the position; returns it, counted from the start.
    fn seek(&mut self, position: SeekFrom) -> Result<u64>;

    /// Goes to the start.
    fn rewind(&mut self) -> Result<()> {
        self.seek(SeekFrom::Start(0)).map(|_| ())
    }

    /// The position.
    fn stream_position(&mut self) -> Result<u64> {
        self.seek(SeekFrom::Current(0))
    }
}

/// A reader with a buffer.
pub trait BufRead: Read {
    /// What is in the buffer, refilled if it is empty; nothing at the end.
    fn fill_buf(&mut self) -> Result<&[u8]>;
    /// Marks bytes of the buffer as read.
    fn consume(&mut self, count: usize);

    /// Reads up to `delimiter`, that included, or the end; returns how many bytes.
    fn read_until(&mut self, delimiter: u8, into: &mut Vec<u8>) -> Result<usize> {
        let before = into.len();
        loop {
            let available = self.fill_buf()?;
            let (count, done) = match available.iter().position(|&byte| byte == delimiter) {
                Some(at) => (at + 1, true),
                None => (available.len(), available.is_empty()),
            };
            into.extend_from_slice(&available[..count]);
            self.consume(count);
            if done {
                return Ok(into.len() - before);
            }
        }
    }

    /// Reads a line, its line feed included; returns how many bytes.
    fn read_line(&mut self, into: &mut String) -> Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_until(b'\n', &mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "the text is not UTF-8"))?;
        into.push_str(&text);
        Ok(count)
    }

    /// The lines, without their line feeds.
    fn lines(self) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines(self)
    }
}

/// The lines of a reader.
#[derive(Debug)]
pub struct Lines<R>(R);

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<String>;
    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                line.truncate(line.trim_end_matches('\n').trim_end_matches('\r').len());
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

const BUFFER: usize = 65536;

/// Reads in large pieces.
#[derive(Debug)]
pub struct BufReader<R> {
    inner: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl<R: Read> BufReader<R> {
    /// With a buffer of 64 KiB.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(BUFFER, inner)
    }

    /// With a buffer of `capacity` bytes.
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: vec![0; capacity], at: 0, end: 0 }
    }

    /// The reader underneath.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader underneath; what is in the buffer is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for BufReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at == self.end && buffer.len() >= self.buffer.len() {
            return self.inner.read(buffer);
        }
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for BufReader<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.at == self.end {
            self.at = 0;
            self.end = 0;
            self.end = self.inner.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.at..self.end])
    }
    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.end);
    }
}

/// Writes in large pieces. Passes the rest on when it is dropped; errors of that are lost, so flush first.
#[derive(Debug)]
pub struct BufWriter<W: Write> {
    inner: W,
    buffer: Vec<u8>,
    capacity: usize,
}

impl<W: Write> BufWriter<W> {
    /// With a buffer of 64 KiB.
    pub fn new(inner: W) -> Self {
        Self::with_capacity(BUFFER, inner)
    }

    /// With a buffer of `capacity` bytes.
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self { inner, buffer: Vec::new(), capacity }
    }

    /// The writer underneath.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer underneath.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    fn pass_on(&mut self) -> Result<()> {
        // Emptied first: after an error the same bytes are not written again.
        let bytes = core::mem::take(&mut self.buffer);
        let result = self.inner.write_all(&bytes);
        self.buffer = bytes;
        self.buffer.clear();
        result
    }
}

impl<W: Write> Write for BufWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        if self.buffer.len() + buffer.len() > self.capacity {
            self.pass_on()?;
        }
        if buffer.len() >= self.capacity {
            return self.inner.write(buffer);
        }
        self.buffer.extend_from_slice(buffer);
        Ok(buffer.len())
    }
    fn flush(&mut self) -> Result<()> {
        self.pass_on()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for BufWriter<W> {
    fn drop(&mut self) {
        let _ = self.pass_on();
    }
}

/// Copies to the end; returns how many bytes.
pub fn copy(reader: &mut (impl Read + ?Sized), writer: &mut (impl Write + ?Sized)) -> Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                writer.write_all(&buffer[..count])?;
                total += count as u64;
            }
        }
    }
}

/// Reads to the end, as text.
pub fn read_to_string(mut reader: impl Read) -> Result<String> {
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok(text)
}

impl<R: Read + ?Sized> Read for &mut R {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (**self).read(buffer)
    }
}

impl<W: Write + ?Sized> Write for &mut W {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        (**self).write(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        (**self).flush()
    }
}

impl<R: Read + ?Sized> Read for alloc::boxed::Box<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (**self).read(buffer)
    }
}

impl<W: Write + ?Sized> Write for alloc::boxed::Box<W> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        (**self).write(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        (**self).flush()
    }
}

impl Read for &[u8] {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.len());
        let (now, later) = self.split_at(count);
        buffer[..count].copy_from_slice(now);
        *self = later;
        Ok(count)
    }
}

impl BufRead for &[u8] {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        Ok(self)
    }
    fn consume(&mut self, count: usize) {
        *self = &self[count..];
    }
}

impl Write for Vec<u8> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.extend_from_slice(buffer);
        Ok(buffer.len())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Bytes in memory with a position.
#[derive(Clone, Debug, Default)]
pub struct Cursor<T> {
    inner: T,
    position: u64,
}

impl<T> Cursor<T> {
    /// At the start.
    pub fn new(inner: T) -> Self {
        Self { inner, position: 0 }
    }
    /// What is underneath.
    pub fn into_inner(self) -> T {
        self.inner
    }
    /// The position.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<T: AsRef<[u8]>> Read for Cursor<T> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let bytes = self.inner.as_ref();
        let mut rest = &bytes[bytes.len().min(self.position as usize)..];
        let count = rest.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Gives nothing, takes everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl Read for Empty {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}

impl Write for Empty {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        Ok(buffer.len())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
