//! Ways for a component to fail, for `crash-demo`.

use alloc::vec::Vec;
use core::hint::black_box;

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A panic: an index beyond the end of a list.
    Panic,
    /// A recursion without end, until the stack's guard page.
    Overflow,
    /// More and more memory, until the quota is used up.
    Memory,
}

impl Crash {
    /// Every way, with its name.
    pub const ALL: [(&str, Crash); 3] =
        [("panic", Crash::Panic), ("overflow", Crash::Overflow), ("memory", Crash::Memory)];

    /// The way of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(candidate, _)| *candidate == name).map(|(_, crash)| crash)
    }

    /// Fails.
    pub fn happen(self) {
        match self {
            Crash::Panic => read_the_log(&[3, 1, 4]),
            Crash::Overflow => {
                black_box(descend(black_box(0)));
            }
            Crash::Memory => hoard(),
        }
    }
}

// The functions are kept apart so that the fault record's backtrace has something to show.

#[inline(never)]
fn read_the_log(entries: &[u64]) {
    read_entry(entries, black_box(7));
}

#[inline(never)]
fn read_entry(entries: &[u64], number: usize) {
    black_box(entries[number]);
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the point")]
fn descend(depth: u64) -> u64 {
    let page = black_box([depth; 64]);
    descend(depth + 1) + page[(depth % 64) as usize]
}

#[inline(never)]
fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(alloc::vec![1_u8; 4096]));
    }
}
