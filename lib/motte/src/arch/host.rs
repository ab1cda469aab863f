//! No kernel: every call fails with `Unsupported`.

use motte_abi::Error;

use super::{MessageResult, ObjectResult};
use crate::thread::ThreadControl;

const STATUS: u64 = Error::Unsupported as u64;

/// Fails.
pub fn message_call(_number: u64, _object: u64, _info: u64, _reply: u64, words: [u64; 6]) -> MessageResult {
    MessageResult { status: STATUS, badge: 0, info: 0, words }
}

/// Fails.
pub fn message_call_short(_number: u64, _object: u64, _info: u64, _reply: u64, words: [u64; 4]) -> MessageResult {
    MessageResult { status: STATUS, badge: 0, info: 0, words: [words[0], words[1], words[2], words[3], 0, 0] }
}

/// Fails.
pub fn message_call_empty(_number: u64, _object: u64, _info: u64, _reply: u64) -> (u64, u64, u64) {
    (STATUS, 0, 0)
}

/// Fails.
pub fn plain_call(_number: u64, _object: u64) -> (u64, u64) {
    (STATUS, 0)
}

/// Fails.
pub fn object_call(_number: u64, _arguments: [u64; 6]) -> ObjectResult {
    ObjectResult { status: STATUS, values: [0; 3] }
}

/// Says nothing.
pub fn debug_write(_length: u64, _words: [u64; 6]) {}

/// Copies memory.
///
/// # Safety
/// Both ranges are valid, and they do not overlap.
pub unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: as the caller promises.
    unsafe { to.copy_from_nonoverlapping(from, length) }
}

/// The counter of the host's clock.
pub fn time_stamp() -> u64 {
    0
}

/// Ends the host's process.
pub fn trap() -> ! {
    panic!("the program ended")
}

/// The host has no thread control blocks of ours.
pub fn thread_control() -> *const ThreadControl {
    core::ptr::null()
}

/// The same value.
pub fn unknown(value: usize) -> usize {
    core::hint::black_box(value)
}

/// Hint that the processor is waiting for another.
pub fn relax() {
    core::hint::spin_loop();
}

/// Never called here.
pub fn thread_entry_address() -> u64 {
    0
}
