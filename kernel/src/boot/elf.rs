//! The part of ELF that `init` needs: loadable segments of a 64-bit little-endian executable.

use super::BootError;

/// A checked executable.
pub(super) struct Executable<'a> {
    bytes: &'a [u8],
    /// Where it starts.
    pub entry: u64,
    headers: usize,
    count: usize,
}

/// One loadable segment.
pub(super) struct Segment<'a> {
    /// Where it goes.
    pub address: u64,
    /// What goes there.
    pub data: &'a [u8],
    /// Bytes in memory; what `data` does not fill is zero.
    pub size: u64,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

const SEGMENT_HEADER: usize = 56;
const LOAD: u64 = 1;

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(word))
}

impl<'a> Executable<'a> {
    /// Checks the header.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, BootError> {
        const NOT_ELF: BootError = "init is not a 64-bit ELF executable";
        // Magic, 64-bit, little-endian.
        if bytes.get(..6) != Some(b"\x7fELF\x02\x01") || number(bytes, 16, 2) != Some(2) {
            return Err(NOT_ELF);
        }
        let field = |at, width| number(bytes, at, width).ok_or(NOT_ELF);
        if field(54, 2)? != SEGMENT_HEADER as u64 {
            return Err(NOT_ELF);
        }
        Ok(Self { bytes, entry: field(24, 8)?, headers: field(32, 8)? as usize, count: field(56, 2)? as usize })
    }

    /// Its loadable segments; an error for one that lies outside the file or is both writable and executable.
    pub(super) fn segments(&self) -> impl Iterator<Item = Result<Segment<'a>, BootError>> + use<'a, '_> {
        (0..self.count).filter_map(|index| self.segment(index).transpose())
    }

    fn segment(&self, index: usize) -> Result<Option<Segment<'a>>, BootError> {
        const OUTSIDE: BootError = "a segment of init lies outside its file";
        let header = self.headers.checked_add(index * SEGMENT_HEADER).ok_or(OUTSIDE)?;
        let field = |at: usize, width| number(self.bytes.get(header..).unwrap_or(&[]), at, width).ok_or(OUTSIDE);
        if field(0, 4)? != LOAD {
            return Ok(None);
        }
        let (flags, offset, length) = (field(4, 4)?, field(8, 8)? as usize, field(32, 8)? as usize);
        let end = offset.checked_add(length).ok_or(OUTSIDE)?;
        let data = self.bytes.get(offset..end).ok_or(OUTSIDE)?;
        let segment = Segment {
            address: field(16, 8)?,
            data,
            size: field(40, 8)?,
            write: flags & 2 != 0,
            execute: flags & 1 != 0,
        };
        if segment.write && segment.execute {
            return Err("a segment of init is both writable and executable");
        }
        if segment.size < length as u64 {
            return Err(OUTSIDE);
        }
        Ok(Some(segment))
    }
}
