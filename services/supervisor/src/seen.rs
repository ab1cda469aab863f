//! What whoever holds a component sees of its first thread when it has ended, before it is taken apart.

use alloc::vec::Vec;

use motte::abi::MessageInfo;
use motte::abi::fault::Registers;
use motte_loader::{Places, Position};

use crate::record::Cause;

/// What is seen of a component that was stopped.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Processor time of its first thread, in nanoseconds.
    pub cpu_ns: u64,
    /// The number of that thread.
    pub thread: u64,
    /// The last message of that thread: a badge and a description.
    pub last_message: (u64, MessageInfo),
    /// That thread's registers, if they tell of the end.
    pub registers: Option<Registers>,
    /// Return addresses on its stack, the innermost first; none after an exit.
    pub backtrace: Vec<u64>,
}

impl Seen {
    /// Looks at a component with a stack of so many bytes.
    #[must_use]
    pub fn of(places: &Places, stack: u64, cause: &Cause) -> Self {
        let registers = places.thread.read_registers().ok();
        let position = match cause.place() {
            Some(place) => Position::from(place),
            None => registers.as_ref().map(Position::from).unwrap_or_default(),
        };
        let backtrace = match cause {
            Cause::Exit(..) => Vec::new(),
            _ => places.backtrace(stack, &position),
        };
        // Registers are the first thread's; they belong to the record only if that is the thread that faulted.
        let same = |registers: &Registers| cause.place().is_none_or(|place| place.stack == registers.rsp);
        Self {
            cpu_ns: places.context.info().map_or(0, |(used, ..)| used),
            thread: places.thread.info().map_or(0, |info| info.number),
            last_message: places.thread.last_message().unwrap_or_default(),
            registers: registers.filter(same),
            backtrace,
        }
    }
}
