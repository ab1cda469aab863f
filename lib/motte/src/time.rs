//! Time, without entering the kernel.

pub use core::time::Duration;

use core::ops::{Add, AddAssign, Sub};

use motte_abi::clock::ClockPage;
use motte_interfaces::clock::ClockClient;

use crate::arch;
use crate::service::Shared;

/// The clock page, where there is one.
fn clock() -> Option<&'static ClockPage> {
    #[cfg(target_os = "none")]
    {
        // SAFETY: loader and runtime map the clock page, for good and read-only, before anything asks for the time.
        Some(unsafe { &*(motte_abi::clock::CLOCK_ADDRESS as *const ClockPage) })
    }
    #[cfg(not(target_os = "none"))]
    None
}

/// Nanoseconds of the monotonic clock: since the processor was reset.
pub fn monotonic_ns() -> u64 {
    clock().map_or(0, |clock| clock.nanoseconds(arch::time_stamp()))
}

/// What the monotonic clock showed when the time-stamp counter had this value.
pub fn counter_ns(counter: u64) -> u64 {
    clock().map_or(0, |clock| clock.nanoseconds(counter))
}

/// A moment on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Now.
    pub fn now() -> Self {
        Self(monotonic_ns())
    }

    /// The moment at which the monotonic clock shows `ns`.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds of the monotonic clock.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    /// How long after `earlier` it was; zero if it was not.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_add_and_subtract_without_overflow() {
        let moment = Instant::from_ns(5);
        assert_eq!((moment + Duration::from_nanos(7)).as_ns(), 12);
        assert_eq!(moment.duration_since(Instant::from_ns(9)), Duration::ZERO);
        assert_eq!((moment + Duration::MAX).as_ns(), u64::MAX);
    }
}

/// Wall time, as `std::time::SystemTime`: nanoseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemTime(u64);

/// 1970-01-01 00:00:00 UTC.
pub const UNIX_EPOCH: SystemTime = SystemTime(0);

impl SystemTime {
    /// 1970-01-01 00:00:00 UTC.
    pub const UNIX_EPOCH: SystemTime = UNIX_EPOCH;

    /// Now, by the clock service; without one the monotonic clock counts from 1970.
    pub fn now() -> Self {
        static CLOCK: Shared = Shared::new("clock");
        let clock = CLOCK.connection().ok().map(ClockClient::new);
        Self(clock.and_then(|clock| clock.offset().ok()).unwrap_or(0) + monotonic_ns())
    }

    /// How much later this is than `earlier`; the error is by how much it is earlier.
    pub fn duration_since(&self, earlier: SystemTime) -> Result<Duration, Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(ns) => Ok(Duration::from_nanos(ns)),
            None => Err(Duration::from_nanos(earlier.0 - self.0)),
        }
    }
}
