use motte_interfaces::{error::IoError, interface};
#[interface("x")]
pub trait X { async fn a(&self) -> Result<(), IoError>; }

fn main() {}
