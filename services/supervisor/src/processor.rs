//! Who keeps the processor to itself.
//!
//! A server whose requests never end shows no sign of life, and is found out by that. One that takes every request and yet is never done, because it
//! wakes itself again and again, shows one. It is found out by those who get no processor time: less urgent components that are ready to run.

/// Time from one look to the next, in nanoseconds.
pub const INTERVAL_NS: u64 = 500_000_000;
/// So much of an interval is nearly all of it, in percent.
const NEARLY_ALL: u64 = 80;
/// So much of an interval is next to nothing, in percent.
const NEXT_TO_NOTHING: u64 = 1;

/// What a look sees of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Processor time used since it was started, in nanoseconds.
    pub used_ns: u64,
    /// It could run.
    pub is_ready: bool,
}

/// What the looks until now say of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    used_ns: u64,
    /// Intervals, one after the other, of which it had nearly all.
    hogged: u32,
    /// Intervals, one after the other, at whose end it was ready and had had next to nothing.
    starved: u32,
}

impl Share {
    /// After a look; `None` if it does not run.
    pub fn note(&mut self, seen: Option<Seen>) {
        let Some(Seen { used_ns, is_ready }) = seen else { return *self = Self::default() };
        // One that was started anew has used less.
        let percent = used_ns.saturating_sub(self.used_ns) * 100 / INTERVAL_NS;
        self.used_ns = used_ns;
        self.hogged = if percent >= NEARLY_ALL { self.hogged + 1 } else { 0 };
        self.starved = if is_ready && percent < NEXT_TO_NOTHING { self.starved + 1 } else { 0 };
    }

    /// Whether it had nearly all of the last interval.
    pub const fn hogs(&self) -> bool {
        self.hogged > 0
    }

    /// Whether it has kept the processor from `other`, which is less urgent, for `patience_ns`.
    pub fn starves(&self, other: &Self, patience_ns: u64) -> bool {
        let looks = patience_ns.div_ceil(INTERVAL_NS).max(1);
        u64::from(self.hogged.min(other.starved)) >= looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Two components after `looks` looks, of which the first uses so many percent and the second is ready and uses so many.
    fn after(looks: u64, uses: u64, is_ready: bool, other: u64) -> (Share, Share) {
        let mut shares = (Share::default(), Share::default());
        for look in 1..=looks {
            let used = |percent| look * INTERVAL_NS * percent / 100;
            shares.0.note(Some(Seen { used_ns: used(uses), is_ready: true }));
            shares.1.note(Some(Seen { used_ns: used(other), is_ready }));
        }
        shares
    }

    #[test]
    fn who_leaves_nothing_to_one_that_is_ready_is_found_after_its_time() {
        let (hog, starved) = after(4, 97, true, 0);
        assert!(hog.starves(&starved, 2 * SECOND_NS));
        assert!(!hog.starves(&starved, 2 * SECOND_NS + 1));
        assert!(!starved.starves(&hog, SECOND_NS));
    }

    #[test]
    fn who_works_much_while_others_have_nothing_to_do_or_have_some_time_is_left_alone() {
        for (uses, is_ready, other) in [(97, false, 0), (97, true, 2), (70, true, 0)] {
            let (busy, idle) = after(100, uses, is_ready, other);
            assert!(!busy.starves(&idle, INTERVAL_NS), "{uses} {is_ready} {other}");
        }
    }

    #[test]
    fn one_that_is_started_anew_begins_anew() {
        let (mut hog, starved) = after(10, 100, true, 0);
        hog.note(Some(Seen { used_ns: 5, is_ready: true }));
        assert!(!hog.hogs() && !hog.starves(&starved, INTERVAL_NS));
        let (mut hog, starved) = after(10, 100, true, 0);
        hog.note(None);
        assert!(!hog.starves(&starved, INTERVAL_NS));
    }
}
