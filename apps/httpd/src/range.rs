//! Parts of a file (RFC 9110, section 14).

use alloc::vec::Vec;
use core::ops::Range;

/// The most parts of one answer; who asks for more gets the whole file.
pub const MOST_PARTS: usize = 16;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: there is no such header, or it is one to ignore.
    All,
    /// These parts.
    Parts(Vec<Range<u64>>),
    /// Parts of which none exists.
    Nothing,
}

/// Reads `bytes=0-99,200-,-5` for a file of `size` bytes. What is wrong, overlaps or is too much is ignored, as the standard allows.
pub fn parse(header: &str, size: u64) -> Wanted {
    let Some((unit, list)) = header.split_once('=') else { return Wanted::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::All;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    for spec in list.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        let range = match one(spec, size) {
            None => return Wanted::All,
            Some(range) if range.is_empty() => continue,
            Some(range) => range,
        };
        let overlaps = parts.iter().any(|part| part.start < range.end && range.start < part.end);
        if parts.len() == MOST_PARTS || overlaps {
            return Wanted::All;
        }
        parts.push(range);
    }
    if parts.is_empty() { Wanted::Nothing } else { Wanted::Parts(parts) }
}

/// One part; empty if the file has nothing there, `None` if it is not one.
fn one(spec: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
    match (first, last) {
        ("", "") => None,
        ("", suffix) => Some(size.saturating_sub(number(suffix)?)..size),
        (first, "") => Some(number(first)?..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(size))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn parts(header: &str) -> Option<Vec<(u64, u64)>> {
        match parse(header, 1000) {
            Wanted::All => None,
            Wanted::Nothing => Some(vec![]),
            Wanted::Parts(parts) => Some(parts.into_iter().map(|part| (part.start, part.end)).collect()),
        }
    }

    #[test]
    fn parts_are_read_as_the_standard_says() {
        assert_eq!(parts("bytes=0-0"), Some(vec![(0, 1)]));
        assert_eq!(parts("bytes=0-499"), Some(vec![(0, 500)]));
        assert_eq!(parts("Bytes = 500-"), Some(vec![(500, 1000)]));
        assert_eq!(parts("bytes=-200"), Some(vec![(800, 1000)]));
        assert_eq!(parts("bytes=-5000"), Some(vec![(0, 1000)]));
        assert_eq!(parts("bytes=990-99999999999999999999999"), Some(vec![(990, 1000)]));
        assert_eq!(parts("bytes=0-0, 5-6 ,, -1"), Some(vec![(0, 1), (5, 7), (999, 1000)]));
        assert_eq!(parts("bytes=2000-, 1-1"), Some(vec![(1, 2)]));
    }

    #[test]
    fn what_does_not_exist_is_nothing_and_what_makes_no_sense_is_all() {
        for nothing in ["bytes=1000-", "bytes=2000-3000", "bytes=-0"] {
            assert_eq!(parts(nothing), Some(vec![]), "{nothing}");
        }
        for all in
            ["", "bytes", "lines=1-2", "bytes=5-1", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=+1-2", "bytes=0-9,5-6"]
        {
            assert_eq!(parts(all), None, "{all}");
        }
        let many: Vec<_> = (0..17).map(|part| alloc::format!("{}-{}", part * 2, part * 2)).collect();
        assert_eq!(parts(&alloc::format!("bytes={}", many.join(","))), None);
    }
}
