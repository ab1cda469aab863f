//! What the driver writes down for its successor: what was typed and not read, what was written and is not on its way, the modes, and the last
//! requests, so that one whose answer was lost is not done twice.

use alloc::vec::Vec;

use motte_interfaces::Cap;
use motte_interfaces::strings::{Pieces, put_number, put_word};

/// Recognises the form of what follows.
const FORM: u32 = u32::from_le_bytes(*b"CON1");

/// Where the driver keeps what outlives it.
pub trait Memory {
    /// Replaces the description.
    fn save(&mut self, description: &[u8]);
    /// Bytes that were ever sent on a line, as noted last.
    fn sent(&self, line: usize) -> u64;
    /// Notes how many bytes were sent on a line.
    fn set_sent(&mut self, line: usize, bytes: u64);
    /// Puts the notification for Ctrl-C in the place of the former one, where a successor finds it.
    fn replace_interrupt(&mut self, former: Option<Cap>, new: Cap) -> Cap;
}

/// What is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The mode bits.
    pub mode: u64,
    /// Columns and rows.
    pub size: (u64, u64),
    /// The number of the next duplicate.
    pub next: u64,
    /// The line that is being typed.
    pub line: Vec<u8>,
    /// What can be read.
    pub ready: Vec<u8>,
    /// Positions in that after which a reader sees the end.
    pub ends: Vec<usize>,
    /// For each serial line how many bytes were sent before, and those that wait.
    pub output: [(u64, Vec<u8>); 2],
    /// The last request that wrote, and how many bytes it was answered.
    pub writer: (u64, u64),
    /// The last request that read, and what it was answered.
    pub reader: (u64, Vec<u8>),
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

impl Description {
    pub(crate) fn put(&self) -> Vec<u8> {
        let bytes =
            self.line.len() + self.ready.len() + self.output.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let mut out = Vec::with_capacity(bytes + self.reader.1.len() + 160);
        put_number(&mut out, FORM as usize);
        for word in [self.mode, self.size.0, self.size.1, self.next, self.writer.0, self.writer.1, self.reader.0] {
            put_word(&mut out, word);
        }
        for bytes in [&self.reader.1, &self.line, &self.ready] {
            put_bytes(&mut out, bytes);
        }
        put_number(&mut out, self.ends.len());
        self.ends.iter().for_each(|end| put_number(&mut out, *end));
        for (sent, waiting) in &self.output {
            put_word(&mut out, *sent);
            put_bytes(&mut out, waiting);
        }
        out
    }

    /// What a former driver wrote down; `None` if it makes no sense.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let pieces = &mut Pieces(bytes);
        (pieces.number()? == FORM).then_some(())?;
        let mut words = [0; 7];
        for word in &mut words {
            *word = pieces.word()?;
        }
        let [mode, columns, rows, next, writer, written, reader] = words;
        let [read, line, ready] = [pieces.string()?, pieces.string()?, pieces.string()?].map(<[u8]>::to_vec);
        let mut ends = Vec::new();
        for _ in 0..pieces.number()? {
            ends.push(pieces.number()? as usize);
        }
        let fits = ends.is_sorted() && ends.last().is_none_or(|last| *last <= ready.len());
        let mut output = || Some((pieces.word()?, pieces.string()?.to_vec()));
        let output = [output()?, output()?];
        fits.then_some(Self {
            mode,
            size: (columns, rows),
            next,
            line,
            ready,
            ends,
            output,
            writer: (writer, written),
            reader: (reader, read),
        })
    }
}
