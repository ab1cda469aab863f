//! Where things lie in the address space of a component or program. Loader and runtime agree on this.
//!
//! What every program has, and the beginning of its heap, lies in the first GiB, so that it shares the upper page tables.

use motte_abi::clock::CLOCK_ADDRESS;

/// Where programs are linked.
pub const PROGRAM_ADDRESS: u64 = 0x40_0000;

/// Where the program ends at the latest.
pub const PROGRAM_END: u64 = CLOCK_ADDRESS;

/// Where the heap begins. It grows upwards, to [`HEAP_END`] at most.
pub const HEAP_ADDRESS: u64 = 0x3800_0000;

/// Where the heap ends at the latest, and the range for mappings begins.
pub const HEAP_END: u64 = 0x10_0000_0000;

/// Range for memory that is mapped at run time: shared frames, device registers, stacks of further threads.
pub const MAPPINGS: core::ops::Range<u64> = HEAP_END..0x20_0000_0000;

/// The first thread's message buffer, one page. Its part beyond the buffer holds [`LAST_WORDS_ADDRESS`].
pub const MESSAGE_BUFFER_ADDRESS: u64 = CLOCK_ADDRESS + 0x1000;

/// Where the component leaves word of why it ends ([`crate::last_words`]); in the page of the first thread's message buffer.
pub const LAST_WORDS_ADDRESS: u64 = MESSAGE_BUFFER_ADDRESS + LAST_WORDS_OFFSET;

/// Place of the last words in the page of the message buffer.
pub const LAST_WORDS_OFFSET: u64 = 1024;

/// Where the start information is mapped, read-only.
pub const START_INFO_ADDRESS: u64 = CLOCK_ADDRESS + 0x1_0000;

/// The most bytes of start information.
pub const START_INFO_MAX: u64 = 0x8_0000;

/// The first thread's stack begins (lowest address) here; the page below is left unmapped as its guard.
pub const STACK_ADDRESS: u64 = START_INFO_ADDRESS + START_INFO_MAX + 0x1000;

/// The most bytes of the first thread's stack.
pub const STACK_MAX: u64 = HEAP_ADDRESS - STACK_ADDRESS;
