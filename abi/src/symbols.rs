//! Symbol tables for backtraces: which function an address lies in.
//!
//! The build makes one for each program and for the kernel and puts them into the boot image as `symbols/NAME`.
//!
//! Layout, little-endian: `u32` count; `count` records of `u64` address and `u32` offset of the name, sorted by address; the
//! names, one after the other in the same order. A name ends where the next begins. A record without a name ends the one before it:
//! addresses from there on belong to no function.

/// Bytes before the records.
const HEADER_BYTES: usize = 4;
/// Bytes of one record.
const RECORD_BYTES: usize = 12;

/// A symbol table: a view of its bytes, that trusts none of them.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    records: &'a [u8],
    names: &'a [u8],
}

/// The function an address lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The function's name.
    pub name: &'a str,
    /// Bytes from the function's beginning.
    pub offset: u64,
}

impl core::fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}+{:#x}", self.name, self.offset)
    }
}

impl<'a> Symbols<'a> {
    /// A view of `bytes`; `None` when they are shorter than their own count says.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let length = (u32::from_le_bytes(*count) as usize).checked_mul(RECORD_BYTES)?;
        let (records, names) = rest.split_at_checked(length)?;
        Some(Self { records, names })
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len() / RECORD_BYTES
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Address and name offset of a record.
    fn record(&self, index: usize) -> Option<(u64, usize)> {
        let record = self.records.get(index.checked_mul(RECORD_BYTES)?..)?;
        let (address, rest) = record.split_first_chunk::<8>()?;
        let offset = rest.first_chunk::<4>()?;
        Some((u64::from_le_bytes(*address), u32::from_le_bytes(*offset) as usize))
    }

    /// The function that `address` lies in, if any.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<Symbol<'a>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle)?.0 <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        let (start, from) = self.record(index)?;
        let to = self.record(index + 1).map_or(self.names.len(), |(_, offset)| offset);
        let name = core::str::from_utf8(self.names.get(from..to)?).ok()?;
        if name.is_empty() { None } else { Some(Symbol { name, offset: address - start }) }
    }
}

/// Gives the bytes of a symbol table to `out`, piece by piece. `symbols` are sorted by address; an empty name marks
/// the end of the function before it.
pub fn encode<'n>(symbols: impl Iterator<Item = (u64, &'n str)> + Clone, mut out: impl FnMut(&[u8])) {
    out(&(symbols.clone().count() as u32).to_le_bytes());
    let mut offset = 0_u32;
    for (address, name) in symbols.clone() {
        out(&address.to_le_bytes());
        out(&offset.to_le_bytes());
        offset += name.len() as u32;
    }
    for (_, name) in symbols {
        out(name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn table() -> Vec<u8> {
        let symbols = [(0x1000, "start"), (0x1040, "main::run"), (0x1100, ""), (0x2000, "drop"), (0x2010, "")];
        let mut bytes = Vec::new();
        encode(symbols.into_iter(), |piece| bytes.extend_from_slice(piece));
        bytes
    }

    #[test]
    fn an_address_is_found_in_the_function_that_holds_it() {
        let bytes = table();
        let symbols = Symbols::parse(&bytes).unwrap();
        assert_eq!(symbols.find(0x1000), Some(Symbol { name: "start", offset: 0 }));
        assert_eq!(symbols.find(0x103f), Some(Symbol { name: "start", offset: 0x3f }));
        assert_eq!(symbols.find(0x1041), Some(Symbol { name: "main::run", offset: 1 }));
        assert_eq!(symbols.find(0x2004), Some(Symbol { name: "drop", offset: 4 }));
        assert_eq!(std::format!("{}", symbols.find(0x2004).unwrap()), "drop+0x4");
    }

    #[test]
    fn an_address_outside_every_function_is_nowhere() {
        let bytes = table();
        let symbols = Symbols::parse(&bytes).unwrap();
        for address in [0, 0xfff, 0x1100, 0x1fff, 0x2010, u64::MAX] {
            assert_eq!(symbols.find(address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_cut_or_damaged_table_never_panics() {
        let bytes = table();
        for length in 0..bytes.len() {
            if let Some(symbols) = Symbols::parse(&bytes[..length]) {
                let _ = symbols.find(0x1041);
            }
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Some(symbols) = Symbols::parse(&damaged) {
                let _ = symbols.find(0x1041);
            }
        }
    }
}
