//! What `clock-watch` computes and how it shows time.

use core::fmt;
use core::time::Duration;

/// How many prime numbers there are below `limit`, by trial division: slow on purpose.
pub fn primes_below(limit: u64) -> u64 {
    (2..limit).filter(|&number| is_prime(number)).count() as u64
}

fn is_prime(number: u64) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

/// The time of day, shown as `hh:mm:ss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(u64);

impl TimeOfDay {
    /// The time of day (UTC) so long after the beginning of 1970.
    pub const fn since_1970(time: Duration) -> Self {
        Self(time.as_secs() % 86_400)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60, self.0 % 60)
    }
}
