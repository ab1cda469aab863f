//! How costs grow with the number of things there are. What takes scheduling contexts by the thousand takes the authority over time, so
//! the component `bench-growth` measures this.

use motte::abi::{Error, MessageInfo, ObjectType, PAGE_SIZE, Rights};
use motte::kernel::{
    AddressSpace, CapSlot, CapTable, Endpoint, Reply, SchedContext, SchedControl, Thread, Untyped, own, yield_now,
};
use motte::memory::Mapping;
use motte::start;

use crate::arena::Arena;
use crate::child::{self, Child, Plan};
use crate::failure::Failure;
use crate::machine;
use crate::meter::{Meter, Named};
use crate::roles::{self, Role};
use crate::{CLIENT_PRIORITY, SERVER_PRIORITY, elsewhere};

/// Memory for the objects of the largest measurement.
const MEMORY: u64 = 72 << 20;
/// Turn of each of many threads.
const SLICE_NS: u64 = 10_000_000;
/// The most slots of a table.
const TABLE: usize = 65_536;

/// One curve: its name, its points, and how one is measured.
type Curve = (&'static str, &'static [usize], fn(&mut Arena, &mut Named<'_>, usize) -> Result<(), Failure>);

const CURVES: &[Curve] = &[
    ("clients", &[1, 3, 10, 30, 100, 300, 1000], clients),
    ("table_slots", &[16, 64, 256, 1024, 4096, 16_384, 65_536], table_slots),
    ("ready_threads", &[1, 10, 100, 1000, 3000, 10_000], ready_threads),
    ("revoke_descendants", &[1, 10, 100, 1000, 10_000, 30_000, 100_000], revoke_descendants),
    ("components", &[1, 2, 8, 32, 128, 256, 512], components),
];

/// Measures all curves.
pub fn measure(meter: &mut Meter) -> Result<(), Failure> {
    if start::capability("time-control").is_none() {
        return elsewhere::measure("bench-growth");
    }
    let mut arena = Arena::new(MEMORY)?;
    for &(name, points, curve) in CURVES {
        for &x in points {
            own::THREAD.set_priority(CLIENT_PRIORITY, SERVER_PRIORITY)?;
            curve(&mut arena, &mut meter.named(name), x)?;
            arena.clear();
        }
    }
    Ok(())
}

/// Many threads that need no stack.
struct Crowd {
    role: Role,
    priority: u8,
    table: CapTable,
    space: AddressSpace,
}

impl Crowd {
    /// Makes and starts `count` of them, each with a scheduling context of its own.
    fn start(&self, arena: &mut Arena, count: usize) -> Result<(), Failure> {
        let control = SchedControl(start::capability("time-control").ok_or(Error::InvalidCapability)?);
        let faults = start::capability("fault").unwrap_or(CapSlot::NULL);
        // Their capabilities are kept where they take no slots of the program's own table.
        let places = (2 * count + 1).next_power_of_two().max(16) as u64;
        let keep = CapTable(arena.make(ObjectType::CapTable, places)?);
        let bytes = count as u64 * ObjectType::SchedContext.bytes(0).unwrap_or(0);
        let contexts = Untyped(arena.make(ObjectType::Untyped, bytes.next_multiple_of(PAGE_SIZE as u64))?);
        let (thread, context) = (Thread(arena.slot()?), SchedContext(arena.slot()?));
        for index in 0..count as u64 {
            contexts.retype(ObjectType::SchedContext, 0, CapSlot::OWN_TABLE, context.0.0, 1)?;
            arena.untyped.retype(ObjectType::Thread, 0, CapSlot::OWN_TABLE, thread.0.0, 1)?;
            control.configure(context, SLICE_NS, SLICE_NS, 0)?;
            thread.configure(self.table.0, self.space.0, faults, CapSlot::NULL)?;
            thread.schedule(self.priority, self.priority, context)?;
            thread.start(&child::registers(self.role, 0, 0))?;
            CapSlot::OWN_TABLE.move_to(context.0.0, keep, 1 + 2 * index)?;
            CapSlot::OWN_TABLE.move_to(thread.0.0, keep, 2 + 2 * index)?;
        }
        Ok(())
    }
}

/// Call and reply with `count` clients that all call the same endpoint, all the time. The server has the lower priority, so that
/// all others stand in the endpoint's queue whenever it answers one; that one calls again at once.
fn clients(arena: &mut Arena, meter: &mut Named<'_>, count: usize) -> Result<(), Failure> {
    let endpoint = Endpoint(arena.make(ObjectType::Endpoint, 0)?);
    let reply = Reply(arena.make(ObjectType::Reply, 0)?);
    let (table, space) = Child::surroundings(arena, 16)?;
    CapSlot::OWN_TABLE.copy(endpoint.0.0, table, roles::ENDPOINT.0.0, Rights::SEND)?;
    own::THREAD.set_priority(CLIENT_PRIORITY - 1, SERVER_PRIORITY)?;
    let crowd = Crowd { role: machine::call_for_ever, priority: CLIENT_PRIORITY, table, space };
    crowd.start(arena, count)?;
    let answer = MessageInfo::default();
    endpoint.receive(reply)?;
    meter.grow(count, 1000, || {
        let begin = machine::stamp();
        let result = endpoint.reply_receive_empty(reply, answer);
        let end = machine::stamp();
        result?;
        Ok(end.wrapping_sub(begin))
    })
}

/// Polling a notification whose capability lies in the last slot of a table.
fn table_slots(arena: &mut Arena, meter: &mut Named<'_>, slots: usize) -> Result<(), Failure> {
    let notification = arena.make(ObjectType::Notification, 0)?;
    let page = Mapping::new(1)?;
    let last = slots as u64 - 1;
    let plan = Plan {
        role: roles::poll,
        argument: last,
        priority: SERVER_PRIORITY,
        capabilities: &[(notification, last)],
        faults: None,
        shared: Some(page.frames()[0]),
        slots: slots as u64,
    };
    Child::start(arena, &plan)?;
    let mut index = 0;
    meter.grow(slots, roles::POLLS, || {
        index += 1;
        Ok(page.read_u64((index - 1) * 8) as u32)
    })
}

/// Yielding to `count` threads of the same priority that yield, too: the cost of one switch.
fn ready_threads(arena: &mut Arena, meter: &mut Named<'_>, count: usize) -> Result<(), Failure> {
    let crowd = Crowd {
        role: machine::yield_for_ever,
        priority: CLIENT_PRIORITY,
        table: own::CAP_TABLE,
        space: own::ADDRESS_SPACE,
    };
    crowd.start(arena, count)?;
    // The first time, each begins its turn, which reads the clock.
    yield_now();
    meter.grow(count, 9, || {
        let begin = machine::stamp();
        yield_now();
        let end = machine::stamp();
        Ok(end.wrapping_sub(begin) / (count as u32 + 1))
    })
}

/// Revoking a capability with `count` copies: all of it.
fn revoke_descendants(arena: &mut Arena, meter: &mut Named<'_>, count: usize) -> Result<(), Failure> {
    let original = arena.make(ObjectType::Endpoint, 0)?;
    let slots = (count + 1).next_power_of_two().clamp(16, TABLE);
    let mut tables = alloc::vec::Vec::new();
    for _ in 0..count.div_ceil(slots - 1) {
        tables.push(CapTable(arena.make(ObjectType::CapTable, slots as u64)?));
    }
    let times = if count > 1000 { 3 } else { 25 };
    meter.grow(count, times, || {
        for index in 0..count {
            let (table, slot) = (tables[index / (slots - 1)], 1 + index % (slots - 1));
            CapSlot::OWN_TABLE.copy(original.0, table, slot as u64, Rights::ALL)?;
        }
        let begin = machine::stamp();
        let result = original.revoke();
        let end = machine::stamp();
        result?;
        Ok(end.wrapping_sub(begin))
    })
}

/// Call and reply with `count` servers, each in an address space of its own, that are called in turn.
fn components(arena: &mut Arena, meter: &mut Named<'_>, count: usize) -> Result<(), Failure> {
    let mut endpoints = alloc::vec::Vec::new();
    for _ in 0..count {
        let endpoint = arena.make(ObjectType::Endpoint, 0)?;
        let reply = arena.make(ObjectType::Reply, 0)?;
        let plan = Plan {
            role: roles::serve_empty,
            argument: MessageInfo::default().0,
            priority: SERVER_PRIORITY,
            capabilities: &[(endpoint, roles::ENDPOINT.0.0), (reply, roles::REPLY.0.0)],
            faults: None,
            shared: None,
            slots: 16,
        };
        let server = Child::start(arena, &plan)?;
        // It waits already; from here on it runs on what its callers lend it, and the next is started with its context.
        server.thread.bind_sched_context(CapSlot::NULL)?;
        endpoints.push(Endpoint(endpoint));
    }
    let mut turn = 0;
    meter.grow(count, 1000, || {
        turn = (turn + 1) % count;
        let endpoint = endpoints[turn];
        let begin = machine::stamp();
        let result = endpoint.call_empty(MessageInfo::default());
        let end = machine::stamp();
        result?;
        Ok(end.wrapping_sub(begin))
    })
}
