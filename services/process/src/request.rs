//! The request to start a program, as it lies in the client's pages ([`motte_interfaces::process::SPAWN_MAGIC`]). The bytes are copied
//! out of the shared pages before anything here looks at them.

use motte_interfaces::error::IoError;
use motte_interfaces::process::SPAWN_MAGIC;
use motte_interfaces::strings::{Pieces, Strings};

/// The longest request, in bytes.
pub const LONGEST: u64 = 256 * 1024;

/// A program to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// A number that the client uses for this request alone.
    pub ticket: u64,
    /// Its file.
    pub path: &'a str,
    /// Its working directory.
    pub directory: &'a str,
    /// The most memory it may use, in bytes; 0: the default.
    pub memory_limit: u64,
    /// The name it is called by: its first argument.
    pub called: &'a str,
    /// Its arguments, its name first.
    pub arguments: Strings<'a>,
    /// Its environment, as `NAME=value`.
    pub environment: Strings<'a>,
    /// The services it may use; `None`: those that its parent may use.
    pub services: Option<Strings<'a>>,
}

/// Reads a request. Anything else is `InvalidInput`.
pub fn parse(bytes: &[u8]) -> Result<Request<'_>, IoError> {
    read(Pieces(bytes)).filter(|request| request.path.starts_with('/')).ok_or(IoError::InvalidInput)
}

fn read(mut pieces: Pieces<'_>) -> Option<Request<'_>> {
    (pieces.number()? == SPAWN_MAGIC).then_some(())?;
    let ticket = pieces.word()?;
    let (path, directory, memory_limit) = (pieces.text()?, pieces.text()?, pieces.word()?);
    let (arguments, environment) = (pieces.strings()?, pieces.strings()?);
    let called = arguments.iter().next()?;
    let services = match Pieces(pieces.0).number()? {
        u32::MAX => None,
        _ => Some(pieces.strings()?),
    };
    Some(Request { ticket, path, directory, memory_limit, called, arguments, environment, services })
}
