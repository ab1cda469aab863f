//! Memory: untyped ranges and what is made of them, address spaces, and the mapping of frames and page tables.

pub mod frame;
pub mod space;
pub mod untyped;
