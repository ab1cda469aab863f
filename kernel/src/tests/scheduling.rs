//! Priorities, budgets, lending, timers.

use super::invariants::check;
use super::world::{SLICE, World};
use crate::arch::mock;
use motte_abi::boot_info::slot as fixed;
use motte_abi::{Error, ObjectType, Syscall::*};

#[test]
fn a_higher_priority_runs_at_once_and_equals_take_turns() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let (_, equal) = w.spawn(100);
    assert!(w.runs(root));
    w.start(Yield, &[], [0; 6]);
    assert!(w.runs(equal));
    w.start(Yield, &[], [0; 6]);
    assert!(w.runs(root));
    let (_, low) = w.spawn(50);
    assert!(w.runs(root));
    let (high_slot, high) = w.spawn(200);
    assert!(w.runs(high));
    w.start(Yield, &[], [0; 6]);
    assert!(w.runs(high));
    w.start(ThreadSetPriority, &[high_slot, 20, 20], [0; 6]);
    assert!(w.runs(root), "who was preempted goes on before its equals");
    let _ = low;
    check(&w);
}

#[test]
fn a_slice_ends_with_the_timer() {
    let w = World::new();
    w.set_priority(10);
    let (_, a) = w.spawn(100);
    // The root thread was preempted; its equal is made by `a`.
    let (_, b) = w.spawn(100);
    assert!(w.runs(a));
    w.pass(SLICE - 1);
    assert!(w.runs(a));
    w.pass(1);
    assert!(w.runs(b));
    w.pass(SLICE);
    assert!(w.runs(a));
    check(&w);
}

#[test]
fn priorities_are_bounded_by_the_callers_own() {
    let w = World::new();
    let (slot, _) = w.thread(w.untyped(), 0, 0);
    assert_eq!(w.call(ThreadSetPriority, &[slot, 256, 0]), Err(Error::InvalidArgument));
    w.ok(ThreadSetPriority, &[fixed::THREAD, 100, 100]);
    assert_eq!(w.call(ThreadSetPriority, &[slot, 101, 0]), Err(Error::InvalidArgument));
    assert_eq!(w.call(ThreadSetPriority, &[slot, 1, 101]), Err(Error::InvalidArgument));
    w.ok(ThreadSetPriority, &[slot, 100, 100]);
}

#[test]
fn a_used_up_budget_waits_for_the_next_period() {
    let w = World::new();
    w.set_priority(10);
    let root = w.current();
    let (slot, thread) = w.thread(w.untyped(), 100, 0);
    w.bind(w.untyped(), slot, 1_000_000, 10_000_000, 0);
    w.start(ThreadResume, &[slot], [0; 6]);
    for _ in 0..3 {
        assert!(w.runs(thread));
        w.pass(999_999);
        assert!(w.runs(thread));
        w.pass(1);
        assert!(w.runs(root), "the budget is used up");
        check(&w);
        w.pass(8_999_999);
        assert!(w.runs(root));
        w.pass(1);
    }
    let used = w.ok(ThreadInfo, &[slot])[2];
    assert_eq!(used, 3_000_000);
}

#[test]
fn preemption_does_not_refill() {
    let w = World::new();
    w.set_priority(10);
    let root = w.current();
    let (slot, thread) = w.thread(w.untyped(), 100, 0);
    w.bind(w.untyped(), slot, 1_000_000, 10_000_000, 0);
    let notification = w.make(ObjectType::Notification, 0);
    w.start(ThreadResume, &[slot], [0; 6]);
    w.pass(600_000);
    w.start(Wait, &[notification], [0; 6]);
    w.pass(1_000_000);
    assert!(w.runs(root));
    w.start(Signal, &[notification], [0; 6]);
    assert!(w.runs(thread));
    w.pass(399_999);
    assert!(w.runs(thread));
    w.pass(1);
    assert!(w.runs(root));
    check(&w);
}

#[test]
fn a_call_lends_the_callers_time_and_the_answer_returns_it() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let (_, server) = w.spawn(200);
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    let (client_slot, client) = w.thread(w.untyped(), 150, 0);
    let context_slot = w.bind(w.untyped(), client_slot, 1_000_000, 10_000_000, 0);
    w.start(ThreadResume, &[client_slot], [0; 6]);
    let context = w.context(context_slot);
    assert!(w.runs(client));
    w.start(Call, &[endpoint, 0], [0; 6]);
    assert!(w.runs(server));
    assert!(context.runner.names(server));
    w.pass(400_000);
    check(&w);
    w.start(ReplyReceive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(client));
    assert!(context.runner.names(client));
    w.pass(599_999);
    assert!(w.runs(client), "both parts count");
    w.pass(1);
    assert!(w.runs(root));
    check(&w);
}

#[test]
fn a_server_whose_lent_time_ends_goes_on_with_its_own() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let (_, server) = w.spawn(200);
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    let (slot, client) = w.thread(w.untyped(), 150, 0);
    w.bind(w.untyped(), slot, 100_000, 10_000_000, 0);
    w.start(ThreadResume, &[slot], [0; 6]);
    w.start(Call, &[endpoint, 0], [0; 6]);
    w.pass(500_000);
    assert!(w.runs(server));
    check(&w);
    w.start(ReplyReceive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(root), "the client has no time left");
    w.pass(9_500_000);
    assert!(w.runs(client));
    check(&w);
}

#[test]
fn a_passive_server_runs_only_on_lent_time() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let (slot, server) = w.spawn_passive(200);
    assert!(w.runs(root), "without a scheduling context it does not run");
    let context = w.bind(w.untyped(), slot, SLICE, SLICE, 0);
    assert!(w.runs(server));
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    w.ok(ThreadBindSched, &[slot, 0]);
    w.start(Call, &[endpoint, 0], [0; 6]);
    assert!(w.runs(server));
    check(&w);
    w.start(ReplyReceive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(root));
    let _ = context;
    check(&w);
}

#[test]
fn nested_calls_lend_on_and_a_dead_server_in_the_middle_returns_the_time() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let ends = [w.make(ObjectType::Endpoint, 0), w.make(ObjectType::Endpoint, 0)];
    let replies = [w.make(ObjectType::Reply, 0), w.make(ObjectType::Reply, 0)];
    let (_, first) = w.spawn(200);
    w.start(Receive, &[ends[0], 0, replies[0]], [0; 6]);
    let (_, second) = w.spawn(200);
    w.start(Receive, &[ends[1], 0, replies[1]], [0; 6]);
    w.start(Call, &[ends[0], 0], [0; 6]);
    assert!(w.runs(first));
    w.start(Call, &[ends[1], 0], [0; 6]);
    assert!(w.runs(second));
    let context = w.context(fixed::SCHED_CONTEXT);
    assert!(context.runner.names(second));
    assert_eq!(context.depth.get(), 2);
    check(&w);
    w.ok(CapDelete, &[0, replies[0]]);
    assert_eq!(w.result(root), Err(Error::PeerRestarted));
    assert!(context.runner.names(root));
    assert_eq!(context.depth.get(), 0);
    check(&w);
    // The second still answers the first, on their own time.
    w.start(ReplyReceive, &[ends[1], 0, replies[1]], [0; 6]);
    assert!(w.runs(first));
    check(&w);
}

#[test]
fn a_destroyed_context_leaves_its_users_without_time() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    let (_, server) = w.spawn(200);
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    let (slot, client) = w.thread(w.untyped(), 150, 0);
    let context = w.bind(w.untyped(), slot, SLICE, SLICE, 0);
    w.start(ThreadResume, &[slot], [0; 6]);
    w.start(Call, &[endpoint, 0], [0; 6]);
    assert!(w.runs(server));
    w.ok(CapDelete, &[0, context]);
    check(&w);
    assert!(w.runs(server));
    w.start(ReplyReceive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(root));
    assert!(client.own.is_null());
    check(&w);
}

#[test]
fn deadlines_signal_in_order_and_can_be_moved() {
    let w = World::new();
    let now = mock::with(|state| state.now);
    let notifications: [u64; 9] = core::array::from_fn(|_| w.make(ObjectType::Notification, 0));
    for (index, &notification) in notifications.iter().enumerate() {
        let after = [5, 3, 8, 1, 9, 2, 7, 4, 6][index] * 1_000_000;
        w.ok(NotificationTimer, &[notification, now + after, 1 << index]);
    }
    check(&w);
    w.ok(NotificationTimer, &[notifications[0], 0, 1]);
    w.ok(NotificationTimer, &[notifications[2], now + 500_000, 0]);
    for (passed, index) in [(1, 3), (1, 5), (1, 1), (1, 7), (1, 99), (1, 8), (1, 6), (1, 99), (1, 4)] {
        w.pass(passed * 1_000_000);
        check(&w);
        if let Some(&notification) = notifications.get(index) {
            assert_eq!(w.ok(Poll, &[notification])[0], 1 << index);
        }
    }
    assert_eq!(w.ok(Poll, &[notifications[2]])[0], 1, "no bits count as 1");
    assert_eq!(w.call(Poll, &[notifications[0]]), Err(Error::WouldBlock));
    // A deadline in the past is due at once.
    w.ok(NotificationTimer, &[notifications[0], 1, 6]);
    w.pass(0);
    assert_eq!(w.ok(Poll, &[notifications[0]])[0], 6);
    // A destroyed notification takes its deadline along.
    w.ok(NotificationTimer, &[notifications[0], now + 90_000_000, 6]);
    w.ok(CapDelete, &[0, notifications[0]]);
    check(&w);
    w.pass(100_000_000);
}

#[test]
fn budgets_are_checked() {
    let w = World::new();
    let context = w.make(ObjectType::SchedContext, 0);
    for (budget, period) in [(0, 0), (1, 1), (2_000_000, 1_000_000), (10_000, u64::MAX)] {
        let call = [fixed::SCHED_CONTROL, context, budget, period, 0];
        assert_eq!(w.call(SchedConfigure, &call), Err(Error::InvalidArgument));
    }
    let call = [fixed::IRQ_CONTROL, context, 1_000_000, 1_000_000, 0];
    assert_eq!(w.call(SchedConfigure, &call), Err(Error::WrongType));
    w.ok(SchedConfigure, &[fixed::SCHED_CONTROL, context, 1_000_000, 2_000_000, 0]);
    assert_eq!(w.ok(SchedInfo, &[context]), [0, 1_000_000, 2_000_000]);
}

#[test]
fn a_run_of_contexts_is_configured_in_another_table() {
    let w = World::new();
    let table = w.make(ObjectType::CapTable, 16);
    w.ok(Retype, &[w.untyped(), ObjectType::SchedContext as u64 | 3 << 8, 0, table, 5]);
    let configure = |first, count: u64| {
        let call = [fixed::SCHED_CONTROL, first, 1_000_000, 2_000_000, count << 8, table];
        w.call(SchedConfigure, &call).map(|results| results[0])
    };
    assert_eq!(configure(4, 3), Err(Error::InvalidCapability));
    assert_eq!(configure(5, 65), Err(Error::InvalidArgument));
    assert_eq!(configure(5, 3), Ok(3));
    assert_eq!(configure(6, 3), Ok(2));
    let last = w.free_slot();
    w.ok(CapCopy, &[0, last, table, 7, 0xf]);
    assert_eq!(w.ok(SchedInfo, &[last]), [0, 1_000_000, 2_000_000]);
}
