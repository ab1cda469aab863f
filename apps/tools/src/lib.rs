//! The command-line tools of Motte as one library: [`run`] finds a tool by its name and runs it.
//!
//! Each tool is a [`Tool`] in a file of `tools/`: its name, its help, and a function from arguments to an exit
//! status. All output goes through [`context::Context`], all access to the system through [`sys`], which on the
//! host stands on std, so that every tool can be compared there with its model among the GNU tools.

#![no_std]

#[cfg(not(target_os = "none"))]
extern crate std;

#[macro_use]
extern crate alloc;

macro_rules! modules {
    ($($(#[$attribute:meta])* $visibility:vis mod $name:ident;)*) => {
        $(
            #[cfg(any(not(target_os = "none"), feature = "program"))]
            $(#[$attribute])*
            $visibility mod $name;
        )*
    };
}

modules! {
    pub mod context;
    pub mod http;
    pub mod args;
    pub mod calendar;
    pub mod input;
    pub mod net;
    pub mod paths;
    pub mod pattern;
    pub mod sys;
    pub mod text;
    pub mod tools;
}

#[cfg(any(not(target_os = "none"), feature = "program"))]
pub use tools::{Tool, find, run};
