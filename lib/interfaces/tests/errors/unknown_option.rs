use motte_interfaces::{error::IoError, interface};
const _: &dyn Fn(IoError) = &|_| ();
#[interface("x", version = 2)]
pub trait X {}

fn main() {}
