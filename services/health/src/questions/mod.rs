//! The questions. Each is asked through a service's ordinary interface, about something new each time, and leaves nothing behind.

pub mod clock;
pub mod files;
pub mod log;
pub mod pipe;
pub mod process;
pub mod registry;
pub mod supervisor;

use alloc::vec::Vec;

use motte_interfaces::{Cap, Transport};

use crate::complaint::Service;

/// The supervisor.
pub const SUPERVISOR: Service = Service("supervisor");
/// The registry.
pub const REGISTRY: Service = Service("registry");
/// The log.
pub const LOG: Service = Service("log");
/// The clock.
pub const CLOCK: Service = Service("clock");
/// The pipe service.
pub const PIPE: Service = Service("pipe");
/// The file server.
pub const FILES: Service = Service("fs");
/// The process server.
pub const PROCESS: Service = Service("process");

/// All services that can be asked. What a question to one takes of others, those before it give.
pub const SERVICES: [Service; 7] = [SUPERVISOR, REGISTRY, LOG, CLOCK, PIPE, FILES, PROCESS];

/// Bytes that a [`Machine`] lends to services.
pub const LENT: usize = 16384;

/// What questions need of the machine.
pub trait Machine {
    /// Calls a service. No call is repeated by itself, and none lasts for ever.
    type Transport: Transport;
    /// Calls through a capability that a service gave.
    fn through(&self, cap: Cap) -> Self::Transport;
    /// Gives a capability up.
    fn give_up(&self, cap: Cap);
    /// The four pages that services are lent.
    fn pages(&self) -> [Cap; 4];
    /// Writes into those pages, from their beginning.
    fn put(&self, bytes: &[u8]);
    /// Reads from them.
    fn get(&self, length: usize) -> Vec<u8>;
    /// Nanoseconds of the monotonic clock.
    fn now_ns(&self) -> u64;
    /// Lets others run.
    fn pause(&self, milliseconds: u64);
}

/// Bytes that are others for every `seed`: steps of SplitMix64 (Steele et al., 2014).
#[must_use]
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = core::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}
