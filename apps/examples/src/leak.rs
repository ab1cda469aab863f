//! A leak, for `leak-demo`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;

/// Bytes that are forgotten at a time.
pub const LEAK: usize = 4096;

/// Takes memory and forgets it. Apart, so that the fault record's backtrace names it.
#[inline(never)]
pub fn forget_a_page() {
    let page: Box<[u8]> = Vec::from([1; LEAK]).into();
    black_box(Box::leak(page));
}
