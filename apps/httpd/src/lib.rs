//! The web server without input and output: bytes in, bytes out.
//!
//! [`connection`] is the protocol, [`site`] the files, [`folder`] what they need of a file system, [`calls`] what goes to the dashboard.
//! `main.rs` joins them to sockets and services; `examples/host.rs` does the same on the host.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod calls;
pub mod conditions;
pub mod connection;
pub mod date;
pub mod folder;
pub mod media;
pub mod output;
pub mod range;
pub mod request;
pub mod site;
pub mod status;
pub mod target;
