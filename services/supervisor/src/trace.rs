//! The kernel's trace rings.

use alloc::vec::Vec;

use motte::abi::Rights;
use motte::abi::trace::{TRACE_EVENTS, TraceEvent};
use motte::kernel::{CacheMode, CapSlot, Frame};
use motte::memory::Mapping;
use motte::slots;
use motte_loader::system;

use crate::boot_files::numbers;

/// One processor's ring, mapped.
pub struct Trace {
    /// Gone before the frames are.
    mapping: Option<Mapping>,
    frames: Vec<Frame>,
    written: u64,
}

impl Trace {
    /// Maps the ring of a processor; `None`: there is no such processor.
    pub fn map(cpu: u64) -> Option<Self> {
        let [per_core, all] = numbers(system::ENV_TRACE);
        let first = cpu.checked_mul(per_core)?;
        if per_core == 0 || first.checked_add(per_core)? > all {
            return None;
        }
        let mut trace = Self { mapping: None, frames: Vec::new(), written: 0 };
        for frame in first..first + per_core {
            let copy = slots::allocate().ok()?;
            trace.frames.push(Frame(copy));
            CapSlot(system::TRACE + frame).copy(copy, Rights::READ).ok()?;
        }
        let mapping = Mapping::of(trace.frames.clone(), Rights::READ, CacheMode::Normal).ok()?;
        trace.written = mapping.read_u64(0);
        trace.mapping = Some(mapping);
        Some(trace)
    }

    /// How many events there were when it was mapped.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The number of the oldest event that is left.
    pub const fn oldest(&self) -> u64 {
        self.written.saturating_sub(TRACE_EVENTS as u64)
    }

    /// Event number `number`.
    pub fn event(&self, number: u64) -> TraceEvent {
        let at = 64 + (number % TRACE_EVENTS as u64) as usize * size_of::<TraceEvent>();
        let word = |index: usize| self.mapping.as_ref().map_or(0, |mapping| mapping.read_u64(at + index * 8));
        TraceEvent { time: word(0), kind: word(1), a: word(2), b: word(3) }
    }

    /// All that are left, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = TraceEvent> {
        (self.oldest()..self.written).rev().map(|number| self.event(number))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.mapping = None;
        self.frames.iter().for_each(|frame| slots::delete(frame.0));
    }
}
