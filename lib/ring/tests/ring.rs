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

/// Memory for bytes, and the two counters.
struct Bytes(std::cell::RefCell<Vec<u8>>);

impl motte_ring::Buffer for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.0.borrow()[at..at + into.len()]);
    }
    fn write(&self, at: usize, from: &[u8]) {
        self.0.borrow_mut()[at..at + from.len()].copy_from_slice(from);
    }
}

proptest! {
    #[test]
    fn bytes_come_out_as_they_went_in(
        capacity in 1usize..40,
        steps in proptest::collection::vec((any::<bool>(), 0usize..50), 1..200),
    ) {
        let memory = Bytes(vec![0xee; capacity + 8].into());
        let (tail, head) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut producer = motte_ring::ByteProducer::new(5, capacity);
        let mut consumer = motte_ring::ByteConsumer::new(5, capacity);
        let (mut next, mut expected) = (0u8, std::collections::VecDeque::new());
        for (put, count) in steps {
            if put {
                let bytes: Vec<u8> = (0..count).map(|_| { next = next.wrapping_add(1); next }).collect();
                let room = producer.room(&head).unwrap();
                prop_assert_eq!(room, capacity - expected.len());
                let done = producer.put(&memory, &bytes);
                prop_assert_eq!(done, count.min(room));
                expected.extend(&bytes[..done]);
                producer.publish(&tail);
            } else {
                let mut bytes = vec![0; count];
                prop_assert_eq!(consumer.available(&tail).unwrap(), expected.len());
                let done = consumer.take(&memory, &mut bytes);
                prop_assert_eq!(done, count.min(expected.len()));
                prop_assert!(bytes[..done].iter().eq(expected.drain(..done).collect::<Vec<_>>().iter()));
                consumer.publish(&head);
            }
        }
        let bytes = memory.0.borrow();
        prop_assert!(bytes[..5].iter().chain(&bytes[5 + capacity..]).all(|&byte| byte == 0xee));
    }

    #[test]
    fn a_counter_that_lies_is_found_out(capacity in 1usize..40, put in 0usize..40, lie: u64) {
        let memory = Bytes(vec![0; capacity].into());
        let put = put.min(capacity);
        let (tail, head) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut producer = motte_ring::ByteProducer::new(0, capacity);
        producer.put(&memory, &vec![1; put]);
        producer.publish(&tail);
        head.store(lie, std::sync::atomic::Ordering::Relaxed);
        prop_assert_eq!(producer.room(&head).is_ok(), lie <= put as u64);
        let mut consumer = motte_ring::ByteConsumer::new(0, capacity);
        tail.store(lie, std::sync::atomic::Ordering::Relaxed);
        prop_assert_eq!(consumer.available(&tail).is_ok(), lie <= capacity as u64);
    }
}
