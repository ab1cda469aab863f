//! A program that can be started often: its read-only pages are frames that all who run it share, its writable pages are copied from a
//! template.

use alloc::vec::Vec;

use motte::kernel::{CapSlot, Frame};
use motte::memory;
use motte_abi::{Error, PAGE_SIZE};

use crate::elf::{Elf, ElfError};
use crate::scratch::Window;

/// One segment, ready to be mapped.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub address: u64,
    pub pages: usize,
    pub executable: bool,
    pub contents: Contents,
}

/// Where a segment's pages come from.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// Shared: these frames.
    Shared(Vec<Frame>),
    /// Copied: these bytes, from the first page's beginning; the rest is zero.
    Copied(Vec<u8>),
}

/// A program, prepared.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) entry: u64,
    pub(crate) parts: Vec<Part>,
    /// Frames that belong to the image and not to the boot image.
    own: Vec<Frame>,
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
                    let frames = (start / PAGE_SIZE..end.div_ceil(PAGE_SIZE))
                        .map(|page| Frame::at(first.0 + page as u64));
                    Contents::Shared(frames.collect())
                };
                Part {
                    address: segment.first_page(),
                    pages: segment.pages(),
                    executable: segment.executable,
                    contents,
                }
            })
            .collect();
        Ok(Self { entry: elf.entry, parts, own: Vec::new() })
    }

    /// From an executable's bytes: read-only pages are put into frames of the loader's own.
    pub fn from_bytes(file: &[u8]) -> Result<Result<Self, Error>, ElfError> {
        let elf = Elf::parse(file, file.len() as u64)?;
        Ok(Self::copy(&elf, file))
    }

    fn copy(elf: &Elf, file: &[u8]) -> Result<Self, Error> {
        let mut image = Self { entry: elf.entry, parts: Vec::new(), own: Vec::new() };
        let window = Window::new()?;
        for segment in &elf.segments {
            let start = (segment.offset - segment.offset % PAGE_SIZE as u64) as usize;
            let bytes = &file[start..(segment.offset + segment.file_size) as usize];
            let contents = if segment.writable {
                Contents::Copied(bytes.to_vec())
            } else {
                let mut frames = Vec::new();
                for page in 0..segment.pages() {
                    let frame = match memory::frame() {
                        Ok(frame) => frame,
                        Err(error) => {
                            frames.into_iter().chain(image.own).for_each(memory::free_frame);
                            return Err(error);
                        }
                    };
                    frames.push(frame);
                    let mut contents = [0; PAGE_SIZE];
                    let from = bytes.get(page * PAGE_SIZE..).unwrap_or_default();
                    let length = from.len().min(PAGE_SIZE);
                    contents[..length].copy_from_slice(&from[..length]);
                    window.write(frame, 0, &contents)?;
                }
                image.own.extend(&frames);
                Contents::Shared(frames)
            };
            let (address, pages) = (segment.first_page(), segment.pages());
            image.parts.push(Part { address, pages, executable: segment.executable, contents });
        }
        Ok(image)
    }

    /// Pages that one who runs it needs of its own.
    pub fn private_pages(&self) -> usize {
        let private = |part: &&Part| matches!(part.contents, Contents::Copied(_));
        self.parts.iter().filter(private).map(|part| part.pages).sum()
    }

    /// All pages.
    pub fn pages(&self) -> usize {
        self.parts.iter().map(|part| part.pages).sum()
    }

    /// Pages of the loader's memory that the image holds.
    pub fn own_pages(&self) -> usize {
        self.own.len()
    }

    /// Gives the image's own frames back. Nobody may run it any more: their mappings go too.
    pub fn free(self) {
        self.own.into_iter().for_each(memory::free_frame);
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
        assert_eq!((image.pages(), image.private_pages()), (5, 3));
        match &image.parts[0].contents {
            Contents::Shared(frames) => assert_eq!(frames, &[Frame::at(101), Frame::at(102)]),
            other => panic!("{other:?}"),
        }
        match &image.parts[1].contents {
            Contents::Copied(bytes) => assert_eq!(bytes.len(), 0x10),
            other => panic!("{other:?}"),
        }
    }
}
