//! What is made of time servers' answers.

use motte_sntp::{BYTES, Refusal, request, time};
use proptest::prelude::*;

/// 2026-11-21 00:00:00 UTC, in seconds since 1970 and as NTP counts.
const UNIX: u64 = 1_795_219_200;
const STAMP: u64 = (UNIX + 2_208_988_800) << 32;
const NONCE: u64 = 0x0123_4567_89ab_cdef;
const MILLISECOND: u64 = 1_000_000;

fn answer(received: u64, sent: u64) -> [u8; BYTES] {
    let mut answer = [0; BYTES];
    (answer[0], answer[1]) = (4 << 3 | 4, 2);
    answer[24..32].copy_from_slice(&NONCE.to_be_bytes());
    answer[32..40].copy_from_slice(&received.to_be_bytes());
    answer[40..].copy_from_slice(&sent.to_be_bytes());
    answer
}

#[test]
fn a_request_asks_in_version_4_and_carries_the_nonce() {
    let request = request(NONCE);
    assert_eq!(request[0], 0b00_100_011);
    assert_eq!(request[40..], NONCE.to_be_bytes());
    assert!(request[1..40].iter().all(|byte| *byte == 0));
}

#[test]
fn the_way_back_is_half_of_what_the_server_did_not_take() {
    assert_eq!(time(&answer(STAMP, STAMP), NONCE, 40 * MILLISECOND), Ok(UNIX * 1000 * MILLISECOND + 20 * MILLISECOND));
    // It kept the request for half a second.
    let sent = STAMP + (1 << 31);
    assert_eq!(time(&answer(STAMP, sent), NONCE, 600 * MILLISECOND), Ok(UNIX * 1000 * MILLISECOND + 550 * MILLISECOND));
}

#[test]
fn after_2036_seconds_are_counted_from_a_new_zero() {
    let in_2040 = 2_208_988_800_u64 - (1 << 31);
    let unix = in_2040 + (1 << 32) - 2_208_988_800;
    assert_eq!(time(&answer(in_2040 << 32, in_2040 << 32), NONCE, 0), Ok(unix * 1_000_000_000));
}

#[test]
fn answers_that_do_not_count_say_why() {
    let good = answer(STAMP, STAMP);
    let with = |change: fn(&mut [u8; BYTES])| {
        let mut answer = good;
        change(&mut answer);
        time(&answer, NONCE, 1)
    };
    assert_eq!(time(&good[..47], NONCE, 1), Err(Refusal::Malformed));
    assert_eq!(with(|answer| answer[0] = 4 << 3 | 3), Err(Refusal::Malformed), "a request");
    assert_eq!(with(|answer| answer[31] ^= 1), Err(Refusal::Foreign));
    assert_eq!(with(|answer| answer[0] |= 3 << 6), Err(Refusal::Unsynchronized));
    assert_eq!(with(|answer| answer[1] = 0), Err(Refusal::Unsynchronized), "a kiss of death");
    assert_eq!(with(|answer| answer[1] = 16), Err(Refusal::Unsynchronized));
    assert_eq!(with(|answer| answer[40..].fill(0)), Err(Refusal::Senseless));
    assert_eq!(
        time(&answer(STAMP + (1 << 32), STAMP), NONCE, 1),
        Err(Refusal::Senseless),
        "sent before it was received"
    );
    assert_eq!(
        time(&answer(STAMP, STAMP + (1 << 32)), NONCE, 1),
        Err(Refusal::Senseless),
        "served for longer than it took"
    );
    assert!(time(&good, NONCE, 1).is_ok());
}

proptest! {
    #[test]
    fn whatever_arrives_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), nonce in any::<u64>(), trip in 0..u64::MAX / 2) {
        let _ = time(&bytes, nonce, trip);
        let mut answer = answer(nonce, STAMP);
        for (place, byte) in answer.iter_mut().zip(&bytes) {
            *place = *byte;
        }
        let _ = time(&answer, NONCE, trip);
    }
}
