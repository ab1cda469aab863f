//! The system manifest: which components Motte consists of, and what each of them may do.
//!
//! A manifest is written as TOML (`system/*.toml`), checked and compiled on the host when the system's
//! image is built, and read inside the system by init, registry and supervisor. It is the whole of a
//! component's authority: what it does not grant cannot be reached.
//!
//! | module | what it holds | where it runs |
//! |---|---|---|
//! | [`model`] | the data: [`Manifest`], [`Component`] and what they are made of | everywhere |
//! | [`query`] | the questions asked of it: who provides a service, who may use it, what starts first | everywhere |
//! | [`encoding`] | the binary form in the boot image | everywhere |
//! | `compiler` | TOML to manifest, with a message at file, line and column for every mistake | host |
//! | `graph` | the components and what connects them, as SVG | host |
//!
//! Without the feature `compiler` the crate needs no standard library, only an allocator.
//!
//! ```
//! use motte_manifest::Manifest;
//!
//! let manifest =
//!     Manifest { name: "empty".into(), memory: 32 << 20, components: Vec::new(), heartbeats: true };
//! let bytes = manifest.encode();
//! assert_eq!(Manifest::decode(&bytes), Ok(manifest));
//! ```
#![cfg_attr(not(feature = "compiler"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "compiler")]
pub mod compiler;
pub mod encoding;
#[cfg(feature = "compiler")]
pub mod graph;
pub mod model;
pub mod query;

#[cfg(feature = "compiler")]
pub use compiler::{Compiled, Compiler, Diagnostics, compile};
pub use encoding::DecodeError;
pub use model::{
    Component, Escalate, Grant, Grants, Kind, Manifest, MmioRange, PciId, PortRange, Restart, RestartPolicy, Start,
    Use, is_keepable,
};
pub use query::{Access, Service};
