//! What outlives this server: slots of its capability table, and the memory for programs, whose ranges lie in the first of them.

use alloc::collections::BTreeSet;
use core::ops::Range;

use motte::abi::ObjectType;
use motte::abi::syscall::ThreadState;
use motte::interfaces::Cap;
use motte::interfaces::badge::OBJECT;
use motte::kernel::{CapSlot, Thread, Untyped};
use motte::slots::{MAX_SLOTS, SlotMap};
use motte::{kept, log};
use motte_loader::system::MAX_SPARE_MEMORY;
use motte_process::pool::Cutter;
use motte_process::remains::{Content, Remains};

use crate::programs::streams_of;

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

    /// Whether nothing is in these slots.
    pub fn are_empty(mut slots: Range<u64>) -> bool {
        slots.all(|slot| content(slot) == Content::Nothing)
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

    /// Empties whatever a predecessor left and nobody claimed; `close` closes the streams among it.
    pub fn sweep(&mut self, close: impl Fn(Cap)) {
        let slots = kept::slots();
        let left = (slots.start + MAX_SPARE_MEMORY..slots.end).filter(|slot| !self.claimed.contains(slot));
        let Remains { others, streams } = Remains::find(left, content);
        for slot in others {
            let _ = CapSlot(slot).delete();
        }
        if !streams.is_empty() {
            log::warn!("{} streams of programs that are no more are closed", streams.len());
        }
        streams.into_iter().for_each(|slot| close(Cap(slot)));
        self.claimed.clear();
    }
}

/// What is in a slot.
fn content(slot: u64) -> Content {
    let never_ran = |thread: Thread| {
        thread.info().is_ok_and(|info| info.state == ThreadState::Stopped as u64 && info.nanoseconds == 0)
    };
    match CapSlot(slot).identify() {
        Ok((ObjectType::Endpoint, _, badge)) if badge & OBJECT != 0 => Content::Stream,
        Ok((ObjectType::Thread, ..)) if never_ran(Thread::at(slot)) => Content::NewThread(streams_of(slot)),
        Ok((ObjectType::Null, ..)) | Err(_) => Content::Nothing,
        Ok(_) => Content::Other,
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
