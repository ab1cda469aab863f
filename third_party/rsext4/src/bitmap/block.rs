//! Block bitmap wrappers.
use crate::bitmap::BitmapError;

/// Block bitmap view with allocation helpers.
#[derive(Debug)]
pub struct BlockBitmap<'a> {
    data: &'a mut [u8],
    blocks_per_group: u32,
}

impl<'a> BlockBitmap<'a> {
    /// Creates a new block bitmap view.
    pub fn new(data: &'a mut [u8], blocks_per_group: u32) -> Self {
        Self {
            data,
            blocks_per_group,
        }
    }

    /// Returns whether the block is allocated.
    pub fn is_allocated(&self, block_idx: u32) -> Option<bool> {
        if block_idx >= self.blocks_per_group {
            return None;
        }

        let byte_idx = (block_idx / 8) as usize;
        let bit_idx = (block_idx % 8) as u8;

        if byte_idx >= self.data.len() {
            return None;
        }

        Some((self.data[byte_idx] & (1 << bit_idx)) != 0)
    }

    /// Returns whether the block is free.
    pub fn is_free(&self, block_idx: u32) -> Option<bool> {
        self.is_allocated(block_idx).map(|allocated| !allocated)
    }

    /// Returns the first free block index in the group.
    pub fn find_first_free(&self) -> Option<u32> {
        for (byte_idx, &byte) in self.data.iter().enumerate() {
            if byte != 0xFF {
                for bit_idx in 0..8 {
                    if (byte & (1 << bit_idx)) == 0 {
                        let block_idx = (byte_idx * 8 + bit_idx) as u32;
                        if block_idx < self.blocks_per_group {
                            return Some(block_idx);
                        }
                    }
                }
            }
        }
        None
    }

    /// Returns the first contiguous free range of `count` blocks.
    pub fn find_contiguous_free(&self, count: u32) -> Option<u32> {
        if count == 0 {
            return None;
        }

        let mut consecutive = 0u32;
        let mut start_idx = 0u32;

        let mut block_idx = 0u32;
        while block_idx < self.blocks_per_group {
            // Whole words of used or free blocks are the common case.
            if block_idx.is_multiple_of(64) && self.blocks_per_group - block_idx >= 64 {
                let byte = (block_idx / 8) as usize;
                let word = self.data.get(byte..byte + 8)?;
                if word == [0xff; 8] {
                    consecutive = 0;
                    block_idx += 64;
                    continue;
                }
                if word == [0; 8] {
                    if consecutive == 0 {
                        start_idx = block_idx;
                    }
                    consecutive += 64;
                    if consecutive >= count {
                        return Some(start_idx);
                    }
                    block_idx += 64;
                    continue;
                }
            }
            if self.is_free(block_idx) == Some(true) {
                if consecutive == 0 {
                    start_idx = block_idx;
                }
                consecutive += 1;
                if consecutive == count {
                    return Some(start_idx);
                }
            } else {
                consecutive = 0;
            }
            block_idx += 1;
        }

        None
    }

    /// Counts free blocks in the group.
    pub fn count_free(&self) -> u32 {
        let mut count = 0u32;

        for block_idx in 0..self.blocks_per_group {
            if self.is_free(block_idx) == Some(true) {
                count += 1;
            }
        }

        count
    }

    /// Counts allocated blocks in the group.
    pub fn count_allocated(&self) -> u32 {
        self.blocks_per_group - self.count_free()
    }

    /// Marks a block as allocated.
    pub fn allocate(&mut self, block_idx: u32) -> Result<(), BitmapError> {
        if block_idx >= self.blocks_per_group {
            return Err(BitmapError::IndexOutOfRange);
        }

        let byte_idx = (block_idx / 8) as usize;
        let bit_idx = (block_idx % 8) as u8;

        if byte_idx >= self.data.len() {
            return Err(BitmapError::IndexOutOfRange);
        }

        if (self.data[byte_idx] & (1 << bit_idx)) != 0 {
            return Err(BitmapError::AlreadyAllocated);
        }

        self.data[byte_idx] |= 1 << bit_idx;
        Ok(())
    }

    /// Marks a block as free.
    pub fn free(&mut self, block_idx: u32) -> Result<(), BitmapError> {
        if block_idx >= self.blocks_per_group {
            return Err(BitmapError::IndexOutOfRange);
        }

        let byte_idx = (block_idx / 8) as usize;
        let bit_idx = (block_idx % 8) as u8;

        if byte_idx >= self.data.len() {
            return Err(BitmapError::IndexOutOfRange);
        }

        if (self.data[byte_idx] & (1 << bit_idx)) == 0 {
            return Err(BitmapError::AlreadyFree);
        }

        self.data[byte_idx] &= !(1 << bit_idx);
        Ok(())
    }

    /// Marks a contiguous block range as allocated: all of it, or nothing on an error.
    pub fn allocate_range(&mut self, start_idx: u32, count: u32) -> Result<(), BitmapError> {
        let end = start_idx
            .checked_add(count)
            .filter(|end| *end <= self.blocks_per_group && end.div_ceil(8) as usize <= self.data.len())
            .ok_or(BitmapError::IndexOutOfRange)?;
        let bytes = start_idx / 8..end.div_ceil(8);
        // The bits of a byte that lie in the range.
        let mask = |byte: u32| {
            let low = start_idx.saturating_sub(byte * 8);
            let high = (end - byte * 8).min(8);
            ((1u32 << high) - (1 << low)) as u8
        };
        if bytes.clone().any(|byte| self.data[byte as usize] & mask(byte) != 0) {
            return Err(BitmapError::AlreadyAllocated);
        }
        for byte in bytes {
            self.data[byte as usize] |= mask(byte);
        }
        Ok(())
    }

    /// Marks a contiguous block range as free.
    pub fn free_range(&mut self, start_idx: u32, count: u32) -> Result<(), BitmapError> {
        for i in 0..count {
            self.free(start_idx + i)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn test_block_bitmap_basic() {
        let mut data = vec![0u8; 128];
        data[0] = 0b10101010;

        let bitmap = BlockBitmap::new(&mut data, 1024);

        assert_eq!(bitmap.is_allocated(0), Some(false));
        assert_eq!(bitmap.is_allocated(1), Some(true));
        assert_eq!(bitmap.is_allocated(2), Some(false));
        assert_eq!(bitmap.is_allocated(3), Some(true));
    }

    #[test]
    fn test_block_bitmap_find_free() {
        let mut data = vec![0xFFu8; 128];
        data[10] = 0b11111101;

        let bitmap = BlockBitmap::new(&mut data, 1024);

        assert_eq!(bitmap.find_first_free(), Some(10 * 8 + 1));
    }

    #[test]
    fn test_block_bitmap_allocate_range() {
        for (start, count) in [(0, 1), (3, 4), (3, 5), (7, 2), (0, 64), (5, 100), (120, 8)] {
            let mut data = vec![0u8; 16];
            let mut bitmap = BlockBitmap::new(&mut data, 128);
            assert!(bitmap.allocate_range(start, count).is_ok());
            for block in 0..128 {
                let inside = (start..start + count).contains(&block);
                assert_eq!(bitmap.is_allocated(block), Some(inside));
            }
            assert_eq!(
                bitmap.allocate_range(start + count - 1, 1),
                Err(BitmapError::AlreadyAllocated)
            );
        }
        let mut data = vec![0u8; 16];
        let mut bitmap = BlockBitmap::new(&mut data, 128);
        assert_eq!(
            bitmap.allocate_range(121, 8),
            Err(BitmapError::IndexOutOfRange)
        );
        assert_eq!(bitmap.count_free(), 128);
    }

    #[test]
    fn test_block_bitmap_mut_allocate() {
        let mut data = vec![0u8; 128];
        let mut bitmap = BlockBitmap::new(&mut data, 1024);

        assert!(bitmap.allocate(5).is_ok());
        assert_eq!(bitmap.is_allocated(5), Some(true));
        assert_eq!(bitmap.allocate(5), Err(BitmapError::AlreadyAllocated));
    }
}
