//! Address ranges: how large they are, and a place for those that the firmware gave none.
//!
//! A range is measured by writing ones into its register and looking which of them stay (PCI 6.2.5.1), with the device deaf to addresses
//! meanwhile. That is done when the device's own driver asks, never for a device that another driver may be using.

use alloc::vec::Vec;
use core::ops::Range;

use motte_interfaces::pci::PciBar;

use crate::config::{self, BARS, COMMAND, COMMAND_MEMORY, COMMAND_PORTS, Config};
use crate::function::Function;

/// Where ranges without a place are put: the upper part of the hole below 4 GiB, under what every PC keeps for its interrupt
/// controllers and firmware.
pub type Window = Range<u64>;

/// No range.
const NONE: PciBar = PciBar { base: 0, size: 0, ports: false };

const PORTS: u32 = 1;
const WIDE: u32 = 0b100;
const TYPE: u32 = 0b110;

fn register(bar: usize) -> u8 {
    BARS + bar as u8 * 4
}

fn registers(function: &Function) -> usize {
    match function.header {
        0 => 6,
        1 => 2,
        _ => 0,
    }
}

/// Where register `bar` places its range, and whether it takes the next register too.
fn decode(config: &mut impl Config, address: u16, bar: usize) -> (u64, bool, bool) {
    let low = config.read(address, register(bar));
    if low & PORTS != 0 {
        return (u64::from(low & !3), true, false);
    }
    let wide = low & TYPE == WIDE && bar < 5;
    let high = if wide { config.read(address, register(bar + 1)) } else { 0 };
    (u64::from(low & !0xf) | u64::from(high) << 32, false, wide)
}

/// Writes ones and returns what stays of them, then writes the old value back.
fn probe(config: &mut impl Config, address: u16, offset: u8) -> u32 {
    let old = config.read(address, offset);
    config.write(address, offset, 4, u32::MAX);
    let stays = config.read(address, offset);
    config.write(address, offset, 4, old);
    stays
}

/// The ranges of a function, measured.
pub fn measure(config: &mut impl Config, function: &Function) -> [PciBar; 6] {
    let address = function.address;
    let command = config.read_u16(address, COMMAND);
    config.write(address, COMMAND, 2, u32::from(command & !(COMMAND_MEMORY | COMMAND_PORTS)));
    let mut bars = [NONE; 6];
    let mut bar = 0;
    while bar < registers(function) {
        let (base, ports, wide) = decode(config, address, bar);
        let low = probe(config, address, register(bar));
        let size = if ports {
            // The upper half may be wired to zero: there are only 16 bits of ports.
            u64::from((!(low & !3)).wrapping_add(1) & 0xffff)
        } else if wide {
            let mask = u64::from(low & !0xf) | u64::from(probe(config, address, register(bar + 1))) << 32;
            (!mask).wrapping_add(1)
        } else {
            u64::from((!(low & !0xf)).wrapping_add(1))
        };
        if low != 0 && size.is_power_of_two() {
            bars[bar] = PciBar { base, size, ports };
        }
        bar += if wide { 2 } else { 1 };
    }
    config.write(address, COMMAND, 2, u32::from(command));
    bars
}

/// Gives memory ranges of a function that lie nowhere a place in `window`. Returns whether all lie somewhere now: behind
/// a bridge there is no place that the bridge would pass on.
pub fn place(
    config: &mut impl Config,
    functions: &[Function],
    function: &Function,
    bars: &mut [PciBar; 6],
    window: &Window,
) -> bool {
    let homeless = |bar: &PciBar| bar.size > 0 && !bar.ports && bar.base == 0;
    if !bars.iter().any(homeless) {
        return true;
    }
    if function.address >> 8 != 0 {
        return false;
    }
    let mut taken: Vec<Range<u64>> = Vec::new();
    for other in functions {
        occupied(config, other, &mut taken);
    }
    let mut all = true;
    for (index, bar) in bars.iter_mut().enumerate().filter(|(_, bar)| homeless(bar)) {
        // At least a page each: pages are what is handed out.
        let size = bar.size.max(0x1000);
        match free(&taken, window, size) {
            Some(base) => {
                config.write(function.address, register(index), 4, base as u32);
                let (_, _, wide) = decode(config, function.address, index);
                if wide {
                    config.write(function.address, register(index + 1), 4, (base >> 32) as u32);
                }
                bar.base = base;
                taken.push(base..base + size);
            }
            None => all = false,
        }
    }
    all
}

/// Whether a range of another function begins in the page at `physical`: small ranges may share one.
pub fn is_shared(config: &mut impl Config, functions: &[Function], address: u16, physical: u64) -> bool {
    let mut others = Vec::new();
    for other in functions.iter().filter(|other| other.address != address && other.header == 0) {
        occupied(config, other, &mut others);
    }
    others.iter().any(|range| range.start & !0xfff == physical)
}

/// The highest free place for `size` bytes.
fn free(taken: &[Range<u64>], window: &Window, size: u64) -> Option<u64> {
    let mut base = window.end.checked_sub(size)? & !(size - 1);
    while base >= window.start {
        match taken.iter().find(|range| range.start < base + size && base < range.end) {
            None => return Some(base),
            Some(conflict) => base = conflict.start.checked_sub(size)? & !(size - 1),
        }
    }
    None
}

/// What a function occupies, without measuring it: a range lies at a multiple of its size, so it is no larger than the
/// lowest bit of its address.
fn occupied(config: &mut impl Config, function: &Function, taken: &mut Vec<Range<u64>>) {
    let address = function.address;
    let mut bar = 0;
    while bar < registers(function) {
        let (base, ports, wide) = decode(config, address, bar);
        if !ports && base != 0 {
            taken.push(base..base.saturating_add(1 << base.trailing_zeros()));
        }
        bar += if wide { 2 } else { 1 };
    }
    if function.header == 1 {
        for offset in [config::BRIDGE_MEMORY, config::BRIDGE_MEMORY + 4] {
            let word = config.read(address, offset);
            let (base, limit) = (u64::from(word & 0xfff0) << 16, u64::from(word & 0xfff0_0000) | 0xf_ffff);
            if base < limit {
                taken.push(base..limit + 1);
            }
        }
    }
}
