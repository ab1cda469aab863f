use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { fn a(&self) -> Result<(), IoError> { Ok(()) } }

fn main() {}
