//! The tools as their users meet them: run by a shell, compared with the GNU tools where those exist.
//!
//! The program under test is the example `host-tools`, which cargo builds along with `cargo test`, but not for
//! `cargo test --test tools` alone.

mod common;
mod gnu;
mod network;
mod system;
