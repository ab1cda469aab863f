//! A device in memory and a machine around it, for tests of drivers on the host (feature `fake`).

mod device;
mod machine;

pub use device::{FakeDevice, FakeQueue, Part, Ram, View, Window, registers, view};
pub use machine::{CLIENT, FRAME, FakeMachine, Notes, Page};
