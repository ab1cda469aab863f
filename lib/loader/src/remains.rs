//! What can be seen of a program that cannot go on, before it is taken apart: the calls that it was in, the memory that it used.

use alloc::vec;
use alloc::vec::Vec;

use motte::kernel::{CapSlot, Untyped};
use motte::layout::STACK_ADDRESS;
use motte::slots;
use motte_abi::PAGE_SIZE;
use motte_abi::boot_info::slot;
use motte_abi::fault::{FaultMessage, Registers};

use crate::load::Places;
use crate::window::Window;

/// The most frames of a backtrace.
pub const MAX_FRAMES: usize = 32;

/// Where a thread was: its instruction pointer, frame pointer and stack pointer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// The instruction pointer.
    pub instruction: u64,
    /// The frame pointer.
    pub frame: u64,
    /// The stack pointer.
    pub stack: u64,
}

impl From<&FaultMessage> for Position {
    fn from(fault: &FaultMessage) -> Self {
        Self { instruction: fault.instruction, frame: fault.frame, stack: fault.stack }
    }
}

impl From<&Registers> for Position {
    fn from(registers: &Registers) -> Self {
        Self { instruction: registers.rip, frame: registers.rbp, stack: registers.rsp }
    }
}

impl Places {
    /// The instruction, and the return addresses on the first thread's stack of so many bytes, the innermost first.
    ///
    /// In a message call the frame pointer's register holds a message word; the runtime's stub has pushed the frame pointer last, so that the
    /// stack pointer shows where it is.
    #[must_use]
    pub fn backtrace(&self, stack: u64, position: &Position) -> Vec<u64> {
        let Ok(window) = Window::new() else { return vec![position.instruction] };
        let mut page = [0; PAGE_SIZE];
        let mut page_address = None;
        let mut word = |address: u64| -> Option<u64> {
            let base = address & !(PAGE_SIZE as u64 - 1);
            if page_address != Some(base) {
                page_address = None;
                self.read_stack(stack, base, &window, &mut page).ok()?;
                page_address = Some(base);
            }
            let at = (address - base) as usize;
            page.get(at..at + 8).and_then(|bytes| bytes.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes))
        };
        let on_stack = |&address: &u64| address >= position.stack && address.wrapping_sub(STACK_ADDRESS) < stack;
        let frame = Some(position.frame).filter(on_stack).or_else(|| word(position.stack).filter(on_stack));
        follow(position.instruction, frame.unwrap_or(0), |at| Some([word(at)?, word(at.checked_add(8)?)?]))
    }

    /// Bytes of the untyped memory that the loader left to the program, and how many of them it has used.
    ///
    /// An Untyped cannot be copied, so it is borrowed from the program's table for a moment. The program must not run meanwhile.
    #[must_use]
    pub fn own_memory(&self) -> Option<(u64, u64)> {
        let borrowed = slots::allocate().ok()?;
        let moved = self.table.move_to(slot::UNTYPED, CapSlot::OWN_TABLE, borrowed.0);
        let info = moved.ok().and_then(|()| {
            let info = Untyped(borrowed).info();
            let _ = CapSlot::OWN_TABLE.move_to(borrowed.0, self.table, slot::UNTYPED);
            info.ok()
        });
        slots::free(borrowed);
        info.map(|(_, size, used)| (size, used))
    }
}

/// Follows frame pointers: `instruction`, then the return address behind each frame. `read` gives the two words of a frame.
fn follow(instruction: u64, frame: u64, mut read: impl FnMut(u64) -> Option<[u64; 2]>) -> Vec<u64> {
    let mut addresses = vec![instruction];
    let mut frame = frame;
    while addresses.len() < MAX_FRAMES && frame != 0 && frame.is_multiple_of(8) {
        let Some([next, back]) = read(frame) else { break };
        if back == 0 {
            break;
        }
        addresses.push(back);
        // Frames lie towards higher addresses; anything else is no chain of frames.
        if next <= frame {
            break;
        }
        frame = next;
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_to_their_end_and_never_in_circles() {
        let frames = [(0x100, [0x200, 11]), (0x200, [0x300, 12]), (0x300, [0, 13])];
        let read = |at| frames.iter().find(|(frame, _)| *frame == at).map(|(_, words)| *words);
        assert_eq!(follow(10, 0x100, read), [10, 11, 12, 13]);
        assert_eq!(follow(10, 0x100, |_| Some([0x100, 5])), [10, 5]);
        assert_eq!(follow(10, 0x108, |_| None), [10]);
        assert_eq!(follow(1, 8, |at| Some([at + 8, 2])).len(), MAX_FRAMES);
    }
}
