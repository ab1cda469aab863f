//! The token that whoever does something to a component must know. It is printed at the console, and nowhere else.

use alloc::string::String;
use core::fmt::Write;

use sha2::{Digest, Sha256};

/// Samples of the clock that a token is made from.
const SAMPLES: usize = 4096;

/// Makes a token out of what nobody outside can know: how long small steps of this machine took, to the cycle. Where time counts
/// instructions (`--icount`) that is the same in every run.
pub fn make(mut clock: impl FnMut() -> u64) -> String {
    let mut hash = Sha256::new();
    for _ in 0..SAMPLES {
        hash.update(clock().to_le_bytes());
    }
    hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a text has the form of a token.
pub fn is_one(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Compares in a time that does not say how much of it was right.
pub fn matches(token: &str, given: &str) -> bool {
    let difference = token.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | a ^ b);
    token.len() == given.len() && core::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_depends_on_every_sample() {
        let make_with = |odd: usize| {
            let mut at = 0;
            make(|| {
                at += 1;
                if at == odd { 7 } else { 3 }
            })
        };
        let token = make_with(0);
        assert!(is_one(&token) && !is_one("") && !is_one(&token.to_uppercase().replace('0', "G")));
        assert_ne!(token, make_with(SAMPLES));
        assert!(matches(&token, &token));
        for wrong in ["", "x", &token[1..], &make_with(1), &alloc::format!("{token}0")] {
            assert!(!matches(&token, wrong));
        }
    }
}
