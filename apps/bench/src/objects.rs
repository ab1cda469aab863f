//! Capabilities, objects, mappings.

use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::kernel::{CacheMode, CapSlot, Frame, MapError, own};
use motte::memory;

use crate::arena::Arena;
use crate::failure::Failure;
use crate::meter::Named;

const COUNT: usize = 1000;

/// A frame, and an address of the program's at which it can be mapped: the page tables are there.
fn frame_and_place(arena: &mut Arena) -> Result<(Frame, u64), Error> {
    let frame = Frame(arena.make(ObjectType::Frame, PAGE_SIZE as u64)?);
    let address = memory::reserve_addresses(PAGE_SIZE as u64, PAGE_SIZE as u64)?;
    arena.map(frame, own::ADDRESS_SPACE, address, Rights::READ | Rights::WRITE)?;
    Ok((frame, address))
}

fn map_frame(frame: Frame, address: u64) -> Result<(), MapError> {
    frame.map(own::ADDRESS_SPACE, address, Rights::READ | Rights::WRITE, CacheMode::Normal)
}

fn unmap_frame(frame: Frame) -> Result<(), Error> {
    // SAFETY: the frame was mapped only to be unmapped; nobody uses that memory.
    unsafe { frame.unmap() }
}

/// Maps a page into the program's own address space.
pub fn map(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let (frame, address) = frame_and_place(arena)?;
    unmap_frame(frame)?;
    meter.measure(
        COUNT,
        || map_frame(frame, address),
        |result| {
            result?;
            Ok(unmap_frame(frame)?)
        },
    )
}

/// Takes a page out of the program's own address space.
pub fn unmap(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let (frame, address) = frame_and_place(arena)?;
    meter.measure(
        COUNT,
        || unmap_frame(frame),
        |result| {
            result?;
            Ok(map_frame(frame, address)?)
        },
    )
}

/// Copies a capability into an empty slot of the same table.
pub fn cap_copy(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let (from, to) = (arena.make(ObjectType::Endpoint, 0)?, arena.slot()?);
    meter.measure(COUNT, || from.copy(to, Rights::ALL), |result| Ok(result.and_then(|()| to.delete())?))
}

/// Copies a capability and gives the copy a badge.
pub fn cap_mint(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let (from, to) = (arena.make(ObjectType::Endpoint, 0)?, arena.slot()?);
    meter.measure(COUNT, || from.mint(to, Rights::SEND, 5), |result| Ok(result.and_then(|()| to.delete())?))
}

/// Deletes a copy of a capability; the object stays.
pub fn cap_delete(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let (from, to) = (arena.make(ObjectType::Endpoint, 0)?, arena.slot()?);
    from.copy(to, Rights::ALL)?;
    meter.measure(COUNT, || to.delete(), |result| Ok(result.and_then(|()| from.copy(to, Rights::ALL))?))
}

/// Makes an endpoint. One in 32 begins a page, which the kernel then zeroes: that is the largest figure.
pub fn retype_endpoint(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    // As long as something is left of it, an Untyped goes on behind what it gave out last.
    arena.make(ObjectType::Endpoint, 0)?;
    let (untyped, slot) = (arena.untyped, arena.slot()?);
    meter.measure(
        COUNT,
        || untyped.retype(ObjectType::Endpoint, 0, CapSlot::OWN_TABLE, slot.0, 1),
        |result| Ok(result.and_then(|()| slot.delete())?),
    )
}
