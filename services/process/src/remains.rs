//! What a predecessor left in the slots that outlive it, and nobody took over: of programs that ended, or could not be taken over. Ends of
//! pipes are closed, because those at the other end wait for that, and nobody else would do it.

use alloc::vec::Vec;
use core::ops::Range;

/// What a slot holds, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// An object of another service: an end of a pipe, an open file, the terminal.
    Stream,
    /// A thread that never ran, whose program would have its streams in these slots.
    NewThread(Range<u64>),
    /// Anything else.
    Other,
}

/// The slots to be emptied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Slots that are just emptied.
    pub others: Vec<u64>,
    /// Slots whose streams are closed before.
    pub streams: Vec<u64>,
}

impl Remains {
    /// What is left in `slots`. The streams of a program that was about to be started are not closed: whoever asked for it had no answer, and
    /// asks again with the same streams.
    pub fn find(slots: impl Iterator<Item = u64>, content: impl Fn(u64) -> Content) -> Self {
        let mut found = Self::default();
        let mut unstarted = Vec::new();
        for slot in slots {
            match content(slot) {
                Content::Nothing => continue,
                Content::Stream => found.streams.push(slot),
                Content::NewThread(streams) => {
                    unstarted.push(streams);
                    found.others.push(slot);
                }
                Content::Other => found.others.push(slot),
            }
        }
        let is_wanted = |slot: &mut u64| unstarted.iter().any(|streams| streams.contains(slot));
        found.others.extend(found.streams.extract_if(.., is_wanted));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What programs with ten slots each hold, the thread in the third, the streams in the last three.
    fn content(slot: u64) -> Content {
        match (slot / 10, slot % 10) {
            // Ended, but for its streams.
            (1, 7..) => Content::Stream,
            // About to be started.
            (2, 2) => Content::NewThread(27..30),
            (2 | 3, 7..) => Content::Stream,
            // Not taken over; one of its streams is gone.
            (4, 8) => Content::Nothing,
            (4, 7..) => Content::Stream,
            (2..=4, ..=5) => Content::Other,
            _ => Content::Nothing,
        }
    }

    #[test]
    fn streams_that_are_left_are_closed_but_for_those_of_a_start_that_is_asked_for_again() {
        let remains = Remains::find((0..60).filter(|slot| slot / 10 != 3), content);
        assert_eq!(remains.streams, [17, 18, 19, 47, 49]);
        assert_eq!(remains.others, [20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45, 27, 28, 29]);
    }

    #[test]
    fn where_nothing_is_left_nothing_is_emptied() {
        assert_eq!(Remains::find(0..100, |_| Content::Nothing), Remains::default());
    }
}
