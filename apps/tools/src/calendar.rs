//! Dates: seconds since 1970 to the civil calendar (proleptic Gregorian, UTC) and back, and `strftime`.

use alloc::string::String;
use core::fmt::Write as _;

use crate::sys::time::{SystemTime, UNIX_EPOCH};

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// Days since the first of January.
    pub yearday: u32,
}

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Days since 1970-01-01 of a date. Years are counted from March, so that the leap day comes last.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl Civil {
    /// The moment so many seconds after 1970 began.
    pub fn from_seconds(seconds: i64) -> Civil {
        let days = seconds.div_euclid(86_400);
        let time = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let small = |value: i64| u32::try_from(value).unwrap_or(0);
        let day = small(day_of_year - (153 * from_march + 2) / 5 + 1);
        let month = small(if from_march < 10 { from_march + 3 } else { from_march - 9 });
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil {
            year,
            month,
            day,
            hour: time / 3_600,
            minute: time / 60 % 60,
            second: time % 60,
            weekday: small((days + 4).rem_euclid(7)),
            yearday: small(days - days_from_civil(year, 1, 1)),
        }
    }

    /// Seconds since 1970 began.
    pub fn to_seconds(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day) * 86_400
            + i64::from(self.hour * 3_600 + self.minute * 60 + self.second)
    }

    /// The month's English name, three letters.
    pub fn month_short(&self) -> &'static str {
        &MONTHS[(self.month.clamp(1, 12) - 1) as usize][..3]
    }

    fn month_long(&self) -> &'static str {
        MONTHS[(self.month.clamp(1, 12) - 1) as usize]
    }

    fn day_name(&self) -> &'static str {
        DAYS[(self.weekday % 7) as usize]
    }

    /// Year and week by ISO 8601.
    fn iso_week(&self) -> (i64, u32) {
        let weekday = (self.weekday + 6) % 7;
        let thursday = self.to_seconds().div_euclid(86_400) - i64::from(weekday) + 3;
        let reference = Civil::from_seconds(thursday * 86_400);
        (reference.year, reference.yearday / 7 + 1)
    }
}

/// Now, in seconds and nanoseconds since 1970.
pub fn now() -> (i64, u32) {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(_) => (0, 0),
    }
}

/// A moment by a format of `date`: `%Y-%m-%d` and so on. Unknown letters stand as they are.
pub fn strftime(format: &str, seconds: i64, nanos: u32) -> String {
    let civil = Civil::from_seconds(seconds);
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut pad = None;
        let mut upper = false;
        let mut directive = characters.next();
        while let Some(flag @ ('-' | '_' | '0' | '^')) = directive {
            if flag == '^' {
                upper = true;
            } else {
                pad = Some(flag);
            }
            directive = characters.next();
        }
        let Some(directive) = directive else {
            out.push('%');
            break;
        };
        let mut piece = String::new();
        expand(&mut piece, directive, pad, &civil, seconds, nanos);
        if upper {
            piece = piece.to_uppercase();
        }
        out.push_str(&piece);
    }
    out
}

fn expand(out: &mut String, directive: char, pad: Option<char>, civil: &Civil, seconds: i64, nanos: u32) {
    let hour12 = if civil.hour.is_multiple_of(12) { 12 } else { civil.hour % 12 };
    let sunday_week = (civil.yearday + 7 - civil.weekday) / 7;
    let monday_week = (civil.yearday + 7 - (civil.weekday + 6) % 7) / 7;
    let mut number = |value: i64, width: usize, fill: char| {
        let _ = match pad.unwrap_or(fill) {
            '-' => write!(out, "{value}"),
            '_' => write!(out, "{value:width$}"),
            _ => write!(out, "{value:0width$}"),
        };
    };
    match directive {
        'Y' => number(civil.year, 4, '0'),
        'C' => number(civil.year.div_euclid(100), 2, '0'),
        'y' => number(civil.year.rem_euclid(100), 2, '0'),
        'm' => number(i64::from(civil.month), 2, '0'),
        'd' => number(i64::from(civil.day), 2, '0'),
        'e' => number(i64::from(civil.day), 2, '_'),
        'H' => number(i64::from(civil.hour), 2, '0'),
        'k' => number(i64::from(civil.hour), 2, '_'),
        'I' => number(i64::from(hour12), 2, '0'),
        'l' => number(i64::from(hour12), 2, '_'),
        'M' => number(i64::from(civil.minute), 2, '0'),
        'S' => number(i64::from(civil.second), 2, '0'),
        'j' => number(i64::from(civil.yearday) + 1, 3, '0'),
        'u' => number(i64::from((civil.weekday + 6) % 7 + 1), 1, '0'),
        'w' => number(i64::from(civil.weekday), 1, '0'),
        'U' => number(i64::from(sunday_week), 2, '0'),
        'W' => number(i64::from(monday_week), 2, '0'),
        'V' => number(i64::from(civil.iso_week().1), 2, '0'),
        'G' => number(civil.iso_week().0, 4, '0'),
        'g' => number(civil.iso_week().0.rem_euclid(100), 2, '0'),
        's' => number(seconds, 1, '0'),
        'N' => number(i64::from(nanos), 9, '0'),
        'q' => number(i64::from((civil.month - 1) / 3 + 1), 1, '0'),
        'a' => out.push_str(&civil.day_name()[..3]),
        'A' => out.push_str(civil.day_name()),
        'b' | 'h' => out.push_str(civil.month_short()),
        'B' => out.push_str(civil.month_long()),
        'p' => out.push_str(if civil.hour < 12 { "AM" } else { "PM" }),
        'P' => out.push_str(if civil.hour < 12 { "am" } else { "pm" }),
        'Z' => out.push_str("UTC"),
        'z' => out.push_str("+0000"),
        'n' => out.push('\n'),
        't' => out.push('\t'),
        '%' => out.push('%'),
        'D' | 'x' => out.push_str(&strftime("%m/%d/%y", seconds, nanos)),
        'F' => out.push_str(&strftime("%Y-%m-%d", seconds, nanos)),
        'T' | 'X' => out.push_str(&strftime("%H:%M:%S", seconds, nanos)),
        'R' => out.push_str(&strftime("%H:%M", seconds, nanos)),
        'r' => out.push_str(&strftime("%I:%M:%S %p", seconds, nanos)),
        'c' => out.push_str(&strftime("%a %b %e %H:%M:%S %Y", seconds, nanos)),
        other => {
            out.push('%');
            out.push(other);
        }
    }
}

/// Reads a date as people write it for `date -d` and `touch -d`: `@SECONDS`, `now`, `YYYY-MM-DD`, and that
/// with `HH:MM`, `HH:MM:SS` after a blank or `T`, ending in `Z` or `UTC` or nothing: all UTC.
pub fn parse_date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.split('.').next()?.parse().ok();
    }
    let today = || now().0.div_euclid(86_400) * 86_400;
    match text {
        "now" => return Some(now().0),
        "today" => return Some(now().0),
        "yesterday" => return Some(now().0 - 86_400),
        "tomorrow" => return Some(now().0 + 86_400),
        _ => {}
    }
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("UTC")).unwrap_or(text).trim_end();
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), Some(time.trim())),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let midnight = match date {
        None => today(),
        Some(date) => {
            let mut parts = date.split('-');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            let (year, month, day): (i64, u32, u32) =
                (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
            if parts.next().is_some() {
                return None;
            }
            checked_day(year, month, day)?
        }
    };
    let mut seconds = 0;
    if let Some(time) = time {
        let mut parts = time.split(':');
        let hour: i64 = parts.next()?.parse().ok()?;
        let minute: i64 = parts.next()?.parse().ok()?;
        let second: i64 = match parts.next() {
            None => 0,
            Some(second) => second.split('.').next()?.parse().ok()?,
        };
        let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
        if parts.next().is_some() || !fits {
            return None;
        }
        seconds = hour * 3_600 + minute * 60 + second;
    }
    Some(midnight + seconds)
}

/// Reads the form of `touch -t`: `[[CC]YY]MMDDhhmm[.ss]`.
pub fn parse_stamp(text: &str) -> Option<i64> {
    let (digits, second) = text.split_once('.').unwrap_or((text, "0"));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() < 8 {
        return None;
    }
    let (year, rest) = digits.split_at(digits.len() - 8);
    let year: i64 = match (year.len(), year) {
        (0, _) => Civil::from_seconds(now().0).year,
        (2, short) => {
            let short: i64 = short.parse().ok()?;
            if short < 69 { 2000 + short } else { 1900 + short }
        }
        (4, long) => long.parse().ok()?,
        _ => return None,
    };
    let pair = |at: usize| rest[at..at + 2].parse::<u32>().ok();
    let (hour, minute, second) = (pair(4)?, pair(6)?, second.parse::<u32>().ok()?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(checked_day(year, pair(0)?, pair(2)?)? + i64::from(hour * 3_600 + minute * 60 + second))
}

/// Seconds at a date's midnight, where the calendar has the date.
fn checked_day(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400;
    let back = Civil::from_seconds(seconds);
    (back.month == month && back.day == day).then_some(seconds)
}
