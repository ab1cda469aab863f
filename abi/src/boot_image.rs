//! The boot image: the file that the boot loader puts into memory beside the kernel. It holds `init`, the compiled manifest,
//! every program, and symbol tables.
//!
//! Layout, little-endian: a [`Header`], `count` [`Entry`]s, then the files, each aligned to a page. The kernel itself reads only `init`,
//! an ELF executable whose loadable segments are page aligned in the file as in memory.
//!
//! | name | what |
//! |---|---|
//! | `init` | the first program |
//! | `manifest` | the compiled manifest |
//! | `programs/NAME` | a component's program |
//! | `bin/NAME` | a program for the process server (where the disk has none) |
//! | `symbols/NAME`, `symbols/kernel` | symbol tables ([`crate::symbols`]) |
//! | `command` | optional: shell commands to run instead of an interactive shell |

/// Recognises a boot image.
pub const MAGIC: [u8; 8] = *b"motteIMG";

/// Bytes of an entry's name.
pub const NAME_BYTES: usize = 48;

/// Bytes of the header, and of one entry.
pub const HEADER_BYTES: usize = 64;
/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 64;

/// The images of a boot image: a checked view of its bytes.
#[derive(Clone, Copy)]
pub struct BootImage<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// Why bytes are not a boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootImageError {
    /// Shorter than its own header or table says.
    Truncated,
    /// Does not begin with [`MAGIC`].
    WrongMagic,
    /// Entry number so-and-so lies outside the image or is not page aligned.
    BadEntry(usize),
}

/// One file of a boot image.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it begins in the image, in bytes; page aligned.
    pub offset: usize,
    /// Its contents.
    pub data: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut w = [0; 8];
    w.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(w)
}

fn name(entry: &[u8]) -> &[u8] {
    let padded = &entry[..NAME_BYTES];
    &padded[..padded.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES)]
}

impl<'a> BootImage<'a> {
    /// Checks the whole table. Header: magic, u64 count, u64 total bytes, zeros to [`HEADER_BYTES`].
    /// Entry: name (zero padded), u64 offset, u64 length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BootImageError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BootImageError::Truncated);
        }
        if bytes[..8] != MAGIC {
            return Err(BootImageError::WrongMagic);
        }
        let (count, total) = (word(bytes, 8) as usize, word(bytes, 16) as usize);
        if total > bytes.len() || count > (bytes.len() - HEADER_BYTES) / ENTRY_BYTES {
            return Err(BootImageError::Truncated);
        }
        let image = Self { bytes: &bytes[..total], count };
        for index in 0..count {
            image.entry(index).ok_or(BootImageError::BadEntry(index))?;
        }
        Ok(image)
    }

    fn raw(&self, index: usize) -> Option<&'a [u8]> {
        let at = HEADER_BYTES + index * ENTRY_BYTES;
        self.bytes.get(at..at + ENTRY_BYTES)
    }

    fn entry(&self, index: usize) -> Option<File<'a>> {
        let raw = self.raw(index)?;
        let name = name(raw);
        let (offset, length) = (word(raw, NAME_BYTES) as usize, word(raw, NAME_BYTES + 8) as usize);
        if offset % crate::PAGE_SIZE != 0 {
            return None;
        }
        let data = self.bytes.get(offset..offset.checked_add(length)?)?;
        Some(File { name: core::str::from_utf8(name).ok()?, offset, data })
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = File<'a>> + use<'a> {
        let image = *self;
        (0..image.count).filter_map(move |index| image.entry(index))
    }

    /// The file of that name.
    pub fn file(&self, name: &str) -> Option<File<'a>> {
        // Only one whose name begins like this is looked at closely.
        let wanted = name.as_bytes();
        let is_named = |index: &usize| self.raw(*index).is_some_and(|raw| raw.starts_with(wanted));
        let mut found = (0..self.count).filter(is_named).filter_map(|index| self.entry(index));
        found.find(|file| file.name == name)
    }
}
