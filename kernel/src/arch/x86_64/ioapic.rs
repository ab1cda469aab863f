//! The I/O APICs, which bring device lines to a core, and the old interrupt controllers, which are silenced.

use super::{entry, port};
use core::cell::Cell;
use motte_boot::acpi::MAX_IO_APICS;

const SELECT: u64 = 0;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;

const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// One controller: where its registers are mapped, and which lines it has.
#[derive(Clone, Copy)]
struct IoApic {
    registers: u64,
    first_line: u32,
    lines: u32,
}

impl IoApic {
    fn read(self, register: u32) -> u32 {
        // SAFETY: the page is mapped, uncached, for good; the pair of registers is used under the kernel lock.
        unsafe {
            ((self.registers + SELECT) as *mut u32).write_volatile(register);
            ((self.registers + WINDOW) as *const u32).read_volatile()
        }
    }

    fn write(self, register: u32, value: u32) {
        // SAFETY: as for `read`.
        unsafe {
            ((self.registers + SELECT) as *mut u32).write_volatile(register);
            ((self.registers + WINDOW) as *mut u32).write_volatile(value);
        }
    }
}

struct IoApics([Cell<Option<IoApic>>; MAX_IO_APICS]);

// SAFETY: written while the first core starts alone, then only read.
unsafe impl Sync for IoApics {}

static IO_APICS: IoApics = IoApics([const { Cell::new(None) }; MAX_IO_APICS]);

/// Makes a controller known, all its lines masked. `registers` is the address where it is mapped.
pub fn add(registers: u64, first_line: u32) {
    let mut apic = IoApic { registers, first_line, lines: 0 };
    apic.lines = (apic.read(VERSION) >> 16 & 0xff) + 1;
    for line in 0..apic.lines {
        apic.write(REDIRECTION + 2 * line, MASKED);
    }
    if let Some(free) = IO_APICS.0.iter().find(|slot| slot.get().is_none()) {
        free.set(Some(apic));
    }
}

/// The controller of a line, and the line's first redirection register.
fn find(line: u64) -> Option<(IoApic, u32)> {
    let line = u32::try_from(line).ok()?;
    IO_APICS.0.iter().filter_map(Cell::get).find_map(|apic| {
        let own = line.checked_sub(apic.first_line).filter(|&own| own < apic.lines)?;
        Some((apic, REDIRECTION + 2 * own))
    })
}

/// Connects a line to a device vector of the core with that local APIC, masked.
pub fn connect(line: u64, vector: usize, level: bool, active_low: bool, apic_id: u32) -> bool {
    let Some((apic, register)) = find(line) else { return false };
    let mut low = (entry::DEVICE_VECTOR + vector) as u32 | MASKED;
    if level {
        low |= LEVEL;
    }
    if active_low {
        low |= ACTIVE_LOW;
    }
    apic.write(register + 1, apic_id << 24);
    apic.write(register, low);
    true
}

/// Masks or unmasks a line. An edge-triggered line stays unmasked once it was: an edge that comes to a masked input is
/// forgotten (82093AA data sheet, 3.2.4), and the device raises no other until it is served.
pub fn mask(line: u64, masked: bool) {
    if let Some((apic, register)) = find(line) {
        let low = apic.read(register);
        if !masked {
            apic.write(register, low & !MASKED);
        } else if low & LEVEL != 0 {
            apic.write(register, low | MASKED);
        }
    }
}

/// Silences the two 8259 controllers: moves their vectors out of the exceptions' way, for a spurious one, and masks all.
pub fn silence_pic() {
    const FIRST: u16 = 0x20;
    const SECOND: u16 = 0xa0;
    const PIC_VECTOR: u32 = 0x20;
    for (command, vector, cascade) in [(FIRST, PIC_VECTOR, 4), (SECOND, PIC_VECTOR + 8, 2)] {
        port::write(command, 1, 0x11);
        port::write(command + 1, 1, vector);
        port::write(command + 1, 1, cascade);
        port::write(command + 1, 1, 1);
        port::write(command + 1, 1, 0xff);
    }
}
