//! Random work on capabilities beside a simple model of it: which slot holds what, derived from where, with which rights, and
//! how much memory is used.

use super::invariants::check;
use super::world::{World, cases};
use motte_abi::{Error, ObjectType, Rights, Syscall};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The slots in play.
const SLOTS: core::ops::Range<u64> = 200..224;
/// Stands for the Untyped as a parent.
const UNTYPED: u64 = 0;
const BYTES: u64 = 48 << 10;

#[derive(Clone, Debug)]
enum Op {
    Make(ObjectType, u64, u64),
    Copy(u64, u64, u8),
    Mint(u64, u64, u64),
    Move(u64, u64),
    Delete(u64),
    Revoke(u64),
    RevokeAll,
}

fn op() -> impl Strategy<Value = Op> {
    use ObjectType::*;
    let slot = || SLOTS;
    let object = prop_oneof![
        Just((Endpoint, 0)),
        Just((Notification, 0)),
        Just((Reply, 0)),
        Just((SchedContext, 0)),
        Just((Thread, 0)),
        Just((AddressSpace, 0)),
        Just((PageTable, 0)),
        Just((Frame, 4096)),
        Just((CapTable, 16)),
        Just((Untyped, 4096)),
    ];
    prop_oneof![
        4 => (object, slot()).prop_map(|((kind, size), to)| Op::Make(kind, size, to)),
        6 => (slot(), slot(), 0..16u8).prop_map(|(from, to, rights)| Op::Copy(from, to, rights)),
        3 => (slot(), slot(), 0..4u64).prop_map(|(from, to, badge)| Op::Mint(from, to, badge)),
        4 => (slot(), slot()).prop_map(|(from, to)| Op::Move(from, to)),
        4 => slot().prop_map(Op::Delete),
        2 => slot().prop_map(Op::Revoke),
        1 => Just(Op::RevokeAll),
    ]
}

#[derive(Clone, Copy)]
struct Cap {
    kind: ObjectType,
    rights: u8,
    badge: u64,
    parent: u64,
}

#[derive(Default)]
struct Model {
    caps: BTreeMap<u64, Cap>,
    watermark: u64,
}

impl Model {
    fn has_children(&self, slot: u64) -> bool {
        self.caps.values().any(|cap| cap.parent == slot)
    }

    fn rename_parent(&mut self, from: u64, to: u64) {
        self.caps.values_mut().filter(|cap| cap.parent == from).for_each(|cap| cap.parent = to);
    }

    fn delete(&mut self, slot: u64) {
        if let Some(cap) = self.caps.remove(&slot) {
            self.rename_parent(slot, cap.parent);
        }
    }

    fn revoke(&mut self, slot: u64) {
        let children: std::vec::Vec<u64> =
            self.caps.iter().filter(|(_, cap)| cap.parent == slot).map(|(&child, _)| child).collect();
        for child in children {
            self.revoke(child);
            self.caps.remove(&child);
        }
    }

    fn make(&mut self, kind: ObjectType, size: u64, to: u64) -> Result<(), Error> {
        if self.caps.contains_key(&to) {
            return Err(Error::SlotOccupied);
        }
        if !self.has_children(UNTYPED) {
            self.watermark = 0;
        }
        let bytes = kind.bytes(size).unwrap();
        let start = self.watermark.next_multiple_of(bytes);
        if start + bytes > BYTES {
            return Err(Error::OutOfMemory);
        }
        self.watermark = start + bytes;
        self.caps.insert(to, Cap { kind, rights: Rights::ALL.0, badge: 0, parent: UNTYPED });
        Ok(())
    }

    fn copy(&mut self, from: u64, to: u64, rights: u8, badge: Option<u64>) -> Result<(), Error> {
        if self.caps.contains_key(&to) {
            return Err(Error::SlotOccupied);
        }
        let source = *self.caps.get(&from).ok_or(Error::InvalidCapability)?;
        if matches!(source.kind, ObjectType::Untyped | ObjectType::PageTable) {
            return Err(Error::WrongType);
        }
        if badge.is_some() {
            if !matches!(source.kind, ObjectType::Endpoint | ObjectType::Notification) {
                return Err(Error::WrongType);
            }
            if source.badge != 0 {
                return Err(Error::InvalidArgument);
            }
        }
        let badge = badge.unwrap_or(source.badge);
        self.caps.insert(to, Cap { rights: source.rights & rights, badge, parent: from, ..source });
        Ok(())
    }

    fn relocate(&mut self, from: u64, to: u64) -> Result<(), Error> {
        let source = *self.caps.get(&from).ok_or(Error::InvalidCapability)?;
        if self.caps.contains_key(&to) {
            return Err(Error::SlotOccupied);
        }
        self.caps.remove(&from);
        self.caps.insert(to, source);
        self.rename_parent(from, to);
        Ok(())
    }
}

/// Does the operation on both; the two results.
fn apply(w: &World, model: &mut Model, untyped: u64, op: &Op) -> (Result<(), Error>, Result<(), Error>) {
    use Syscall::*;
    let (expected, call, arguments) = match *op {
        Op::Make(kind, size, to) => {
            (model.make(kind, size, to), Retype, [untyped, kind as u64 | 1 << 8, size, 0, to, 0])
        }
        Op::Copy(from, to, rights) => (model.copy(from, to, rights, None), CapCopy, [0, to, 0, from, rights.into(), 0]),
        Op::Mint(from, to, badge) => (model.copy(from, to, 0xf, Some(badge)), CapMint, [0, to, 0, from, 0xf, badge]),
        Op::Move(from, to) => (model.relocate(from, to), CapMove, [0, to, 0, from, 0, 0]),
        Op::Delete(slot) => {
            model.delete(slot);
            (Ok(()), CapDelete, [0, slot, 0, 0, 0, 0])
        }
        Op::Revoke(slot) => {
            let known = model.caps.contains_key(&slot);
            model.revoke(slot);
            let result = if known { Ok(()) } else { Err(Error::InvalidCapability) };
            (result, CapRevoke, [0, slot, 0, 0, 0, 0])
        }
        Op::RevokeAll => {
            model.revoke(UNTYPED);
            (Ok(()), CapRevoke, [0, untyped, 0, 0, 0, 0])
        }
    };
    (expected, w.call(call, &arguments).map(|_| ()))
}

fn compare(w: &World, model: &Model, untyped: u64) {
    for slot in SLOTS {
        let seen = w.ok(Syscall::CapIdentify, &[0, slot]);
        let expected = model.caps.get(&slot).map_or([0; 3], |cap| [cap.kind as u64, cap.rights.into(), cap.badge]);
        assert_eq!(seen, expected, "slot {slot}");
        let children = w.kernel.slot_of(w.current(), slot).unwrap().has_children();
        assert_eq!(children, model.has_children(slot), "children of slot {slot}");
    }
    let used = if model.has_children(UNTYPED) { model.watermark } else { 0 };
    assert_eq!(w.ok(Syscall::UntypedInfo, &[untyped]), [0, BYTES, used]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(60),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn capabilities_and_memory_behave_like_the_model(
        ops in vec(op(), 1..if cfg!(miri) { 25 } else { 150 }),
    ) {
        let w = World::new();
        // Alignment within the range shall be alignment in memory, as the model has it.
        let filler = w.make(ObjectType::Untyped, 4096);
        if w.kernel.slot_of(w.current(), filler).unwrap().object.get().is_multiple_of(8192) {
            w.make(ObjectType::Untyped, 4096);
        }
        let untyped = w.make(ObjectType::Untyped, BYTES);
        let mut model = Model::default();
        for op in &ops {
            let (expected, seen) = apply(&w, &mut model, untyped, op);
            prop_assert_eq!(expected, seen, "{:?}", op);
            compare(&w, &model, untyped);
            check(&w);
        }
        w.ok(Syscall::CapRevoke, &[0, untyped]);
        model.revoke(UNTYPED);
        compare(&w, &model, untyped);
        prop_assert!(!w.kernel.slot_of(w.current(), untyped).unwrap().has_children(), "revoke leaves nothing");
    }
}
