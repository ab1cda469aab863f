//! The driver against a clock chip in memory.

use motte_clock::{ClockServer, Machine, Registers, from_civil, read, to_civil, write};
use motte_interfaces::clock::Clock;
use motte_interfaces::{Sender, error::IoError};
use proptest::prelude::*;

#[derive(Clone)]
struct Chip {
    registers: [u8; 128],
    updating: usize,
}

impl Chip {
    fn new(mode: u8) -> Self {
        let mut registers = [0; 128];
        registers[0x0b] = mode;
        Self { registers, updating: 0 }
    }
}

impl Registers for Chip {
    fn read(&mut self, register: u8) -> u8 {
        if register == 0x0a && self.updating > 0 {
            self.updating -= 1;
            return 0x80;
        }
        self.registers[usize::from(register)]
    }
    fn write(&mut self, register: u8, value: u8) {
        self.registers[usize::from(register)] = value;
    }
}

impl Machine for Chip {
    fn now(&self) -> u64 {
        5_000_000_000
    }
}

/// The chip's four modes: binary or decimal digits, 24 or 12 hours.
const MODES: [u8; 4] = [0, 2, 4, 6];

proptest! {
    #[test]
    fn what_is_set_is_read_in_every_mode(seconds in 0i64..4_102_444_800, mode in 0usize..4) {
        let mut chip = Chip::new(MODES[mode]);
        write(&mut chip, seconds);
        prop_assert_eq!(read(&mut chip), Some(seconds));
    }

    #[test]
    fn days_and_dates_are_each_others_inverse(day in -1_000_000i64..1_000_000) {
        let (year, month, date) = to_civil(day);
        prop_assert_eq!(from_civil(year, month, date), day);
    }

    #[test]
    fn whatever_the_chip_shows_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 128)) {
        let mut chip = Chip::new(0);
        chip.registers.copy_from_slice(&bytes);
        chip.registers[0x0a] = 0;
        read(&mut chip);
    }
}

#[test]
fn a_known_moment_is_read() {
    let mut chip = Chip::new(2);
    for (register, value) in [(0, 0x56), (2, 0x34), (4, 0x12), (7, 0x29), (8, 0x02), (9, 0x24), (0x32, 0x20)] {
        chip.registers[register] = value;
    }
    chip.updating = 3;
    assert_eq!(read(&mut chip), Some(1_709_210_096));
}

#[test]
fn a_chip_that_never_stops_updating_or_shows_nonsense_has_no_time() {
    let mut chip = Chip::new(2);
    chip.updating = usize::MAX;
    assert_eq!(read(&mut chip), None);
    chip.updating = 0;
    chip.registers[8] = 0x77;
    assert_eq!(read(&mut chip), None);
    assert!(!ClockServer::new(chip).1);
}

#[test]
fn the_offset_is_what_the_monotonic_clock_lacks() {
    let mut chip = Chip::new(6);
    write(&mut chip, 1_000_000);
    let (mut server, good) = ClockServer::new(chip);
    let sender = Sender { badge: 1 };
    assert!(good);
    assert_eq!(server.offset(&sender), Ok(999_995_000_000_000));
    server.set(&sender, 2_000_000_000_000_000).unwrap();
    assert_eq!(server.offset(&sender), Ok(1_999_995_000_000_000));
    assert_eq!(server.set(&sender, u64::MAX), Err(IoError::InvalidInput));
}
