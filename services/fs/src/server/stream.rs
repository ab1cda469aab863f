//! Reading and writing open files.

use alloc::vec;

use motte_interfaces::{
    Bytes, Cap, Replier, Responder, Sender, badge,
    error::IoError,
    stream::{INLINE_BYTES, MAX_ATTACHED_PAGES, Stream, StreamKind, Whence},
};

use super::{FilesServer, GENERATION_MASK};
use crate::{
    cache::PAGE_SIZE,
    error::Error,
    filesystem::Kind,
    kept::Word,
    memory::{Input, LentPages, Output},
    vfs,
};

/// The most bytes that one request moves.
const MOST: u64 = MAX_ATTACHED_PAGES * PAGE_SIZE as u64;

impl<R: Replier, P: LentPages> FilesServer<R, P> {
    fn read_inline(&mut self, sender: &Sender, handle: u64, length: u64) -> Result<Bytes, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        let mut bytes = vec![0; length.min(INLINE_BYTES as u64) as usize];
        let got = self.vfs()?.read(client, handle, None, &mut Output::new(&mut bytes))?;
        bytes.truncate(got);
        Ok(Bytes(bytes))
    }

    fn write_inline(&mut self, sender: &Sender, handle: u64, data: &[u8]) -> Result<u64, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        if let Some(appended) = self.vfs()?.appended(client, handle)? {
            return Ok(appended as u64);
        }
        Ok(self.change()?.write(client, handle, None, &mut Input::new(data))? as u64)
    }

    /// Calls `step` with one piece of a client's pages after the other: it moves bytes and says how many, and whether it moved all.
    /// What fails behind the first byte ends the move, and is met again by the next.
    fn in_pieces(
        offset: u64,
        length: u64,
        mut step: impl FnMut(u64, usize) -> Result<(usize, bool), IoError>,
    ) -> Result<u64, IoError> {
        let length = length.min(MOST);
        let mut done = 0;
        loop {
            let moved = match offset.checked_add(done) {
                Some(at) => step(at, (length - done) as usize),
                None => Err(IoError::InvalidInput),
            };
            match moved {
                Ok((count, all)) => {
                    done += count as u64;
                    if !all || count == 0 || done >= length {
                        return Ok(done);
                    }
                }
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
        }
    }

    fn read_lent(&mut self, sender: &Sender, handle: u64, offset: u64, length: u64) -> Result<u64, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        let (pages, vfs) = (&self.pages, self.vfs.as_mut().ok_or(IoError::ServiceGone)?);
        Self::in_pieces(offset, length, |at, length| {
            let mut output = Output::lent(pages, client, at, length)?;
            let got = vfs.read(client, handle, None, &mut output)?;
            Ok((got, output.remaining() == 0))
        })
    }

    fn write_lent(&mut self, sender: &Sender, handle: u64, offset: u64, length: u64) -> Result<u64, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        if let Some(appended) = self.vfs()?.appended(client, handle)? {
            return Ok(appended as u64);
        }
        self.changed = true;
        let (pages, vfs) = (&self.pages, self.vfs.as_mut().ok_or(IoError::ServiceGone)?);
        Self::in_pieces(offset, length, |at, length| {
            let mut input = Input::lent(pages, client, at, length)?;
            let put = vfs.write(client, handle, None, &mut input)?;
            Ok((put, input.remaining() == 0))
        })
    }
}

impl<R: Replier, P: LentPages> Stream for FilesServer<R, P> {
    fn attach(&mut self, sender: &Sender, first: u64, a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError> {
        let client = sender.badge & !badge::LIFECYCLE;
        self.pages.attach(client, first, [a, b, c, d])
    }

    fn read(&mut self, sender: &Sender, handle: u64, length: u64, responder: Responder<Bytes, IoError>) {
        let result = self.read_inline(sender, handle, length);
        responder.answer(&mut self.replier, result);
    }

    fn write(&mut self, sender: &Sender, handle: u64, data: &[u8], responder: Responder<u64, IoError>) {
        let result = self.write_inline(sender, handle, data);
        responder.answer(&mut self.replier, result);
    }

    fn read_shared(
        &mut self,
        sender: &Sender,
        handle: u64,
        offset: u64,
        length: u64,
        responder: Responder<u64, IoError>,
    ) {
        let result = self.read_lent(sender, handle, offset, length);
        responder.answer(&mut self.replier, result);
    }

    fn write_shared(
        &mut self,
        sender: &Sender,
        handle: u64,
        offset: u64,
        length: u64,
        responder: Responder<u64, IoError>,
    ) {
        let result = self.write_lent(sender, handle, offset, length);
        responder.answer(&mut self.replier, result);
    }

    fn seek(&mut self, sender: &Sender, handle: u64, whence: Whence, offset: i64) -> Result<u64, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        let whence = match whence {
            Whence::Start => vfs::Whence::Start,
            Whence::Current => vfs::Whence::Current,
            Whence::End => vfs::Whence::End,
        };
        Ok(self.vfs()?.seek(client, handle, whence, offset)?)
    }

    fn kind(&mut self, sender: &Sender, handle: u64) -> Result<StreamKind, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        match self.vfs()?.kind_of_open(client, handle)? {
            Kind::Directory => Ok(StreamKind::Directory),
            _ => Ok(StreamKind::File),
        }
    }

    fn duplicate(&mut self, sender: &Sender, handle: u64) -> Result<Cap, IoError> {
        let (client, handle) = self.file(sender, handle)?;
        if self.next_object > u64::from(u32::MAX) {
            return Err(IoError::OutOfMemory);
        }
        if let Some(object) = self.vfs()?.duplicate_made() {
            return self.pages.mint(object);
        }
        let object = badge::OBJECT | (self.epoch & GENERATION_MASK) << 32 | self.next_object;
        self.next_object += 1;
        if let Some(kept) = &mut self.kept {
            kept.set(Word::NextObject, self.next_object);
        }
        self.vfs()?.duplicate(client, handle, object)?;
        let cap = self.pages.mint(object);
        if cap.is_err() {
            self.vfs()?.client_gone(object);
        }
        cap
    }

    fn close(&mut self, sender: &Sender, handle: u64) -> Result<(), IoError> {
        let (client, handle) = self.file(sender, handle)?;
        let vfs = self.change()?;
        match vfs.close(client, handle) {
            // It was closed before the restart that this request is repeated after.
            Err(Error::BadHandle) if vfs.is_repeated() => {}
            result => result?,
        }
        if client & badge::OBJECT != 0 && handle == 0 {
            // Nobody reaches what this object's holder may have opened beside it.
            vfs.client_gone(client);
            self.pages.detach(client);
        }
        Ok(())
    }

    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        let client = client & !badge::LIFECYCLE;
        self.pages.detach(client);
        match self.change() {
            Ok(vfs) => vfs.client_gone(client),
            Err(_) => return Ok(()),
        }
        Ok(())
    }
}
