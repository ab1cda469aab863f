//! The derivation forest: which capability came from which.
//!
//! Siblings form a circular list by `prev` and `next`. A parent's `child` names the first of its children, and only the first child's
//! `parent` is set. A slot without a parent and alone in its circle is a root. Every operation here takes
//! constant time.

use super::slot::Slot;
use crate::memory::Lock;

/// Make a filled slot a root.
pub fn make_root(slot: &Slot) {
    slot.prev.set(Some(slot));
    slot.next.set(Some(slot));
}

/// Make a filled slot a child of `parent`.
pub fn insert_child(held: &Lock, parent: &Slot, slot: &Slot) {
    match parent.child.get(held) {
        None => {
            make_root(slot);
            slot.parent.set(Some(parent));
            parent.child.set(Some(slot));
        }
        Some(first) => {
            slot.prev.set(Some(first));
            slot.next.copy(&first.next);
            if let Some(second) = first.next.get(held) {
                second.prev.set(Some(slot));
            }
            first.next.set(Some(slot));
        }
    }
}

/// Take a slot out; its children take its place among its siblings.
pub fn remove(held: &Lock, slot: &Slot) {
    let parent = slot.parent.get(held);
    let alone = slot.next.names(slot);
    let (prev, next) = (slot.prev.get(held), slot.next.get(held));
    // What now stands first where the slot stood.
    let heir = match slot.child.get(held) {
        None if alone => None,
        None => {
            if let (Some(prev), Some(next)) = (prev, next) {
                prev.next.set(Some(next));
                next.prev.set(Some(prev));
            }
            next
        }
        Some(first) => {
            first.parent.clear();
            if let (false, Some(prev), Some(next), Some(last)) = (alone, prev, next, first.prev.get(held)) {
                prev.next.set(Some(first));
                first.prev.set(Some(prev));
                last.next.set(Some(next));
                next.prev.set(Some(last));
            }
            Some(first)
        }
    };
    if let Some(parent) = parent {
        parent.child.set(heir);
        if let Some(heir) = heir {
            heir.parent.set(Some(parent));
        }
    }
}

/// Put the empty slot `to` in the place of `from`.
pub fn replace(held: &Lock, from: &Slot, to: &Slot) {
    if from.next.names(from) {
        make_root(to);
    } else {
        to.prev.copy(&from.prev);
        to.next.copy(&from.next);
        if let (Some(prev), Some(next)) = (from.prev.get(held), from.next.get(held)) {
            prev.next.set(Some(to));
            next.prev.set(Some(to));
        }
    }
    if let Some(parent) = from.parent.get(held) {
        to.parent.set(Some(parent));
        parent.child.set(Some(to));
    }
    if let Some(child) = from.child.get(held) {
        to.child.set(Some(child));
        child.parent.set(Some(to));
    }
}

/// The first of a slot's children.
pub fn first_child<'k>(held: &'k Lock, slot: &Slot) -> Option<&'k Slot> {
    slot.child.get(held)
}
