//! From a device's interrupt to its driver.
//!
//! The device is a timer of the HPET (IA-PC HPET Specification 1.0a), which the manifest gives to the component `bench-interrupt`: its
//! registers, and a line of the I/O APIC.

use alloc::vec;

use motte::abi::{ObjectType, Rights};
use motte::kernel::{CacheMode, Frame, Irq, Notification};
use motte::memory::Mapping;
use motte::start;

use crate::arena::Arena;
use crate::child::{Child, Plan};
use crate::failure::Failure;
use crate::meter::Named;
use crate::{SERVER_PRIORITY, elsewhere, machine, roles};

const COUNT: usize = 200;
/// How long each interrupt is waited for.
const DELAY_NS: u64 = 50_000;

/// The interrupt line.
const LINE: u32 = 20;
/// General capabilities, upper half: femtoseconds of a tick.
const PERIOD: usize = 0x4;
/// General configuration: bit 0 lets the counter run.
const CONFIGURATION: usize = 0x10;
/// Interrupt status: a bit for each timer, cleared by writing it.
const STATUS: usize = 0x20;
/// The counter, lower half.
const COUNTER: usize = 0xf0;
/// Timer 0: configuration, and the counter's value at which it fires.
const TIMER: usize = 0x100;
const COMPARATOR: usize = 0x108;
/// Timer configuration: level-triggered, enabled, 32 bits wide, on that line.
const LEVEL: u32 = 1 << 1;
const ENABLED: u32 = 1 << 2;
const NARROW: u32 = 1 << 8;
const LINE_SHIFT: u32 = 9;

/// The device.
struct Hpet {
    registers: Mapping,
    irq: Irq,
    /// Ticks of the time that an interrupt is waited for.
    delay: u32,
}

impl Hpet {
    fn new(frame: Frame, irq: Irq, notification: Notification) -> Result<Self, Failure> {
        let registers = Mapping::of(vec![frame], Rights::READ | Rights::WRITE, CacheMode::Uncached)?;
        let period_fs = u64::from(registers.read_u32(PERIOD)).max(1);
        let delay = (DELAY_NS * 1_000_000 / period_fs) as u32;
        let hpet = Self { registers, irq, delay };
        // Whoever had it before may have left it with an interrupt raised.
        hpet.silence();
        hpet.registers.write_u32(TIMER, LEVEL | ENABLED | NARROW | LINE << LINE_SHIFT);
        hpet.registers.write_u32(COMPARATOR, hpet.registers.read_u32(COUNTER).wrapping_add(i32::MAX as u32));
        hpet.registers.write_u32(CONFIGURATION, 1);
        hpet.irq.bind(notification.0)?;
        Ok(hpet)
    }

    /// Halts the counter and withdraws the interrupt, while the timer still says on which line it is.
    fn silence(&self) {
        self.registers.write_u32(CONFIGURATION, 0);
        self.registers.write_u32(STATUS, 1);
    }

    /// Has it interrupt after a while. The last interrupt, which has been seen, is withdrawn first: later it could be the next one that
    /// is withdrawn, unseen.
    fn arm(&self) -> Result<(), Failure> {
        self.registers.write_u32(STATUS, 1);
        self.irq.acknowledge()?;
        loop {
            let at = self.registers.read_u32(COUNTER).wrapping_add(self.delay);
            self.registers.write_u32(COMPARATOR, at);
            // The processor may have been held up, and the counter have gone past: the next time it gets there is far.
            if at.wrapping_sub(self.registers.read_u32(COUNTER)) as i32 > 0 {
                return Ok(());
            }
        }
    }
}

impl Drop for Hpet {
    fn drop(&mut self) {
        self.silence();
        self.registers.write_u32(TIMER, 0);
    }
}

/// From an interrupt to the first instruction of the driver that waits for it, a thread in another address space. It is counted from the
/// last instruction before it, of a thread of lower priority that does nothing but read the counter.
pub fn interrupt(arena: &mut Arena, meter: &mut Named<'_>) -> Result<(), Failure> {
    let frame = start::capability("mmio:0xfed00000").map(Frame);
    let (Some(frame), Some(irq)) = (frame, start::capability("irq:20").map(Irq)) else {
        return elsewhere::measure("bench-interrupt");
    };
    let notification = Notification(arena.make(ObjectType::Notification, 0)?);
    let page = Mapping::new(1)?;
    let plan = Plan {
        role: roles::drive,
        argument: 0,
        priority: SERVER_PRIORITY,
        capabilities: &[(notification.0, roles::NOTIFICATION.0.0)],
        faults: None,
        shared: Some(page.frames()[0]),
        slots: 16,
    };
    Child::start(arena, &plan)?;
    let hpet = Hpet::new(frame, irq, notification)?;
    let once = || {
        loop {
            let count = page.read_u64(8);
            page.write_u64(0, 0);
            hpet.arm()?;
            // SAFETY: the page is mapped there, and reached through `page` and by the driver only.
            unsafe { machine::write_stamps(page.address(), count) };
            if page.read_u64(8) != count + 1 {
                return Err(Failure::Wrong("the driver was not woken once"));
            }
            // An interrupt that came before the first stamp says nothing.
            if let begin @ 1.. = page.read_u64(24) {
                return Ok((begin as u32, page.read_u64(16) as u32));
            }
        }
    };
    meter.measure_spans(COUNT, once)?;
    // Whoever traces cannot tell the component so: one more, marked.
    meter.trace_span(once)
}
