//! The small languages inside a manifest's strings: names, times, sizes, ports, PCI identities.
//!
//! Each reader returns the value or a [`Wrong`]: the sentence, and words for the caret.

use crate::model::{MAX_NAME, MmioRange, PAGE_SIZE, PciId, PortRange, Root};

/// Why a string is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub label: String,
}

fn wrong<T>(message: impl Into<String>, label: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), label: label.into() })
}

/// Checks the name of a component, program or service; `what` is such a word.
pub(super) fn name(what: &str, text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return wrong(format!("the name of a {what} is empty"), "");
    }
    if text.len() > MAX_NAME {
        return wrong(
            format!("the {what} name `{text}` is too long"),
            format!("{} bytes; at most {MAX_NAME} are allowed", text.len()),
        );
    }
    let bad = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'));
    if let Some(bad) = bad {
        return wrong(
            format!("the {what} name `{text}` contains {bad:?}"),
            "only lower-case letters, digits and `-` are allowed",
        );
    }
    if text.starts_with('-') || text.ends_with('-') || text.starts_with(|c: char| c.is_ascii_digit()) {
        return wrong(format!("the {what} name `{text}` must begin with a letter and not end with `-`"), "");
    }
    Ok(())
}

/// Reads a folder such as `/srv/www`, or `/srv/www:ro`.
pub(super) fn root(text: &str) -> Result<Root, Wrong> {
    let (path, read_only) = text.strip_suffix(":ro").map_or((text, false), |path| (path, true));
    if !path.starts_with('/') {
        return wrong(format!("the folder `{path}` is not an absolute path"), "it begins with `/`");
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        return wrong(format!("the folder `{path}` is not written plainly"), "without `..`");
    }
    Ok(Root { path: path.to_owned(), read_only })
}

/// Splits `10ms` into its number and its unit.
fn number_and_unit<'a>(text: &'a str, example: &str) -> Result<(u64, &'a str), Wrong> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return wrong(format!("`{text}` does not begin with a whole number"), format!("write it as in \"{example}\""));
    }
    match text[..digits].parse() {
        Ok(number) => Ok((number, text[digits..].trim_start())),
        Err(_) => wrong(format!("the number in `{text}` is too large"), ""),
    }
}

/// Reads a time such as `10ms`; the result is in nanoseconds.
pub(super) fn duration(text: &str) -> Result<u64, Wrong> {
    if text == "0" {
        return Ok(0);
    }
    let (number, unit) = number_and_unit(text, "10ms")?;
    let factor: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "" => return wrong(format!("the time `{text}` has no unit"), "add one of ns, us, ms, s"),
        _ => return wrong(format!("`{unit}` is not a unit of time"), "the units are ns, us, ms, s"),
    };
    match number.checked_mul(factor) {
        Some(nanoseconds) => Ok(nanoseconds),
        None => wrong(format!("the time `{text}` is too long"), ""),
    }
}

/// Reads a size such as `512KiB`; the result is in bytes and whole pages.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = number_and_unit(text, "512KiB")?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "" => return wrong(format!("the size `{text}` has no unit"), "add one of KiB, MiB, GiB"),
        _ => {
            let label = match unit.chars().next() {
                Some('k' | 'K') => "did you mean `KiB`?",
                Some('m' | 'M') => "did you mean `MiB`?",
                Some('g' | 'G') => "did you mean `GiB`?",
                _ => "the units are KiB, MiB, GiB",
            };
            return wrong(format!("`{unit}` is not a unit of size"), label);
        }
    };
    let Some(bytes) = number.checked_mul(1 << shift).filter(|&bytes| bytes <= 1 << 40) else {
        return wrong(format!("the size `{text}` is too large"), "at most 1024GiB are allowed");
    };
    if bytes % PAGE_SIZE != 0 {
        let up = bytes.next_multiple_of(PAGE_SIZE) >> 10;
        return wrong(format!("the size `{text}` is not whole pages of 4KiB"), format!("did you mean `{up}KiB`?"));
    }
    Ok(bytes)
}

/// Reads a decimal or `0x` hexadecimal number.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Reads `FIRST-LAST` or a single number.
fn range(text: &str, what: &str, example: &str) -> Result<(u64, u64), Wrong> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(first), Some(last)) => {
            wrong(format!("the range `{text}` ends before it begins"), format!("did you mean `{last:#x}-{first:#x}`?"))
        }
        _ => wrong(format!("`{text}` is not a range of {what}"), format!("write it as in \"{example}\"")),
    }
}

/// Reads I/O ports: `0x3f8-0x3ff` or `0x70`.
pub(super) fn ports(text: &str) -> Result<PortRange, Wrong> {
    let (first, last) = range(text, "ports", "0x3f8-0x3ff")?;
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first), Ok(last)) => Ok(PortRange { first, last }),
        _ => wrong(format!("port {last:#x} does not exist"), "ports go from 0x0 to 0xffff"),
    }
}

/// Reads device memory: `0xfed00000-0xfed00fff`, whole pages.
pub(super) fn mmio(text: &str) -> Result<MmioRange, Wrong> {
    let (first, last) = range(text, "addresses", "0xfed00000-0xfed00fff")?;
    if last >= 1 << 52 {
        return wrong(format!("address {last:#x} does not exist"), "physical addresses have at most 52 bits");
    }
    if first % PAGE_SIZE != 0 || (last + 1) % PAGE_SIZE != 0 {
        let (down, up) = (first / PAGE_SIZE * PAGE_SIZE, (last + 1).next_multiple_of(PAGE_SIZE) - 1);
        return wrong(
            format!("the device memory `{text}` is not whole pages of 4KiB"),
            format!("did you mean `{down:#x}-{up:#x}`?"),
        );
    }
    Ok(MmioRange { first, last })
}

/// Reads a PCI identity: `1af4:1042`.
pub(super) fn pci(text: &str) -> Result<PciId, Wrong> {
    let part = |digits: &str| {
        let fits = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    match text.split_once(':').map(|(vendor, device)| (part(vendor), part(device))) {
        Some((Some(vendor), Some(device))) => Ok(PciId { vendor, device }),
        _ => wrong(
            format!("`{text}` is not a PCI identity"),
            "write vendor and device as four hexadecimal digits each, as in \"1af4:1042\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("10ms"), Ok(10_000_000));
        assert_eq!(duration("3 us"), Ok(3_000));
        assert_eq!(duration("0"), Ok(0));
        for bad in ["", "ms", "10", "10m", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_whole_pages() {
        assert_eq!(size("512KiB"), Ok(512 << 10));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        for bad in ["", "1KiB", "1KB", "4096", "1025GiB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_are_ranges_of_sixteen_bits() {
        assert_eq!(ports("0x70"), Ok(PortRange { first: 0x70, last: 0x70 }));
        assert_eq!(ports("0x3f8 - 1023"), Ok(PortRange { first: 0x3f8, last: 0x3ff }));
        for bad in ["", "-", "0x", "1-", "0x3ff-0x3f8", "0x10000", "port"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn device_memory_is_whole_pages() {
        assert_eq!(mmio("0xfed00000-0xfed00fff"), Ok(MmioRange { first: 0xfed0_0000, last: 0xfed0_0fff }));
        for bad in ["0xfed00000", "0xfed00010-0xfed00fff", "0x0-0xffffffffffffffff"] {
            assert!(mmio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(name("component", "virtio-blk"), Ok(()));
        for bad in ["", "Shell", "a_b", "-a", "a-", "9p", "ä", "a-name-that-is-longer-than-31-bytes"] {
            assert!(name("component", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pci_identity_is_two_times_four_digits() {
        assert_eq!(pci("1AF4:1042"), Ok(PciId { vendor: 0x1af4, device: 0x1042 }));
        for bad in ["1af4", "1af4:", "1af4:10421", "1af4:+104", "0x1af4:0x1042"] {
            assert!(pci(bad).is_err(), "{bad}");
        }
    }
}
