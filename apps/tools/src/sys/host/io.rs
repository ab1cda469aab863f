//! Standard streams and the traits of reading and writing.

pub use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};

use std::io::IsTerminal;

/// The program's standard input.
pub struct Stdin(std::io::Stdin);

/// The program's standard output.
pub struct Stdout(std::io::Stdout);

/// The program's standard error.
pub struct Stderr(std::io::Stderr);

/// The program's standard input.
pub fn stdin() -> Stdin {
    Stdin(std::io::stdin())
}

/// The program's standard output.
pub fn stdout() -> Stdout {
    Stdout(std::io::stdout())
}

/// The program's standard error.
pub fn stderr() -> Stderr {
    Stderr(std::io::stderr())
}

impl Stdin {
    /// Whether the stream is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl Stdout {
    /// Whether the stream is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl Stderr {
    /// Whether the stream is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stdout {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

impl Write for Stderr {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}
