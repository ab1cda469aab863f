//! Tests of the kernel's logic on the mock machine.
//!
//! Under Miri: `MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-ignore-leaks" cargo +nightly miri test -p motte-kernel`. Objects are
//! reached by address, hence the first flag; each test's machine is freed, so the second is only for the test runner.

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
