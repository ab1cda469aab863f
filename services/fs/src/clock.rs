//! Where timestamps come from.

use alloc::sync::Arc;

use rsext4::{Ext4Result, Ext4Timestamp};

/// Tells the wall time, in nanoseconds since 1970.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> i64 {
        ((self.0)() / 1_000_000_000) as i64
    }
}

impl rsext4::Clock for WallClock {
    fn now(&self) -> Ext4Result<Ext4Timestamp> {
        let now = (self.0)();
        Ok(Ext4Timestamp::new((now / 1_000_000_000) as i64, (now % 1_000_000_000) as u32))
    }
}
