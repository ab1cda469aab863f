//! The example services, asked directly.

use motte_examples::crash::Crash;
use motte_examples::watch::{TimeOfDay, primes_below};
use motte_examples::{File, FileError, Loop, Network, NetworkError, Notes};
use motte_interfaces::Sender;
use proptest::prelude::*;
use std::time::Duration;

const SENDER: Sender = Sender { badge: 1 };

#[test]
fn a_note_is_read_as_it_was_stored_last() {
    let mut notes = Notes::default();
    assert_eq!(notes.load(&SENDER, "a"), Err(FileError::NotFound));
    assert_eq!(notes.store(&SENDER, "a", "first"), Ok(5));
    assert_eq!(notes.store(&SENDER, "a", "second"), Ok(6));
    assert_eq!(notes.load(&SENDER, "a"), Ok("second".into()));
}

#[test]
fn too_many_notes_are_refused_and_those_there_can_still_be_changed() {
    let mut notes = Notes::default();
    let mut count = 0;
    while notes.store(&SENDER, &format!("note {count}"), "").is_ok() {
        count += 1;
    }
    assert_eq!(count, 64);
    assert_eq!(notes.store(&SENDER, "note 0", "changed"), Ok(7));
}

#[test]
fn packets_come_back_numbered_and_only_from_the_one_host() {
    let mut network = Loop::default();
    assert_eq!(network.echo(&SENDER, "elsewhere", "x"), Err(NetworkError::NoSuchHost));
    let packet = network.echo(&SENDER, "localhost", "x").unwrap();
    assert_eq!((packet.number, packet.text.as_str()), (1, "x"));
    assert_eq!(network.echo(&SENDER, "localhost", "y").unwrap().number, 2);
}

#[test]
fn ways_to_crash_are_found_by_name() {
    assert_eq!(Crash::from_name("overflow"), Some(Crash::Overflow));
    assert_eq!(Crash::from_name("politely"), None);
    let panic = std::panic::catch_unwind(|| Crash::Panic.happen()).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("index out of bounds"), "{text}");
}

#[test]
fn prime_numbers_are_counted() {
    assert_eq!([0, 2, 3, 10, 100, 1000].map(primes_below), [0, 0, 1, 4, 25, 168]);
}

proptest! {
    #[test]
    fn the_time_of_day_has_two_digits_for_each_part(seconds in 0u64..1 << 40) {
        let text = TimeOfDay::since_1970(Duration::from_secs(seconds)).to_string();
        let parts: Vec<u64> = text.split(':').map(|part| part.parse().unwrap()).collect();
        prop_assert_eq!(text.len(), 8);
        prop_assert_eq!(parts[0] * 3600 + parts[1] * 60 + parts[2], seconds % 86_400);
    }
}
