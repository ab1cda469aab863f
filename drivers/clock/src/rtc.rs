//! The registers of the real-time clock (Motorola MC146818A data sheet; century register 0x32 as PC firmware keeps it).

use crate::date::{from_civil, to_civil};

/// The clock's index and data ports.
pub trait Registers {
    /// Reads a register.
    fn read(&mut self, register: u8) -> u8;
    /// Writes a register.
    fn write(&mut self, register: u8, value: u8);
}

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const CENTURY: u8 = 0x32;

const UPDATING: u8 = 1 << 7;
const HALTED: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;

/// How often the clock is asked before it is taken as it is: an update lasts 2 ms, far less than this many reads.
const PATIENCE: usize = 10_000;

/// Seconds since 1970 by the clock; `None` if what it shows is no date.
pub fn read(registers: &mut impl Registers) -> Option<i64> {
    let mut last = None;
    for _ in 0..PATIENCE {
        if registers.read(STATUS_A) & UPDATING != 0 {
            continue;
        }
        let now = [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY].map(|register| registers.read(register));
        // Two equal readings: no update fell between the registers.
        if last == Some(now) {
            return decode(now, registers.read(STATUS_B));
        }
        last = Some(now);
    }
    None
}

fn decode([second, minute, hour, day, month, year, century]: [u8; 7], mode: u8) -> Option<i64> {
    let number = |value: u8| -> Option<u32> {
        match mode & BINARY != 0 {
            true => Some(u32::from(value)),
            false if value & 0xf < 10 && value >> 4 < 10 => Some(u32::from(value >> 4) * 10 + u32::from(value & 0xf)),
            false => None,
        }
    };
    let hour = if mode & HOURS_24 != 0 {
        number(hour)?
    } else {
        number(hour & !AFTERNOON)? % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 }
    };
    // Without a century register the century is guessed: this program is younger than 2000.
    let century = number(century).filter(|century| (19..=29).contains(century)).unwrap_or(20);
    let (second, minute, day, month) = (number(second)?, number(minute)?, number(day)?, number(month)?);
    let valid = second < 60 && minute < 60 && hour < 24 && (1..=31).contains(&day) && (1..=12).contains(&month);
    let days = valid.then(|| from_civil(i64::from(century * 100 + number(year).unwrap_or(0)), month, day))?;
    Some(days * 86_400 + i64::from(hour * 3600 + minute * 60 + second))
}

/// Sets the clock to seconds since 1970 (1970 to 2099).
pub fn write(registers: &mut impl Registers, seconds: i64) {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
    let (year, month, day) = to_civil(days);
    let mode = registers.read(STATUS_B);
    let encode = |value: u32| if mode & BINARY != 0 { value as u8 } else { (value / 10 * 16 + value % 10) as u8 };
    let hour = time / 3600;
    let hour = match mode & HOURS_24 != 0 {
        true => encode(hour),
        false => encode((hour + 11) % 12 + 1) | if hour >= 12 { AFTERNOON } else { 0 },
    };
    registers.write(STATUS_B, mode | HALTED);
    registers.write(SECONDS, encode(time % 60));
    registers.write(MINUTES, encode(time / 60 % 60));
    registers.write(HOURS, hour);
    registers.write(DAY, encode(day));
    registers.write(MONTH, encode(month));
    registers.write(YEAR, encode(year.rem_euclid(100) as u32));
    registers.write(CENTURY, encode(year.div_euclid(100) as u32));
    registers.write(STATUS_B, mode);
}
