//! A core's deadlines, in order: a leftist heap linked through the objects that wait, with logarithmic insertion and
//! removal in the worst case.

use crate::memory::{Link, Lock, Plain, address_of, view};
use core::cell::Cell;
use core::mem::swap;
use motte_abi::ObjectType;

/// A deadline inside an object (scheduling context or notification).
#[repr(C)]
pub struct TimerNode {
    deadline: Cell<u64>,
    parent: Link<TimerNode>,
    left: Link<TimerNode>,
    right: Link<TimerNode>,
    owner: Cell<u64>,
    rank: Cell<u32>,
    armed: Cell<bool>,
    kind: Cell<ObjectType>,
    core: Cell<u8>,
}

impl TimerNode {
    /// Say what object it lies in; once, when the object is made.
    pub(crate) fn begin<T: Plain>(&self, owner: &T, kind: ObjectType) {
        self.owner.set(address_of(owner));
        self.kind.set(kind);
    }

    /// Whether it is in a core's heap.
    pub fn is_armed(&self) -> bool {
        self.armed.get()
    }

    /// In whose heap.
    pub fn core(&self) -> usize {
        self.core.get().into()
    }

    /// When, in nanoseconds.
    pub fn deadline(&self) -> u64 {
        self.deadline.get()
    }

    /// Type of the object that it lies in.
    pub fn kind(&self) -> ObjectType {
        self.kind.get()
    }

    /// The object that it lies in, of the type that `kind` says.
    pub(crate) fn owner<'k, T: Plain>(&self, held: &'k Lock) -> &'k T {
        view(held, self.owner.get())
    }
}

/// Rank of an heir: the length of its rightmost path.
fn rank(node: Option<&TimerNode>) -> u32 {
    node.map_or(0, |node| node.rank.get())
}

/// Puts the longer child left and sets the rank; whether that changed the rank.
fn level(held: &Lock, node: &TimerNode) -> bool {
    let (mut left, mut right) = (node.left.get(held), node.right.get(held));
    if rank(left) < rank(right) {
        swap(&mut left, &mut right);
        node.left.set(left);
        node.right.set(right);
    }
    let new = rank(right) + 1;
    node.rank.replace(new) != new
}

/// Joins two heaps. Its depth is at most the sum of their ranks, which are logarithms of their sizes.
fn merge<'k>(held: &'k Lock, a: Option<&'k TimerNode>, b: Option<&'k TimerNode>) -> Option<&'k TimerNode> {
    let (mut top, mut other) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (one, None) | (None, one) => return one,
    };
    if other.deadline.get() < top.deadline.get() {
        swap(&mut top, &mut other);
    }
    let right = merge(held, top.right.get(held), Some(other));
    top.right.set(right);
    if let Some(right) = right {
        right.parent.set(Some(top));
    }
    level(held, top);
    Some(top)
}

/// The deadlines of one core.
pub struct TimerHeap {
    root: Link<TimerNode>,
}

impl TimerHeap {
    pub(crate) const fn new() -> Self {
        Self { root: Link::null() }
    }

    /// The earliest.
    pub fn first<'k>(&self, held: &'k Lock) -> Option<&'k TimerNode> {
        self.root.get(held)
    }

    /// Adds a node that is not armed.
    pub fn insert(&self, held: &Lock, node: &TimerNode, deadline: u64, core: usize) {
        debug_assert!(!node.armed.get());
        node.deadline.set(deadline);
        node.core.set(core as u8);
        node.armed.set(true);
        node.rank.set(1);
        // The link is read back so that the reference lives as long as the lock.
        let one = Link::null();
        one.set(Some(node));
        let root = merge(held, self.root.get(held), one.get(held));
        self.set_root(root);
    }

    /// Takes an armed node of this heap out.
    pub fn remove(&self, held: &Lock, node: &TimerNode) {
        let heir = merge(held, node.left.get(held), node.right.get(held));
        match node.parent.get(held) {
            None => self.set_root(heir),
            Some(parent) => {
                if parent.left.names(node) {
                    parent.left.set(heir);
                } else {
                    parent.right.set(heir);
                }
                if let Some(heir) = heir {
                    heir.parent.set(Some(parent));
                }
                let mut above = Some(parent);
                while let Some(node) = above
                    && level(held, node)
                {
                    above = node.parent.get(held);
                }
            }
        }
        node.parent.clear();
        node.left.clear();
        node.right.clear();
        node.armed.set(false);
    }

    fn set_root(&self, root: Option<&TimerNode>) {
        if let Some(root) = root {
            root.parent.clear();
        }
        self.root.set(root);
    }
}
