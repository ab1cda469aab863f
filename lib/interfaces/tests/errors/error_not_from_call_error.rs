use motte_interfaces::{error::IoError, interface};
const _: &dyn Fn(IoError) = &|_| ();
#[interface("x")]
pub trait X { fn a(&self) -> Result<(), u64>; }

fn main() {}
