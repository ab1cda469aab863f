//! The monotonic clock: the time-stamp counter, at a frequency that the processor names or the PC's old timer measures.

use super::cpu::{self, Features};
use super::{apic, port};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use motte_abi::clock::{CLOCK_MAGIC, ClockPage};

/// `nanoseconds = counter * multiplier >> SHIFT`.
const SHIFT: u32 = 32;
const NS_PER_SECOND: u64 = 1_000_000_000;

static MULTIPLIER: AtomicU64 = AtomicU64::new(0);
static FREQUENCY: AtomicU64 = AtomicU64::new(1);

/// Nanoseconds since the processor was reset.
pub fn now() -> u64 {
    ((u128::from(cpu::counter()) * u128::from(MULTIPLIER.load(Relaxed))) >> SHIFT) as u64
}

/// The counter's value at a time of the clock: the first at which `now` has reached it.
pub fn counter_at(nanoseconds: u64) -> u64 {
    let multiplier = u128::from(MULTIPLIER.load(Relaxed)).max(1);
    u64::try_from((u128::from(nanoseconds) << SHIFT).div_ceil(multiplier)).unwrap_or(u64::MAX)
}

/// What programs read the time with.
pub fn page() -> ClockPage {
    ClockPage {
        magic: CLOCK_MAGIC,
        multiplier: MULTIPLIER.load(Relaxed),
        shift: u64::from(SHIFT),
        frequency: FREQUENCY.load(Relaxed),
    }
}

/// Finds the frequencies of the counter and of the local APIC's timer. After `apic::initialise`.
pub fn initialise(features: &Features) {
    if let (Some(frequency), true) = (features.tsc_frequency, features.tsc_deadline) {
        set_frequency(frequency);
        return;
    }
    apic::start_measuring();
    let pit = Pit::start();
    let (mut first_ticks, mut first) = (stamp(), pit.sample());
    // The first readings find cold caches (an emulator: untranslated code), which would count as time.
    for _ in 0..2 {
        (first_ticks, first) = (stamp(), pit.sample());
    }
    let mut last = first;
    while first.left.wrapping_sub(last.left) < MEASURE_TICKS {
        last = pit.sample();
    }
    let last_ticks = stamp();
    let passed = u64::from(first.left.wrapping_sub(last.left)).max(1);
    let measured = last.counter.wrapping_sub(first.counter).max(1) * PIT_FREQUENCY / passed;
    let frequency = features.tsc_frequency.unwrap_or(measured).max(1);
    set_frequency(frequency);
    let nanoseconds = u128::from(last_ticks.1.wrapping_sub(first_ticks.1)) * u128::from(NS_PER_SECOND);
    apic::finish_measuring(last_ticks.0 - first_ticks.0, (nanoseconds / u128::from(frequency)) as u64);
}

/// The local APIC's timer and the counter, read together.
#[inline(never)]
fn stamp() -> (u32, u64) {
    (apic::measured(), cpu::counter())
}

fn set_frequency(frequency: u64) {
    FREQUENCY.store(frequency, Relaxed);
    MULTIPLIER.store(((u128::from(NS_PER_SECOND) << SHIFT) / u128::from(frequency.max(1))) as u64, Relaxed);
}

const PIT_FREQUENCY: u64 = 1_193_182;
/// How long is measured: about 5 ms. The error is then one tick in 6,000, if the machine is not held up.
const MEASURE_TICKS: u16 = 5_966;

/// Channel 2 of the 8254 timer, counting down freely.
struct Pit;

/// The counter's value when the timer had so many ticks left.
#[derive(Clone, Copy)]
struct Sample {
    counter: u64,
    left: u16,
}

impl Pit {
    const CHANNEL_2: u16 = 0x42;
    const COMMAND: u16 = 0x43;
    const GATE: u16 = 0x61;

    fn start() -> Self {
        // Gate on, speaker off; then channel 2, both bytes, mode 2 (counts from 0xffff down, and again).
        port::write(Self::GATE, 1, port::read(Self::GATE, 1) & 0xfc | 1);
        port::write(Self::COMMAND, 1, 0xb4);
        port::write(Self::CHANNEL_2, 1, 0xff);
        port::write(Self::CHANNEL_2, 1, 0xff);
        Self
    }

    /// Holds the count of channel 2 for reading; the counter before and after.
    #[inline(never)]
    fn latch() -> (u64, u64) {
        let before = cpu::counter();
        port::write(Self::COMMAND, 1, 0x80);
        (before, cpu::counter())
    }

    /// One reading; taken again if it took long, because the processor may have been held up in between.
    fn sample(&self) -> Sample {
        let mut best = (u64::MAX, Sample { counter: 0, left: 0 });
        for _ in 0..3 {
            let (before, after) = Self::latch();
            let low = port::read(Self::CHANNEL_2, 1);
            let left = (port::read(Self::CHANNEL_2, 1) << 8 | low) as u16;
            if after - before < best.0 {
                best = (after - before, Sample { counter: before + (after - before) / 2, left });
            }
        }
        best.1
    }
}
