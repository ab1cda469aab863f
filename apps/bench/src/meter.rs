//! Takes samples of one operation and prints what comes of them.

use alloc::vec::Vec;

use motte_bench::Summary;

use crate::failure::Failure;
use crate::machine;

/// The most samples of one operation.
const MOST: usize = 1000;
/// How often an operation is done before it is traced.
const WARM: usize = 16;

/// The counter, as it is.
pub struct Meter {
    unit: &'static str,
    /// What the counter shows of nothing at all.
    overhead: u32,
    /// Operations are not counted but done once between marks.
    traces: bool,
    samples: Vec<u32>,
}

/// The meter, at work on one operation.
pub struct Named<'a> {
    meter: &'a mut Meter,
    name: &'static str,
}

impl Meter {
    /// A meter; `traces`: see [`machine::mark`].
    pub fn new(traces: bool) -> Self {
        let overhead = (0..100).map(|_| machine::stamp().wrapping_neg().wrapping_add(machine::stamp())).min();
        Self {
            unit: if machine::counts_instructions() { "instructions" } else { "ticks" },
            overhead: overhead.unwrap_or(0),
            traces,
            samples: alloc::vec![0; MOST],
        }
    }

    /// To measure the operation of that name.
    pub fn named(&mut self, name: &'static str) -> Named<'_> {
        Named { meter: self, name }
    }
}

impl Named<'_> {
    /// Counts `operation`, `count` times. `afterwards` checks its result and puts back what the next needs, and is not counted.
    #[inline(always)]
    pub fn measure<R>(
        &mut self,
        count: usize,
        mut operation: impl FnMut() -> R,
        mut afterwards: impl FnMut(R) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.meter.traces {
            for _ in 0..WARM {
                afterwards(operation())?;
            }
            machine::mark::<1>();
            let result = operation();
            machine::mark::<2>();
            return afterwards(result);
        }
        let samples = &mut self.meter.samples[..count.min(MOST)];
        for sample in samples.iter_mut() {
            let begin = machine::stamp();
            let result = operation();
            let end = machine::stamp();
            *sample = end.wrapping_sub(begin);
            afterwards(result)?;
        }
        self.report(count);
        Ok(())
    }

    /// As [`measure`](Self::measure), of an operation that says itself between which two stamps it lay.
    pub fn measure_spans(
        &mut self,
        count: usize,
        mut operation: impl FnMut() -> Result<(u32, u32), Failure>,
    ) -> Result<(), Failure> {
        if self.meter.traces {
            for _ in 0..WARM {
                operation()?;
            }
            return self.trace_span(operation);
        }
        for index in 0..count.min(MOST) {
            let (begin, end) = operation()?;
            self.meter.samples[index] = end.wrapping_sub(begin);
        }
        self.report(count);
        Ok(())
    }

    /// Does an operation between marks.
    pub fn trace_span(&mut self, mut operation: impl FnMut() -> Result<(u32, u32), Failure>) -> Result<(), Failure> {
        machine::mark::<1>();
        let result = operation();
        machine::mark::<2>();
        result.map(drop)
    }

    /// Whether the operation is to be done once, between marks.
    pub fn traces(&self) -> bool {
        self.meter.traces
    }

    /// Prints a point of a curve: what `operation`, done `count` times with `x` of something, says it cost, measuring included.
    pub fn grow(
        &mut self,
        x: usize,
        count: usize,
        mut operation: impl FnMut() -> Result<u32, Failure>,
    ) -> Result<(), Failure> {
        let count = count.min(MOST);
        for index in 0..count {
            self.meter.samples[index] = operation()?;
        }
        let Meter { overhead, samples, .. } = &mut *self.meter;
        if let Some(summary) = Summary::of(&mut samples[..count], *overhead) {
            motte::println!("growth {} {x} {count} {}", self.name, summary.median);
        }
        Ok(())
    }

    /// Says that a tool beneath the machine has counted: between marks `begin` and `end`, `count` times, each `divisor` operations.
    pub fn report_marks(&self, begin: u32, end: u32, divisor: usize, count: usize) {
        motte::println!("marked {} {begin:#x} {end:#x} {divisor} {count}", self.name);
    }

    fn report(&mut self, count: usize) {
        let Meter { unit, overhead, samples, .. } = &mut *self.meter;
        if let Some(summary) = Summary::of(&mut samples[..count.min(MOST)], *overhead) {
            motte::println!("result {} {unit} {summary}", self.name);
        }
    }
}
