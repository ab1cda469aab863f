//! Requests to the clock. Nothing is lost by a restart: the hardware keeps the time.

use motte_interfaces::Sender;
use motte_interfaces::clock::Clock;
use motte_interfaces::error::IoError;

use crate::rtc::{self, Registers};

/// What the driver needs of the machine.
pub trait Machine: Registers {
    /// Nanoseconds of the monotonic clock.
    fn now(&self) -> u64;
}

/// The last second that the hardware clock can show: the end of 2099.
const LAST_SECOND: i64 = 4_102_444_799;

/// The driver.
pub struct ClockServer<M> {
    machine: M,
    offset: u64,
}

impl<M: Machine> ClockServer<M> {
    /// Reads the hardware clock. The second part is false if that shows no date; time then counts from 1970.
    pub fn new(mut machine: M) -> (Self, bool) {
        let seconds = rtc::read(&mut machine);
        let unix_ns = seconds.unwrap_or(0).max(0).cast_unsigned() * 1_000_000_000;
        let offset = unix_ns.saturating_sub(machine.now());
        (Self { machine, offset }, seconds.is_some())
    }
}

impl<M: Machine> Clock for ClockServer<M> {
    fn offset(&mut self, _: &Sender) -> Result<u64, IoError> {
        Ok(self.offset)
    }

    fn set(&mut self, _: &Sender, unix_ns: u64) -> Result<(), IoError> {
        let seconds = (unix_ns / 1_000_000_000).cast_signed();
        if seconds > LAST_SECOND {
            return Err(IoError::InvalidInput);
        }
        rtc::write(&mut self.machine, seconds);
        self.offset = unix_ns.saturating_sub(self.machine.now());
        Ok(())
    }

    fn hardware(&mut self, _: &Sender) -> Result<u64, IoError> {
        rtc::read(&mut self.machine).and_then(|seconds| seconds.try_into().ok()).ok_or(IoError::Device)
    }
}
