//! Standard input, output and error. A program gets them from whoever starts it; a component that was given none but may
//! use the console has that; any other reads nothing and its output is dropped (it says what it has to say through [`crate::log`]).

use core::fmt;

use motte_interfaces::Cap;
use motte_interfaces::console::{CONSOLE, CONSOLE_ERROR};
use motte_interfaces::stream::StreamKind;

use crate::io::{Error, ErrorKind, Read, Result, Write};
use crate::session::{End, Handle, Session};
use crate::sync::OnceLock;

/// Exit status of a program whose output nobody reads any more, as shells know it.
const BROKEN_PIPE_STATUS: i32 = 141;

static STREAMS: [OnceLock<Option<Handle>>; 3] = [const { OnceLock::new() }; 3];

pub(crate) fn stream(index: usize) -> Option<&'static Handle> {
    STREAMS[index].get_or_init(|| open(index)).as_ref()
}

fn open(index: usize) -> Option<Handle> {
    if let Some(slot) = crate::start::capability(["stdin", "stdout", "stderr"][index]) {
        return Some(Handle::from_capability(Cap(slot.0)));
    }
    let connection = crate::service::connect("console").ok()?;
    let number = if index == 2 { CONSOLE_ERROR } else { CONSOLE };
    Some(Handle { session: Session::new(connection), number, end: End::Keep })
}

macro_rules! standard_stream {
    ($(#[$doc:meta])* $name:ident, $function:ident, $index:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        $(#[$doc])*
        pub fn $function() -> $name {
            $name
        }

        impl $name {
            /// Whether a person sits at it.
            pub fn is_terminal(&self) -> bool {
                stream($index).is_some_and(|handle| matches!(handle.kind(), Ok(StreamKind::Terminal)))
            }

            /// Itself: nothing is locked, every write goes out at once.
            pub fn lock(&self) -> Self {
                *self
            }
        }
    };
}

standard_stream!(
    /// Standard input.
    Stdin, stdin, 0
);
standard_stream!(
    /// Standard output. Not buffered: programs that write much use a `BufWriter`.
    Stdout, stdout, 1
);
standard_stream!(
    /// Standard error.
    Stderr, stderr, 2
);

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        stream(0).map_or(Ok(0), |handle| handle.read(buffer))
    }
}

impl Write for Stdout {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        stream(1).map_or(Ok(buffer.len()), |handle| handle.write(buffer))
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Write for Stderr {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        stream(2).map_or(Ok(buffer.len()), |handle| handle.write(buffer))
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What `print!` does: nobody reads any more ends the program, quietly.
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    let result = match arguments.as_str() {
        Some(text) => Stdout.write_all(text.as_bytes()),
        // One write, so that lines of several programs do not mix.
        None => Stdout.write_all(alloc::fmt::format(arguments).as_bytes()),
    };
    if is_broken(result) {
        crate::process::exit(BROKEN_PIPE_STATUS);
    }
}

/// What `eprint!` does: there is nobody left to tell about an error.
#[doc(hidden)]
pub fn eprint(arguments: fmt::Arguments<'_>) {
    let _ = Stderr.write_all(alloc::fmt::format(arguments).as_bytes());
}

fn is_broken(result: core::result::Result<(), Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints to standard output.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::standard::print(format_args!($($argument)*)) };
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::standard::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints to standard error.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => { $crate::standard::eprint(format_args!($($argument)*)) };
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($argument:tt)*) => { $crate::standard::eprint(format_args!("{}\n", format_args!($($argument)*))) };
}
