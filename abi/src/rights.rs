//! What a capability allows. The meaning of a bit depends on the object's type; a copy never has more.

use core::ops::{BitAnd, BitOr};

/// A set of rights, one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Rights(pub u8);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Frame: map readable. Endpoint: receive. Notification: wait and poll. Table: read. Thread: read registers.
    pub const READ: Self = Self(1);
    /// Frame: map writable. Endpoint: send and call. Notification: signal. Thread: write registers, start, suspend.
    pub const WRITE: Self = Self(1 << 1);
    /// Endpoint: send capabilities along. Frame: map executable.
    pub const GRANT: Self = Self(1 << 2);
    /// Endpoint: open and close. Thread: configure. CapTable, AddressSpace, Untyped, and all else: every change.
    pub const MANAGE: Self = Self(1 << 3);
    /// Everything.
    pub const ALL: Self = Self(0xf);

    /// Frame rights under the names that mappings use.
    pub const EXECUTE: Self = Self::GRANT;
    /// Endpoint rights under the names that messages use.
    pub const RECEIVE: Self = Self::READ;
    /// Sending and calling on an endpoint.
    pub const SEND: Self = Self::WRITE;

    /// Whether all of `other` is in `self`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both sets have.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Rights {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitAnd for Rights {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}
