//! Queues of threads, and a core's ready queues.

use crate::arch::Arch;
use crate::memory::{Link, Lock};
use crate::object::thread::{QueueKind, Thread};
use core::cell::Cell;

/// A first-in, first-out queue, linked through `Thread::link`. All zeros is empty.
#[repr(C)]
pub struct Queue<A: Arch> {
    head: Link<Thread<A>>,
    tail: Link<Thread<A>>,
}

impl<A: Arch> Queue<A> {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self { head: Link::null(), tail: Link::null() }
    }

    /// Whether nobody is in it.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// The first.
    #[inline(always)]
    pub fn first<'k>(&self, held: &'k Lock) -> Option<&'k Thread<A>> {
        self.head.get(held)
    }

    /// To the end. The thread is in no queue.
    #[inline(always)]
    pub fn push_back(&self, held: &Lock, thread: &Thread<A>, kind: QueueKind) {
        debug_assert!(thread.queue.get() == QueueKind::None);
        match self.tail.get(held) {
            Some(last) => {
                thread.link.prev.set(Some(last));
                last.link.next.set(Some(thread));
            }
            None => self.head.set(Some(thread)),
        }
        self.tail.set(Some(thread));
        thread.queue.set(kind);
    }

    /// Takes the first thread out, which is `first`.
    #[inline(always)]
    pub fn pop_front(&self, held: &Lock, first: &Thread<A>) {
        debug_assert!(self.head.names(first));
        match first.link.next.get(held) {
            None => {
                self.head.clear();
                self.tail.clear();
            }
            Some(next) => {
                self.head.set(Some(next));
                next.link.prev.clear();
                first.link.next.clear();
            }
        }
        first.queue.set(QueueKind::None);
    }

    /// To the front. The thread is in no queue.
    pub fn push_front(&self, held: &Lock, thread: &Thread<A>, kind: QueueKind) {
        debug_assert!(thread.queue.get() == QueueKind::None);
        thread.queue.set(kind);
        thread.link.next.copy(&self.head);
        match self.head.get(held) {
            Some(first) => first.link.prev.set(Some(thread)),
            None => self.tail.set(Some(thread)),
        }
        self.head.set(Some(thread));
    }

    /// Takes everyone over from another queue; this one is empty.
    pub fn take_over(&self, from: &Self) {
        self.head.copy(&from.head);
        self.tail.copy(&from.tail);
        from.head.clear();
        from.tail.clear();
    }

    /// Takes a thread out, which is in this queue.
    pub fn remove(&self, held: &Lock, thread: &Thread<A>) {
        match thread.link.prev.get(held) {
            Some(prev) => prev.link.next.copy(&thread.link.next),
            None => self.head.copy(&thread.link.next),
        }
        match thread.link.next.get(held) {
            Some(next) => next.link.prev.copy(&thread.link.prev),
            None => self.tail.copy(&thread.link.prev),
        }
        thread.link.prev.clear();
        thread.link.next.clear();
        thread.queue.set(QueueKind::None);
    }
}

/// The ready threads of one core: a queue per priority, and which are not empty.
pub struct ReadyQueues<A: Arch> {
    queues: [Queue<A>; 256],
    bits: [Cell<u64>; 4],
    /// The highest priority with a ready thread; 0 if there is none.
    highest: Cell<u8>,
    /// Whose they are. With `highest` the lowest place ([`Thread::place`]) from which a thread need not queue.
    core: Cell<u8>,
    /// How many places above it are of this core too.
    room: Cell<u16>,
}

impl<A: Arch> ReadyQueues<A> {
    pub(crate) const fn new() -> Self {
        Self {
            queues: [const { Queue::new() }; 256],
            bits: [const { Cell::new(0) }; 4],
            highest: Cell::new(0),
            core: Cell::new(0),
            room: Cell::new(255),
        }
    }

    /// The highest priority with a ready thread.
    #[inline(always)]
    pub fn top(&self) -> Option<u8> {
        let highest = self.highest.get();
        (!self.queues[usize::from(highest)].is_empty()).then_some(highest)
    }

    /// Whether this thread, becoming ready on the running context, runs on this core and goes first.
    #[inline(always)]
    pub fn gives_way_to(&self, thread: &Thread<A>) -> bool {
        let floor = u16::from_le_bytes([self.highest.get(), self.core.get()]);
        thread.place().wrapping_sub(floor) <= self.room.get()
    }

    /// The thread to run first.
    #[inline(always)]
    pub fn first<'k>(&self, held: &'k Lock) -> Option<&'k Thread<A>> {
        self.queues[usize::from(self.highest.get())].first(held)
    }

    /// Queues a thread at its priority.
    pub fn insert(&self, held: &Lock, thread: &Thread<A>, front: bool) {
        let priority = thread.priority.get();
        let queue = &self.queues[usize::from(priority)];
        if front {
            queue.push_front(held, thread, QueueKind::Ready);
        } else {
            queue.push_back(held, thread, QueueKind::Ready);
        }
        let bits = &self.bits[usize::from(priority / 64)];
        bits.set(bits.get() | 1 << (priority % 64));
        self.set_highest(self.highest.get().max(priority));
    }

    /// Takes a ready thread out.
    pub fn remove(&self, held: &Lock, thread: &Thread<A>) {
        let priority = thread.priority.get();
        let queue = &self.queues[usize::from(priority)];
        queue.remove(held, thread);
        if queue.is_empty() {
            let bits = &self.bits[usize::from(priority / 64)];
            bits.set(bits.get() & !(1 << (priority % 64)));
            if self.highest.get() == priority {
                self.set_highest(self.find_highest());
            }
        }
    }

    /// Says which core's they are: 0 if nothing is said.
    pub(crate) fn set_core(&self, core: usize) {
        self.core.set(core as u8);
    }

    #[inline(always)]
    fn set_highest(&self, highest: u8) {
        self.highest.set(highest);
        self.room.set(u16::from(!highest));
    }

    fn find_highest(&self) -> u8 {
        let words = self.bits.iter().enumerate().rev();
        let mut highest = words.filter_map(|(index, bits)| Some(index as u8 * 64 + bits.get().checked_ilog2()? as u8));
        highest.next().unwrap_or(0)
    }
}

#[cfg(test)]
impl<A: Arch> Queue<A> {
    /// Everyone in it, in order.
    pub fn iter<'k>(&self, held: &'k Lock) -> impl Iterator<Item = &'k Thread<A>> + use<'k, A> {
        core::iter::successors(self.first(held), move |thread| thread.link.next.get(held))
    }
}

#[cfg(test)]
impl<A: Arch> ReadyQueues<A> {
    /// All ready threads, by priority from 0 up, with the priority of the queue each is in.
    pub fn iter<'k>(&'k self, held: &'k Lock) -> impl Iterator<Item = (u8, &'k Thread<A>)> + use<'k, A> {
        self.queues.iter().enumerate().flat_map(move |(p, queue)| queue.iter(held).map(move |t| (p as u8, t)))
    }
}
