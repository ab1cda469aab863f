//! The short path of messages: when it applies, and that it does what the general path does.

use super::invariants::{check, snapshot};
use super::random_calls::{Step, furnish, run, step};
use super::world::{SLICE, T, World, cases};
use crate::arch::mock;
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

/// A root thread at priority 100 and a thread of priority 200 that waits on the notification that is returned.
fn with_waiter(w: &World) -> (u64, T<'_>) {
    let notification = w.make(ObjectType::Notification, 0);
    let (_, waiter) = w.spawn(255);
    w.set_priority(100);
    assert!(w.runs(waiter));
    w.set_priority_of_current(200);
    // Whoever waits runs on a budget that has been charged, and a timer that has been set.
    w.pass(10);
    w.start(Wait, &[notification], [0; 6]);
    (notification, waiter)
}

#[test]
fn a_signal_to_a_more_urgent_waiter_and_its_next_wait_take_the_short_path() {
    let w = World::new();
    let (notification, waiter) = with_waiter(&w);
    let (root, before) = (w.current(), w.handovers.get());
    w.start(Signal, &[notification], [0; 6]);
    assert_eq!(w.handovers.get(), before + 1);
    assert!(w.runs(waiter));
    assert_eq!(w.result(waiter).unwrap()[0], 1);
    check(&w);
    w.start(Wait, &[notification], [0; 6]);
    assert_eq!(w.handovers.get(), before + 2);
    assert!(w.runs(root));
    assert_eq!(w.result(root).map(drop), Ok(()));
    check(&w);
}

#[test]
fn the_time_until_a_signal_is_charged_to_who_used_it() {
    let w = World::new();
    let (notification, waiter) = with_waiter(&w);
    let (root, used) = (w.current(), |thread: T<'_>| thread.own.get(&w.kernel).unwrap().consumed.get());
    let before = [used(root), used(waiter)];
    w.pass(300);
    w.start(Signal, &[notification], [0; 6]);
    w.pass(40);
    w.start(Wait, &[notification], [0; 6]);
    assert_eq!(w.handovers.get(), 3);
    assert_eq!([used(root) - before[0], used(waiter) - before[1]], [300, 40]);
    check(&w);
}

#[test]
fn a_signal_with_which_a_budget_ends_takes_the_general_path() {
    let w = World::new();
    let (notification, waiter) = with_waiter(&w);
    let before = w.handovers.get();
    // The slice is over, and its timer has not come yet.
    mock::with(|state| state.now += 20 * SLICE);
    w.start(Signal, &[notification], [0; 6]);
    assert_eq!(w.handovers.get(), before);
    assert!(w.runs(waiter));
    check(&w);
}

#[test]
fn a_signal_to_a_receiver_that_the_notification_is_bound_to_takes_the_short_path() {
    let w = World::new();
    let (notification, endpoint) = (w.make(ObjectType::Notification, 0), w.make(ObjectType::Endpoint, 0));
    let (slot, receiver) = w.spawn(255);
    w.ok(ThreadBindNotification, &[slot, notification]);
    w.set_priority(100);
    w.start(Receive, &[endpoint, 0, 0], [0; 6]);
    let before = w.handovers.get();
    w.start(Signal, &[notification], [0; 6]);
    assert_eq!(w.handovers.get(), before + 1);
    assert!(w.runs(receiver));
    assert_eq!(w.received(receiver).2[0], 1);
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
