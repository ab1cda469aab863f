//! The network stack: sockets for programs, over smoltcp.
//!
//! Its logic, apart from the machine: the program adds the endpoint, the clients' memory ([`session::Machine`]) and the driver
//! ([`motte_netdev`]).
//!
//! | module | what it holds |
//! |---|---|
//! | `session` | clients: shared memory and news |
//! | `server` | requests to open, close and wait for sockets |
//! | `admin` | requests to look at the stack and set it up |
//! | `stack` | what happens between two waits: frames in, news in, sockets served, frames out |
//! | `stream`, `datagram` | serving the two kinds of sockets |
//! | `links` | the interfaces: loop and card, with DHCP |
//! | `frame`, `device` | what a frame is; where frames come from and go to |
//! | `merge`, `split` | segments that follow one another made one; large ones cut into frames |
//! | `remind` | what has senders repeat at once what was lost with the driver |
//! | `resolver` | addresses of names |
//!
//! # One socket, one set
//! smoltcp looks at every socket of a set for every frame and at every poll. Here each socket is alone in a set of its own: a frame is
//! brought to the one that it concerns by a table, and only sockets are polled that something happened to. So what a frame costs does not depend
//! on how many sockets there are.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod admin;
pub mod config;
pub mod datagram;
pub mod device;
pub mod frame;
pub mod links;
pub mod merge;
pub mod remind;
pub mod resolver;
pub mod server;
pub mod session;
pub mod split;
pub mod stack;
pub mod stream;
