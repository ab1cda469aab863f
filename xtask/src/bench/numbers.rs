//! Numbers as people read them.

/// With its digits in groups of three.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many times `other` is `own`: `46 ×`, `1.8 ×`.
#[must_use]
pub fn times(other: f64, own: f64) -> String {
    let ratio = other / own;
    if ratio < 9.95 { format!("{ratio:.1} ×") } else { format!("{} ×", grouped(ratio.round() as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(1_586_000_000), "1,586,000,000");
        assert_eq!(grouped(12), "12");
        assert_eq!(grouped(123_456), "123,456");
    }

    #[test]
    fn ratios_have_two_digits_or_more() {
        assert_eq!(times(412.0, 198.0), "2.1 ×");
        assert_eq!(times(9182.0, 198.0), "46 ×");
        assert_eq!(times(99.9, 10.0), "10 ×");
        assert_eq!(times(1.0, 2.0), "0.5 ×");
    }
}
