//! Lines of the log are numbered one after the other, and none is later than now.

use alloc::format;

use motte_interfaces::log::LogClient;

use super::{LOG, Machine};
use crate::complaint::{Answer, Kind};

/// Levels that a line may have.
const LEVELS: core::ops::RangeInclusive<u64> = 1..=5;

/// Asks for the lines from `next` on, which becomes the number after the last of them.
pub fn ask<M: Machine>(machine: &M, log: &M::Transport, next: &mut u64) -> Answer {
    let lines = LOG.does(&format!("give its lines from {next} on"), LogClient::new(log).read(*next))?;
    let wrong = |what| Err(LOG.complaint(Kind::Wrong, what));
    let mut expected = None;
    for line in &lines {
        let first = expected.unwrap_or(line.sequence);
        if line.sequence != first || line.sequence < *next {
            return wrong(format!("line {} where line {} comes", line.sequence, first.max(*next)));
        }
        if line.time_ns > machine.now_ns() || !LEVELS.contains(&line.level) || line.source.is_empty() {
            return wrong(format!("line {} of time {} ns and level {}", line.sequence, line.time_ns, line.level));
        }
        expected = Some(line.sequence + 1);
    }
    *next = expected.unwrap_or(*next);
    Ok(())
}
