use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { #[inline] fn a(&self) -> Result<(), IoError>; }

fn main() {}
