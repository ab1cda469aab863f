//! Random calls with random arguments by whatever thread runs, among faults, interrupts and the passing of time. Nothing may
//! panic, and every invariant holds after each step.

use super::invariants::check;
use super::world::{World, cases};
use crate::arch::{Context, Interrupt, mock};
use motte_abi::boot_info::slot as fixed;
use motte_abi::fault::FaultKind;
use motte_abi::syscall::SCHED_NOTIFY_EXHAUSTED;
use motte_abi::{MessageInfo, ObjectType, Syscall};
use proptest::collection::vec as list;
use proptest::prelude::*;
use std::vec;

#[derive(Clone, Debug)]
pub enum Step {
    Call(usize, [u64; 6]),
    Fault(u64),
    Pass(u64),
    Device(usize),
    Preempt(u64),
    Debugger([u64; 3]),
}

/// Arguments that mean something often enough.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 100..150u64,
        3 => 0..17u64,
        1 => Just(0u64),
        1 => prop_oneof![Just(4096u64), Just(2 << 20), Just(10_000), Just(1_000_000), Just(0x40_0000)],
        1 => (0..8u64, 0..12u64, 0..5u64).prop_map(|(label, length, caps)| {
            MessageInfo::new(label, length as usize, caps as usize).0
        }),
        1 => any::<u64>(),
    ]
}

fn arguments() -> impl Strategy<Value = [u64; 6]> {
    (argument(), argument(), argument(), argument(), argument(), argument())
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f])
}

/// Calls whose arguments are mostly right, so that much happens.
fn likely() -> impl Strategy<Value = (Syscall, [u64; 6])> {
    use Syscall::*;
    let slot = || 100..150u64;
    let info = || (0..3u64, 0..20u64, 0..3u64).prop_map(|(l, n, c)| MessageInfo::new(l, n as usize, c as usize).0);
    let message = prop_oneof![
        Just(Syscall::Call),
        Just(Send),
        Just(Receive),
        Just(TryCall),
        Just(TrySend),
        Just(TryReceive),
        Just(ReplyReceive),
        Just(TryReplyReceive)
    ];
    // The endpoints and Reply objects that the set-up makes.
    let endpoint = || 100..103u64;
    let reply = || prop_oneof![103..106u64, Just(0u64)];
    prop_oneof![
        8 => (message, endpoint(), info(), reply()).prop_map(|(c, e, i, r)| (c, [e, i, r, 0, 0, 0])),
        3 => (reply(), info()).prop_map(|(r, i)| (Reply, [r, i, 0, 0, 0, 0])),
        5 => (prop_oneof![3 => Just(Signal), 2 => Just(Wait), 1 => Just(Poll)], 106..109u64).prop_map(|(c, n)| (c, [n, 0, 0, 0, 0, 0])),
        2 => (prop_oneof![Just(CapDelete), Just(CapRevoke)], slot()).prop_map(|(c, s)| (c, [0, s, 0, 0, 0, 0])),
        3 => (prop_oneof![Just(CapCopy), Just(CapMove), Just(CapMint)], slot(), slot(), 0..16u64, 0..3u64)
            .prop_map(|(c, to, from, rights, badge)| (c, [0, to, 0, from, rights | 3, badge])),
        2 => (2..11u64, slot(), prop_oneof![Just(16u64), Just(4096)])
            .prop_map(|(kind, to, size)| (Retype, [109, kind | 1 << 8, size, 0, to, 0])),
        3 => (prop_oneof![Just(ThreadResume), Just(ThreadSuspend), Just(ThreadInfo), Just(ThreadReadRegisters)], slot())
            .prop_map(|(c, t)| (c, [t, 0, 0, 0, 0, 0])),
        1 => (slot(), 0..256u64, prop_oneof![Just(0), slot()]).prop_map(|(t, p, c)| (ThreadSetPriority, [t, p, p, c, 0, 0])),
        1 => (slot(), slot()).prop_map(|(t, s)| (ThreadBindSched, [t, s, 0, 0, 0, 0])),
        1 => (slot(), 106..109u64).prop_map(|(t, n)| (ThreadBindNotification, [t, n, 0, 0, 0, 0])),
        1 => (106..109u64, 0..5_000_000u64).prop_map(|(n, d)| (NotificationTimer, [n, d, 1, 0, 0, 0])),
        1 => (prop_oneof![Just(EndpointClose), Just(EndpointOpen)], endpoint()).prop_map(|(c, e)| (c, [e, 0, 0, 0, 0, 0])),
        2 => Just((Yield, [0; 6])),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let number = |call: Syscall| Syscall::ALL.iter().position(|&other| other == call).unwrap();
    prop_oneof![
        12 => likely().prop_map(move |(call, arguments)| Step::Call(number(call), arguments)),
        6 => (0..Syscall::ALL.len(), arguments()).prop_map(|(call, arguments)| Step::Call(call, arguments)),
        1 => (0..11u64).prop_map(Step::Fault),
        3 => (1..3_000_000u64).prop_map(Step::Pass),
        1 => (0..5usize).prop_map(Step::Device),
        1 => (0..4u64).prop_map(Step::Preempt),
        1 => any::<[u64; 3]>().prop_map(Step::Debugger),
    ]
}

/// Endpoints in slots 100 to 102, Reply objects 103 to 105, notifications 106 to 108, untyped memory 109, then four threads that
/// run, one of them limited and one passive.
pub fn furnish(w: &World) {
    for kind in [ObjectType::Endpoint, ObjectType::Reply, ObjectType::Notification] {
        for _ in 0..3 {
            w.make(kind, 0);
        }
    }
    let untyped = w.make(ObjectType::Untyped, 256 << 10);
    assert_eq!(untyped, 109);
    for (index, fault) in [0, 100, 101, 102].into_iter().enumerate() {
        let (thread, _) = w.thread(untyped, 50 * index as u64, fault);
        match index {
            0 => {}
            1 => drop(w.bind(untyped, thread, 300_000, 2_000_000, SCHED_NOTIFY_EXHAUSTED)),
            2 => drop(w.bind(untyped, thread, 300_000, 1_000_000, 0)),
            _ => drop(w.bind(untyped, thread, 1_000_000, 1_000_000, 0)),
        }
        w.ok(Syscall::ThreadResume, &[thread]);
    }
    for index in 112..120 {
        // Capabilities to send, and slots to receive into.
        w.set_buffer(w.current(), index, if index < 116 { index - 12 } else { 124 + index });
    }
    w.ok(Syscall::ThreadSetPriority, &[fixed::THREAD, 75, 255]);
}

pub fn run(w: &World, step: &Step) {
    if w.idle() {
        w.pass(500_000);
        return;
    }
    match step {
        Step::Call(index, arguments) => w.start(Syscall::ALL[*index], arguments, [1, 2, 3, 4, 5, 6]),
        Step::Fault(kind) => {
            w.fault(FaultKind::from_raw(*kind).unwrap_or(FaultKind::Other), 0xbad, 2);
        }
        Step::Pass(time) => w.pass(*time),
        Step::Device(vector) => w.interrupt(Interrupt::Device(*vector)),
        Step::Preempt(after) => {
            mock::with(|state| state.interrupt_after = Some(*after));
            w.start(Syscall::CapRevoke, &[0, 109], [0; 6]);
            check(w);
            mock::with(|state| state.interrupt_after = None);
        }
        Step::Debugger([a, b, c]) => {
            // What a debugger could write into any waiting thread.
            for (_, thread) in w.kernel.cores[0].ready.iter(&w.kernel) {
                thread.context().change(|r| [r.rdi, r.rsi, r.rdx] = [*a, *b, *c]);
            }
            let thread = w.current();
            let _ = thread.context().registers();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn no_sequence_of_calls_breaks_an_invariant(
        steps in list(step(), 1..if cfg!(miri) { 30 } else { 200 }),
    ) {
        let w = World::new();
        furnish(&w);
        check(&w);
        for step in &steps {
            run(&w, step);
            check(&w);
        }
    }
}
