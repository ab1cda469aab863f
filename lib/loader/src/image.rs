//! A program that can be started often: its read-only pages are frames that all who run it share, its writable pages are copied from a
//! template.

use alloc::vec::Vec;

use motte::kernel::{CapSlot, Frame};
use motte_abi::{Error, PAGE_SIZE};

use crate::elf::{Elf, ElfError, Segment};
use crate::window::Window;

/// One segment, ready to be mapped.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub address: u64,
    pub pages: usize,
    pub executable: bool,
    pub contents: Contents,
}

impl Part {
    /// The address behind its last page.
    pub const fn end(&self) -> u64 {
        self.address + (self.pages * PAGE_SIZE) as u64
    }
}

/// Where a segment's pages come from.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// Shared: frames in consecutive slots of the loader's table, from this one on.
    Shared(CapSlot),
    /// Copied: these bytes, from the first page's beginning; the rest is zero.
    Copied(Vec<u8>),
}

/// A program, prepared.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) entry: u64,
    pub(crate) parts: Vec<Part>,
}

impl Image {
    /// From an executable whose file lies page by page in frames that the loader holds: `file` is its contents, `first` the slot of
    /// its first frame. Read-only pages are then shared straight from there.
    pub fn from_frames(file: &[u8], first: CapSlot) -> Result<Self, ElfError> {
        let elf = Elf::parse(file, file.len() as u64)?;
        let parts = elf
            .segments
            .iter()
            .map(|segment| {
                let start = (segment.offset - segment.offset % PAGE_SIZE as u64) as usize;
                let end = (segment.offset + segment.file_size) as usize;
                let whole = segment.memory_size == segment.file_size;
                let contents = if segment.writable || !whole {
                    Contents::Copied(file[start..end].to_vec())
                } else {
                    Contents::Shared(CapSlot(first.0 + (start / PAGE_SIZE) as u64))
                };
                Part { address: segment.first_page(), pages: segment.pages(), executable: segment.executable, contents }
            })
            .collect();
        Ok(Self { entry: elf.entry, parts })
    }

    /// From an executable's bytes: read-only pages are put into frames in a row, of which `frames` makes so many. At an error they
    /// are the caller's to give back.
    pub fn from_bytes(
        file: &[u8],
        frames: impl FnOnce(usize) -> Result<CapSlot, Error>,
    ) -> Result<Result<Self, Error>, ElfError> {
        let elf = Elf::parse(file, file.len() as u64)?;
        Ok(Self::copy(&elf, file, frames))
    }

    fn copy(elf: &Elf, file: &[u8], frames: impl FnOnce(usize) -> Result<CapSlot, Error>) -> Result<Self, Error> {
        let window = Window::new()?;
        let shared = elf.segments.iter().filter(|segment| !segment.writable);
        let count = shared.map(Segment::pages).sum();
        let first = frames(count)?;
        let mut image = Self { entry: elf.entry, parts: Vec::new() };
        let mut next = first;
        for segment in &elf.segments {
            let start = (segment.offset - segment.offset % PAGE_SIZE as u64) as usize;
            let bytes = &file[start..(segment.offset + segment.file_size) as usize];
            let (address, pages) = (segment.first_page(), segment.pages());
            let contents = if segment.writable {
                Contents::Copied(bytes.to_vec())
            } else {
                let first = next;
                for page in 0..pages {
                    let mut contents = [0; PAGE_SIZE];
                    let from = bytes.get(page * PAGE_SIZE..).unwrap_or_default();
                    let length = from.len().min(PAGE_SIZE);
                    contents[..length].copy_from_slice(&from[..length]);
                    window.write(Frame(next), 0, &contents)?;
                    next.0 += 1;
                }
                Contents::Shared(first)
            };
            image.parts.push(Part { address, pages, executable: segment.executable, contents });
        }
        Ok(image)
    }

    /// The parts of which everyone who runs it gets pages of its own, and what they begin with.
    pub(crate) fn private_parts(&self) -> impl Iterator<Item = (&Part, &[u8])> {
        self.parts.iter().filter_map(|part| match &part.contents {
            Contents::Copied(bytes) => Some((part, bytes.as_slice())),
            Contents::Shared(_) => None,
        })
    }

    /// Pages that one who runs it needs of its own.
    pub fn private_pages(&self) -> usize {
        self.private_parts().map(|(part, _)| part.pages).sum()
    }

    /// Pages that all who run it share.
    pub fn shared_pages(&self) -> usize {
        self.parts.iter().map(|part| part.pages).sum::<usize>() - self.private_pages()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::executable;

    #[test]
    fn read_only_pages_are_shared_and_writable_ones_copied() {
        let file = executable(&[(0x40_0000, 0x1800, 0x1800, 5), (0x40_2000, 0x3000, 0x10, 6)]);
        let image = Image::from_frames(&file, CapSlot(100)).unwrap();
        assert_eq!((image.shared_pages(), image.private_pages()), (2, 3));
        match &image.parts[0].contents {
            Contents::Shared(first) => assert_eq!(*first, CapSlot(101)),
            other => panic!("{other:?}"),
        }
        match &image.parts[1].contents {
            Contents::Copied(bytes) => assert_eq!(bytes.len(), 0x10),
            other => panic!("{other:?}"),
        }
    }
}
