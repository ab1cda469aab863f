//! Interrupts, ports, log and trace.

use super::invariants::check;
use super::world::World;
use crate::arch::{Interrupt, mock};
use crate::sched::TRACED;
use motte_abi::boot_info::slot as fixed;
use motte_abi::{Error, ObjectType, Syscall::*};

fn masked(line: u64) -> bool {
    mock::with(|state| state.lines[&line].1)
}

#[test]
fn a_line_is_masked_until_it_is_acknowledged() {
    let w = World::new();
    let irq = w.free_slot();
    w.ok(IrqCreate, &[fixed::IRQ_CONTROL, 0, 4, 0, irq, 0]);
    assert!(masked(4));
    let notification = w.mint(w.make(ObjectType::Notification, 0), 8);
    w.ok(IrqBind, &[irq, notification]);
    assert!(!masked(4));
    w.interrupt(Interrupt::Device(0));
    assert!(masked(4));
    assert_eq!(w.ok(Poll, &[notification])[0], 8);
    w.ok(IrqAcknowledge, &[irq]);
    assert!(!masked(4));
    assert_eq!(w.call(IrqCreate, &[fixed::IRQ_CONTROL, 0, 4, 0, w.free_slot(), 0]), Err(Error::Busy));
    assert_eq!(w.call(IrqCreate, &[fixed::IRQ_CONTROL, 0, 99, 0, w.free_slot(), 0]), Err(Error::InvalidArgument));
    check(&w);
    w.ok(CapDelete, &[0, irq]);
    assert!(masked(4));
    w.ok(IrqCreate, &[fixed::IRQ_CONTROL, 0, 4, 0, irq, 0]);
    check(&w);
}

#[test]
fn a_message_that_comes_early_is_kept() {
    let w = World::new();
    let irq = w.free_slot();
    w.ok(IrqCreate, &[fixed::IRQ_CONTROL, 1, 0, 0, irq, 0]);
    assert_eq!(w.ok(IrqMessage, &[irq])[..2], [0xfee0_0000, 0]);
    let notification = w.make(ObjectType::Notification, 0);
    w.ok(IrqBind, &[irq, notification]);
    w.interrupt(Interrupt::Device(0));
    w.interrupt(Interrupt::Device(0));
    assert_eq!(w.ok(Poll, &[notification])[0], 1);
    assert_eq!(w.call(Poll, &[notification]), Err(Error::WouldBlock));
    w.ok(IrqAcknowledge, &[irq]);
    assert_eq!(w.ok(Poll, &[notification])[0], 1);
    // A destroyed notification is no longer told.
    w.ok(CapRevoke, &[0, notification]);
    w.ok(CapDelete, &[0, notification]);
    w.interrupt(Interrupt::Device(0));
    w.interrupt(Interrupt::Device(77));
    check(&w);
}

#[test]
fn sources_run_out_and_come_back() {
    let w = World::new();
    let slots: [u64; 4] = core::array::from_fn(|_| w.free_slot());
    for slot in slots {
        w.ok(IrqCreate, &[fixed::IRQ_CONTROL, 1, 0, 0, slot, 0]);
    }
    let one_more = [fixed::IRQ_CONTROL, 1, 0, 0, w.free_slot(), 0];
    assert_eq!(w.call(IrqCreate, &one_more), Err(Error::LimitReached));
    w.ok(CapRevoke, &[0, fixed::IRQ_CONTROL]);
    w.ok(IrqCreate, &one_more);
    check(&w);
}

#[test]
fn ports_are_reached_only_inside_their_range() {
    let w = World::new();
    let ports = w.free_slot();
    w.ok(IoPortCreate, &[fixed::IO_PORT_CONTROL, 0x3f8, 8, 0, ports]);
    w.ok(IoPortOut, &[ports, 0x3f8, 1, 65]);
    assert_eq!(w.ok(IoPortIn, &[ports, 0x3f8, 1])[0], 65);
    for (port, width) in [(0x3f7, 1), (0x400, 1), (0x3fe, 4), (0x3f8, 3), (u64::MAX, 1)] {
        assert_eq!(w.call(IoPortIn, &[ports, port, width]), Err(Error::InvalidArgument));
    }
    for (first, count) in [(0, 0), (65535, 2), (u64::MAX, 1), (1, 65536)] {
        let create = [fixed::IO_PORT_CONTROL, first, count, 0, w.free_slot()];
        assert_eq!(w.call(IoPortCreate, &create), Err(Error::InvalidArgument));
    }
    check(&w);
}

#[test]
fn debug_output_reaches_console_and_log() {
    let w = World::new();
    let words = [u64::from_le_bytes(*b"Hello, k"), u64::from_le_bytes(*b"ernel!\n\0"), 0, 0, 0, 0];
    w.message(DebugWrite, &[0, 15], words).unwrap();
    assert_eq!(mock::with(|state| state.console.clone()), b"Hello, kernel!\n");
    assert_eq!(w.call(DebugWrite, &[0, 49]), Err(Error::InvalidArgument));
    let (log, _) = w.kernel.log.memory();
    assert_eq!(w.arena.word(log), 15);
    assert_eq!(w.arena.word(log + 64), words[0]);
    w.kernel.log(format_args!("{}", 5));
    assert_eq!(w.arena.word(log), 17);
}

#[test]
fn the_trace_tells_what_happened() {
    let w = World::new();
    let (trace, _) = w.kernel.cores[0].trace.memory();
    let before = w.arena.word(trace);
    w.kernel.cores[0].hinder_short(TRACED, true);
    w.set_priority(100);
    let (_, thread) = w.spawn(200);
    let events: std::vec::Vec<[u64; 2]> = (before..w.arena.word(trace))
        .map(|index| [16, 8].map(|at| w.arena.word(trace + 64 + index * 32 + at)))
        .collect();
    let made = [1, motte_abi::trace::TraceKind::ThreadCreated as u64];
    let switched = [1, motte_abi::trace::TraceKind::Switch as u64];
    assert_eq!(events, [made, switched]);
    assert_eq!(thread.number.get(), 2);
}
