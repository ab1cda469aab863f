//! The request to start a program, as it lies in the client's pages ([`motte_interfaces::process::SPAWN_MAGIC`]). The bytes are copied
//! out of the shared pages before anything here looks at them.

use alloc::string::String;
use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::process::SPAWN_MAGIC;

/// The longest request, in bytes.
pub const LONGEST: u64 = 256 * 1024;

/// A program to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its file.
    pub path: String,
    /// Its working directory.
    pub directory: String,
    /// The most memory it may use, in bytes; 0: the default.
    pub memory_limit: u64,
    /// Its arguments, its name first.
    pub arguments: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<String>,
    /// The services it may use; `None`: those that its parent may use.
    pub services: Option<Vec<String>>,
}

/// Reads a request. Anything else is `InvalidInput`.
pub fn parse(bytes: &[u8]) -> Result<Request, IoError> {
    let mut rest = Rest(bytes);
    if rest.number()? != SPAWN_MAGIC {
        return Err(IoError::InvalidInput);
    }
    let (path, directory, memory_limit) = (rest.text()?, rest.text()?, rest.long()?);
    let (arguments, environment) = (rest.texts()?, rest.texts()?);
    let services = match rest.clone().number()? {
        u32::MAX => None,
        _ => Some(rest.texts()?),
    };
    if !path.starts_with('/') || arguments.is_empty() {
        return Err(IoError::InvalidInput);
    }
    Ok(Request { path, directory, memory_limit, arguments, environment, services })
}

/// What has not been read yet.
#[derive(Clone)]
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], IoError> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(IoError::InvalidInput)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u32, IoError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u64, IoError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, IoError> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(IoError::InvalidInput)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| IoError::InvalidInput)
    }

    fn texts(&mut self) -> Result<Vec<String>, IoError> {
        let count = self.number()?;
        (0..count).map(|_| self.text()).collect()
    }
}
