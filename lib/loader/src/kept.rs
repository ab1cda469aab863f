//! Kept memory: frames that a component finds again, with what lay in them, after it was restarted.
//!
//! They are paid from an Untyped of their own, which a component's end does not touch, and lie in a table which that Untyped pays for too. The
//! component gets copies of the capabilities. [`withdraw`] takes those back, and all copies that were made of them.

use motte::kernel::CapSlot;
use motte_abi::{Error, LARGE_PAGE_SIZE, ObjectType, PAGE_SIZE, Rights};

use crate::{Source, system};

const LARGE: u64 = LARGE_PAGE_SIZE as u64;
/// The most objects that one call makes.
const MAX_RETYPE: u64 = 256;

/// Frames that `keep` bytes consist of: how many, and the bytes of each.
const fn frames(keep: u64) -> (u64, u64) {
    let size = if keep.is_multiple_of(LARGE) { LARGE } else { PAGE_SIZE as u64 };
    (keep / size, size)
}

/// Slots of the table that holds the frames. The first stays empty.
fn table_slots(keep: u64) -> u64 {
    (frames(keep).0 + 1).next_power_of_two().max(16)
}

/// Bytes of untyped memory that `keep` bytes of kept memory take: the table as well, what is lost where a large frame must be aligned, and the
/// component's own table of `own_slots` slots, if that is kept too (else 0).
#[must_use]
pub fn bytes(keep: u64, own_slots: u64) -> u64 {
    // A table is aligned to its size, and the memory that it comes from to a page.
    let table = |slots| match ObjectType::CapTable.bytes(slots).unwrap_or(0) {
        small if small <= PAGE_SIZE as u64 => PAGE_SIZE as u64,
        large => 2 * large,
    };
    let own = if own_slots > 0 { table(own_slots) } else { 0 };
    match frames(keep) {
        (_, LARGE) => keep + own + LARGE,
        _ => keep + own + table(table_slots(keep)),
    }
}

/// Makes a component's own capability table of what pays for its kept memory, if it is not there: it outlives the component.
pub fn make_own_table(component: usize, slots: u64) -> Result<(), Error> {
    let table = system::places(component).table.0;
    if CapSlot::OWN_TABLE.identify(table.0).is_ok_and(|(ty, ..)| ty == ObjectType::CapTable) {
        return Ok(());
    }
    system::kept_untyped(component).retype(ObjectType::CapTable, slots, CapSlot::OWN_TABLE, table.0, 1)
}

/// Makes the frames of a component, zeroed, if they are not there. Returns whether they were.
pub fn make(component: usize, keep: u64) -> Result<bool, Error> {
    let (untyped, table) = (system::kept_untyped(component), system::kept_table(component));
    if CapSlot::OWN_TABLE.identify(table.0.0).is_ok_and(|(ty, ..)| ty == ObjectType::CapTable) {
        return Ok(true);
    }
    let (count, size) = frames(keep);
    untyped.retype(ObjectType::CapTable, table_slots(keep), CapSlot::OWN_TABLE, table.0.0, 1)?;
    let mut done = 0;
    while done < count {
        let some = (count - done).min(MAX_RETYPE);
        if let Err(error) = untyped.retype(ObjectType::Frame, size, table, 1 + done, some) {
            clear(component);
            return Err(error);
        }
        done += some;
    }
    Ok(false)
}

/// Where a component gets its frames from.
#[must_use]
pub fn source(component: usize, keep: u64) -> Source {
    let rights = Rights::READ | Rights::WRITE | Rights::MANAGE;
    Source::Row(system::kept_table(component), 1..1 + frames(keep).0, rights)
}

/// Takes back every copy of the frames that a component had or gave away; what lies in them stays.
pub fn withdraw(component: usize, keep: u64) {
    let table = system::kept_table(component);
    for frame in 0..frames(keep).0 {
        // A frame that was never made has no copies.
        let _ = table.revoke(1 + frame);
    }
}

/// Gives the frames up, with what lies in them: the next [`make`] makes new ones.
pub fn clear(component: usize) {
    let _ = system::kept_untyped(component).0.revoke();
    let _ = system::kept_table(component).0.delete();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_memory_pays_for_its_table_and_for_alignment() {
        assert_eq!(bytes(4096, 0), 4096 + 4096);
        assert_eq!(bytes(512 << 10, 0), (512 << 10) + 2 * 256 * 64);
        assert_eq!(bytes(8 << 20, 0), 10 << 20);
        assert_eq!(bytes(4096, 1024), 4096 + 4096 + 2 * 65536);
    }
}
