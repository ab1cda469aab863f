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
    /// How many bytes it had appended at the position.
    pub appended: u64,
    /// Where it is noted.
    place: usize,
}

/// Notes the request in hand; knows those that were interrupted.
///
/// The words of a place are the request's number, its open file's description plus one, the position, how often metadata had been changed
/// before, whether it changed them, and how much it appended.
#[derive(Default)]
pub struct Requests {
    kept: Option<Kept>,
    place: usize,
    interrupted: Vec<Interrupted>,
    /// The number of the request in hand; 0 if it has none.
    number: u64,
    repeated: Option<Interrupted>,
    /// Whether the place says more than the number and of a position, and whether it says of a position.
    noted: bool,
    positioned: bool,
    /// What the place says of how often metadata had been changed.
    publications: u64,
}

impl Requests {
    /// Notes requests in `kept`, and reads what former servers noted.
    pub fn new(mut kept: Kept) -> Self {
        let word = |kept: &Kept, place: usize, word: usize| kept.get(REQUESTS, place * WORDS + word);
        let former = kept.word(Word::RequestPlace) as usize % PLACES;
        if word(&kept, former, 3) != kept.word(Word::Publications) {
            kept.put(REQUESTS, former * WORDS + 4, CHANGED);
        }
        // A server that served nobody leaves its place to the next.
        let place = if word(&kept, former, 0) == 0 { former } else { (former + 1) % PLACES };
        let mut interrupted: Vec<Interrupted> = Vec::new();
        // The newest first, which knows most of a request that was interrupted more than once.
        for at in (0..PLACES).map(|age| (former + PLACES - age) % PLACES).filter(|at| *at != place) {
            let [number, description, position, _, changed, appended] =
                core::array::from_fn(|index| word(&kept, at, index));
            if interrupted.iter().any(|known| known.number == number) {
                kept.put(REQUESTS, at * WORDS, 0);
            } else if number != 0 {
                let position = (description > 0).then(|| (description as u32 - 1, position));
                let changed = changed == CHANGED;
                interrupted.push(Interrupted { number, position, changed, appended, place: at });
            }
        }
        (0..WORDS).for_each(|word| kept.put(REQUESTS, place * WORDS + word, 0));
        kept.set(Word::RequestPlace, place as u64);
        Self { kept: Some(kept), place, interrupted, ..Self::default() }
    }

    /// A request is begun. If it is the repetition of one that was interrupted, returns that.
    #[inline]
    pub fn begin(&mut self, number: u64) -> Option<Interrupted> {
        self.number = number;
        self.repeated = None;
        if let Some(mut kept) = self.kept {
            let base = self.place * WORDS;
            let publications = kept.word(Word::Publications);
            if self.noted || publications != self.publications {
                kept.put(REQUESTS, base, 0);
                kept.put(REQUESTS, base + 1, 0);
                kept.put(REQUESTS, base + 3, publications);
                kept.put(REQUESTS, base + 4, 0);
                kept.put(REQUESTS, base + 5, 0);
                (self.noted, self.positioned, self.publications) = (false, false, publications);
            } else if self.positioned {
                // The request before was answered: nobody repeats it.
                kept.put(REQUESTS, base + 1, 0);
                self.positioned = false;
            }
            if !self.interrupted.is_empty() && number != 0 {
                self.repeat(number);
            } else {
                kept.put(REQUESTS, base, number);
            }
        }
        self.repeated
    }

    /// Begins a request that may repeat an interrupted one: notes what is known of that as known of the repetition, which may be interrupted too.
    #[cold]
    fn repeat(&mut self, number: u64) {
        let Some(kept) = &mut self.kept else { return };
        let base = self.place * WORDS;
        let found = self.interrupted.iter().position(|interrupted| interrupted.number == number);
        let repeated = found.map(|at| self.interrupted.swap_remove(at));
        if let Some(repeated) = repeated {
            self.noted = true;
            if let Some((description, position)) = repeated.position {
                self.positioned = true;
                kept.put(REQUESTS, base + 2, position);
                kept.put(REQUESTS, base + 1, u64::from(description) + 1);
            }
            kept.put(REQUESTS, base + 4, if repeated.changed { CHANGED } else { 0 });
            kept.put(REQUESTS, base + 5, repeated.appended);
        }
        kept.put(REQUESTS, base, number);
        if let Some(repeated) = repeated {
            kept.put(REQUESTS, repeated.place * WORDS, 0);
        }
        self.repeated = repeated;
    }

    /// The request in hand is about to move the position of an open file. The first position counts.
    #[inline]
    pub fn note_position(&mut self, description: u32, position: u64) {
        let base = self.place * WORDS;
        if let Some(mut kept) = self.kept.filter(|_| self.number != 0 && !self.positioned) {
            self.positioned = true;
            kept.put(REQUESTS, base + 2, position);
            kept.put(REQUESTS, base + 1, u64::from(description) + 1);
        }
    }

    /// Before anybody is served: what interrupted requests appended. `appended` says how much there is behind a position, or nothing if the open
    /// file is not one that is appended to.
    pub fn judge_appends(&mut self, mut appended: impl FnMut(u32, u64) -> Option<u64>) {
        let Some(kept) = &mut self.kept else { return };
        for interrupted in self.interrupted.iter_mut().filter(|interrupted| interrupted.appended == 0) {
            let Some((description, position)) = interrupted.position else { continue };
            let base = interrupted.place * WORDS;
            match appended(description, position) {
                None => {}
                Some(0) => {
                    // The repetition goes to the end, wherever that is then.
                    interrupted.position = None;
                    kept.put(REQUESTS, base + 1, 0);
                }
                Some(bytes) => {
                    interrupted.appended = bytes;
                    kept.put(REQUESTS, base + 5, bytes);
                }
            }
        }
    }

    /// The number of the request in hand.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the request in hand repeats.
    #[inline]
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
        let mut first = Requests::new(kept);
        assert_eq!(first.begin(5), None);
        assert_eq!(first.begin(7), None);
        first.note_position(3, 100);
        kept.set(Word::Publications, 1);
        let mut second = Requests::new(kept);
        let expected = Interrupted { number: 7, position: Some((3, 100)), changed: true, appended: 0, place: 0 };
        assert_eq!(second.begin(5), None, "that one was done");
        assert_eq!(second.begin(7), Some(expected));
        assert_eq!(second.begin(7), None);
    }

    #[test]
    fn a_repetition_that_is_interrupted_too_knows_what_the_first_had_done() {
        let mut kept = test_state();
        kept.begin(16, 16, 1);
        let mut first = Requests::new(kept);
        first.begin(7);
        first.note_position(3, 100);
        kept.set(Word::Publications, 1);
        // One server comes to nothing, and many end while they repeat the request.
        Requests::new(kept);
        for _ in 0..2 * PLACES {
            let mut next = Requests::new(kept);
            next.judge_appends(|_, _| Some(5));
            let repeated = next.begin(7).unwrap();
            assert_eq!((repeated.position, repeated.changed, repeated.appended), (Some((3, 100)), true, 5));
        }
        let mut last = Requests::new(kept);
        assert!(last.begin(7).is_some());
        assert_eq!(last.begin(8), None);
        assert_eq!(Requests::new(kept).begin(7), None, "that one was done");
    }

    #[test]
    fn a_second_restart_leaves_what_nobody_repeated_yet() {
        let mut kept = test_state();
        kept.begin(16, 16, 1);
        Requests::new(kept).begin(7);
        Requests::new(kept).begin(8);
        let mut third = Requests::new(kept);
        assert!(third.begin(7).is_some_and(|interrupted| !interrupted.changed));
        assert!(third.begin(8).is_some());
    }
}
