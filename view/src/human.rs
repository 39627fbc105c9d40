//! Numbers and times as people read them: counts with separators, decimal byte units, durations, UTC or local times.

use std::time::Duration;

use jiff::tz::TimeZone;
use lynceus_model::time::Timestamp;
pub use lynceus_model::words::{count, plural};

/// At most five characters where room is short: `950`, `12.3k`, `4.56M`.
#[must_use]
pub fn short_count(value: u64) -> String {
    scaled(value, &["", "k", "M", "G", "T", "P", "E"])
}

/// Decimal units as network people use them: `512 B`, `1.46 kB`, `10.2 MB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    scaled(value, &[" B", " kB", " MB", " GB", " TB", " PB", " EB"])
}

/// Three significant digits and the unit of the right thousand.
fn scaled(value: u64, units: &[&str]) -> String {
    if value < 1000 {
        return format!("{value}{}", units[0]);
    }
    let mut scaled = value as f64;
    let mut unit = 0;
    // 999.5 would be printed as 1000 of the smaller unit.
    while scaled >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let digits = match scaled {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{}", units[unit])
}

/// `850 µs`, `12.3 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = duration.as_secs();
    match whole {
        _ if duration.is_zero() => "0 s".to_owned(),
        _ if seconds < 0.000_999_5 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.0995 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        0..=9 => format!("{seconds:.2} s"),
        10..=99 => format!("{seconds:.1} s"),
        100..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..=86_399 => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// A number of an explanation: whole numbers with separators, others with up to three digits after the point.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(value.abs() as u64));
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value with its unit, where the unit tells how it wants to be read.
#[must_use]
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "B" | "bytes" if value >= 0.0 && value.is_finite() => bytes(value as u64),
        "s" | "seconds" if (0.0..1e12).contains(&value) => duration(Duration::from_secs_f64(value)),
        "" => number(value),
        unit if value == 1.0 => format!("1 {}", one_of(unit)),
        unit => format!("{} {unit}", number(value)),
    }
}

/// The unit of one: `1 flow`, `1 address`. Units that are no plural stay: `1 of 1`.
fn one_of(unit: &str) -> &str {
    if unit.contains(' ') {
        return unit;
    }
    unit.strip_suffix("sses").map_or_else(
        || unit.strip_suffix('s').unwrap_or(unit),
        |_| &unit[..unit.len() - 2],
    )
}

/// Name of a window: `window 3`. Live windows are counted from the Unix epoch; their numbers say nothing to people, their
/// times do.
#[must_use]
pub fn window(number: i64) -> String {
    if (-9_999..=9_999).contains(&number) {
        format!("window {number}")
    } else {
        "window".to_owned()
    }
}

/// Text from the network, safe to print: no control characters (they could drive the terminal), none that hide or
/// reorder what follows, at most `max` characters.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut clean: String = text
        .chars()
        .map(|c| if hidden(c) { '·' } else { c })
        .take(max)
        .collect();
    if text.chars().nth(max).is_some() {
        clean.push('…');
    }
    clean
}

/// The zone in which times are shown; every screen and table says which.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    label: &'static str,
}

impl Default for Clock {
    fn default() -> Self {
        Self::utc()
    }
}

impl Clock {
    #[must_use]
    pub fn utc() -> Self {
        Self {
            zone: TimeZone::UTC,
            label: "UTC",
        }
    }

    /// The zone of this machine (`TZ`, `/etc/localtime`).
    #[must_use]
    pub fn local() -> Self {
        Self {
            zone: TimeZone::system(),
            label: "local time",
        }
    }

    /// Heading of a column of times.
    #[must_use]
    pub fn heading(&self) -> &'static str {
        if self.label == "UTC" {
            "time (UTC)"
        } else {
            "time (local)"
        }
    }

    /// `UTC` or `local time`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        self.label
    }

    /// `2017-05-02 10:21:33`
    #[must_use]
    pub fn date_time(&self, time: Timestamp) -> String {
        self.format(time, "%Y-%m-%d %H:%M:%S")
    }

    /// `2017-05-02 10:21`
    #[must_use]
    pub fn date_minute(&self, time: Timestamp) -> String {
        self.format(time, "%Y-%m-%d %H:%M")
    }

    /// `01-31 10:21`
    #[must_use]
    pub fn day_minute(&self, time: Timestamp) -> String {
        self.format(time, "%m-%d %H:%M")
    }

    /// `10:21`
    #[must_use]
    pub fn minute(&self, time: Timestamp) -> String {
        self.format(time, "%H:%M")
    }

    /// `10:21:33.120`
    #[must_use]
    pub fn milliseconds(&self, time: Timestamp) -> String {
        self.format(time, "%H:%M:%S%.3f")
    }

    /// `2017-05-02 10:00–11:00`, with both dates where they differ.
    #[must_use]
    pub fn span(&self, start: Timestamp, end: Timestamp) -> String {
        let (from, to) = (self.date_minute(start), self.date_minute(end));
        match (from.split_once(' '), to.split_once(' ')) {
            (Some((first_day, _)), Some((last_day, minute))) if first_day == last_day => {
                format!("{from}–{minute}")
            }
            _ => format!("{from} – {to}"),
        }
    }

    fn format(&self, time: Timestamp, format: &str) -> String {
        let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(time.0)) else {
            return time.to_string();
        };
        instant.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_never_a_thousand() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        assert_eq!(short_count(1_234_567), "1.23M");
    }

    #[test]
    fn durations_take_the_unit_people_would_take() {
        for (micros, text) in [
            (0, "0 s"),
            (850, "850 µs"),
            (12_340, "12.3 ms"),
            (340_000, "340 ms"),
            (999_900, "1.00 s"),
            (4_200_000, "4.20 s"),
            (61_000_000, "61.0 s"),
            (185_000_000, "3 min 05 s"),
            (7_800_000_000, "2 h 10 min"),
            (273_600_000_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn explanations_show_units_as_people_read_them() {
        assert_eq!(quantity(500e6, "bytes"), "500 MB");
        assert_eq!(quantity(1500.0, "s"), "25 min 00 s");
        assert_eq!(quantity(10.0, "hosts"), "10 hosts");
        assert_eq!(quantity(1.0, "flows"), "1 flow");
        assert_eq!(quantity(1.0, "addresses"), "1 address");
        assert_eq!(quantity(1.0, "ratio"), "1 ratio");
        assert_eq!(quantity(1.0, "of 1"), "1 of 1");
        assert_eq!(quantity(0.1234, ""), "0.123");
        assert_eq!(quantity(f64::NAN, "s"), "NaN s");
    }

    #[test]
    fn text_from_the_network_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\n", 100), "a·[31mb·c·");
        assert_eq!(printable("größer", 3), "grö…");
        assert_eq!(printable("grö", 3), "grö");
    }

    #[test]
    fn times_state_their_date_once() {
        let clock = Clock::utc();
        let start = Timestamp::from_secs(1_493_719_200);
        assert_eq!(clock.date_time(start), "2017-05-02 10:00:00");
        let hour = Duration::from_secs(3600);
        assert_eq!(
            clock.span(start, start.saturating_add(hour)),
            "2017-05-02 10:00–11:00"
        );
        assert_eq!(
            clock.span(start, start.saturating_add(20 * hour)),
            "2017-05-02 10:00 – 2017-05-03 06:00"
        );
        assert_eq!(clock.milliseconds(Timestamp(-1_000_000)), "23:59:59.999");
    }

    #[test]
    fn times_outside_the_calendar_are_still_told() {
        assert!(!Clock::utc().date_time(Timestamp::MIN).is_empty());
        assert!(!Clock::utc().date_time(Timestamp::MAX).is_empty());
    }
}
