//! Why an operation could not be measured.

use core::fmt;

use motte::abi::Error;
use motte::io;
use motte::kernel::MapError;

/// The reason.
#[derive(Debug)]
pub enum Failure {
    /// The kernel refused something.
    Kernel(Error),
    /// A service refused something.
    Service(io::Error),
    /// Something was done, but not rightly.
    Wrong(&'static str),
    /// This system has not what it takes.
    Unavailable(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Service(error)
    }
}

impl From<MapError> for Failure {
    fn from(error: MapError) -> Self {
        Self::Kernel(match error {
            MapError::Kernel(error) => error,
            MapError::MissingTable(_) => Error::MissingTable,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Service(error) => write!(f, "{error}"),
            Self::Wrong(what) | Self::Unavailable(what) => f.write_str(what),
        }
    }
}
