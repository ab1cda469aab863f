use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { fn read(&self, into: &mut [u8]) -> Result<u64, IoError>; }

fn main() {}
