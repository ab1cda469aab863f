//! The registry: finds a service by name, within what the manifest allows. It is the one service that every component and program
//! starts with a capability to.
//!
//! A restart of it loses nothing: capabilities to services stay what they are, the manifest says what components may use, and what running
//! programs may use is kept. All calls are repeated by themselves.

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
    /// The caller has no slot left for the capability.
    TableFull,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "service not found",
            Self::NotAllowed => "the manifest does not allow this service",
            Self::OutOfMemory => "the registry is out of memory",
            Self::Unreachable => "the registry does not answer",
            Self::TableFull => "the program's capability table is full",
        })
    }
}

impl From<CallError> for RegistryError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Kernel(motte_abi::Error::LimitReached) => Self::TableFull,
            _ => Self::Unreachable,
        }
    }
}

impl core::error::Error for RegistryError {}

/// A set of services, each by the number that the registry knows it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Wire)]
pub struct ServiceSet {
    low: u64,
    high: u64,
}

impl ServiceSet {
    /// The most services that can be told apart.
    pub const CAPACITY: usize = 128;
    /// Every service.
    pub const ALL: Self = Self { low: u64::MAX, high: u64::MAX };

    /// As two words, for [`ServiceSet::from_words`].
    pub const fn words(self) -> [u64; 2] {
        [self.low, self.high]
    }

    /// From two words.
    pub const fn from_words([low, high]: [u64; 2]) -> Self {
        Self { low, high }
    }

    const fn of(bits: u128) -> Self {
        Self { low: bits as u64, high: (bits >> 64) as u64 }
    }

    const fn bits(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Adds a service; numbers from [`ServiceSet::CAPACITY`] on are dropped.
    pub const fn insert(&mut self, number: usize) {
        if number < Self::CAPACITY {
            *self = Self::of(self.bits() | 1 << number);
        }
    }

    /// Whether the service is in it.
    pub const fn contains(self, number: usize) -> bool {
        number < Self::CAPACITY && self.bits() >> number & 1 != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.bits() == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self::of(self.bits() & other.bits())
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self::of(self.bits() | other.bits())
    }
}

/// The registry.
#[interface("registry")]
pub trait Registry {
    /// A capability to the service of that name, badged with the caller's own badge ([`crate::badge`]).
    #[idempotent]
    fn lookup(&self, name: &str) -> Result<Cap, RegistryError>;
    /// The services of these names as a set, for [`Registry::grant`]. It means the same as long as the system runs.
    #[idempotent]
    fn services(&self, names: &[String]) -> Result<ServiceSet, RegistryError>;
    /// Allows the program with this badge ([`crate::badge::FIRST_PROGRAM`] and above) these services, besides those it has; returns a
    /// capability to the registry that carries its badge. For the process server only.
    #[idempotent]
    fn grant(&self, client: u64, services: ServiceSet) -> Result<Cap, RegistryError>;
    /// Tells every service that the client looked up that it is gone, and forgets a program's grants. Answered when all have been told or did
    /// not answer in time; at once if there is none. From those who may report deaths ([`crate::badge::LIFECYCLE`]) only.
    #[deferred]
    #[idempotent]
    fn client_gone(&self, client: u64) -> Result<(), RegistryError>;
}
