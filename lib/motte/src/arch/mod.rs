//! The machine: how a program enters the kernel, begins, and finds its own thread.
//!
//! This is the only module, beside those that own raw memory, that holds `unsafe`. On the host, where there is no kernel below, every
//! system call fails with `Unsupported`, so that everything above compiles and its logic can be tested.

#[cfg(target_os = "none")]
mod x86_64;
#[cfg(target_os = "none")]
pub use x86_64::*;

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub use host::*;

/// What comes back from a message call.
#[derive(Clone, Copy, Debug)]
pub struct MessageResult {
    /// `rax`.
    pub status: u64,
    /// `rdi`.
    pub badge: u64,
    /// `rsi`.
    pub info: u64,
    /// The message registers.
    pub words: [u64; 6],
}

/// What comes back from an object call: status and three results.
#[derive(Clone, Copy, Debug)]
pub struct ObjectResult {
    /// `rax`.
    pub status: u64,
    /// `rdi`, `rsi`, `rdx`.
    pub values: [u64; 3],
}
