//! What everything that is read and written has in common: files, pipes, the console.
//!
//! A client names an open object by a handle, a number that counts only within the client's session (its badge).
//! Handle 0 through a capability that [`Stream::duplicate`] made names the object which that capability stands for: that is how a
//! standard stream is passed to another program. Duplicates share the position.
//!
//! Short data travel in the message. For bulk data the client attaches pages of its own once ([`Stream::attach`]); the `_shared` methods
//! then move data between object and those pages. The service never trusts what lies in them.

use crate::error::IoError;
use crate::{Bytes, Cap, Wire, interface};

/// The most bytes that `read` and `write` carry in the message itself.
pub const INLINE_BYTES: usize = 768;

/// The most pages that one session may attach (256 KiB).
pub const MAX_ATTACHED_PAGES: u64 = 64;

/// Methods of this interface are numbered from here, so that a service offers it beside its own.
pub const STREAM_BASE: u64 = 0x100;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum StreamKind {
    /// A terminal.
    Terminal,
    /// One end of a pipe.
    Pipe,
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// From where a position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum Whence {
    /// From the beginning.
    Start,
    /// From the current position.
    Current,
    /// From the end.
    End,
}

/// Reading and writing what is open. Served beside a service's own interface, on the same endpoint.
#[interface("stream", base = 0x100)]
pub trait Stream {
    /// Lends the service four pages of the client's for bulk data: pages `first` to `first + 3` of the session's buffer.
    /// Attaching again replaces them.
    #[idempotent]
    fn attach(&self, first: u64, a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError>;
    /// Reads up to `length` bytes (at most [`INLINE_BYTES`]) at the position; none at the end. Waits until there is something.
    #[numbered]
    #[deferred]
    fn read(&self, handle: u64, length: u64) -> Result<Bytes, IoError>;
    /// Writes at the position. Returns how many bytes were taken, at least one unless `data` is empty.
    #[numbered]
    #[deferred]
    fn write(&self, handle: u64, data: &[u8]) -> Result<u64, IoError>;
    /// As `read`, into the attached pages at byte `offset`; returns how many bytes.
    #[numbered]
    #[deferred]
    fn read_shared(&self, handle: u64, offset: u64, length: u64) -> Result<u64, IoError>;
    /// As `write`, from the attached pages at byte `offset`.
    #[numbered]
    #[deferred]
    fn write_shared(&self, handle: u64, offset: u64, length: u64) -> Result<u64, IoError>;
    /// Sets the position and returns it, counted from the start.
    #[numbered]
    fn seek(&self, handle: u64, whence: Whence, offset: i64) -> Result<u64, IoError>;
    /// What it is.
    #[idempotent]
    fn kind(&self, handle: u64) -> Result<StreamKind, IoError>;
    /// A capability for another program to use the same object with. Whoever passes it on sees to it that it is closed.
    #[numbered]
    fn duplicate(&self, handle: u64) -> Result<Cap, IoError>;
    /// Ends the use of the handle.
    #[numbered]
    fn close(&self, handle: u64) -> Result<(), IoError>;
    /// Everything of a client that is gone is closed. Accepted only from those who may say so ([`crate::badge::LIFECYCLE`]).
    #[idempotent]
    fn client_gone(&self, client: u64) -> Result<(), IoError>;
}

/// Whether a request cannot have been answered before the last one that was (0: none was), because the same program made it later. So a
/// repetition ([`crate::AGAIN`]) of which this is true is the first that the server hears of it, if the requests are of one kind and of one thread.
pub const fn is_later(number: u64, last: u64) -> bool {
    const COUNT: u32 = 32;
    last == 0 || number >> COUNT == last >> COUNT && number > last
}

/// What a stream server needs of the machine: the pages that its clients lend, by the client's badge, and capabilities
/// to its own endpoint. `motte::server` implements it over real frames; host tests over a vector.
pub trait SharedPages {
    /// Takes four pages of `badge`'s buffer, from page number `first` on.
    fn attach(&mut self, badge: u64, first: u64, pages: [Cap; 4]) -> Result<(), IoError>;
    /// Copies out of the buffer.
    fn read(&self, badge: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError>;
    /// Copies into the buffer.
    fn write(&mut self, badge: u64, offset: u64, from: &[u8]) -> Result<(), IoError>;
    /// Gives the buffer back.
    fn detach(&mut self, badge: u64);
    /// A capability to this service's endpoint with a badge.
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError>;
}
