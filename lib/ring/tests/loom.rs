//! Every interleaving of a producer and a consumer that sleeps. Run with `RUSTFLAGS="--cfg loom" cargo test -p motte-ring --test loom --release`.
#![cfg(loom)]

use std::ops::Deref;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use motte_ring::{AtomicU64, Consumer, Producer};

#[derive(Clone)]
struct Memory(Arc<Vec<AtomicU64>>);

impl Deref for Memory {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

fn memory() -> Memory {
    Memory(Arc::new((0..34).map(|_| AtomicU64::new(0)).collect()))
}

#[test]
fn entries_arrive_whole_and_in_order() {
    loom::model(|| {
        let memory = memory();
        let mut producer = Producer::<_, 1>::new(memory.clone()).unwrap();
        let mut consumer = Consumer::<_, 1>::new(memory).unwrap();
        let putting = thread::spawn(move || {
            for value in [7, 8] {
                producer.push([value]).unwrap();
            }
        });
        let mut next = 7;
        for _ in 0..2 {
            if let Some([value]) = consumer.pop().unwrap() {
                assert_eq!(value, next);
                next += 1;
            }
        }
        putting.join().unwrap();
    });
}

#[test]
fn a_sleeping_consumer_is_always_woken() {
    loom::model(|| {
        let memory = memory();
        let signalled = Arc::new(AtomicBool::new(false));
        let mut producer = Producer::<_, 1>::new(memory.clone()).unwrap();
        let mut consumer = Consumer::<_, 1>::new(memory).unwrap();
        let signal = signalled.clone();
        let putting = thread::spawn(move || {
            producer.push([7]).unwrap();
            if producer.must_wake() {
                signal.store(true, Ordering::SeqCst);
            }
        });
        let asleep = consumer.pop().unwrap().is_none() && consumer.prepare_to_sleep().unwrap();
        putting.join().unwrap();
        if asleep {
            assert!(signalled.load(Ordering::SeqCst), "the consumer sleeps for ever");
        }
    });
}
