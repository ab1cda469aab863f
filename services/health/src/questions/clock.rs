//! Time goes on as it went: the wall time lies as far from the kernel's time as it did, unless somebody has set the clock. Then the
//! hardware shows the same.

use alloc::format;

use motte_interfaces::clock::ClockClient;

use super::{CLOCK, Machine};
use crate::complaint::{Answer, Kind};

/// The last second that the hardware can show: the end of 2099.
const LAST_SECOND: u64 = 4_102_444_799;
/// The hardware shows whole seconds, and may be between two of them.
const NEAR: u64 = 2;
const SECOND_NS: u64 = 1_000_000_000;

/// Asks. `known` is what was answered last.
pub fn ask<M: Machine>(machine: &M, clock: &M::Transport, known: &mut Option<u64>) -> Answer {
    let clock = ClockClient::new(clock);
    let offset = CLOCK.does("say how far wall time lies from the kernel's", clock.offset())?;
    if *known == Some(offset) {
        return Ok(());
    }
    let before = known.map_or("nothing".into(), |known| format!("{known} ns"));
    let seconds = (offset.saturating_add(machine.now_ns())) / SECOND_NS;
    let wrong = |what| Err(CLOCK.complaint(Kind::Wrong, what));
    if seconds > LAST_SECOND {
        return wrong(format!("{offset} ns as what to add to the kernel's time, where {before} was right before"));
    }
    if known.is_some() {
        let shown = CLOCK.does("say what the hardware shows", clock.hardware())?;
        if shown.abs_diff(seconds) > NEAR {
            return wrong(format!("{seconds} s since 1970, where the hardware shows {shown} s"));
        }
    }
    *known = Some(offset);
    Ok(())
}
