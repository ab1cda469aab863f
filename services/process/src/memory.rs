//! What outlives this server: slots of its capability table, and the memory for programs, whose ranges lie in the first of them.

use alloc::collections::BTreeSet;

use motte::abi::ObjectType;
use motte::kept;
use motte::kernel::{CapSlot, Untyped};
use motte::slots::{MAX_SLOTS, SlotMap};
use motte_loader::system::MAX_SPARE_MEMORY;
use motte_process::pool::Cutter;

/// The slots that outlive this server, and which of them are in use.
pub struct KeptSlots {
    used: SlotMap<{ MAX_SLOTS / 64 }>,
    /// Slots of a predecessor's that are known to hold what they should.
    claimed: BTreeSet<u64>,
}

impl KeptSlots {
    /// None in use but those of the ranges.
    pub fn new() -> Self {
        let slots = kept::slots();
        let used = SlotMap::new();
        used.initialize((slots.start + MAX_SPARE_MEMORY) as usize, slots.end as usize);
        Self { used, claimed: BTreeSet::new() }
    }

    /// The ranges of memory for programs.
    pub fn ranges() -> impl Iterator<Item = Untyped> {
        let first = kept::slots().start;
        (first..first + MAX_SPARE_MEMORY).map(Untyped::at).filter(|range| range.info().is_ok())
    }

    pub fn allocate(&self, count: usize) -> Option<CapSlot> {
        self.used.allocate_range(count).map(|slot| CapSlot(slot as u64))
    }

    /// Gives empty slots back.
    pub fn free(&self, first: CapSlot, count: usize) {
        self.used.free_range(first.0 as usize, count);
    }

    /// Takes over a predecessor's slot if that holds a capability of this type, and nobody else has it.
    pub fn claim(&mut self, slot: u64, ty: ObjectType) -> bool {
        let slots = kept::slots();
        let is_right = (slots.start + MAX_SPARE_MEMORY..slots.end).contains(&slot)
            && CapSlot(slot).identify().is_ok_and(|(found, ..)| found == ty);
        let claimed = is_right && self.claimed.insert(slot);
        if claimed {
            self.used.reserve(slot as usize);
        }
        claimed
    }

    /// Takes a slot over whatever is in it, as part of what was claimed; nothing is an answer too.
    pub fn claim_any(&mut self, slot: u64) {
        if kept::slots().contains(&slot) && self.claimed.insert(slot) {
            self.used.reserve(slot as usize);
        }
    }

    /// Empties whatever a predecessor left and nobody claimed.
    pub fn sweep(&mut self) {
        let slots = kept::slots();
        for slot in (slots.start + MAX_SPARE_MEMORY..slots.end).filter(|slot| !self.claimed.contains(slot)) {
            let _ = CapSlot(slot).delete();
        }
        self.claimed.clear();
    }
}

impl Cutter for KeptSlots {
    type Handle = Untyped;

    fn cut(&mut self, whole: Untyped, bytes: u64) -> Option<Untyped> {
        let slot = self.allocate(1)?;
        match whole.retype(ObjectType::Untyped, bytes, CapSlot::OWN_TABLE, slot.0, 1) {
            Ok(()) => Some(Untyped(slot)),
            Err(_) => {
                self.free(slot, 1);
                None
            }
        }
    }

    fn join(&mut self, piece: Untyped) {
        if piece.0.delete().is_ok() {
            self.free(piece.0, 1);
        }
    }
}
