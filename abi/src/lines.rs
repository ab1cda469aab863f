//! Line tables for backtraces: which line of the source an address comes from.
//!
//! The build makes one for each program and puts it into the boot image as `lines/NAME`.
//!
//! Layout, little-endian: `u32` number of blocks, `u32` number of files; for each block `u64` address of its first row and `u32` offset among
//! the rows; for each file `u32` end of its name among the names; the names; the rows, up to [`BLOCK_ROWS`] in a block.
//!
//! A row is valid from its address to the next row's. It is two or three numbers of seven bits a byte, the lowest first, the eighth bit set in
//! all but the last: the address less the former row's; the line less the former row's, twice its amount and one more if it is negative, and that
//! twice, and one more if the file is another; that file's number and one more, 0 for code that comes from no line. The first row of a block
//! follows one at its own address, in line 0 of no file.

/// Rows of a block: as many are read for one address, at the most.
pub const BLOCK_ROWS: usize = 64;

const HEADER_BYTES: usize = 8;
const BLOCK_BYTES: usize = 12;
const FILE_BYTES: usize = 4;

/// A line of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The file, from the root of the project; of a library, from the folder that is named for it.
    pub file: &'a str,
    /// The number, from 1.
    pub line: u32,
}

impl core::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line table: a view of its bytes, that trusts none of them.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    blocks: &'a [u8],
    files: &'a [u8],
    names: &'a [u8],
    rows: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Takes a number from the front.
fn number(rows: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = rows.split_first()?;
        *rows = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl<'a> Lines<'a> {
    /// A view of `bytes`; `None` when they are shorter than their own counts say.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let blocks = (u32_at(bytes, 0)? as usize).checked_mul(BLOCK_BYTES)?;
        let files = (u32_at(bytes, 4)? as usize).checked_mul(FILE_BYTES)?;
        let (blocks, rest) = bytes.get(HEADER_BYTES..)?.split_at_checked(blocks)?;
        let (files, rest) = rest.split_at_checked(files)?;
        let names = files.last_chunk().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        let (names, rows) = rest.split_at_checked(names)?;
        Some(Self { blocks, files, names, rows })
    }

    /// Address and rows of a block.
    fn block(&self, index: usize) -> Option<(u64, &'a [u8])> {
        let (address, rest) = self.blocks.get(index.checked_mul(BLOCK_BYTES)?..)?.split_first_chunk()?;
        let rows = self.rows.get(u32_at(rest, 0)? as usize..)?;
        Some((u64::from_le_bytes(*address), rows))
    }

    fn file(&self, index: usize) -> Option<&'a str> {
        let end = |index: usize| u32_at(self.files, index.checked_mul(FILE_BYTES)?);
        let start = if index == 0 { 0 } else { end(index - 1)? };
        core::str::from_utf8(self.names.get(start as usize..end(index)? as usize)?).ok()
    }

    /// The line that the code at `address` comes from, if it is known.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<Line<'a>> {
        let (mut low, mut high) = (0, self.blocks.len() / BLOCK_BYTES);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.block(middle)?.0 <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (mut at, mut rows) = self.block(low.checked_sub(1)?)?;
        let (mut line, mut file) = (0_i64, 0);
        for _ in 0..BLOCK_ROWS {
            let Some(delta) = number(&mut rows) else { break };
            at = at.checked_add(delta)?;
            if at > address {
                break;
            }
            let change = number(&mut rows)?;
            let amount = i64::try_from(change >> 2).ok()?;
            line = line.checked_add(if change & 2 != 0 { -amount } else { amount })?;
            if change & 1 != 0 {
                file = number(&mut rows)?;
            }
        }
        let file = self.file(usize::try_from(file.checked_sub(1)?).ok()?)?;
        Some(Line { file, line: u32::try_from(line).ok()? })
    }
}

/// Gives a number to `out`.
fn put(mut value: u64, out: &mut impl FnMut(&[u8])) {
    while value >= 0x80 {
        out(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out(&[value as u8]);
}

/// A row: an address, and the number of the file and the line that the code from there on comes from.
pub type Row = (u64, Option<(usize, u32)>);

/// Gives the bytes of a block's rows to `out`.
fn put_block(block: &[Row], mut out: impl FnMut(&[u8])) {
    let (mut at, mut line, mut file) = (block.first().map_or(0, |row| row.0), 0_i64, 0);
    for &(address, place) in block {
        put(address - at, &mut out);
        let (new_file, new_line) = place.map_or((0, line), |(file, line)| (file as u64 + 1, i64::from(line)));
        let delta = new_line - line;
        put(delta.unsigned_abs() << 2 | u64::from(delta < 0) << 1 | u64::from(new_file != file), &mut out);
        if new_file != file {
            put(new_file, &mut out);
        }
        (at, line, file) = (address, new_line, new_file);
    }
}

/// Gives the bytes of a line table to `out`, piece by piece. `rows` are sorted by address, and name files by their places in `files`.
pub fn encode<'n>(files: impl Iterator<Item = &'n str> + Clone, rows: &[Row], mut out: impl FnMut(&[u8])) {
    out(&(rows.len().div_ceil(BLOCK_ROWS) as u32).to_le_bytes());
    out(&(files.clone().count() as u32).to_le_bytes());
    let mut offset = 0;
    for block in rows.chunks(BLOCK_ROWS) {
        out(&block[0].0.to_le_bytes());
        out(&(offset as u32).to_le_bytes());
        put_block(block, |bytes| offset += bytes.len());
    }
    let mut end = 0;
    for name in files.clone() {
        end += name.len();
        out(&(end as u32).to_le_bytes());
    }
    files.for_each(|name| out(name.as_bytes()));
    rows.chunks(BLOCK_ROWS).for_each(|block| put_block(block, &mut out));
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const FILES: [&str; 2] = ["src/a.rs", "src/b.rs"];

    fn rows() -> Vec<Row> {
        let mut rows: Vec<Row> =
            (0..300).map(|n| (0x40_0000 + n * 3, Some((n as usize % 2, 1000 - n as u32 * 3)))).collect();
        rows.extend([(0x50_0000, None), (0x50_0010, Some((1, 7))), (0x50_0020, None)]);
        rows
    }

    fn table() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(FILES.into_iter(), &rows(), |piece| bytes.extend_from_slice(piece));
        bytes
    }

    #[test]
    fn every_address_has_the_line_of_its_row() {
        let bytes = table();
        let lines = Lines::parse(&bytes).unwrap();
        for (address, place) in rows() {
            let line = place.map(|(file, line)| Line { file: FILES[file], line });
            assert_eq!((lines.find(address), lines.find(address + 2)), (line, line), "{address:#x}");
        }
        assert_eq!(std::format!("{}", lines.find(0x50_001f).unwrap()), "src/b.rs:7");
        for address in [0, 0x3f_ffff, 0x50_0000, 0x50_0020, u64::MAX] {
            assert_eq!(lines.find(address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_cut_or_damaged_table_never_panics() {
        let bytes = table();
        for length in 0..bytes.len() {
            if let Some(lines) = Lines::parse(&bytes[..length]) {
                let _ = lines.find(0x40_0100);
            }
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Some(lines) = Lines::parse(&damaged) {
                    let _ = (lines.find(0x40_0100), lines.find(0x50_0011));
                }
            }
        }
    }
}
