//! Whether the supervisor's own tasks still run: heartbeats, waits before restarts and deadlines are theirs, while requests are answered without
//! them, so that its guardian sees nothing.

/// A task that looks every half second has not done so for so long: something is wrong, or the whole machine stood still.
const LATE_NS: u64 = 5_000_000_000;
/// If it stood still, they run again within this time.
const SURE_NS: u64 = 2_000_000_000;

/// When a task ran last.
#[derive(Debug, Default)]
pub struct OwnTasks {
    ran_ns: u64,
    doubted_ns: Option<u64>,
}

impl OwnTasks {
    /// One runs now.
    pub const fn run(&mut self, now_ns: u64) {
        *self = Self { ran_ns: now_ns, doubted_ns: None };
    }

    /// Whether they do not run any more. To be asked now and then, once one has run.
    pub fn are_gone(&mut self, now_ns: u64) -> bool {
        let is_late = self.ran_ns > 0 && now_ns.saturating_sub(self.ran_ns) > LATE_NS;
        is_late && now_ns.saturating_sub(*self.doubted_ns.get_or_insert(now_ns)) > SURE_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn tasks_that_do_not_run_for_long_are_gone_but_not_after_a_standstill_of_the_machine() {
        let mut tasks = OwnTasks::default();
        assert!(!tasks.are_gone(100 * SECOND), "they have not begun");
        tasks.run(100 * SECOND);
        assert!(!tasks.are_gone(104 * SECOND));
        assert!(!tasks.are_gone(200 * SECOND), "the machine may have stood still");
        assert!(!tasks.are_gone(201 * SECOND));
        tasks.run(201 * SECOND);
        assert!(!tasks.are_gone(210 * SECOND));
        assert!(tasks.are_gone(213 * SECOND));
    }
}
