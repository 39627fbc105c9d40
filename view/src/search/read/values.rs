//! What stands behind a field: numbers, sizes, times, levels.

use lynceus_model::evidence::ThreatLevel;
use lynceus_model::time::Timestamp;

use super::super::{Compare, Number, Test};

/// One number or, from and to, `1-1023`.
pub(super) fn number(compare: Compare, text: &str, read: fn(&str) -> Option<f64>) -> Option<Number> {
    if let Some(number) = read(text) {
        return Some(Number::Compared(compare, number));
    }
    let (from, to) = text.split_once('-')?;
    (compare == Compare::Is).then_some(())?;
    Some(Number::Between(read(from)?, read(to)?))
}

/// `20:50..20:59`, `20:50`, `2018-03-09 20:50..21:10`, `2018-03-09..`; `T` stands for the blank as well.
pub(super) fn shown(text: &str) -> Option<Test> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let clean = |text: &str| text.replace(['T', 't'], " ").trim().to_owned();
    let (from, mut to) = (clean(from), clean(to));
    let well = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | ' '))
    };
    if !well(&from) || !(to.is_empty() || well(&to)) {
        return None;
    }
    let of_day = !from.contains('-');
    // The day holds for both.
    if let (false, false, Some((day, _))) = (of_day, to.contains('-') || to.is_empty(), from.split_once(' '))
    {
        to = format!("{day} {to}");
    }
    if to.is_empty() {
        to = "9".repeat(4);
    }
    Some(Test::Shown { from, to, of_day })
}

/// Midnight, in UTC, of a day at the beginning of a text.
pub(in crate::search) fn day(text: &str) -> Option<Timestamp> {
    let day: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_secs(midnight.timestamp().as_second()))
}

/// Also its beginning, as while it is typed.
pub(super) fn level(text: &str) -> Option<f64> {
    let level = [
        ThreatLevel::Info,
        ThreatLevel::Low,
        ThreatLevel::Medium,
        ThreatLevel::High,
        ThreatLevel::Critical,
    ];
    let text = text.to_lowercase();
    let level = level.into_iter().find(|level| level.name().starts_with(&text))?;
    (!text.is_empty()).then_some(level.weight())
}

/// `1500`, `10k`, `5M`, `2G`.
pub(super) fn size(text: &str) -> Option<f64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

/// Seconds since the epoch: as such, a date, or a date with a time of day, in UTC.
pub(super) fn time(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some(seconds);
    }
    Some(instant(text)?.as_second() as f64)
}

/// A time as in `since:2026-01-31`, and one with fractions of a second, for flags that take a time.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Timestamp::from_secs(seconds));
    }
    let nanos = instant(text)?.as_nanosecond();
    i64::try_from(nanos).ok().map(Timestamp)
}

/// A date, or a date and a time; in UTC where no zone is named.
fn instant(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant);
    }
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(Into::into))
        .ok()?;
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(instant.timestamp())
}
