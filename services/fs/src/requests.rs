//! The request in hand, noted in kept memory, so that one that the server's end interrupted is not done twice when it is repeated.
//!
//! Clients repeat a request that a restart interrupted, with the number that it had ([`motte_interfaces::stream`]). Whether it was done, the new
//! server sees from what was noted when it was begun: the position of the open file that it is about, to which the repetition goes back,
//! and how often metadata had been changed. One place is used by a server; its successor uses the next, so that a second restart does
//! not take away what a client has not repeated yet.

use alloc::vec::Vec;

use crate::kept::{Kept, REQUESTS, Word};

/// Servers whose last requests are remembered.
const PLACES: usize = 8;
const WORDS: usize = 8;
/// Set in the place of a former server whose request had changed metadata.
const CHANGED: u64 = 1;

/// A request that a restart interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Its number.
    pub number: u64,
    /// The description of the open file that it was about, and the position before.
    pub position: Option<(u32, u64)>,
    /// Whether it had changed metadata.
    pub changed: bool,
    /// Where it is noted.
    place: usize,
}

/// Notes the request in hand; knows those that were interrupted.
#[derive(Default)]
pub struct Requests {
    kept: Option<Kept>,
    place: usize,
    interrupted: Vec<Interrupted>,
    /// The number of the request in hand; 0 if it has none.
    number: u64,
    repeated: Option<Interrupted>,
    /// What the place says besides the number: whether of a position, and how often metadata had been changed.
    noted: bool,
    publications: u64,
}

impl Requests {
    /// Notes requests in `kept`, and reads what former servers noted.
    pub fn new(mut kept: Kept, generation: u64) -> Self {
        let place = (generation % PLACES as u64) as usize;
        let former = (place + PLACES - 1) % PLACES;
        let word = |kept: &Kept, place: usize, word: usize| kept.get(REQUESTS, place * WORDS + word);
        if word(&kept, former, 3) != kept.word(Word::Publications) {
            kept.put(REQUESTS, former * WORDS + 4, CHANGED);
        }
        let mut interrupted = Vec::new();
        for at in (0..PLACES).filter(|at| *at != place) {
            let [number, description, position, _, changed] = core::array::from_fn(|index| word(&kept, at, index));
            if number != 0 {
                let position = (description > 0).then(|| (description as u32 - 1, position));
                interrupted.push(Interrupted { number, position, changed: changed == CHANGED, place: at });
            }
        }
        (0..WORDS).for_each(|word| kept.put(REQUESTS, place * WORDS + word, 0));
        Self { kept: Some(kept), place, interrupted, ..Self::default() }
    }

    /// A request is begun. If it is the repetition of one that was interrupted, returns that.
    #[inline]
    pub fn begin(&mut self, number: u64) -> Option<Interrupted> {
        self.number = number;
        self.repeated = None;
        if let Some(kept) = &mut self.kept {
            let base = self.place * WORDS;
            let publications = kept.word(Word::Publications);
            if self.noted || publications != self.publications {
                kept.put(REQUESTS, base, 0);
                kept.put(REQUESTS, base + 1, 0);
                kept.put(REQUESTS, base + 3, publications);
                (self.noted, self.publications) = (false, publications);
            }
            kept.put(REQUESTS, base, number);
        }
        if !self.interrupted.is_empty()
            && number != 0
            && let Some(at) = self.interrupted.iter().position(|interrupted| interrupted.number == number)
        {
            self.repeated = Some(self.interrupted.swap_remove(at));
        }
        self.repeated
    }

    /// The request in hand is about to move the position of an open file. The first position counts.
    #[inline]
    pub fn note_position(&mut self, description: u32, position: u64) {
        let base = self.place * WORDS;
        if let Some(kept) = self.kept.as_mut().filter(|_| self.number != 0 && !self.noted) {
            self.noted = true;
            kept.put(REQUESTS, base + 2, position);
            kept.put(REQUESTS, base + 1, u64::from(description) + 1);
        }
    }

    /// Before anybody is served: forgets the positions of interrupted requests for which `holds` is false.
    pub fn forget_positions(&mut self, mut holds: impl FnMut(u32, u64) -> bool) {
        let Some(kept) = &mut self.kept else { return };
        for interrupted in &mut self.interrupted {
            if interrupted.position.is_some_and(|(description, position)| !holds(description, position)) {
                interrupted.position = None;
                kept.put(REQUESTS, interrupted.place * WORDS + 1, 0);
            }
        }
    }

    /// The number of the request in hand.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the request in hand repeats.
    pub fn repeated(&self) -> Option<Interrupted> {
        self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::test_state;

    #[test]
    fn an_interrupted_request_is_known_once() {
        let mut kept = test_state();
        kept.begin(16, 16, 1);
        let mut first = Requests::new(kept, 1);
        assert_eq!(first.begin(5), None);
        assert_eq!(first.begin(7), None);
        first.note_position(3, 100);
        kept.set(Word::Publications, 1);
        let mut second = Requests::new(kept, 2);
        let expected = Interrupted { number: 7, position: Some((3, 100)), changed: true, place: 1 };
        assert_eq!(second.begin(5), None, "that one was done");
        assert_eq!(second.begin(7), Some(expected));
        assert_eq!(second.begin(7), None);
    }

    #[test]
    fn a_second_restart_leaves_what_nobody_repeated_yet() {
        let mut kept = test_state();
        kept.begin(16, 16, 1);
        Requests::new(kept, 1).begin(7);
        Requests::new(kept, 2).begin(8);
        let mut third = Requests::new(kept, 3);
        assert!(third.begin(7).is_some_and(|interrupted| !interrupted.changed));
        assert!(third.begin(8).is_some());
    }
}
