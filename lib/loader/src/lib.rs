//! Starts components and programs: from an ELF image to a thread that runs in an address space of its own.
//!
//! | module | what it holds |
//! |---|---|
//! | [`elf`] | reads and checks executables |
//! | [`image`] | a program ready to be started often: its read-only pages are shared, the others copied |
//! | [`kept`] | memory that a component finds again after a restart |
//! | [`load`] | makes address space, table, thread; maps; starts |
//! | [`remains`] | what can be seen of a program that ended |
//! | [`stack`] | stacks that grow |
//! | [`view`] | the pages that the loader writes |
//! | [`system`] | which slots of the supervisor's table hold what, as init fills them |
//!
//! Everything that a started program needs is paid from one Untyped: revoking that takes all of it back.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod elf;
pub mod image;
pub mod kept;
pub mod load;
pub mod remains;
pub mod stack;
pub mod system;
pub mod view;
pub mod watch;
mod window;

pub use elf::{Elf, ElfError};
pub use image::Image;
pub use load::{Grant, LoadError, Loaded, Places, Program, Source, load, prepare};
pub use remains::Position;
pub use stack::Stack;
pub use view::View;
pub use window::Window;
