//! The short path of messages: when it applies, and that it does what the general path does.

use super::invariants::{check, snapshot};
use super::random_calls::{Step, furnish, run, step};
use super::world::{World, cases};
use crate::sched::TRACED;
use motte_abi::{MessageInfo, ObjectType, Syscall::*};
use proptest::collection::vec as list;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

const INFO: MessageInfo = MessageInfo::new(7, 6, 0);

/// A root thread at priority 100 with a server of this priority that waits: the endpoint and the Reply object.
fn with_server(w: &World, priority: u64) -> (u64, u64) {
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let (_, server) = w.spawn(255);
    w.set_priority(100);
    assert!(w.runs(server));
    w.set_priority_of_current(priority);
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    (endpoint, reply)
}

#[test]
fn a_short_call_and_its_answer_take_the_short_path() {
    let w = World::new();
    let (endpoint, reply) = with_server(&w, 200);
    w.start(Call, &[endpoint, INFO.0], [1; 6]);
    assert_eq!(w.handovers.get(), 1);
    check(&w);
    w.start(ReplyReceive, &[endpoint, INFO.0, reply], [2; 6]);
    assert_eq!(w.handovers.get(), 2);
    check(&w);
}

#[test]
fn a_long_message_takes_the_short_path_too() {
    let w = World::new();
    let (endpoint, _) = with_server(&w, 200);
    let root = w.current();
    w.set_buffer(root, 6, 66);
    w.start(Call, &[endpoint, MessageInfo::new(7, 7, 0).0], [1; 6]);
    assert_eq!(w.handovers.get(), 1);
    assert_eq!(w.buffer(w.current(), 6), 66);
    check(&w);
}

#[test]
fn a_traced_call_takes_the_general_path() {
    let w = World::new();
    let (endpoint, _) = with_server(&w, 200);
    w.kernel.cores[0].hinder_short(TRACED, true);
    w.start(Call, &[endpoint, INFO.0], [1; 6]);
    assert_eq!(w.handovers.get(), 0);
    check(&w);
}

#[test]
fn a_server_less_urgent_than_others_that_are_ready_has_to_wait() {
    let w = World::new();
    let (endpoint, _) = with_server(&w, 50);
    let (_, between) = w.spawn(70);
    w.start(Call, &[endpoint, INFO.0], [1; 6]);
    assert_eq!(w.handovers.get(), 0);
    assert!(w.runs(between));
    check(&w);
}

#[test]
fn an_index_of_zero_names_nothing_on_the_short_path_either() {
    let w = World::new();
    assert!(w.call(Call, &[0, INFO.0]).is_err());
    assert!(w.call(ReplyReceive, &[0, INFO.0, 0]).is_err());
    assert_eq!(w.handovers.get(), 0);
}

/// The states after each step, with the short path or without, and how often it was taken.
fn states(steps: &[Step], short: bool) -> (Vec<Vec<String>>, u64) {
    let w = World::new();
    w.short.set(short);
    furnish(&w);
    let states = steps.iter().map(|step| {
        run(&w, step);
        // Who destroys what is dying, and when, is all that may differ.
        let _ = w.kernel.destroy_all();
        check(&w);
        snapshot(&w)
    });
    (states.collect(), w.handovers.get())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    #[cfg_attr(miri, ignore = "the random calls of `random_calls` reach the same memory")]
    fn both_paths_lead_to_the_same_state(steps in list(step(), 1..if cfg!(miri) { 30 } else { 200 })) {
        let (general, none) = states(&steps, false);
        let (short, _) = states(&steps, true);
        assert_eq!(none, 0);
        for (index, (general, short)) in general.iter().zip(&short).enumerate() {
            assert_eq!(general, short, "after {:?}", &steps[..=index]);
        }
    }
}
