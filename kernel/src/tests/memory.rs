//! Untyped memory, address spaces, frames and page tables.

use super::invariants::check;
use super::world::{DEVICE, World};
use crate::arch::mock::{self, EXECUTE, UNCACHED, WRITE};
use crate::mem::space::find_entry;
use crate::object::space::AddressSpace;
use motte_abi::boot_info::slot as fixed;
use motte_abi::{Error, ObjectType, Rights, Syscall::*, USER_END};

const ADDRESS: u64 = 0x1234_5000;

fn rw() -> u64 {
    Rights::READ.union(Rights::WRITE).0.into()
}

/// A space with tables down to the lowest level at `ADDRESS`; space and tables.
fn space(w: &World) -> (u64, [u64; 3]) {
    let space = w.make(ObjectType::AddressSpace, 0);
    let tables = [3, 2, 1].map(|level| {
        let table = w.make(ObjectType::PageTable, 0);
        w.ok(TableMap, &[table, space, ADDRESS, level]);
        table
    });
    (space, tables)
}

/// The entry for an address in a space.
fn entry(w: &World, space: u64, address: u64, level: u8) -> Option<u64> {
    let root = w.object::<AddressSpace>(space).root.get();
    find_entry::<mock::Mock>(root, address, level).ok().map(|place| w.arena.word(place))
}

#[test]
fn memory_is_zeroed_before_it_is_handed_on() {
    let w = World::new();
    let untyped = w.make(ObjectType::Untyped, 64 << 10);
    for round in 0..2 {
        for _ in 0..15 {
            let frame = w.make_from(untyped, ObjectType::Frame, 4096);
            let physical = w.ok(FrameInfo, &[frame])[0];
            for at in (0..4096).step_by(8) {
                assert_eq!(w.arena.word(physical + at), 0, "round {round}");
                w.arena.set_word(physical + at, 0x1111);
            }
            w.make_from(untyped, ObjectType::Endpoint, 0);
            if w.ok(UntypedInfo, &[untyped])[2] > 56 << 10 {
                break;
            }
        }
        w.ok(CapRevoke, &[0, untyped]);
        assert_eq!(w.ok(UntypedInfo, &[untyped])[2], 0);
    }
    check(&w);
}

#[test]
fn zeroing_gives_way_to_interrupts_and_goes_on() {
    let w = World::new();
    let root = w.current();
    let slot = w.free_slot();
    let mut rounds = 0;
    mock::with(|state| state.interrupt_after = Some(40));
    w.start(Retype, &[w.untyped(), ObjectType::Frame as u64 | 1 << 8, 2 << 20, 0, slot, 0], [0; 6]);
    while w.was_preempted(root) {
        rounds += 1;
        mock::with(|state| state.interrupt_after = Some(40));
        w.again();
    }
    mock::with(|state| state.interrupt_after = None);
    assert!(rounds > 8);
    let physical = w.ok(FrameInfo, &[slot])[0];
    assert!((0..2 << 20).step_by(4096).all(|at| w.arena.word(physical + at) == 0));
    check(&w);
}

#[test]
fn retype_checks_everything_before_it_does_anything() {
    let w = World::new();
    let untyped = w.make(ObjectType::Untyped, 16 << 10);
    let retype = |kind: ObjectType, count: u64, size: u64, first: u64| {
        w.call(Retype, &[untyped, kind as u64 | count << 8, size, 0, first, 0])
    };
    let first = w.free_slot() + 50;
    use ObjectType::*;
    assert_eq!(retype(Frame, 5, 4096, first), Err(Error::OutOfMemory));
    assert_eq!(retype(Frame, 0, 4096, first), Err(Error::InvalidArgument));
    assert_eq!(retype(Endpoint, 257, 0, first), Err(Error::InvalidArgument));
    assert_eq!(retype(Frame, 1, 8192, first), Err(Error::InvalidArgument));
    assert_eq!(retype(CapTable, 1, 17, first), Err(Error::InvalidArgument));
    assert_eq!(retype(IrqControl, 1, 0, first), Err(Error::InvalidArgument));
    assert_eq!(retype(Endpoint, 2, 0, u64::MAX), Err(Error::InvalidCapability));
    assert_eq!(retype(Endpoint, 2, 0, 0), Err(Error::InvalidCapability));
    assert_eq!(retype(Endpoint, 1, 0, fixed::THREAD), Err(Error::SlotOccupied));
    assert_eq!(w.ok(UntypedInfo, &[untyped]), [0, 16 << 10, 0]);
    retype(Frame, 4, 4096, first).unwrap();
    assert_eq!(retype(Endpoint, 1, 0, first + 4), Err(Error::OutOfMemory));
    w.ok(CapDelete, &[0, first]);
    assert_eq!(retype(Endpoint, 1, 0, first), Err(Error::OutOfMemory));
    check(&w);
}

#[test]
fn device_memory_is_carved_freely_and_never_touched() {
    let w = World::new();
    let device = w.device();
    let frame = w.free_slot();
    w.ok(Retype, &[device, ObjectType::Frame as u64 | 1 << 8, 4096, 0, frame, 0x5000]);
    assert_eq!(w.ok(FrameInfo, &[frame])[0], DEVICE + 0x5000);
    let again = w.free_slot();
    w.ok(Retype, &[device, ObjectType::Frame as u64 | 1 << 8, 4096, 0, again, 0x5000]);
    let small = w.free_slot();
    w.ok(Retype, &[device, ObjectType::Untyped as u64 | 1 << 8, 8192, 0, small, 0x8000]);
    assert_eq!(w.ok(UntypedInfo, &[small]), [DEVICE + 0x8000, 8192, 0]);
    let retype = |kind: ObjectType, size: u64, offset: u64| {
        w.call(Retype, &[device, kind as u64 | 1 << 8, size, 0, w.free_slot(), offset])
    };
    assert_eq!(retype(ObjectType::Frame, 4096, 1), Err(Error::Misaligned));
    assert_eq!(retype(ObjectType::Frame, 4096, 16 << 20), Err(Error::OutOfMemory));
    assert_eq!(retype(ObjectType::Frame, 4096, u64::MAX - 4095), Err(Error::InvalidArgument));
    assert_eq!(retype(ObjectType::Endpoint, 0, 0), Err(Error::InvalidArgument));
    let thread = w.thread(w.untyped(), 1, 0).0;
    let configure = [thread, 0, 0, 0, frame];
    assert_eq!(w.call(ThreadConfigure, &configure), Err(Error::InvalidArgument));
    check(&w);
}

#[test]
fn a_run_of_frames_is_mapped_out_of_another_table() {
    let w = World::new();
    let (space, _) = space(&w);
    let holder = w.make(ObjectType::CapTable, 16);
    w.ok(Retype, &[w.untyped(), ObjectType::Frame as u64 | 4 << 8, 4096, holder, 3]);
    let first = (ADDRESS | 0x1f_f000) - 0x2000;
    let map = |slot, address, count: u64| w.call(FrameMap, &[slot, space, address, rw(), count << 8, holder]);
    assert_eq!(map(3, first, 65), Err(Error::InvalidArgument));
    assert_eq!(map(2, first, 4), Err(Error::InvalidCapability));
    // The table ends behind the third.
    assert_eq!(map(3, first, 4).unwrap()[0], 3);
    for index in 0..3 {
        assert_ne!(entry(&w, space, first + index * 4096, 1), Some(0));
    }
    assert_eq!(map(6, first + 3 * 4096, 1), Err(Error::MissingTable));
    let table = w.free_slot();
    w.ok(Retype, &[w.untyped(), ObjectType::PageTable as u64 | 1 << 8, 0, holder, 8]);
    assert_eq!(w.call(TableMap, &[table, space, first + 3 * 4096, 1]), Err(Error::InvalidCapability));
    w.ok(TableMap, &[8, space, first + 3 * 4096, 1, holder]);
    // The slot behind the last is empty.
    assert_eq!(map(6, first + 3 * 4096, 2).unwrap()[0], 1);
    w.ok(CapDelete, &[0, holder]);
    assert_eq!(entry(&w, space, first, 1), Some(0));
    check(&w);
}

#[test]
fn frames_are_mapped_where_tables_are() {
    let w = World::new();
    let space = w.make(ObjectType::AddressSpace, 0);
    let frame = w.make(ObjectType::Frame, 4096);
    let root = w.current();
    for level in [3, 2, 1] {
        assert_eq!(w.call(FrameMap, &[frame, space, ADDRESS, rw(), 0]), Err(Error::MissingTable));
        assert_eq!(w.registers(root).rdi, level);
        let table = w.make(ObjectType::PageTable, 0);
        w.ok(TableMap, &[table, space, ADDRESS, level]);
        assert_eq!(w.call(TableMap, &[table, space, ADDRESS, level]), Err(Error::AlreadyMapped));
    }
    w.ok(FrameMap, &[frame, space, ADDRESS, rw(), 0]);
    let physical = w.ok(FrameInfo, &[frame])[0];
    assert_eq!(w.ok(FrameInfo, &[frame])[2], ADDRESS);
    assert_eq!(entry(&w, space, ADDRESS, 1).unwrap() & !0xfff, physical);
    assert_eq!(entry(&w, space, ADDRESS, 1).unwrap() & (WRITE | EXECUTE | UNCACHED), WRITE);
    assert_eq!(w.call(FrameMap, &[frame, space, ADDRESS + 4096, rw(), 0]), Err(Error::AlreadyMapped));
    let second = w.copy(frame, Rights::ALL);
    assert_eq!(w.call(FrameMap, &[second, space, ADDRESS, rw(), 0]), Err(Error::AlreadyMapped));
    w.ok(FrameMap, &[second, space, ADDRESS + 4096, 1, 1]);
    assert_eq!(entry(&w, space, ADDRESS + 4096, 1).unwrap() & (WRITE | UNCACHED), UNCACHED);
    w.ok(FrameUnmap, &[frame]);
    assert_eq!(w.call(FrameUnmap, &[frame]), Err(Error::NotMapped));
    assert_eq!(entry(&w, space, ADDRESS, 1), Some(0));
    w.ok(CapDelete, &[0, second]);
    assert_eq!(entry(&w, space, ADDRESS + 4096, 1), Some(0));
    assert_eq!(mock::with(|state| state.flushed.len()), 2);
    check(&w);
}

#[test]
fn mappings_are_checked() {
    let w = World::new();
    let (space, _) = space(&w);
    let frame = w.make(ObjectType::Frame, 4096);
    let map = |frame, address, rights: u64| w.call(FrameMap, &[frame, space, address, rights, 0]);
    assert_eq!(map(frame, ADDRESS + 8, 1), Err(Error::Misaligned));
    assert_eq!(map(frame, USER_END, 1), Err(Error::InvalidArgument));
    assert_eq!(map(frame, u64::MAX - 4095, 1), Err(Error::InvalidArgument));
    assert_eq!(map(frame, ADDRESS, 7), Err(Error::InvalidArgument), "writable and executable");
    assert_eq!(map(frame, ADDRESS, 2), Err(Error::InvalidArgument), "not readable");
    let read_only = w.copy(frame, Rights::READ);
    assert_eq!(map(read_only, ADDRESS, 3), Err(Error::MissingRight));
    let large = w.make(ObjectType::Frame, 2 << 20);
    assert_eq!(map(large, ADDRESS, 1), Err(Error::Misaligned));
    assert_eq!(map(large, ADDRESS & !0x1f_ffff, 1), Err(Error::AlreadyMapped), "a table is there");
    assert!(map(large, (ADDRESS & !0x1f_ffff) + (2 << 20), 5).is_ok());
    let table = w.make(ObjectType::PageTable, 0);
    for level in [0, 4, 300] {
        assert_eq!(w.call(TableMap, &[table, space, ADDRESS, level]), Err(Error::InvalidArgument));
    }
    assert_eq!(w.call(TableMap, &[table, space, USER_END, 3]), Err(Error::InvalidArgument));
    check(&w);
}

#[test]
fn a_table_taken_out_takes_its_mappings_along() {
    let w = World::new();
    let (space, tables) = space(&w);
    let frame = w.make(ObjectType::Frame, 4096);
    w.ok(FrameMap, &[frame, space, ADDRESS, rw(), 0]);
    // The middle table: the lowest loses its place with it.
    w.ok(TableUnmap, &[tables[1]]);
    assert_eq!(w.call(TableUnmap, &[tables[2]]), Err(Error::NotMapped));
    assert_eq!(w.ok(FrameInfo, &[frame])[2], 0);
    w.ok(CapDelete, &[0, frame]);
    w.ok(TableMap, &[tables[1], space, ADDRESS, 2]);
    w.ok(TableMap, &[tables[2], space, ADDRESS, 1]);
    assert_eq!(entry(&w, space, ADDRESS, 1), Some(0), "no entry outlives its frame's capability");
    w.ok(CapDelete, &[0, tables[2]]);
    assert_eq!(entry(&w, space, ADDRESS, 1), None);
    check(&w);
}

#[test]
fn a_mapping_does_not_outlive_its_space() {
    let w = World::new();
    let (old, tables) = space(&w);
    let frame = w.make(ObjectType::Frame, 4096);
    w.ok(FrameMap, &[frame, old, ADDRESS, rw(), 0]);
    w.ok(CapDelete, &[0, old]);
    assert_eq!(w.ok(FrameInfo, &[frame])[2], 0);
    assert_eq!(w.call(FrameUnmap, &[frame]), Err(Error::NotMapped));
    let new = w.make(ObjectType::AddressSpace, 0);
    for (table, level) in tables.into_iter().zip([3, 2, 1]) {
        w.ok(TableMap, &[table, new, ADDRESS, level]);
    }
    assert_eq!(entry(&w, new, ADDRESS, 1), Some(0));
    w.ok(FrameMap, &[frame, new, ADDRESS, rw(), 0]);
    check(&w);
}

#[test]
fn a_thread_without_its_space_does_not_run() {
    let w = World::new();
    w.set_priority(100);
    let space = w.make(ObjectType::AddressSpace, 0);
    let (slot, thread) = w.thread(w.untyped(), 200, 0);
    w.ok(ThreadConfigure, &[slot, 0, space, 0, 0]);
    w.bind(w.untyped(), slot, 1_000_000, 1_000_000, 0);
    let root = w.current();
    w.start(ThreadResume, &[slot], [0; 6]);
    assert!(w.runs(thread));
    assert_eq!(mock::with(|state| state.root), thread.space_root.get());
    w.start(CapRevoke, &[0, space], [0; 6]);
    assert!(w.runs(root));
    assert_eq!(w.call(ThreadResume, &[slot]), Err(Error::InvalidArgument));
    w.ok(CapDelete, &[0, space]);
    check(&w);
}
