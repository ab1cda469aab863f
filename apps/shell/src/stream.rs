//! The shell's file descriptors.
//!
//! Programs get three streams; the shell itself keeps up to ten, so that `exec 3<file` and `<&3` work for
//! its own commands. A redirection changes a copy of the table and the copy is dropped behind the command,
//! so nothing is ever put back by hand.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::sys::{self, File, PipeReader, PipeWriter, Read, Stdio, Write, io};

/// Where a descriptor leads.
#[derive(Clone)]
pub enum Stream {
    /// The stream of this number that the shell itself was started with.
    Own(u32),
    /// An open file; copies share its position.
    File(Rc<File>),
    /// A pipe's reading end.
    Reader(Rc<RefCell<PipeReader>>),
    /// A pipe's writing end.
    Writer(Rc<RefCell<PipeWriter>>),
    /// Memory: a command substitution's output.
    Capture(Rc<RefCell<Vec<u8>>>),
    /// Nothing: reads as empty, takes everything.
    Null,
}

impl Stream {
    /// A pipe's reading end as a stream.
    pub fn reader(reader: PipeReader) -> Stream {
        Stream::Reader(Rc::new(RefCell::new(reader)))
    }

    /// A pipe's writing end as a stream.
    pub fn writer(writer: PipeWriter) -> Stream {
        Stream::Writer(Rc::new(RefCell::new(writer)))
    }

    /// A stream that reads as `content`, without anybody who has to write it meanwhile.
    pub fn feed(content: &[u8], process: u32) -> io::Result<Stream> {
        if content.is_empty() {
            return Ok(Stream::Null);
        }
        if content.len() <= sys::PIPE_CAPACITY {
            let (reader, mut writer) = sys::pipe()?;
            writer.write_all(content)?;
            return Ok(Stream::reader(reader));
        }
        let path = alloc::format!("/tmp/.sh-{process}");
        let mut file = sys::open_write(&path, false)?;
        let written = file.write_all(content);
        drop(file);
        let file = written.and_then(|()| sys::open_read(&path));
        sys::remove_file(&path)?;
        Ok(Stream::File(Rc::new(file?)))
    }

    /// The stream as a child's. For [`Stream::Capture`] the caller makes a pipe instead.
    pub fn stdio(&self) -> io::Result<Stdio> {
        Ok(match self {
            Stream::Own(fd) => sys::inherit(*fd),
            Stream::File(file) => file.try_clone()?.into(),
            Stream::Reader(reader) => reader.borrow().try_clone()?.into(),
            Stream::Writer(writer) => writer.borrow().try_clone()?.into(),
            Stream::Capture(_) | Stream::Null => Stdio::null(),
        })
    }

    /// Reads some bytes; 0 at the end.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Own(_) => sys::read_stdin(buffer),
            Stream::File(file) => (&**file).read(buffer),
            Stream::Reader(reader) => reader.borrow_mut().read(buffer),
            Stream::Null | Stream::Capture(_) => Ok(0),
            Stream::Writer(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Reads one line, its newline included, and nothing behind it; empty at the end.
    pub fn read_line(&self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if let Stream::File(file) = self {
            // What was read too much is given back by moving the file's position.
            let mut block = [0; 512];
            loop {
                let count = (&**file).read(&mut block)?;
                if let Some(end) = block[..count].iter().position(|byte| *byte == b'\n') {
                    line.extend_from_slice(&block[..=end]);
                    let back = count - end - 1;
                    if back > 0 {
                        sys::step_back(file, back)?;
                    }
                    return Ok(line);
                }
                line.extend_from_slice(&block[..count]);
                if count == 0 {
                    return Ok(line);
                }
            }
        }
        let mut byte = [0];
        while self.read(&mut byte)? == 1 {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                break;
            }
        }
        Ok(line)
    }

    /// Writes all of `bytes`.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Own(fd) => sys::write_out(*fd, bytes),
            Stream::File(file) => (&**file).write_all(bytes),
            Stream::Writer(writer) => writer.borrow_mut().write_all(bytes),
            Stream::Capture(memory) => {
                memory.borrow_mut().extend_from_slice(bytes);
                Ok(())
            }
            Stream::Null => Ok(()),
            Stream::Reader(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Whether a person sits at the other end.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Stream::Own(fd) if sys::is_terminal(*fd))
    }
}

/// The table of descriptors.
#[derive(Clone)]
pub struct Streams {
    table: BTreeMap<u32, Stream>,
}

impl Streams {
    /// The three that the shell was started with.
    pub fn own() -> Streams {
        Streams { table: (0..3).map(|fd| (fd, Stream::Own(fd))).collect() }
    }

    /// What a descriptor leads to; a closed one leads nowhere.
    pub fn get(&self, fd: u32) -> Option<&Stream> {
        self.table.get(&fd)
    }

    /// Makes a descriptor lead elsewhere.
    pub fn set(&mut self, fd: u32, stream: Stream) {
        self.table.insert(fd, stream);
    }

    /// Closes a descriptor.
    pub fn close(&mut self, fd: u32) {
        self.table.remove(&fd);
    }

    /// Writes to a descriptor; a closed one is an error.
    pub fn write(&self, fd: u32, bytes: &[u8]) -> io::Result<()> {
        match self.get(fd) {
            Some(stream) => stream.write(bytes),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
