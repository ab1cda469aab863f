//! Counts what the operations of the system cost: what can be said of that apart from the machine.
//!
//! The program `bench` measures, one operation at a time, and prints a line for each:
//!
//! ```text
//! result NAME UNIT N MIN MEDIAN MAX
//! marked NAME BEGIN_ID END_ID DIVISOR N
//! growth CURVE X N MEDIAN
//! skip NAME REASON
//! ```
//!
//! The unit is `instructions` where the machine's time counts instructions (`cargo xtask run --icount`), else `ticks` of the
//! processor's counter. Time in which the processor waits for a device is no instruction: what uses the disk is marked
//! instead, for a tool beneath the machine that counts what is executed between the marks, N times, DIVISOR operations each.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod request;
mod summary;

pub use request::{HELP, NAMES, Request, UsageError};
pub use summary::Summary;
