use motte_interfaces::{error::IoError, interface};
pub struct Local(*const u8);
#[interface("x")]
pub trait X { fn a(&self, value: Local) -> Result<(), IoError>; }

fn main() {}
