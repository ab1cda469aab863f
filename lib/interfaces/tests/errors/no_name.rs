use motte_interfaces::{error::IoError, interface};
const _: &dyn Fn(IoError) = &|_| ();
#[interface]
pub trait X { fn a(&self) -> Result<(), i32>; }

fn main() {}
