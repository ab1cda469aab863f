//! The one request that services without streams take beside their own: that a client is about to vanish. It is `client_gone` of
//! the stream interface, which is how every service hears of it, before the memory of whoever is gone is used for anything else.

use crate::error::IoError;
use crate::interface;

/// Label of `client_gone` in the stream interface.
pub const CLIENT_GONE: u64 = 0x109;

/// What is left of the stream interface where there are no streams.
#[interface("lifecycle", base = 0x109)]
pub trait Lifecycle {
    /// A client is gone. Accepted only from those who may say so ([`crate::badge::LIFECYCLE`]).
    #[idempotent]
    fn client_gone(&self, client: u64) -> Result<(), IoError>;
}
