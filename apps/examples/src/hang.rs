//! Ways for a component to hang, for `hang-demo`.

use core::hint::{black_box, spin_loop};

/// A way to hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// A loop without end.
    Loop,
    /// A wait for what never comes.
    Wait,
}

impl Hang {
    /// The ways in turn: one that is started anew hangs in the other way.
    pub const fn of_generation(generation: u64) -> Self {
        if generation % 2 == 1 { Self::Loop } else { Self::Wait }
    }

    /// Hangs; `wait` waits for what never comes.
    pub fn happen(self, wait: impl FnOnce()) {
        match self {
            Self::Loop => go_round(),
            Self::Wait => wait_for_ever(wait),
        }
    }
}

// Apart, so that the fault record's backtrace names them.

#[inline(never)]
fn wait_for_ever(wait: impl FnOnce()) {
    wait();
    black_box(());
}

#[inline(never)]
fn go_round() {
    while black_box(true) {
        spin_loop();
    }
}
