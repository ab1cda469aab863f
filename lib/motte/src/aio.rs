//! Reading and writing in tasks.
//!
//! Logic that is written for [`AsyncRead`] and [`AsyncWrite`] runs over a [`crate::net::TcpStream`] as well as over a [`duplex`], on the host
//! as well as in a program: this is how it is tested, with [`block_on`] in place of an executor.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::io::{ErrorKind, Result};

/// Something bytes come from, for tasks.
pub trait AsyncRead {
    /// Reads into `buffer`; how many bytes, 0 at the end. Pending: the task is woken when there is something.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>>;

    /// Reads into `buffer`; returns how many bytes, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize>> {
        poll_fn(move |context| self.poll_read(context, buffer))
    }

    /// Fills `buffer`, or fails with `UnexpectedEof`.
    fn read_exact(&mut self, mut buffer: &mut [u8]) -> impl Future<Output = Result<()>> {
        async move {
            while !buffer.is_empty() {
                match self.read(buffer).await? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    count => buffer = &mut buffer[count..],
                }
            }
            Ok(())
        }
    }
}

/// Something bytes go to, for tasks.
pub trait AsyncWrite {
    /// Writes from `buffer`; how many bytes were taken. Pending: the task is woken when there is room.
    fn poll_write(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>>;

    /// Says that nothing more will be written.
    fn finish(&mut self) -> Result<()>;

    /// Writes from `buffer`; returns how many bytes were taken.
    fn write(&mut self, buffer: &[u8]) -> impl Future<Output = Result<usize>> {
        poll_fn(move |context| self.poll_write(context, buffer))
    }

    /// Writes everything.
    fn write_all(&mut self, mut buffer: &[u8]) -> impl Future<Output = Result<()>> {
        async move {
            while !buffer.is_empty() {
                match self.write(buffer).await? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    count => buffer = &buffer[count..],
                }
            }
            Ok(())
        }
    }
}

impl<T: AsyncRead + ?Sized> AsyncRead for &mut T {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        (**self).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + ?Sized> AsyncWrite for &mut T {
    fn poll_write(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        (**self).poll_write(context, buffer)
    }

    fn finish(&mut self) -> Result<()> {
        (**self).finish()
    }
}

/// One direction of a [`duplex`].
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more will be written.
    ended: bool,
    /// Nothing more will be read.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize) -> Rc<RefCell<Self>> {
        let bytes = VecDeque::with_capacity(capacity);
        Rc::new(RefCell::new(Self { bytes, capacity, ended: false, broken: false, reader: None, writer: None }))
    }

    fn wake_all(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// One end of a [`duplex`]. Dropped, it ends both directions.
#[derive(Debug)]
pub struct Duplex {
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
}

/// Two ends of a connection within the program; each direction holds `capacity` bytes.
pub fn duplex(capacity: usize) -> (Duplex, Duplex) {
    let (there, back) = (Pipe::new(capacity), Pipe::new(capacity));
    let first = Duplex { incoming: back.clone(), outgoing: there.clone() };
    (first, Duplex { incoming: there, outgoing: back })
}

impl AsyncRead for Duplex {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let mut pipe = self.incoming.borrow_mut();
        if pipe.bytes.is_empty() && !pipe.ended && !buffer.is_empty() {
            pipe.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = buffer.len().min(pipe.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(pipe.bytes.drain(..count)) {
            *place = byte;
        }
        pipe.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        let mut pipe = self.outgoing.borrow_mut();
        if pipe.broken || pipe.ended {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = pipe.capacity - pipe.bytes.len();
        if room == 0 && !buffer.is_empty() {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = buffer.len().min(room);
        pipe.bytes.extend(&buffer[..count]);
        pipe.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn finish(&mut self) -> Result<()> {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.ended = true;
        pipe.wake_all();
        Ok(())
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.ended = true;
        outgoing.wake_all();
        drop(outgoing);
        let mut incoming = self.incoming.borrow_mut();
        incoming.broken = true;
        incoming.wake_all();
    }
}

/// Runs both until both have ended.
pub async fn join<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    poll_fn(move |context| {
        if a.is_none()
            && let Poll::Ready(value) = first.as_mut().poll(context)
        {
            a = Some(value);
        }
        if b.is_none()
            && let Poll::Ready(value) = second.as_mut().poll(context)
        {
            b = Some(value);
        }
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (first, second) => {
                (a, b) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// Polls a future until it ends, as often as it takes. For tests on the host, where nothing sleeps.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_through_a_narrow_duplex_in_order() {
        let (mut near, mut far) = duplex(3);
        let sending = async move {
            near.write_all(b"hello, world").await.unwrap();
            near.finish().unwrap();
        };
        let receiving = async move {
            let mut all = alloc::vec::Vec::new();
            let mut piece = [0; 5];
            loop {
                match far.read(&mut piece).await.unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&piece[..count]),
                }
            }
        };
        let ((), all) = block_on(join(sending, receiving));
        assert_eq!(all, b"hello, world");
    }

    #[test]
    fn writing_to_an_end_that_is_gone_fails() {
        let (mut near, far) = duplex(3);
        drop(far);
        assert_eq!(block_on(near.write(b"x")).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(block_on(near.read(&mut [0; 1])).unwrap(), 0);
    }
}
