use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { fn a(&mut self) -> Result<(), IoError>; }

fn main() {}
