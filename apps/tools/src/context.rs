//! What a tool runs in: its name, buffered standard output, and errors that reach a person as one sentence.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Write as _};

use crate::sys;
use crate::sys::io::{Error, ErrorKind, Write as _};

/// Output is collected up to this many bytes before it is written.
const BUFFER: usize = 64 * 1024;

/// The status of a program that ended because nobody reads its output any more.
const BROKEN_PIPE: i32 = 141;

/// Why a tool ends early: its exit status, and what is still to be said.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: i32,
    /// The sentence for standard error, without the tool's name; none where all was said.
    pub message: Option<String>,
}

impl Failure {
    /// Ends with a sentence.
    pub fn new(status: i32, message: impl Display) -> Failure {
        Failure { status, message: Some(message.to_string()) }
    }

    /// Ends without a word.
    pub fn silent(status: i32) -> Failure {
        Failure { status, message: None }
    }
}

/// How a tool ends: with its exit status, or early.
pub type Outcome = Result<i32, Failure>;

/// Standard output, buffered. Its first error is kept and everything after it dropped.
pub struct Output {
    buffer: Vec<u8>,
    error: Option<Error>,
    terminal: bool,
}

impl Output {
    fn new() -> Output {
        Output { buffer: Vec::new(), error: None, terminal: sys::io::stdout().is_terminal() }
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether writing has failed, so that there is no use in going on.
    pub fn is_broken(&self) -> bool {
        self.error.is_some()
    }

    /// Writes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
            if bytes.len() >= BUFFER {
                self.write_through(bytes);
                return;
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes one byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// Hands over what was collected.
    pub fn flush(&mut self) {
        let mut buffer = core::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write_through(&buffer);
            buffer.clear();
        }
        self.buffer = buffer;
    }

    fn write_through(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            let mut stream = sys::io::stdout();
            if let Err(error) = stream.write_all(bytes).and_then(|()| stream.flush()) {
                self.error = Some(error);
            }
        }
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// Writes formatted text to a tool's standard output.
macro_rules! put {
    ($context:expr, $($argument:tt)*) => {{
        // Output keeps its own error; formatting into it does not fail.
        let _ = core::fmt::Write::write_fmt(&mut $context.out, format_args!($($argument)*));
    }};
}

pub(crate) use put;

/// What a tool runs in.
pub struct Context {
    /// The name it was called by.
    pub name: &'static str,
    /// Standard output.
    pub out: Output,
    /// The exit status as far as errors were met: 0 until the first one.
    pub status: i32,
}

impl Context {
    /// A context for the tool of that name.
    pub fn new(name: &'static str) -> Context {
        Context { name, out: Output::new(), status: 0 }
    }

    /// Says what went wrong on standard error, and goes on; the tool's status becomes 1.
    pub fn error(&mut self, message: impl Display) {
        self.note(message);
        if self.status == 0 {
            self.status = 1;
        }
    }

    /// Says something on standard error under the tool's name.
    pub fn note(&mut self, message: impl Display) {
        let mut line = String::new();
        let _ = writeln!(line, "{}: {message}", self.name);
        self.diagnose(&line);
    }

    /// Writes text to standard error as it is.
    pub fn diagnose(&mut self, text: &str) {
        self.out.flush();
        let mut stream = sys::io::stderr();
        // Where standard error cannot be written there is nobody left to tell.
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }

    /// Writes what is left and turns the outcome into the exit status.
    pub fn finish(mut self, outcome: Outcome) -> i32 {
        let status = match outcome {
            Ok(status) => status,
            Err(failure) => {
                if let Some(message) = failure.message {
                    self.note(message);
                }
                failure.status
            }
        };
        self.out.flush();
        match self.out.error.take() {
            None => status,
            Some(error) if error.kind() == ErrorKind::BrokenPipe => BROKEN_PIPE,
            Some(error) => {
                self.note(format_args!("cannot write standard output: {}", describe(&error)));
                if status == 0 { 1 } else { status }
            }
        }
    }
}

/// An error of the system as the end of a sentence.
pub fn describe(error: &Error) -> String {
    let text = match error.kind() {
        ErrorKind::NotFound => "no such file or directory",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::AlreadyExists => "file exists",
        ErrorKind::InvalidInput => "invalid argument",
        ErrorKind::InvalidData => "the data is damaged",
        ErrorKind::UnexpectedEof => "unexpected end of file",
        ErrorKind::BrokenPipe => "broken pipe",
        ErrorKind::NotADirectory => "not a directory",
        ErrorKind::IsADirectory => "is a directory",
        ErrorKind::DirectoryNotEmpty => "directory not empty",
        ErrorKind::ReadOnlyFilesystem => "read-only file system",
        ErrorKind::StorageFull => "no space left on device",
        ErrorKind::OutOfMemory => "out of memory",
        ErrorKind::TimedOut => "timed out",
        ErrorKind::CrossesDevices => "it lies on another file system",
        ErrorKind::TooManyLinks => "too many links",
        ErrorKind::InvalidFilename => "invalid file name",
        ErrorKind::Unsupported => "not supported here",
        ErrorKind::NotSeekable => "it has no positions to go to",
        ErrorKind::ConnectionReset => "the service was restarted",
        _ => return error.to_string(),
    };
    text.to_string()
}
