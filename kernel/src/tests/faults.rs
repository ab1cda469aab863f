//! Faults as messages.

use super::invariants::check;
use super::world::{SLICE, T, World};
use crate::arch::Context;
use motte_abi::boot_info::slot as fixed;
use motte_abi::fault::{FAULT_LABEL, FaultKind, FaultMessage, RESUME_STOPPED, Registers};
use motte_abi::syscall::SCHED_NOTIFY_EXHAUSTED;
use motte_abi::{Error, MessageInfo, ObjectType, Syscall::*};

/// The root thread at priority 100, and a thread at 50 whose faults go to `endpoint` with badge 9; the root waits there, and the
/// thread runs.
struct Handled<'w> {
    endpoint: u64,
    reply: u64,
    root: T<'w>,
    slot: u64,
    thread: T<'w>,
}

fn handled(w: &World, flags: u64) -> Handled<'_> {
    let root = w.current();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make(ObjectType::Reply, 0);
    w.set_priority(100);
    let (slot, thread) = w.thread(w.untyped(), 50, w.mint(endpoint, 9));
    w.bind(w.untyped(), slot, 1_000_000, if flags == 0 { 1_000_000 } else { 5_000_000 }, flags);
    w.ok(ThreadResume, &[slot]);
    w.start(Receive, &[endpoint, 0, reply], [0; 6]);
    assert!(w.runs(thread));
    Handled { endpoint, reply, root, slot, thread }
}

#[test]
fn a_handler_reads_and_changes_registers_and_resumes() {
    let w = World::new();
    let h = handled(&w, 0);
    h.thread.context().set_registers(&Registers { rip: 0x40, rsp: 0x80, rbp: 0x90, rax: 5, ..Default::default() });
    w.fault(FaultKind::PageFault, 0xdead_0000, 6);
    assert!(w.runs(h.root));
    let (badge, info, words) = w.received(h.root);
    assert_eq!((badge, info.label(), info.is_call()), (9, FAULT_LABEL, true));
    let message = FaultMessage::from_words(words);
    assert_eq!((message.instruction, message.address, message.code), (0x40, 0xdead_0000, 6));
    assert_eq!((message.stack, message.frame), (0x80, 0x90));
    check(&w);
    w.ok(ThreadReadRegisters, &[h.slot]);
    assert_eq!((w.buffer(h.root, 0), w.buffer(h.root, 3)), (0x40, 5));
    w.set_buffer(h.root, 0, 0x44);
    w.set_buffer(h.root, 3, 6);
    w.ok(ThreadWriteRegisters, &[h.slot]);
    assert!(w.runs(h.root), "it is not to run yet");
    w.start(ReplyReceive, &[h.endpoint, 0, h.reply], [0; 6]);
    assert!(w.runs(h.thread));
    let r = w.registers(h.thread);
    assert_eq!((r.rip, r.rax, r.rsp), (0x44, 6, 0x80));
    check(&w);
}

#[test]
fn a_thread_can_be_given_its_registers_and_started_at_once() {
    let w = World::new();
    w.set_priority(100);
    let (slot, thread) = w.thread(w.untyped(), 200, 0);
    let root = w.current();
    let context = w.make(ObjectType::SchedContext, 0);
    w.ok(SchedConfigure, &[fixed::SCHED_CONTROL, context, SLICE, SLICE, 0]);
    assert_eq!(w.call(ThreadSetPriority, &[slot, 200, 200, slot]), Err(Error::WrongType));
    assert_eq!(thread.priority.get(), 200);
    w.ok(ThreadSetPriority, &[slot, 150, 200, context]);
    w.set_buffer(root, 0, 0x44);
    w.start(ThreadWriteRegisters, &[slot, 1], [0; 6]);
    assert!(w.runs(thread));
    assert_eq!((w.registers(thread).rip, thread.priority.get()), (0x44, 150));
    check(&w);
}

#[test]
fn an_answer_may_leave_the_thread_stopped() {
    let w = World::new();
    let h = handled(&w, 0);
    w.fault(FaultKind::IllegalInstruction, 0, 0);
    w.ok(Reply, &[h.reply, MessageInfo::new(RESUME_STOPPED, 0, 0).0]);
    assert_eq!(w.ok(ThreadInfo, &[h.slot])[0], 0);
    check(&w);
    w.ok(ThreadResume, &[h.slot]);
    assert_eq!(w.ok(ThreadInfo, &[h.slot])[0], 1);
}

#[test]
fn a_fault_that_nobody_hears_stops_the_thread() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let (slot, _) = w.spawn(200);
    w.fault(FaultKind::DivideError, 0, 0);
    assert!(w.runs(root));
    assert_eq!(w.ok(ThreadInfo, &[slot])[0], 6);
    check(&w);
    w.ok(ThreadResume, &[slot]);
}

#[test]
fn a_fault_at_a_closed_endpoint_stops_the_thread() {
    let w = World::new();
    let h = handled(&w, 0);
    w.fault(FaultKind::Breakpoint, 0, 0);
    w.ok(Reply, &[h.reply, 0]);
    w.ok(EndpointClose, &[h.endpoint]);
    w.start(Wait, &[w.make(ObjectType::Notification, 0)], [0; 6]);
    w.fault(FaultKind::Breakpoint, 0, 0);
    assert!(w.idle());
    assert_eq!(h.thread.state.get() as u64, 6);
    check(&w);
}

#[test]
fn a_thread_faults_again_when_its_handler_is_destroyed() {
    let w = World::new();
    let h = handled(&w, 0);
    w.fault(FaultKind::PageFault, 1, 2);
    w.ok(CapDelete, &[0, h.reply]);
    assert_eq!(w.ok(ThreadInfo, &[h.slot])[0], 1);
    check(&w);
}

#[test]
fn an_unknown_call_is_a_fault() {
    let w = World::new();
    let h = handled(&w, 0);
    h.thread.context().change(|r| r.rax = 12345);
    w.kernel.syscall(&w.kernel.cores[0], w.current());
    let (_, info, words) = w.received(h.root);
    assert_eq!(FaultKind::from_label(info.label()), Some(FaultKind::UnknownSyscall));
    assert_eq!(words[1], 12345);
    check(&w);
}

#[test]
fn a_used_up_budget_is_told_if_asked() {
    let w = World::new();
    let h = handled(&w, SCHED_NOTIFY_EXHAUSTED);
    w.pass(1_000_000);
    assert!(w.runs(h.root));
    let (badge, info, _) = w.received(h.root);
    assert_eq!((badge, FaultKind::from_label(info.label())), (9, Some(FaultKind::BudgetExhausted)));
    check(&w);
    w.start(ReplyReceive, &[h.endpoint, 0, h.reply], [0; 6]);
    assert!(w.idle(), "still no budget");
    w.pass(4_000_000);
    assert!(w.runs(h.thread));
    check(&w);
}
