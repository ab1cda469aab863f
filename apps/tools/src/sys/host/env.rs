//! Arguments, environment, working directory.

use alloc::string::{String, ToString};

pub use std::env::set_current_dir;

use super::io::Result;

/// The program's arguments, its own name first.
pub fn args() -> impl Iterator<Item = String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().to_string())
}

/// The environment's variables.
pub fn vars() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().to_string(), value.to_string_lossy().to_string()))
}

/// The value of a variable.
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The working directory.
pub fn current_dir() -> Result<String> {
    Ok(std::env::current_dir()?.to_string_lossy().to_string())
}
