//! Numbers and sizes as text, both ways.

use alloc::string::{String, ToString};

/// A size as `ls -h` and `du -h` write it: rounded up, one digit below ten, powers of 1024.
pub fn human(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut divisor: u128 = 1024;
    for unit in UNITS {
        let tenths = (u128::from(bytes) * 10).div_ceil(divisor);
        if tenths < 100 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        let whole = u128::from(bytes).div_ceil(divisor);
        if whole < 1024 {
            return format!("{whole}{unit}");
        }
        divisor *= 1024;
    }
    bytes.to_string()
}

/// Reads a count with a unit: `10`, `4K`, `1M`, `2GB` (kB, MB: powers of 1000), `512b` blocks, `3w` words.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = if number.is_empty() { return None } else { number.parse().ok()? };
    let factor: u64 = match unit {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "k" | "K" | "KiB" => 1 << 10,
        "kB" | "KB" => 1_000,
        "m" | "M" | "MiB" => 1 << 20,
        "MB" => 1_000_000,
        "g" | "G" | "GiB" => 1 << 30,
        "GB" => 1_000_000_000,
        "T" | "TiB" => 1 << 40,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A span of time in nanoseconds from text: `2`, `0.5`, `1m`, `2h`, `1d`.
pub fn nanoseconds(text: &str) -> Option<u64> {
    let (number, unit) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3_600),
        b'd' => (&text[..text.len() - 1], 86_400),
        _ => (text, 1u64),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(1_000_000_000)?;
    let mut weight = 100_000_000;
    for digit in fraction.bytes().take(9) {
        nanos = nanos.checked_add(u64::from(digit - b'0') * weight)?;
        weight /= 10;
    }
    nanos.checked_mul(unit)
}

/// Nanoseconds as `[D days, ]H:MM:SS`.
pub fn clock(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let rest = format!("{hours}:{minutes:02}:{:02}", seconds % 60);
    match days {
        0 => rest,
        1 => format!("1 day, {rest}"),
        _ => format!("{days} days, {rest}"),
    }
}

/// What the backslash escapes of `echo -e`, `printf` and `tr` stand for.
pub enum Unescaped {
    /// A byte, and how many bytes of the text were read after the backslash.
    Byte(u8, usize),
    /// `\c`: no more output.
    Stop,
    /// Nothing special: the backslash stands for itself.
    Plain,
}

/// Reads one escape from the text after its backslash.
pub fn unescape(rest: &[u8]) -> Unescaped {
    let simple = |byte| Unescaped::Byte(byte, 1);
    match rest.first() {
        Some(b'a') => simple(7),
        Some(b'b') => simple(8),
        Some(b'e') => simple(27),
        Some(b'f') => simple(12),
        Some(b'n') => simple(10),
        Some(b'r') => simple(13),
        Some(b't') => simple(9),
        Some(b'v') => simple(11),
        Some(b'\\') => simple(b'\\'),
        Some(b'c') => Unescaped::Stop,
        Some(b'x') => {
            let digits = rest[1..].iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
            match core::str::from_utf8(&rest[1..1 + digits]).map(|hex| u8::from_str_radix(hex, 16)) {
                Ok(Ok(byte)) => Unescaped::Byte(byte, 1 + digits),
                _ => Unescaped::Plain,
            }
        }
        Some(b'0'..=b'7') => {
            let mut value: u32 = 0;
            let mut length = 0;
            let limit = if rest[0] == b'0' { 4 } else { 3 };
            for byte in rest.iter().take(limit).take_while(|byte| matches!(byte, b'0'..=b'7')) {
                value = value * 8 + u32::from(byte - b'0');
                length += 1;
            }
            Unescaped::Byte(value.to_le_bytes()[0], length)
        }
        _ => Unescaped::Plain,
    }
}
