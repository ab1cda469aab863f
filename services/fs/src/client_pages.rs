//! The two places where this program turns mapped memory into what the library copies from and to.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use motte::interfaces::Cap;
use motte::interfaces::error::IoError;
use motte::interfaces::stream::SharedPages;
use motte::memory::Mapping;
use motte::pages::Pages;
use motte_fs::memory::{LentPages, Region};

/// The pages that clients lend.
pub struct ClientPages(pub Pages);

impl SharedPages for ClientPages {
    fn attach(&mut self, badge: u64, first: u64, pages: [Cap; 4]) -> Result<(), IoError> {
        self.0.attach(badge, first, pages)
    }
    fn read(&self, badge: u64, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        self.0.read(badge, offset, into)
    }
    fn write(&mut self, badge: u64, offset: u64, from: &[u8]) -> Result<(), IoError> {
        self.0.write(badge, offset, from)
    }
    fn detach(&mut self, badge: u64) {
        self.0.detach(badge);
    }
    fn mint(&mut self, badge: u64) -> Result<Cap, IoError> {
        self.0.mint(badge)
    }
}

// SAFETY: `Pages::range` gives mapped memory that stays so until pages are attached or detached, which takes `&mut self`; the
// mappings are apart from the page cache's, and are reached by copies only.
unsafe impl LentPages for ClientPages {
    fn range(&self, badge: u64, offset: u64, length: usize) -> Result<(NonNull<u8>, usize), IoError> {
        self.0.range(badge, offset, length)
    }
}

/// Memory that stays mapped for good.
pub fn region(memory: Mapping) -> Region {
    let memory = ManuallyDrop::new(memory);
    let base = NonNull::new(memory.as_ptr()).unwrap_or(NonNull::dangling());
    // SAFETY: the mapping is never dropped, is readable and writable, and this program has no reference into it.
    unsafe { Region::from_raw(base, memory.len()) }
}
