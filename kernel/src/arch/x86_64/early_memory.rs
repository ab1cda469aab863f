//! Memory while the kernel starts: pages from behind its image, and tables that the loader and the firmware left.

use super::paging::DIRECT_MAP;
use motte_boot::{PhysicalMemory, Range, RangeSet};

const PAGE: u64 = 4096;

/// What the first page tables map.
const FIRST_MAPPED: u64 = 1 << 30;

/// Pages for the kernel's own tables and stacks, one after the other, never given back.
pub struct EarlyMemory {
    from: u64,
    next: u64,
    end: u64,
}

impl EarlyMemory {
    /// Pages from `from` on, as far as `free` says and the first page tables reach.
    pub fn new(from: u64, free: &RangeSet) -> Self {
        let end = free
            .as_slice()
            .iter()
            .find(|range| range.start <= from && from < range.end)
            .map_or(from, |range| range.end.min(FIRST_MAPPED));
        Self { from, next: from, end }
    }

    /// A zeroed page, by its physical address.
    pub fn page(&mut self) -> u64 {
        assert!(self.next < self.end, "not enough memory behind the kernel for its page tables");
        let page = self.next;
        self.next += PAGE;
        // SAFETY: the page is RAM that nobody else uses (the constructor's range, each page once), and both the first page
        // tables and the kernel's map it.
        unsafe { ((DIRECT_MAP + page) as *mut u8).write_bytes(0, PAGE as usize) };
        page
    }

    /// What has been handed out.
    pub fn used(&self) -> Range {
        Range::new(self.from, self.next)
    }
}

/// Memory as the present page tables reach it: the tables that were left for the kernel, not changed by anybody.
pub struct Mapped {
    reach: RangeSet,
}

impl Mapped {
    /// With the first page tables.
    pub fn first() -> Self {
        let mut reach = RangeSet::new();
        let _ = reach.insert(Range::new(0, FIRST_MAPPED));
        Self { reach }
    }

    /// With the kernel's tables, whose direct map holds these addresses.
    pub fn direct(reach: RangeSet) -> Self {
        Self { reach }
    }
}

impl PhysicalMemory for Mapped {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let end = address.checked_add(length as u64)?;
        if !self.reach.contains(Range::new(address, end)) {
            return None;
        }
        // SAFETY: the range is mapped, and holds what the loader or the firmware left, which nobody writes while the
        // kernel starts.
        Some(unsafe { core::slice::from_raw_parts((DIRECT_MAP + address) as *const u8, length) })
    }
}
