use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { fn a<T>(&self, t: T) -> Result<(), IoError>; }

fn main() {}
