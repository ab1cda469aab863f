//! Tests of the kernel's logic on the mock machine.
//!
//! Under Miri: `MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-stacked-borrows" cargo +nightly miri test -p motte-kernel --lib`.
//! Objects are reached by address, hence the first flag. They consist of cells, which may alias, so the model of borrows that the second
//! switches off has nothing to say about them; with it the tests take ten times as long.

mod capabilities;
mod derivation_model;
mod faults;
mod invariants;
mod machine_objects;
mod memory;
mod messages;
mod random_calls;
mod scheduling;
mod start;
mod world;
