//! Why a component or program ends, left where its supervisor can read it: in the page of the first thread's message
//! buffer, behind the buffer.
//!
//! A program ends by writing its last words and executing an illegal instruction. The supervisor, to whom the kernel
//! reports the fault, reads the words: an exit, a panic with its text, or, when there are none, a plain fault.

use alloc::string::String;
use alloc::vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::layout::{LAST_WORDS_ADDRESS, LAST_WORDS_OFFSET};

/// Recognises last words.
pub const LAST_WORDS_MAGIC: u32 = u32::from_le_bytes(*b"LAST");

/// Bytes of text at most.
pub const TEXT_BYTES: usize = 2048;

/// Bytes from the beginning of the page of the message buffer.
pub const OFFSET: usize = LAST_WORDS_OFFSET as usize;

const HEADER_BYTES: usize = 16;

/// What sort of end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The program ended by itself.
    Exit = 1,
    /// It panicked.
    Panic = 2,
}

/// Last words as the supervisor reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// What sort of end.
    pub kind: Kind,
    /// Exit status.
    pub status: i32,
    /// A panic's text and place.
    pub text: String,
}

/// The first page that the program wrote: where to put last words.
struct Place {
    base: *mut u8,
    length: usize,
}

impl Place {
    fn word(&self, offset: usize) -> *mut u32 {
        self.base.wrapping_add(offset).cast()
    }
}

impl Write for Place {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes().take(TEXT_BYTES - self.length) {
            // SAFETY: the range from `base`, header and text, is mapped writable in every program and used for nothing else; `length`
            // stays below its end.
            unsafe { self.base.add(HEADER_BYTES + self.length).write_volatile(byte) };
            self.length += 1;
        }
        Ok(())
    }
}

static ENABLED: AtomicBool = AtomicBool::new(false);
static SPEAKER: AtomicU32 = AtomicU32::new(0);

/// The page is there (it is not in init before this, nor in tests).
pub(crate) fn enable() {
    ENABLED.store(crate::start::info().is_some(), Ordering::Relaxed);
}

/// Leaves last words; the first to speak is heard. Where nobody would read them (init), a panic goes to the debug console.
pub(crate) fn leave(kind: Kind, status: i32, text: fmt::Arguments<'_>) {
    if !ENABLED.load(Ordering::Relaxed) {
        let _ = writeln!(DebugConsole, "{}: ended with status {status}: {text}", crate::start::name());
        return;
    }
    if SPEAKER.fetch_add(1, Ordering::Relaxed) != 0 {
        return;
    }
    let mut place = Place { base: LAST_WORDS_ADDRESS as *mut u8, length: 0 };
    let _ = place.write_fmt(text);
    let length = place.length as u32;
    for (offset, word) in [(4, kind as u32), (8, status.cast_unsigned()), (12, length), (0, LAST_WORDS_MAGIC)] {
        // SAFETY: as in `write_str`.
        unsafe { place.word(offset).write_volatile(word) };
    }
}

/// Reads last words; `copy` copies out of the page of the message buffer, from an offset on.
pub fn read(copy: impl Fn(usize, &mut [u8])) -> Option<LastWords> {
    let mut header = [0; HEADER_BYTES];
    copy(OFFSET, &mut header);
    let [magic, kind, status, length] =
        [0, 4, 8, 12].map(|at| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)));
    if magic != LAST_WORDS_MAGIC {
        return None;
    }
    let kind = match kind {
        1 => Kind::Exit,
        2 => Kind::Panic,
        _ => return None,
    };
    let mut text = vec![0; (length as usize).min(TEXT_BYTES)];
    copy(OFFSET + HEADER_BYTES, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(LastWords { kind, status: status.cast_signed(), text })
}

/// The kernel's debug console, for what nobody else can take.
#[derive(Debug)]
pub struct DebugConsole;

impl Write for DebugConsole {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        crate::kernel::debug_write(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_nonsense_is_not() {
        let mut page = vec![0; 4096];
        let read =
            |page: &[u8]| super::read(|offset, bytes| bytes.copy_from_slice(&page[offset..offset + bytes.len()]));
        assert_eq!(read(&page), None);
        let mut put = |at: usize, word: u32| page[OFFSET + at..OFFSET + at + 4].copy_from_slice(&word.to_le_bytes());
        put(0, LAST_WORDS_MAGIC);
        put(4, Kind::Panic as u32);
        put(8, 101);
        put(12, 4);
        page[OFFSET + 16..OFFSET + 20].copy_from_slice(b"oops");
        assert_eq!(read(&page), Some(LastWords { kind: Kind::Panic, status: 101, text: "oops".into() }));
        page[OFFSET + 12..OFFSET + 16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&page).map(|words| words.text.len()), Some(TEXT_BYTES));
    }
}
