//! The ring against a queue, and against a peer that lies.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use motte_ring::{AtomicU64, Consumer, PAGE_WORDS, Producer, RingError};
use proptest::prelude::*;

fn page() -> Vec<AtomicU64> {
    (0..PAGE_WORDS).map(|_| AtomicU64::new(0)).collect()
}

proptest! {
    #[test]
    fn a_ring_behaves_as_a_queue_of_its_capacity(steps in prop::collection::vec(any::<Option<u64>>(), 0..600)) {
        let memory = page();
        let mut producer = Producer::<&[AtomicU64], 8>::new(&memory).unwrap();
        let mut consumer = Consumer::<&[AtomicU64], 8>::new(&memory).unwrap();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Some(value) => {
                    let entry = [value; 8];
                    let expected = if model.len() as u64 == producer.capacity() { Err(RingError::Full) } else { Ok(()) };
                    prop_assert_eq!(producer.push(entry), expected);
                    if expected.is_ok() {
                        model.push_back(entry);
                    }
                }
                None => prop_assert_eq!(consumer.pop(), Ok(model.pop_front())),
            }
        }
    }

    #[test]
    fn whatever_the_peer_writes_neither_side_panics_or_leaves_the_page(words in prop::collection::vec(any::<u64>(), PAGE_WORDS)) {
        let memory = page();
        let mut producer = Producer::<&[AtomicU64], 2>::new(&memory).unwrap();
        let mut consumer = Consumer::<&[AtomicU64], 2>::new(&memory).unwrap();
        for _ in 0..4 {
            for (place, word) in memory.iter().zip(&words) {
                place.store(*word, Relaxed);
            }
            let _ = producer.push([1, 2]);
            let _ = producer.room();
            let _ = consumer.pop();
            let _ = consumer.prepare_to_sleep();
        }
    }
}

#[test]
fn a_consumer_that_takes_more_than_was_put_is_found_out() {
    let memory = page();
    let mut producer = Producer::<&[AtomicU64], 2>::new(&memory).unwrap();
    producer.push([1, 2]).unwrap();
    memory[8].store(2, Relaxed);
    assert_eq!(producer.room(), Err(RingError::Corrupt));
}

#[test]
fn a_producer_that_puts_more_than_fits_is_found_out() {
    let memory = page();
    let mut consumer = Consumer::<&[AtomicU64], 2>::new(&memory).unwrap();
    memory[0].store(10_000, Relaxed);
    assert_eq!(consumer.pop(), Err(RingError::Corrupt));
}

#[test]
fn memory_without_room_for_one_entry_is_refused() {
    let memory: Vec<_> = (0..39).map(|_| AtomicU64::new(0)).collect();
    assert_eq!(Producer::<&[AtomicU64], 8>::new(&memory).map(|_| ()), Err(RingError::TooSmall));
}
