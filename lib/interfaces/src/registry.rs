//! The registry: finds a service by name, within what the manifest allows. It is the one service that every component and program
//! starts with a capability to.

use alloc::string::String;
use core::fmt;

use crate::{CallError, Cap, Wire, interface};

/// Why a service cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum RegistryError {
    /// Nobody provides a service of that name.
    NotFound,
    /// There is such a service, but the caller may not use it.
    NotAllowed,
    /// The registry cannot make more capabilities.
    OutOfMemory,
    /// The registry does not answer, or not what was asked.
    Unreachable,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "service not found",
            Self::NotAllowed => "the manifest does not allow this service",
            Self::OutOfMemory => "the registry is out of memory",
            Self::Unreachable => "the registry does not answer",
        })
    }
}

impl From<CallError> for RegistryError {
    fn from(_: CallError) -> Self {
        Self::Unreachable
    }
}

impl core::error::Error for RegistryError {}

/// The registry.
#[interface("registry")]
pub trait Registry {
    /// A capability to the service of that name, badged with the caller's own badge ([`crate::badge`]).
    #[idempotent]
    fn lookup(&self, name: &str) -> Result<Cap, RegistryError>;
    /// Allows the program with this badge ([`crate::badge::FIRST_PROGRAM`] and above) the services named, besides those it has; returns a capability
    /// to the registry that carries its badge. For the process server only.
    #[idempotent]
    fn grant(&self, client: u64, names: &[String]) -> Result<Cap, RegistryError>;
    /// Tells every service that the client looked up that it is gone, and forgets a program's grants. Answered when all have been told or did
    /// not answer in time. From those who may report deaths ([`crate::badge::LIFECYCLE`]) only.
    #[deferred]
    #[idempotent]
    fn client_gone(&self, client: u64) -> Result<(), RegistryError>;
}
