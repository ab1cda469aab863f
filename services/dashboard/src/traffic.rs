//! Who talks to whom, from a sample of the kernel's trace.
//!
//! The trace holds every message only while it is asked to, so a sample is a stretch of time, the shorter the more happens. What it shows is blended with what was
//! known before ([`Traffic::blend`]): rare messages, which fall into one sample and not into the next, do not make the figures jump.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use motte_abi::trace::TraceKind;

/// An event of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// In nanoseconds.
    pub time_ns: u64,
    /// What happened.
    pub kind: TraceKind,
    /// The thread that did it.
    pub from: u64,
    /// The other thread.
    pub to: u64,
}

/// Stands for everybody whose component is not known: programs.
pub const OTHERS: usize = usize::MAX;

/// Threads whose makers are remembered.
const MOST_MADE: usize = 1024;

/// Which thread made which, as far as the trace has told.
#[derive(Clone, Debug, Default)]
pub struct Makers(BTreeMap<u64, u64>);

impl Makers {
    /// Takes in what events say.
    pub fn learn(&mut self, events: &[Event]) {
        let made = events.iter().filter(|event| event.kind == TraceKind::ThreadCreated);
        self.0.extend(made.map(|event| (event.to, event.from)));
        while self.0.len() > MOST_MADE {
            // Numbers only grow: the lowest is the oldest.
            self.0.pop_first();
        }
    }

    /// A thread's component: `first` knows those of components' first threads, which make the others. Whoever runs programs (`runner`)
    /// makes their threads, too; they are nobody's.
    pub fn component(&self, thread: u64, runner: Option<usize>, first: impl Fn(u64) -> Option<usize>) -> usize {
        let by_maker = || first(*self.0.get(&thread)?).filter(|component| Some(*component) != runner);
        first(thread).or_else(by_maker).unwrap_or(OTHERS)
    }
}

/// Messages a second, in thousandths, from one component to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By number of sender and receiver.
    pub rates: BTreeMap<(usize, usize), u64>,
}

impl Traffic {
    /// What the events between two times show. `component` knows a thread's component.
    pub fn of_sample(events: &[Event], begin_ns: u64, end_ns: u64, component: impl Fn(u64) -> usize) -> Self {
        // If the ring has gone round meanwhile, it holds the last part only.
        let first = events.first().map_or(begin_ns, |event| event.time_ns.max(begin_ns));
        let begin_ns = if events.len() >= motte_abi::trace::TRACE_EVENTS { first } else { begin_ns };
        let window_ns = end_ns.saturating_sub(begin_ns).max(1);
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for event in events.iter().filter(|event| (begin_ns..end_ns).contains(&event.time_ns)) {
            if matches!(event.kind, TraceKind::Call | TraceKind::Send) {
                *counts.entry((component(event.from), component(event.to))).or_default() += 1;
            }
        }
        let rate = |count: u64| (u128::from(count) * 1_000_000_000_000 / u128::from(window_ns)) as u64;
        Self { rates: counts.into_iter().map(|(pair, count)| (pair, rate(count))).collect() }
    }

    /// Adds a newer sample: the new and the old count alike.
    pub fn blend(&mut self, newer: &Self) {
        let pairs: Vec<_> = self.rates.keys().chain(newer.rates.keys()).copied().collect();
        for pair in pairs {
            let old = self.rates.get(&pair).copied().unwrap_or(0);
            let new = newer.rates.get(&pair).copied().unwrap_or(0);
            self.rates.insert(pair, old.midpoint(new));
        }
        // Less than one in ten seconds is nothing.
        self.rates.retain(|_, rate| *rate >= 100);
    }

    /// Messages a second, in thousandths, that a component sends and receives.
    pub fn of(&self, component: usize) -> u64 {
        let its = |pair: &(usize, usize)| pair.0 == component || pair.1 == component;
        self.rates.iter().filter(|(pair, _)| its(pair)).map(|(_, rate)| rate).sum()
    }

    /// All messages a second, in thousandths.
    pub fn total(&self) -> u64 {
        self.rates.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ns: u64, kind: TraceKind, from: u64, to: u64) -> Event {
        Event { time_ns, kind, from, to }
    }

    #[test]
    fn messages_in_the_window_are_counted_by_the_second() {
        let events = [
            event(5, TraceKind::Call, 1, 2),
            event(10_000_000, TraceKind::Call, 1, 2),
            event(20_000_000, TraceKind::Reply, 2, 1),
            event(30_000_000, TraceKind::Send, 7, 2),
            event(49_000_000, TraceKind::Call, 1, 2),
            event(60_000_000, TraceKind::Call, 1, 2),
        ];
        let component = |thread| if thread < 3 { thread as usize } else { OTHERS };
        let traffic = Traffic::of_sample(&events, 1_000_000, 51_000_000, component);
        assert_eq!(traffic.rates, BTreeMap::from([((1, 2), 40_000), ((OTHERS, 2), 20_000)]));
        assert_eq!((traffic.of(2), traffic.of(1), traffic.total()), (60_000, 40_000, 60_000));
        assert!(Traffic::of_sample(&[], 5, 5, component).rates.is_empty());
    }

    #[test]
    fn a_thread_belongs_to_the_component_that_made_it() {
        let mut makers = Makers::default();
        makers.learn(&[event(1, TraceKind::ThreadCreated, 10, 20), event(2, TraceKind::ThreadCreated, 11, 21)]);
        let first = |thread| [10, 11, 20].iter().position(|known| *known == thread);
        let of = |thread| makers.component(thread, Some(1), first);
        assert_eq!([of(10), of(20), of(21), of(22)], [0, 2, OTHERS, OTHERS]);
        assert_eq!(makers.component(21, None, first), 1);
        makers.learn(&(100..1124).map(|to| event(3, TraceKind::ThreadCreated, 10, to)).collect::<Vec<_>>());
        assert_eq!((makers.component(21, None, first), makers.component(1123, None, first)), (OTHERS, 0));
    }

    #[test]
    fn a_sample_that_filled_the_trace_covers_less_time() {
        let events: Vec<_> = (0..2048).map(|at| event(40_000_000 + at * 1000, TraceKind::Call, 1, 2)).collect();
        let traffic = Traffic::of_sample(&events, 0, 42_048_000, |thread| thread as usize);
        assert_eq!(traffic.total(), 1_000_000_000);
    }

    #[test]
    fn what_is_no_longer_seen_fades_away() {
        let mut traffic = Traffic { rates: BTreeMap::from([((1, 2), 1000)]) };
        let seen: Vec<u64> = (0..5)
            .map(|_| {
                traffic.blend(&Traffic::default());
                traffic.total()
            })
            .collect();
        assert_eq!(seen, [500, 250, 125, 0, 0]);
        traffic.blend(&Traffic { rates: BTreeMap::from([((3, 4), 4000)]) });
        assert_eq!(traffic.total(), 2000);
    }
}
