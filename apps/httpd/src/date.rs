//! Dates as HTTP writes them (RFC 9110, section 5.6.7). Times are seconds since 1970.

use core::str;

/// A date's text, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type Text = [u8; 29];

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days from 1970-01-01 to a date; H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day so many days after 1970-01-01; the same source.
fn civil_from_days(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12;
    (year_of_era + era * 400 + i64::from(month < 2), month as usize, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Writes a time. Years beyond 9999 and before 0 are written as those.
pub fn format(time: i64) -> Text {
    let time = time.clamp(-62_167_219_200, 253_402_300_799);
    let (days, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"Day, 00 Mon 0000 00:00:00 GMT";
    text[..3].copy_from_slice(DAYS[days.rem_euclid(7) as usize].as_bytes());
    text[8..11].copy_from_slice(MONTHS[month].as_bytes());
    let mut two = |at: usize, value: i64| {
        text[at] = b'0' + (value / 10 % 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    two(5, day);
    two(12, year / 100);
    two(14, year % 100);
    two(17, second / 3600);
    two(20, second / 60 % 60);
    two(23, second % 60);
    text
}

/// Reads a date in the form that is in use, or in one of the two old ones.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let comma = text.find(',');
    let mut words = text[comma.map_or(0, |at| at + 1)..].split([' ', '-']).filter(|word| !word.is_empty());
    let (day, month, year, clock);
    if comma.is_some() {
        // `06 Nov 1994 08:49:37 GMT` or `06-Nov-94 08:49:37 GMT`.
        (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if words.next() != Some("GMT") {
            return None;
        }
    } else {
        // `Sun Nov  6 08:49:37 1994`.
        words.next()?;
        (month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    }
    let number = |text: &str, most: i64| text.parse().ok().filter(|value| (0..=most).contains(value));
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year = match number(year, 9999)? {
        // RFC 9110 wants years of two digits to be less than 50 years ahead; nobody has written such dates since 2000.
        short @ 0..70 if year.len() == 2 => short + 2000,
        short @ 70..100 if year.len() == 2 => short + 1900,
        whole => whole,
    };
    let mut clock = clock.split(':');
    let (hour, minute, second) = (number(clock.next()?, 23)?, number(clock.next()?, 59)?, number(clock.next()?, 60)?);
    let day = number(day, 31).filter(|day| *day > 0)?;
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A date's text.
pub fn text(date: &Text) -> &str {
    str::from_utf8(date).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_one_time() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(form), Some(784_111_777), "{form}");
        }
        assert_eq!(text(&format(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(&format(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn every_day_is_read_as_it_was_written() {
        for day in -25_000i64..60_000 {
            let time = day * 86_400 + day.rem_euclid(86_400);
            assert_eq!(parse(text(&format(time))), Some(time));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for wrong in
            ["", ",", "yesterday", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        format(i64::MIN);
        format(i64::MAX);
    }
}
