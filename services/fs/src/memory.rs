//! Raw memory that is copied into and out of, never referenced.
//!
//! The page cache's frames are written by the block device, and a client's buffer by the client, at any moment. So neither is
//! ever behind a Rust reference: [`Region`], [`Output`] and [`Input`] only copy, by [`copy_shared`], which is to the compiler no access of the
//! language's. This is the one module of the crate with `unsafe`.

use core::{marker::PhantomData, ptr::NonNull};

use motte::memory::copy_shared;
use motte_interfaces::{error::IoError, stream::SharedPages};

/// Copies into memory of a [`Region`]. In tests, where [`crate::ends`] may end the server in the middle.
///
/// # Safety
/// As [`copy_shared`].
#[inline]
unsafe fn store(source: *const u8, target: *mut u8, length: usize) {
    #[cfg(test)]
    let length = crate::ends::store(length);
    // SAFETY: the caller's promise.
    unsafe { copy_shared(source, target, length) }
    #[cfg(test)]
    crate::ends::stored();
}

/// Clears memory that another may write meanwhile.
///
/// # Safety
/// The range is mapped writable.
unsafe fn zero_shared(target: *mut u8, length: usize) {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(ZEROS.len());
        // SAFETY: the caller promises the range, of which this is a part; the zeros are elsewhere.
        unsafe { store(ZEROS.as_ptr(), target.add(done), piece) };
        done += piece;
    }
}

/// The page cache's memory: one contiguous, mapped, writable range that lives as long as the program.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    base: NonNull<u8>,
    length: usize,
}

impl Region {
    /// Takes over memory that nothing else uses.
    pub fn new(memory: &'static mut [u8]) -> Self {
        Self { base: NonNull::from(&mut *memory).cast(), length: memory.len() }
    }

    /// Fresh memory of the heap, for good: what tests use.
    pub fn leaked(bytes: usize) -> Self {
        let words = alloc::vec![0_u64; bytes.div_ceil(8)].leak();
        Self { base: NonNull::from(words).cast(), length: bytes }
    }

    /// Takes over memory that is shared with the block device.
    ///
    /// # Safety
    /// `base..base + length` is mapped readable and writable for the rest of the program, and this program has no
    /// reference into it.
    pub unsafe fn from_raw(base: NonNull<u8>, length: usize) -> Self {
        Self { base, length }
    }

    /// Bytes in the region.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the region has no byte.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "a copy would leave the cache's memory");
        // SAFETY: the assertion keeps the result inside the range.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Part of the region.
    ///
    /// # Panics
    /// If it is not inside.
    pub fn part(&self, offset: usize, length: usize) -> Self {
        let base = self.at(offset, length);
        Self { base: NonNull::new(base).unwrap_or(self.base), length }
    }

    #[inline]
    fn word_at(&self, offset: usize) -> *mut u64 {
        let inside = offset < self.length.saturating_sub(7) && offset & 7 == 0;
        assert!(inside, "a word would lie outside of the region or across two words");
        // SAFETY: the assertion keeps the result inside the range.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }

    /// Reads a word, once. The offset is a multiple of eight.
    #[inline]
    pub fn word(&self, offset: usize) -> u64 {
        // SAFETY: `word_at` checked place and alignment; the region is mapped at least page-aligned, or a test's allocation of words.
        unsafe { self.word_at(offset).read_volatile() }
    }

    /// Writes a word, once. The offset is a multiple of eight.
    #[inline]
    pub fn set_word(&mut self, offset: usize, value: u64) {
        #[cfg(test)]
        if crate::ends::store(8) < 8 {
            return crate::ends::stored();
        }
        // SAFETY: as in `word`.
        unsafe { self.word_at(offset).write_volatile(value) }
    }

    /// Copies out of the region.
    pub fn read(&self, offset: usize, target: &mut [u8]) {
        let source = self.at(offset, target.len());
        // SAFETY: `at` checked the source range; the target is an exclusive reference and so elsewhere.
        unsafe { copy_shared(source, target.as_mut_ptr(), target.len()) }
    }

    /// Copies into the region.
    pub fn write(&mut self, offset: usize, source: &[u8]) {
        let target = self.at(offset, source.len());
        // SAFETY: `at` checked the target range; no reference into the region exists, so the source is elsewhere.
        unsafe { store(source.as_ptr(), target, source.len()) }
    }

    /// Clears a range.
    pub fn zero(&mut self, offset: usize, length: usize) {
        let target = self.at(offset, length);
        // SAFETY: `at` checked the range.
        unsafe { zero_shared(target, length) }
    }

    /// Copies from the region to the next bytes of `output`.
    pub fn copy_out(&self, offset: usize, length: usize, output: &mut Output<'_>) {
        let source = self.at(offset, length);
        let target = output.advance(length);
        // SAFETY: both ranges were checked; an output is never part of the region.
        unsafe { copy_shared(source, target, length) }
    }

    /// Copies the next bytes of `input` into the region.
    pub fn copy_in(&mut self, offset: usize, length: usize, input: &mut Input<'_>) {
        let target = self.at(offset, length);
        let source = input.advance(length);
        // SAFETY: both ranges were checked; an input is never part of the region.
        unsafe { store(source, target, length) }
    }
}

/// Where the bytes of a read go: a slice, or memory shared with a client.
pub struct Output<'a> {
    base: *mut u8,
    length: usize,
    filled: usize,
    borrow: PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// Fills a slice.
    pub fn new(target: &'a mut [u8]) -> Self {
        Self { base: target.as_mut_ptr(), length: target.len(), filled: 0, borrow: PhantomData }
    }

    /// Fills memory that a client may touch at the same time.
    ///
    /// # Safety
    /// `base..base + length` stays mapped writable while the result lives, is not part of a [`Region`], and this program holds no
    /// reference into it.
    pub unsafe fn from_raw(base: *mut u8, length: usize) -> Self {
        Self { base, length, filled: 0, borrow: PhantomData }
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.length - self.filled
    }

    /// Bytes written so far.
    pub fn filled(&self) -> usize {
        self.filled
    }

    fn advance(&mut self, length: usize) -> *mut u8 {
        assert!(length <= self.remaining(), "a read would overrun its buffer");
        // SAFETY: the assertion keeps the result inside the buffer.
        let target = unsafe { self.base.add(self.filled) };
        self.filled += length;
        target
    }

    /// Appends bytes.
    pub fn put(&mut self, source: &[u8]) {
        let target = self.advance(source.len());
        // SAFETY: `advance` checked the range; nothing references the target.
        unsafe { copy_shared(source.as_ptr(), target, source.len()) }
    }

    /// Appends zeros.
    pub fn put_zeros(&mut self, length: usize) {
        let target = self.advance(length);
        // SAFETY: `advance` checked the range.
        unsafe { zero_shared(target, length) }
    }
}

/// Where the bytes of a write come from: a slice, or memory shared with a client.
pub struct Input<'a> {
    base: *const u8,
    length: usize,
    taken: usize,
    borrow: PhantomData<&'a [u8]>,
}

impl<'a> Input<'a> {
    /// Reads a slice.
    pub fn new(source: &'a [u8]) -> Self {
        Self { base: source.as_ptr(), length: source.len(), taken: 0, borrow: PhantomData }
    }

    /// Reads memory that a client may touch at the same time.
    ///
    /// # Safety
    /// `base..base + length` stays mapped readable while the result lives, is not part of a [`Region`], and this program holds no
    /// exclusive reference into it.
    pub unsafe fn from_raw(base: *const u8, length: usize) -> Self {
        Self { base, length, taken: 0, borrow: PhantomData }
    }

    /// Bytes not yet taken.
    pub fn remaining(&self) -> usize {
        self.length - self.taken
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    fn advance(&mut self, length: usize) -> *const u8 {
        assert!(length <= self.remaining(), "a write would overrun its buffer");
        // SAFETY: the assertion keeps the result inside the buffer.
        let source = unsafe { self.base.add(self.taken) };
        self.taken += length;
        source
    }

    /// Leaves the next bytes out.
    pub fn skip(&mut self, length: usize) {
        self.advance(length);
    }

    /// Takes the next bytes.
    pub fn take(&mut self, target: &mut [u8]) {
        let source = self.advance(target.len());
        // SAFETY: `advance` checked the range; the target is an exclusive reference.
        unsafe { copy_shared(source, target.as_mut_ptr(), target.len()) }
    }
}

/// The pages that clients lend a server, as memory.
///
/// # Safety
/// What [`LentPages::range`] returns is mapped readable and writable until the pages are next attached or detached, is not part of
/// a [`Region`], and the program holds no reference into it.
pub unsafe trait LentPages: SharedPages {
    /// The memory from byte `offset` of a client's buffer on, up to `length` bytes and at least one if that is more than 0. `InvalidData` if the
    /// client lent nothing, `InvalidInput` beyond what it lent.
    fn range(&self, badge: u64, offset: u64, length: usize) -> core::result::Result<(NonNull<u8>, usize), IoError>;
}

impl<'a> Output<'a> {
    /// Fills the memory that a client lent, as much of it as lies in one piece.
    pub fn lent(
        pages: &'a impl LentPages,
        badge: u64,
        offset: u64,
        length: usize,
    ) -> core::result::Result<Self, IoError> {
        let (base, got) = pages.range(badge, offset, length)?;
        // SAFETY: as `LentPages` promises, for as long as `pages` is borrowed.
        Ok(unsafe { Self::from_raw(base.as_ptr(), got.min(length)) })
    }
}

impl<'a> Input<'a> {
    /// Reads the memory that a client lent, as much of it as lies in one piece.
    pub fn lent(
        pages: &'a impl LentPages,
        badge: u64,
        offset: u64,
        length: usize,
    ) -> core::result::Result<Self, IoError> {
        let (base, got) = pages.range(badge, offset, length)?;
        // SAFETY: as `LentPages` promises, for as long as `pages` is borrowed.
        Ok(unsafe { Self::from_raw(base.as_ptr(), got.min(length)) })
    }
}
