//! Reading files in large pieces and by lines.

use alloc::string::String;
use alloc::vec::Vec;

use crate::context::{Context, describe};
use crate::sys::fs::{self, File};
use crate::sys::io::{self, ErrorKind, Read, Stdin};

/// Bytes asked for at once.
pub const BLOCK: usize = 128 * 1024;

/// A file or standard input.
pub enum Input {
    /// Standard input, named `-`.
    Standard(Stdin),
    /// An open file.
    File(File),
}

impl Input {
    /// Opens a path; `-` is standard input. A directory is an error at once.
    pub fn open(path: &str) -> io::Result<Input> {
        if path == "-" {
            return Ok(Input::Standard(io::stdin()));
        }
        let file = File::open(path)?;
        if fs::metadata(path)?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Input::File(file))
    }

    /// Opens a path, and says so where that fails.
    pub fn open_or_report(context: &mut Context, path: &str) -> Option<Input> {
        match Input::open(path) {
            Ok(input) => {
                if let Input::Standard(stream) = &input
                    && stream.is_terminal()
                {
                    context.out.flush();
                }
                Some(input)
            }
            Err(error) => {
                context.error(format_args!("cannot open '{path}': {}", describe(&error)));
                None
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Input::Standard(stream) => stream.read(buffer),
                Input::File(file) => file.read(buffer),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// `-` where no file was named.
pub fn or_standard_input(mut operands: Vec<String>) -> Vec<String> {
    if operands.is_empty() {
        operands.push(String::from("-"));
    }
    operands
}

/// Everything that is left in an input.
pub fn read_all(input: &mut Input) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut filled = 0;
    if let Input::File(file) = input {
        all.resize(usize::try_from(file.metadata()?.len()).unwrap_or(0) + 1, 0);
    }
    loop {
        if filled == all.len() {
            all.resize(all.len().max(BLOCK / 2) * 2, 0);
        }
        match input.read(&mut all[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    all.truncate(filled);
    Ok(all)
}

/// An input's lines, one at a time, without a copy.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    separator: u8,
    finished: bool,
    terminated: bool,
}

impl<R: Read> Lines<R> {
    /// Lines that end at the separator, mostly a newline.
    pub fn new(input: R, separator: u8) -> Lines<R> {
        Lines {
            input,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            separator,
            finished: false,
            terminated: true,
        }
    }

    /// Whether the line given last ended with a separator; only the very last may lack it.
    pub fn was_terminated(&self) -> bool {
        self.terminated
    }

    /// The next line without its separator.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start + searched..self.end];
            if let Some(position) = memchr::memchr(self.separator, unread) {
                let from = self.start;
                let to = from + searched + position;
                self.start = to + 1;
                self.terminated = true;
                return Ok(Some(&self.buffer[from..to]));
            }
            searched = self.end - self.start;
            if self.finished {
                if searched == 0 {
                    return Ok(None);
                }
                let from = self.start;
                self.start = self.end;
                self.terminated = false;
                return Ok(Some(&self.buffer[from..self.end]));
            }
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.start = 0;
                self.end = searched;
            }
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match self.input.read(&mut self.buffer[self.end..])? {
                0 => self.finished = true,
                count => self.end += count,
            }
        }
    }
}
