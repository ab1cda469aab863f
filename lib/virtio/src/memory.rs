//! Memory that a device reaches too: registers, and the queue's own pages.

/// A range of such memory. Every access happens once and as written, in its natural width; offsets lie inside
/// the range and are aligned to the width. Between accesses order is kept by fences, where it matters.
pub trait Memory {
    /// Reads one byte.
    fn read_u8(&self, offset: usize) -> u8;
    /// Reads two bytes.
    fn read_u16(&self, offset: usize) -> u16;
    /// Reads four bytes.
    fn read_u32(&self, offset: usize) -> u32;
    /// Writes one byte.
    fn write_u8(&self, offset: usize, value: u8);
    /// Writes two bytes.
    fn write_u16(&self, offset: usize, value: u16);
    /// Writes four bytes.
    fn write_u32(&self, offset: usize, value: u32);

    /// Writes eight bytes, the lower half first.
    fn write_u64(&self, offset: usize, value: u64) {
        self.write_u32(offset, value as u32);
        self.write_u32(offset + 4, (value >> 32) as u32);
    }
}
