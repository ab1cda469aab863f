use motte_interfaces::{error::IoError, interface};
const _: &dyn Fn(IoError) = &|_| ();
#[interface("x")]
pub trait X { const N: u64; }

fn main() {}
