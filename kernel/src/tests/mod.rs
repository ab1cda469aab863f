//! Tests of the kernel's logic on the mock machine.
//!
//! Under Miri: `MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-stacked-borrows" cargo +nightly miri test -p motte-kernel --lib`.
//! Objects are reached by address, hence the first flag. They consist of cells, which may alias, so the model of borrows that the second
//! switches off has nothing to say about them; with it the tests take ten times as long.

#![allow(clippy::duplicate_mod, reason = "the tests of messages run twice")]

mod capabilities;
mod derivation_model;
mod faults;
mod invariants;
mod machine_objects;
mod memory;
#[path = "."]
mod messages {
    //! Every test of messages, with the short path and without it; under Miri, which is slow, only with it: what does not apply takes the
    //! general path there too.

    #[cfg(not(miri))]
    #[path = "."]
    mod general {
        use super::super::{invariants, world};

        fn new() -> world::World {
            let w = world::World::new();
            w.short.set(false);
            w
        }

        #[path = "messages.rs"]
        mod tests;
    }

    #[path = "."]
    mod short {
        use super::super::{invariants, world};

        fn new() -> world::World {
            world::World::new()
        }

        #[path = "messages.rs"]
        mod tests;
    }
}
mod random_calls;
mod scheduling;
mod short_path;
mod start;
mod world;
