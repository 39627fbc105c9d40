//! Times and durations as logs write them.

use std::time::Duration;

use lynceus_model::time::Timestamp;

const NANOS: i64 = 1_000_000_000;
/// Whole numbers beyond this are milliseconds: as seconds they would be in the year 5138.
const LARGEST_SECONDS: i64 = 100_000_000_000;

/// Seconds since the epoch with a fraction, whole milliseconds, or ISO 8601 with its zone (without: UTC).
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>()
        && whole.saturating_abs() > LARGEST_SECONDS
    {
        return whole.checked_mul(1_000_000).map(Timestamp);
    }
    decimal_nanos(text).map(Timestamp).or_else(|| iso(text))
}

/// Seconds with a fraction.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let nanos = decimal_nanos(text.trim())?;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// `2021-06-06T15:59:46.457984+0200`; date and time may be apart by a space and the date written with slashes.
fn iso(text: &str) -> Option<Timestamp> {
    if let Ok(found) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(found.as_nanosecond()).ok().map(Timestamp);
    }
    let text = text.replace('/', "-");
    let local: jiff::civil::DateTime = text.parse().ok()?;
    let found = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(found.as_nanosecond()).ok().map(Timestamp)
}

/// A decimal number of seconds in nanoseconds, exact and rounded to the nearest; `None` if it is none or too large.
fn decimal_nanos(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole
        .bytes()
        .chain(fraction.bytes())
        .all(|byte| byte.is_ascii_digit())
    {
        return with_exponent(text);
    }
    let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + i64::from(fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0'));
    }
    nanos += i64::from(fraction.as_bytes().get(9).is_some_and(|digit| *digit >= b'5'));
    let sum = seconds.checked_mul(NANOS)?.checked_add(nanos)?;
    Some(if negative { -sum } else { sum })
}

/// `9.2e-05`, as JSON writes small numbers.
fn with_exponent(text: &str) -> Option<i64> {
    if !text.contains(['e', 'E']) {
        return None;
    }
    let nanos = text.parse::<f64>().ok()? * 1e9;
    (nanos.is_finite() && nanos.abs() < 9e18).then_some(nanos.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, nanos) in [
            ("1601998366.786397", 1_601_998_366_786_397_000),
            ("19.981745", 19_981_745_000),
            ("63.02690299999995", 63_026_903_000),
            ("-1.5", -1_500_000_000),
            ("0", 0),
            ("1e-06", 1000),
            ("1601998366786", 1_601_998_366_786_000_000),
        ] {
            assert_eq!(time(text), Some(Timestamp(nanos)), "{text}");
        }
        assert_eq!(duration("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(duration("-1"), None);
    }

    #[test]
    fn dates_with_and_without_zone() {
        let expected = Some(Timestamp(1_622_987_986_457_984_000));
        for text in [
            "2021-06-06T15:59:46.457984+0200",
            "2021-06-06T13:59:46.457984Z",
            "2021-06-06 13:59:46.457984",
            "2021/06/06 13:59:46.457984",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "-",
            ".",
            "abc",
            "1.2.3",
            "99999999999999999999",
            "1e99",
            "nan",
            "inf",
            "2021-13-01",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
