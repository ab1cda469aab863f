//! Threads.

use motte::abi::{Error, ObjectType, PAGE_SIZE};
use motte::kernel::{CapSlot, Frame, Thread, own, yield_now};
use motte::memory::{self, Mapping};
use motte::start;

use crate::SERVER_PRIORITY;
use crate::arena::Arena;
use crate::child;
use crate::failure::Failure;
use crate::machine;
use crate::meter::Named;
use crate::roles;

const COUNT: usize = 1000;
/// How often threads are made.
const THREADS: usize = 200;

/// Goes to the end of the ready queue, where nobody else is.
pub fn yield_alone(meter: &mut Named<'_>) -> Result<(), Failure> {
    meter.measure(COUNT, yield_now, |()| Ok(()))
}

/// Makes a thread in the program's address space and starts it: until its first instruction. Making includes that the kernel zeroes its page.
/// Stack, message buffer and scheduling context are there already.
pub fn create(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let page = Mapping::new(1)?;
    page.write_u64(24, arena.make(ObjectType::Notification, 0)?.0);
    let stack_bytes = 4 * PAGE_SIZE as u64;
    let stack_top = memory::map_stack(stack_bytes)? + stack_bytes;
    let buffer = Frame(arena.make(ObjectType::Frame, PAGE_SIZE as u64)?);
    let context = start::further_context(0).ok_or(Error::InvalidCapability)?;
    let fault = start::capability("fault").unwrap_or(CapSlot::NULL);
    // The thread's memory alone, so that it is taken back with the thread.
    let untyped = motte::kernel::Untyped(arena.make(ObjectType::Untyped, PAGE_SIZE as u64)?);
    let slot = arena.slot()?;
    meter.measure_spans(THREADS, || {
        let begin = machine::stamp();
        untyped.retype(ObjectType::Thread, 0, CapSlot::OWN_TABLE, slot.0, 1)?;
        let thread = Thread(slot);
        thread.configure(own::CAP_TABLE.0, own::ADDRESS_SPACE.0, fault, buffer.0)?;
        thread.schedule(SERVER_PRIORITY, SERVER_PRIORITY, context)?;
        thread.start(&child::registers(roles::begin, page.address(), stack_top))?;
        let began = page.read_u64(16) as u32;
        slot.delete()?;
        Ok((begin, began))
    })
}
