//! Copy, mint, move, delete, revoke.

use super::invariants::check;
use super::world::World;
use crate::arch::mock;
use crate::object::Header;
use motte_abi::{Error, ObjectType, Rights, Syscall::*};

fn kind(w: &World, slot: u64) -> u64 {
    w.ok(CapIdentify, &[0, slot])[0]
}

#[test]
fn copies_have_at_most_the_rights_of_their_source() {
    let w = World::new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let send = w.copy(endpoint, Rights::SEND);
    let again = w.copy(send, Rights::ALL);
    assert_eq!(w.ok(CapIdentify, &[0, again]), [ObjectType::Endpoint as u64, u64::from(Rights::SEND.0), 0]);
    check(&w);
    assert_eq!(w.call(CapCopy, &[0, again, 0, send, 0xf]), Err(Error::SlotOccupied));
    assert_eq!(w.call(CapCopy, &[0, 0, 0, send, 0xf]), Err(Error::InvalidCapability));
    assert_eq!(w.call(CapCopy, &[0, 1 << 40, 0, send, 0xf]), Err(Error::InvalidCapability));
    assert_eq!(w.call(CapCopy, &[0, w.free_slot(), 0, w.free_slot(), 0xf]), Err(Error::InvalidCapability));
    assert_eq!(w.call(CapCopy, &[0, w.free_slot(), 0, w.untyped(), 0xf]), Err(Error::WrongType));
    assert_eq!(w.call(CapCopy, &[send, w.free_slot(), 0, send, 0xf]), Err(Error::WrongType));
}

#[test]
fn a_badge_is_set_once() {
    let w = World::new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let badged = w.mint(endpoint, 7);
    assert_eq!(w.ok(CapIdentify, &[0, w.copy(badged, Rights::ALL)])[2], 7);
    assert_eq!(w.call(CapMint, &[0, w.free_slot(), 0, badged, 0xf, 8]), Err(Error::InvalidArgument));
    assert_eq!(w.call(CapMint, &[0, w.free_slot(), 0, 1, 0xf, 8]), Err(Error::WrongType));
    check(&w);
}

#[test]
fn revoke_deletes_all_that_was_derived_and_only_that() {
    let w = World::new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let a = w.copy(endpoint, Rights::ALL);
    let b = w.copy(a, Rights::ALL);
    let c = w.mint(b, 3);
    let other = w.copy(endpoint, Rights::ALL);
    w.ok(CapRevoke, &[0, a]);
    check(&w);
    assert_eq!([b, c].map(|slot| kind(&w, slot)), [0, 0]);
    assert!([endpoint, a, other].into_iter().all(|slot| kind(&w, slot) != 0));
}

#[test]
fn a_moved_capability_keeps_its_place() {
    let w = World::new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let a = w.copy(endpoint, Rights::ALL);
    let b = w.copy(a, Rights::ALL);
    let moved = w.free_slot();
    w.ok(CapMove, &[0, moved, 0, a]);
    check(&w);
    assert_eq!(kind(&w, a), 0);
    w.ok(CapRevoke, &[0, moved]);
    assert_eq!(kind(&w, b), 0);
    w.ok(CapRevoke, &[0, endpoint]);
    assert_eq!(kind(&w, moved), 0);
    check(&w);
}

#[test]
fn the_children_of_a_deleted_capability_become_its_parents() {
    let w = World::new();
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let a = w.copy(endpoint, Rights::ALL);
    let b = w.copy(a, Rights::ALL);
    w.ok(CapDelete, &[0, a]);
    check(&w);
    assert_ne!(kind(&w, b), 0);
    w.ok(CapDelete, &[0, a]);
    w.ok(CapRevoke, &[0, endpoint]);
    assert_eq!(kind(&w, b), 0);
}

#[test]
fn tables_in_tables_are_destroyed_without_recursion() {
    let w = World::new();
    let mut outer = w.make(ObjectType::CapTable, 16);
    let endpoint = w.make(ObjectType::Endpoint, 0);
    for _ in 0..40 {
        let next = w.make(ObjectType::CapTable, 16);
        w.ok(CapMove, &[next, 5, 0, outer]);
        w.ok(CapCopy, &[next, 15, 0, endpoint, 0xf]);
        outer = next;
        check(&w);
    }
    w.ok(CapDelete, &[0, outer]);
    check(&w);
    assert_eq!(w.object::<Header>(endpoint).caps.get(), 1);
}

#[test]
fn a_table_that_holds_itself_goes_with_its_memory() {
    let w = World::new();
    let untyped = w.make(ObjectType::Untyped, 1 << 20);
    let table = w.make_from(untyped, ObjectType::CapTable, 64);
    w.ok(CapCopy, &[table, 3, 0, table, 0xf]);
    w.ok(CapDelete, &[0, table]);
    assert_ne!(w.ok(UntypedInfo, &[untyped])[2], 0);
    w.ok(CapRevoke, &[0, untyped]);
    assert_eq!(w.ok(UntypedInfo, &[untyped])[2], 0);
    check(&w);
}

#[test]
fn a_run_of_capabilities_is_copied() {
    let w = World::new();
    let table = w.make(ObjectType::CapTable, 16);
    let first = w.make(ObjectType::Endpoint, 0);
    w.make(ObjectType::Endpoint, 0);
    w.make(ObjectType::Endpoint, 0);
    let copy = |to, from, count| w.call(CapCopy, &[table, to, 0, from, 0xf, count]);
    assert_eq!(copy(1, first, 65), Err(Error::InvalidArgument));
    assert_eq!(copy(1, first, 3).unwrap()[0], 3);
    assert_eq!(copy(1, first, 3), Err(Error::SlotOccupied));
    // The source behind the last is empty; the table ends.
    assert_eq!(copy(4, first, 9).unwrap()[0], 3);
    assert_eq!(copy(14, first, 3).unwrap()[0], 2);
    assert_eq!(copy(16, first, 3), Err(Error::InvalidCapability));
    check(&w);
}

#[test]
fn revoke_gives_way_to_interrupts_and_goes_on() {
    let w = World::new();
    let root = w.current();
    let untyped = w.make(ObjectType::Untyped, 1 << 20);
    for _ in 0..20 {
        w.make_from(untyped, ObjectType::Notification, 0);
    }
    w.make_from(untyped, ObjectType::CapTable, 256);
    let mut rounds = 0;
    mock::with(|state| state.interrupt_after = Some(3));
    w.start(CapRevoke, &[0, untyped], [0; 6]);
    while w.was_preempted(root) {
        check(&w);
        rounds += 1;
        mock::with(|state| state.interrupt_after = Some(3));
        w.again();
    }
    assert!(rounds > 4);
    mock::with(|state| state.interrupt_after = None);
    assert_eq!(w.ok(UntypedInfo, &[untyped])[2], 0);
    check(&w);
}

#[test]
fn a_component_is_gone_with_its_memory() {
    let w = World::new();
    w.set_priority(100);
    let untyped = w.make(ObjectType::Untyped, 1 << 20);
    let table = w.make_from(untyped, ObjectType::CapTable, 64);
    let space = w.make_from(untyped, ObjectType::AddressSpace, 0);
    let endpoint = w.make(ObjectType::Endpoint, 0);
    let reply = w.make_from(untyped, ObjectType::Reply, 0);
    let (thread_slot, thread) = w.thread(untyped, 200, 0);
    w.ok(ThreadConfigure, &[thread_slot, table, space, 0, 0]);
    w.bind(untyped, thread_slot, 1_000_000, 1_000_000, 0);
    w.ok(CapCopy, &[table, 10, 0, endpoint, 0xf]);
    w.ok(CapMove, &[table, 11, 0, reply]);
    w.ok(CapMove, &[table, 12, 0, table]);
    let root = w.current();
    w.start(ThreadResume, &[thread_slot], [0; 6]);
    assert!(w.runs(thread));
    w.start(Receive, &[10, 0, 11], [0; 6]);
    w.start(Call, &[endpoint, 0], [0; 6]);
    assert!(w.runs(thread));
    // The component destroys itself by revoking a table that holds its own capabilities.
    w.start(CapDelete, &[12, 11], [0; 6]);
    check(&w);
    assert_eq!(w.result(root), Err(Error::PeerRestarted));
    w.start(Receive, &[10, 0, 0], [0; 6]);
    assert!(w.runs(root));
    w.ok(CapRevoke, &[0, untyped]);
    check(&w);
    assert_eq!(w.ok(UntypedInfo, &[untyped])[2], 0);
    assert_eq!(kind(&w, endpoint), ObjectType::Endpoint as u64);
}

#[test]
fn a_thread_may_revoke_its_own_memory() {
    let w = World::new();
    w.set_priority(100);
    let root = w.current();
    let untyped = w.make(ObjectType::Untyped, 1 << 20);
    let (slot, thread) = w.thread(untyped, 200, 0);
    w.bind(untyped, slot, 1_000_000, 1_000_000, 0);
    w.ok(ThreadResume, &[slot]);
    assert!(w.runs(thread));
    w.start(CapRevoke, &[0, untyped], [0; 6]);
    assert!(w.runs(root));
    check(&w);
    assert_eq!(w.ok(UntypedInfo, &[untyped])[2], 0);
}

#[test]
fn tables_are_changed_only_with_the_right_to() {
    let w = World::new();
    let table = w.make(ObjectType::CapTable, 16);
    let look = w.copy(table, Rights::READ);
    let endpoint = w.make(ObjectType::Endpoint, 0);
    assert_eq!(w.call(CapCopy, &[look, 1, 0, endpoint, 0xf]), Err(Error::MissingRight));
    w.ok(CapCopy, &[table, 1, 0, endpoint, 0xf]);
    assert_eq!(w.call(CapDelete, &[look, 1]), Err(Error::MissingRight));
    assert_eq!(w.call(CapMove, &[0, w.free_slot(), look, 1]), Err(Error::MissingRight));
    w.ok(CapCopy, &[0, w.free_slot(), look, 1, 0xf]);
    w.ok(CapIdentify, &[look, 1]);
    let change = w.copy(table, Rights::MANAGE);
    assert_eq!(w.call(CapCopy, &[0, w.free_slot(), change, 1, 0xf]), Err(Error::MissingRight));
    assert_eq!(w.call(CapIdentify, &[look, 16]), Err(Error::InvalidCapability));
    check(&w);
}
