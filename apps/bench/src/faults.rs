//! Page faults: a thread faults, its handler in another address space, at a higher priority, hears of it and resumes it.

use motte::abi::fault::FaultKind;
use motte::abi::{MessageInfo, ObjectType, PAGE_SIZE, Rights};
use motte::kernel::{AddressSpace, CacheMode, CapSlot, Endpoint, Frame, Message, Reply};

use crate::CLIENT_PRIORITY;
use crate::arena::Arena;
use crate::child::{Child, Plan, UNMAPPED};
use crate::failure::Failure;
use crate::meter::Named;
use crate::roles;

const COUNT: usize = 1000;
/// Pages that fit from [`UNMAPPED`] on below one page table, and into the program's capability table.
const PAGES: usize = 200;

/// A thread that touches page after page, and has already faulted at the first.
struct Faulting {
    endpoint: Endpoint,
    reply: Reply,
    space: AddressSpace,
}

impl Faulting {
    fn start(arena: &mut Arena) -> Result<Self, Failure> {
        let endpoint = Endpoint(arena.make(ObjectType::Endpoint, 0)?);
        let reply = Reply(arena.make(ObjectType::Reply, 0)?);
        let faults = arena.slot()?;
        endpoint.0.mint(faults, Rights::SEND, 1)?;
        let plan = Plan {
            role: roles::touch_pages,
            argument: UNMAPPED,
            priority: CLIENT_PRIORITY - 1,
            capabilities: &[],
            faults: Some(faults),
            shared: None,
            slots: 16,
        };
        let space = Child::start(arena, &plan)?.space;
        check(Ok(endpoint.receive(reply)?), UNMAPPED)?;
        Ok(Self { endpoint, reply, space })
    }

    /// Resumes the thread and waits for its next fault.
    #[inline(always)]
    fn resume(&self) -> Result<Message, Failure> {
        Ok(self.endpoint.reply_receive_short(self.reply, MessageInfo::default(), [0; 4])?)
    }
}

fn check(message: Result<Message, Failure>, address: u64) -> Result<(), Failure> {
    let message = message?;
    let is_fault = FaultKind::from_label(message.info.label()) == Some(FaultKind::PageFault);
    if is_fault && message.words[1] == address { Ok(()) } else { Err(Failure::Wrong("another fault came")) }
}

/// A fault and its answer: the handler resumes the thread, which executes the instruction again, faults, and the handler hears of it.
pub fn fault(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let faulting = Faulting::start(arena)?;
    meter.measure(COUNT, || faulting.resume(), |message| check(message, UNMAPPED))
}

/// The same, and the handler makes a page, which the kernel zeroes, and maps it: the thread goes on to the next page.
pub fn fault_map(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let faulting = Faulting::start(arena)?;
    let (space, untyped) = (faulting.space, arena.untyped);
    let (mut slot, mut address) = (arena.slots(PAGES)?, UNMAPPED);
    // The loop that counts and what looks at its results take turns.
    let place = core::cell::Cell::new((slot, address));
    meter.measure(
        PAGES,
        || {
            let (slot, address) = place.get();
            untyped.retype(ObjectType::Frame, PAGE_SIZE as u64, CapSlot::OWN_TABLE, slot.0, 1)?;
            let rights = Rights::READ | Rights::WRITE;
            Frame(slot).map(space, address, rights, CacheMode::Normal)?;
            faulting.resume()
        },
        |message| {
            slot.0 += 1;
            address += PAGE_SIZE as u64;
            place.set((slot, address));
            check(message, address)
        },
    )
}
