//! What must hold between any two entries into the kernel; checked after every step of the property tests.

use super::world::World;
use crate::arch::Context;
use crate::arch::mock::Mock;
use crate::cap::slot::{DEVICE, Slot};
use crate::memory::{address_of, view};
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::reply::Reply;
use crate::object::sched_context::SchedContext;
use crate::object::table::CapTable;
use crate::object::thread::{Inner, QueueKind, Thread};
use crate::object::{Header, is_counted};
use motte_abi::ObjectType;
use motte_abi::syscall::ThreadState;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::vec::Vec;

/// Slots of init's large table that are looked at; tests use no others.
const INIT_SLOTS_USED: u64 = 400;

/// Everything that can be reached.
struct Found<'w> {
    slots: BTreeMap<u64, &'w Slot>,
    /// Objects by address, with the number of capabilities found.
    objects: BTreeMap<u64, (ObjectType, u32)>,
}

fn find(w: &World) -> Found<'_> {
    let kernel = &*w.kernel;
    let mut found = Found { slots: BTreeMap::new(), objects: BTreeMap::new() };
    let thread = kernel.cores[0].current.get(kernel).or(kernel.cores[0].loaded.get(kernel));
    // The first thread is init's and lives on in most tests; its table leads to everything else.
    let root_table = w.root_table();
    let mut open: Vec<(ObjectType, u64)> = [(ObjectType::CapTable, root_table)].into();
    if let Some(thread) = thread {
        open.push((ObjectType::Thread, address_of(thread)));
    }
    let mut dying = kernel.dying.get(kernel);
    while let Some(header) = dying {
        open.push((header.kind(), address_of(header)));
        dying = header.next_dying.get(kernel);
    }
    let mut seen = BTreeSet::new();
    while let Some((kind, address)) = open.pop() {
        if !seen.insert(address) {
            continue;
        }
        let mut slots = Vec::new();
        match kind {
            ObjectType::CapTable => {
                let table: &CapTable = view(kernel, address);
                let count = table.slots.get();
                let count = if count > 4096 { INIT_SLOTS_USED } else { count };
                slots.extend((1..count).filter_map(|index| table.slot(kernel, index)));
            }
            ObjectType::Thread => {
                let thread: &Thread<Mock> = view(kernel, address);
                let inner = [Inner::Table, Inner::Space, Inner::FaultEndpoint, Inner::Buffer];
                slots.extend(inner.map(|which| thread.slot(which)));
            }
            _ => {}
        }
        for slot in slots {
            if slot.is_empty() {
                assert!(slot.parent.is_null() && slot.child.is_null() && slot.next.is_null());
                continue;
            }
            found.slots.insert(address_of(slot), slot);
            if is_counted(slot.kind()) {
                let object = slot.object.get();
                found.objects.entry(object).or_insert((slot.kind(), 0)).1 += 1;
                open.push((slot.kind(), object));
            }
        }
    }
    found
}

/// Panics unless every invariant holds.
pub fn check(w: &World) {
    let found = find(w);
    check_derivation(w, &found);
    for (&address, &(kind, count)) in &found.objects {
        let header: &Header = view(&w.kernel, address);
        assert_eq!((header.kind(), header.caps.get()), (kind, count), "capabilities to a {kind:?}");
    }
    check_memory(&found);
    check_threads(w, &found);
    check_lending(w, &found);
}

fn check_derivation(w: &World, found: &Found<'_>) {
    let kernel = &*w.kernel;
    let known = |slot: &Slot| assert!(found.slots.contains_key(&address_of(slot)), "a link out of the forest");
    let mut parents = BTreeMap::new();
    for (&address, slot) in &found.slots {
        let (next, prev) = (slot.next.get(kernel).unwrap(), slot.prev.get(kernel).unwrap());
        known(next);
        known(prev);
        assert!(next.prev.names(slot) && prev.next.names(slot));
        if let Some(parent) = slot.parent.get(kernel) {
            known(parent);
            assert!(parent.child.names(slot));
        }
        if let Some(first) = slot.child.get(kernel) {
            known(first);
            assert!(first.parent.names(slot));
            let mut child = first;
            loop {
                assert!(parents.insert(address_of(child), address).is_none(), "two parents");
                child = child.next.get(kernel).unwrap();
                if core::ptr::eq(child, first) {
                    break;
                }
                assert!(child.parent.is_null());
            }
        }
    }
    for (child, parent) in &parents {
        let (child, parent) = (found.slots[child], found.slots[parent]);
        if child.kind() == parent.kind() && child.kind() != ObjectType::Untyped {
            assert_eq!(child.object.get(), parent.object.get());
            assert!(parent.rights().contains(child.rights()), "rights grew");
            assert!(
                parent.badge.get() == child.badge.get() || parent.badge.get() == 0 || child.kind() == ObjectType::Frame
            );
        } else {
            use ObjectType::*;
            assert!(matches!(parent.kind(), Untyped | IrqControl | IoPortControl), "{:?}", parent.kind());
            if parent.kind() == Untyped && child.kind() == Untyped {
                let (base, size) = (parent.object.get(), parent.badge.get());
                assert!(child.object.get() >= base && child.object.get() + child.badge.get() <= base + size);
            }
        }
        let mut above = address_of(parent);
        let mut steps = 0;
        while let Some(&next) = parents.get(&above) {
            above = next;
            steps += 1;
            assert!(steps <= found.slots.len(), "a circle of parents");
        }
    }
}

/// Bytes that an object takes, and where.
fn extent(slot: &Slot) -> Option<(u64, u64)> {
    let object = slot.object.get();
    Some(match slot.kind() {
        ObjectType::Frame => (object, slot.frame_bytes()),
        ObjectType::PageTable | ObjectType::Thread => (object, 4096),
        ObjectType::AddressSpace => (object - 4096, 8192),
        ObjectType::Endpoint | ObjectType::Reply | ObjectType::Notification => (object, 128),
        ObjectType::SchedContext => (object, 256),
        _ => return None,
    })
}

fn check_memory(found: &Found<'_>) {
    let ram = found.slots.values().filter(|slot| !slot.has(DEVICE));
    let mut extents: Vec<_> = ram.filter_map(|slot| extent(slot).map(|(at, size)| (at, size, slot.kind()))).collect();
    extents.sort_by_key(|&(at, size, _)| (at, size));
    extents.dedup();
    for pair in extents.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{:?} and {:?} overlap", pair[0], pair[1]);
    }
    for slot in found.slots.values().filter(|slot| slot.kind() == ObjectType::Untyped) {
        assert!(slot.extra.get() <= slot.badge.get());
    }
}

fn check_threads(w: &World, found: &Found<'_>) {
    let kernel = &*w.kernel;
    let core = &kernel.cores[0];
    let mut queued = BTreeMap::new();
    let mut note = |thread: &Thread<Mock>, kind: QueueKind| {
        assert_eq!(thread.queue.get(), kind);
        assert!(queued.insert(address_of(thread), kind).is_none(), "a thread in two queues");
    };
    for (priority, thread) in core.ready.iter(kernel) {
        assert_eq!(thread.priority.get(), priority);
        note(thread, QueueKind::Ready);
    }
    for (&address, &(kind, _)) in &found.objects {
        match kind {
            ObjectType::Endpoint => {
                let endpoint: &Endpoint<Mock> = view(kernel, address);
                for (queue, kind) in [
                    (&endpoint.senders, QueueKind::Senders),
                    (&endpoint.callers, QueueKind::Callers),
                    (endpoint.any_receivers(), QueueKind::Receivers),
                    (&endpoint.plain_receivers, QueueKind::PlainReceivers),
                ] {
                    for thread in queue.iter(kernel) {
                        assert!(thread.endpoint.names(endpoint));
                        note(thread, kind);
                    }
                }
                let (senders, callers) = (!endpoint.senders.is_empty(), !endpoint.callers.is_empty());
                assert!(endpoint.any_receivers().is_empty() || !senders && !callers);
                assert!(endpoint.plain_receivers.is_empty() || !senders);
                assert!(!endpoint.is_closed() || !senders && !callers && endpoint.receivers.is_empty());
            }
            ObjectType::Notification => {
                let notification: &Notification<Mock> = view(kernel, address);
                for thread in notification.waiters.iter(kernel) {
                    assert!(thread.waits_on.names(notification));
                    note(thread, QueueKind::Waiters);
                }
                assert!(notification.waiters.is_empty() || notification.word.get() == 0);
                let bound = notification.bound.get(kernel);
                assert!(bound.is_none_or(|thread| thread.notification.names(notification)));
            }
            ObjectType::Reply => {
                let reply: &Reply<Mock> = view(kernel, address);
                assert!(reply.caller.is_null() || reply.receiver.is_null());
                for thread in [&reply.caller, &reply.receiver].into_iter().filter_map(|link| link.get(kernel)) {
                    assert!(thread.reply.names(reply));
                }
            }
            _ => {}
        }
    }
    for (&address, _) in found.objects.iter().filter(|(_, object)| object.0 == ObjectType::Thread) {
        let thread: &Thread<Mock> = view(kernel, address);
        let queue = queued.get(&address).copied().unwrap_or(QueueKind::None);
        assert_eq!(thread.queue.get(), queue, "in the queue it says");
        let state = thread.state.get();
        let current = core.current.names(thread);
        let ready = state == ThreadState::Ready && !current && kernel.usable_context(thread).is_some();
        assert_eq!(ready, queue == QueueKind::Ready, "{state:?}");
        match state {
            ThreadState::Sending => assert!(matches!(queue, QueueKind::Senders | QueueKind::Callers)),
            ThreadState::Receiving => {
                assert!(matches!(queue, QueueKind::Receivers | QueueKind::PlainReceivers));
                assert_eq!(thread.reply.is_null(), queue == QueueKind::PlainReceivers);
            }
            ThreadState::Waiting => assert_eq!(queue, QueueKind::Waiters),
            ThreadState::AwaitingReply => assert!(thread.reply.get(kernel).unwrap().caller.names(thread)),
            ThreadState::Ready => assert!(thread.table.get() != 0 && thread.space_root.get() != 0),
            ThreadState::Stopped | ThreadState::Faulted => assert!(!current),
        }
        let bound = thread.notification.get(kernel);
        assert!(bound.is_none_or(|notification| notification.bound.names(thread)));
        assert_eq!(thread.table.get(), thread.slot(Inner::Table).object.get());
        assert_eq!(thread.buffer.get(), thread.slot(Inner::Buffer).object.get());
        assert_eq!(thread.space_root.get() == 0, thread.slot(Inner::Space).is_empty());
    }
    if let Some(current) = core.current.get(kernel) {
        assert!(core.ready.top().is_none_or(|top| top <= current.priority.get()));
    } else {
        assert!(core.ready.top().is_none());
    }
}

fn check_lending(w: &World, found: &Found<'_>) {
    let kernel = &*w.kernel;
    let mut lent = BTreeMap::new();
    for (&address, &(kind, _)) in &found.objects {
        if kind == ObjectType::SchedContext {
            let context: &SchedContext<Mock> = view(kernel, address);
            let owner = context.thread.get(kernel);
            assert!(owner.is_none_or(|thread| thread.own.names(context)));
            let mut depth = 0;
            let mut reply = context.top.get(kernel);
            while let Some(below) = reply {
                assert!(below.lent.names(context));
                lent.insert(address_of(below), address);
                depth += 1;
                reply = below.below.get(kernel);
            }
            assert_eq!(depth, context.depth.get());
            if let Some(runner) = context.runner.get(kernel)
                && !context.thread.names(runner)
            {
                assert!(runner.lent.names(context));
            }
            if context.timer.is_armed() && context.remaining.get() > 0 {
                panic!("a context with budget waits for a refill");
            }
        }
    }
    for (&address, &(kind, _)) in &found.objects {
        match kind {
            ObjectType::Reply => {
                let reply: &Reply<Mock> = view(kernel, address);
                assert_eq!(reply.lent.get(kernel).map(address_of), lent.get(&address).copied());
            }
            ObjectType::Thread => {
                let thread: &Thread<Mock> = view(kernel, address);
                if let Some(context) = thread.lent.get(kernel) {
                    let lender = thread.state.get() == ThreadState::AwaitingReply
                        && thread.reply.get(kernel).is_some_and(|reply| reply.lent.names(context));
                    assert!(context.runner.names(thread) || lender, "lent, and neither runs nor waits for it");
                }
            }
            _ => {}
        }
    }
}

/// All that two runs of the same calls must agree on, whichever path their messages took. Addresses count from the start of memory.
pub fn snapshot(w: &World) -> Vec<String> {
    let (kernel, base) = (&*w.kernel, w.arena.base());
    let found = find(w);
    let place = |address: u64| address - base;
    let thread = |link: &crate::memory::Link<Thread<Mock>>| link.get(kernel).map(|thread| thread.number.get());
    let queue = |queue: &crate::sched::queue::Queue<Mock>| -> Vec<u64> {
        queue.iter(kernel).map(|thread| thread.number.get()).collect()
    };
    let core = &kernel.cores[0];
    let ready: Vec<_> = core.ready.iter(kernel).map(|(_, thread)| thread.number.get()).collect();
    let context = core.context.get(kernel).map(|context| place(address_of(context)));
    let mut lines = std::vec![format!("runs {:?} on {context:?}, ready {ready:?}", thread(&core.current))];
    for (&address, &(kind, _)) in &found.objects {
        let at = place(address);
        lines.push(match kind {
            ObjectType::Thread => {
                let t: &Thread<Mock> = view(kernel, address);
                let lent = t.lent.get(kernel).map(|context| place(address_of(context)));
                let r = t.context().registers();
                format!(
                    "{at:x} {:?} {:?} lent {lent:x?} signalled {} {r:x?}",
                    t.state.get(),
                    t.queue.get(),
                    t.signalled.get()
                )
            }
            ObjectType::Endpoint => {
                let e: &Endpoint<Mock> = view(kernel, address);
                let queues = [&e.senders, &e.callers, e.any_receivers(), &e.plain_receivers].map(queue);
                format!("{at:x} {queues:?} closed {}", e.is_closed())
            }
            ObjectType::Notification => {
                let n: &Notification<Mock> = view(kernel, address);
                format!("{at:x} {:x} {:?} bound {:?}", n.word.get(), queue(&n.waiters), thread(&n.bound))
            }
            ObjectType::Reply => {
                let reply: &Reply<Mock> = view(kernel, address);
                let lent = reply.lent.get(kernel).map(|context| place(address_of(context)));
                format!("{at:x} caller {:?} receiver {:?} {lent:x?}", thread(&reply.caller), thread(&reply.receiver))
            }
            ObjectType::SchedContext => {
                let c: &SchedContext<Mock> = view(kernel, address);
                format!("{at:x} runner {:?} depth {} left {}", thread(&c.runner), c.depth.get(), c.remaining.get())
            }
            _ => continue,
        });
    }
    lines
}
