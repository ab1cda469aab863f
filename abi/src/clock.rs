//! The clock page: how a program tells the time without entering the kernel.
//!
//! `nanoseconds = (counter * multiplier) >> shift`, in 128-bit arithmetic, where `counter` is the processor's time-stamp
//! counter (`rdtsc`). The page is written once, before the first program runs. Zero is when the processor was reset.

/// Recognises a clock page.
pub const CLOCK_MAGIC: u64 = u64::from_le_bytes(*b"motteCLK");

/// Contents of the clock page.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ClockPage {
    /// [`CLOCK_MAGIC`].
    pub magic: u64,
    /// Ticks to nanoseconds, first factor.
    pub multiplier: u64,
    /// Ticks to nanoseconds, right shift.
    pub shift: u64,
    /// Ticks per second, for information.
    pub frequency: u64,
}

impl ClockPage {
    /// Nanoseconds at a counter value.
    pub const fn nanoseconds(&self, counter: u64) -> u64 {
        ((counter as u128 * self.multiplier as u128) >> self.shift) as u64
    }
}

/// Where the clock page is mapped in every component and program, read-only.
pub const CLOCK_ADDRESS: u64 = 0x3000_0000;
