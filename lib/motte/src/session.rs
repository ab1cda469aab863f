//! A client's side of [`motte_interfaces::stream`]: open objects of one service, and the pages lent to it for bulk data.

use alloc::sync::Arc;

use motte_interfaces::Cap;
use motte_interfaces::error::IoError;
use motte_interfaces::stream::{INLINE_BYTES, StreamClient, StreamKind, Whence};

use crate::io::{self, SeekFrom};
use crate::memory::Mapping;
use crate::service::Connection;
use crate::sync::Mutex;

/// Bytes of the buffer that a session lends for files, pipes and the console.
const BUFFER: usize = 65536;

/// How often one request lends pages that a restarted service does not know.
const LENDINGS: usize = 3;

/// What one client has open at one service. All its handles share the connection and the lent pages.
pub(crate) struct Session {
    pub client: StreamClient<Connection>,
    buffer: Mutex<Buffer>,
}

enum Buffer {
    /// Not lent yet.
    None,
    /// Lent.
    Lent(Mapping),
    /// The service does not want it: everything goes in messages.
    Refused,
}

impl Buffer {
    /// After an attempt to lend pages. One that failed for another reason than that the service takes none is repeated: the service may have been
    /// about to fail, and its successor take them.
    fn after(lent: Result<Mapping, IoError>) -> Self {
        match lent {
            Ok(memory) => Self::Lent(memory),
            Err(IoError::Unsupported) => Self::Refused,
            Err(_) => Self::None,
        }
    }
}

impl Session {
    pub fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self { client: StreamClient::new(connection), buffer: Mutex::new(Buffer::None) })
    }

    /// Works with the lent pages, of at least `size` bytes; `None` if there are none to be had.
    pub fn with_buffer<R>(&self, size: usize, work: impl FnOnce(&Mapping) -> R) -> Option<R> {
        let mut buffer = self.buffer.lock();
        let large_enough = match &*buffer {
            Buffer::None => false,
            Buffer::Lent(memory) => memory.len() >= size,
            Buffer::Refused => return None,
        };
        if !large_enough {
            *buffer = Buffer::after(self.lend(size.max(BUFFER)));
        }
        match &*buffer {
            Buffer::Lent(memory) => Some(work(memory)),
            _ => None,
        }
    }

    fn lend(&self, size: usize) -> Result<Mapping, IoError> {
        let memory = Mapping::new(size.div_ceil(4096).next_multiple_of(4)).map_err(|_| IoError::OutOfMemory)?;
        self.attach(&memory)?;
        Ok(memory)
    }

    fn attach(&self, memory: &Mapping) -> Result<(), IoError> {
        for (index, four) in memory.frames().chunks_exact(4).enumerate() {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| Cap(four[at].0.0));
            self.client.attach(index as u64 * 4, a, b, c, d)?;
        }
        Ok(())
    }

    /// Lends the same pages anew: the service was restarted and knows nothing of them.
    pub fn lend_again(&self) {
        let mut buffer = self.buffer.lock();
        if let Buffer::Lent(memory) = &*buffer
            && self.attach(memory).is_err()
        {
            *buffer = Buffer::None;
        }
    }
}

/// One open object. Closed when dropped.
pub(crate) struct Handle {
    pub session: Arc<Session>,
    pub number: u64,
    pub end: End,
}

/// What becomes of an object when its handle is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is closed.
    Close,
    /// It is closed, and the capability that stood for it goes.
    CloseAndDelete,
    /// The service keeps it open for the whole session.
    Keep,
}

impl Handle {
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        for _ in 0..if into.len() > INLINE_BYTES { LENDINGS } else { 0 } {
            let read = self.session.with_buffer(BUFFER, |memory| {
                let length = into.len().min(memory.len());
                let count = self.session.client.read_shared(self.number, 0, length as u64)?;
                let count = (count as usize).min(length);
                memory.read(0, &mut into[..count]);
                Ok(count)
            });
            match read {
                Some(Err(IoError::InvalidData)) => self.session.lend_again(),
                Some(result) => return Ok(result?),
                None => break,
            }
        }
        let bytes = self.session.client.read(self.number, into.len().min(INLINE_BYTES) as u64)?.0;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub fn write(&self, from: &[u8]) -> io::Result<usize> {
        for _ in 0..if from.len() > INLINE_BYTES { LENDINGS } else { 0 } {
            let written = self.session.with_buffer(BUFFER, |memory| {
                let length = from.len().min(memory.len());
                memory.write(0, &from[..length]);
                let count = self.session.client.write_shared(self.number, 0, length as u64)?;
                Ok((count as usize).min(length))
            });
            match written {
                Some(Err(IoError::InvalidData)) => self.session.lend_again(),
                Some(result) => return Ok(result?),
                None => break,
            }
        }
        let count = self.session.client.write(self.number, &from[..from.len().min(INLINE_BYTES)])?;
        Ok((count as usize).min(from.len()))
    }

    pub fn seek(&self, position: SeekFrom) -> io::Result<u64> {
        let (whence, offset) = match position {
            SeekFrom::Start(offset) => (Whence::Start, i64::try_from(offset).map_err(|_| IoError::InvalidInput)?),
            SeekFrom::Current(offset) => (Whence::Current, offset),
            SeekFrom::End(offset) => (Whence::End, offset),
        };
        Ok(self.session.client.seek(self.number, whence, offset)?)
    }

    pub fn kind(&self) -> io::Result<StreamKind> {
        Ok(self.session.client.kind(self.number)?)
    }

    /// A capability to the same object, for another program or another handle.
    pub fn duplicate(&self) -> io::Result<Cap> {
        Ok(self.session.client.duplicate(self.number)?)
    }

    /// The object that a capability stands for; the slot goes with the handle.
    pub fn from_capability(cap: Cap) -> Self {
        Self { session: Session::new(Connection::from(cap)), number: 0, end: End::CloseAndDelete }
    }

    /// A second handle to the same object, with the same position.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from_capability(self.duplicate()?))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.end != End::Keep {
            let _ = self.session.client.close(self.number);
        }
        if self.end == End::CloseAndDelete {
            crate::slots::delete(self.session.client.transport().endpoint().0);
        }
    }
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handle").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_failed_to_take_pages_is_offered_them_again() {
        for error in [IoError::InvalidData, IoError::OutOfMemory, IoError::ServiceRestarted] {
            assert!(matches!(Buffer::after(Err(error)), Buffer::None));
        }
        assert!(matches!(Buffer::after(Err(IoError::Unsupported)), Buffer::Refused));
    }
}
