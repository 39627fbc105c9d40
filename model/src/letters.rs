//! Behavioral letters: size, duration and periodicity of the flows of a tuple as text, with the rules of Slips.
//!
//! A symbol is `zeros letter time-character`. Periodicity compares the two newest gaps between flow starts: T1 =
//! previous − the one before, T2 = this − previous, r = max/min, and 1 where the smaller is 0. Times are whole
//! nanoseconds, so the limits hold exactly; Slips divides floating-point seconds, which are off by up to 0.2 µs.
//!
//! Where Slips is wrong: it takes flows as they come, and one that is older than its predecessor gives a negative gap
//! and with it a ratio below 1, "strongly periodic". [`Writer::write`] wants flows in the order of their starts and
//! refuses a late one, so a gap is never negative. Slips stores the state of incoming tuples under another profile than
//! it looks it up, so they never get beyond digits; here they are written like outgoing ones.

use std::time::Duration;

use crate::profile::Letters;
use crate::time::Timestamp;

/// What a flow contributes to the letters of its tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    pub start: Timestamp,
    /// First to last packet, as first reported.
    pub duration: Duration,
    /// IP bytes of both sides, as first reported.
    pub bytes: u64,
}

/// Writes the letters of one tuple in one window. A new window wants a new writer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writer {
    previous: Option<Timestamp>,
    before: Option<Timestamp>,
    letters: Letters,
    /// A symbol did not fit any more. Later ones must not follow it, although they may be shorter.
    full: bool,
}

/// The flow began before one that is already written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late;

impl Writer {
    /// Appends the symbol of a flow. Flows with the same start may come in any order that the caller keeps to.
    ///
    /// # Errors
    /// [`Late`] if the flow began before the last one that was written; nothing changes.
    pub fn write(&mut self, stroke: Stroke) -> Result<(), Late> {
        if self.previous.is_some_and(|previous| stroke.start < previous) {
            return Err(Late);
        }
        let gaps = self.before.zip(self.previous).map(|(before, previous)| {
            (
                nanos_between(before, previous),
                nanos_between(previous, stroke.start),
            )
        });
        self.append(&symbol(gaps, stroke));
        self.letters.version += 1;
        self.before = self.previous;
        self.previous = Some(stroke.start);
        Ok(())
    }

    #[must_use]
    pub const fn letters(&self) -> &Letters {
        &self.letters
    }

    fn append(&mut self, symbol: &Symbol) {
        self.full |= self.letters.text.len() + symbol.zeros as usize + 2 > Letters::MAX_TEXT;
        if self.full {
            return;
        }
        self.letters
            .text
            .extend(std::iter::repeat_n('0', symbol.zeros as usize));
        self.letters.text.push(symbol.letter);
        self.letters.text.extend(symbol.time);
    }
}

struct Symbol {
    zeros: u64,
    letter: char,
    time: Option<char>,
}

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// Rows: no data, strongly periodic, weakly periodic, weakly non-periodic, strongly non-periodic.
/// Columns: size 1 with durations 1 to 3, size 2 …, size 3 ….
const LETTERS: [[u8; 9]; 5] = [
    *b"123456789",
    *b"abcdefghi",
    *b"ABCDEFGHI",
    *b"rstuvwxyz",
    *b"RSTUVWXYZ",
];

/// `gaps`: T1 and T2 in nanoseconds, where two flows were written before.
fn symbol(gaps: Option<(u64, u64)>, stroke: Stroke) -> Symbol {
    let row = gaps.map_or(0, |(t1, t2)| periodicity(t1, t2));
    let column = size_class(stroke.bytes) * 3 + duration_class(stroke.duration);
    Symbol {
        zeros: gaps.map_or(0, |(_, t2)| t2 / HOUR),
        letter: char::from(LETTERS[row][column]),
        time: gaps.and_then(|(_, t2)| time_character(t2)),
    }
}

/// 1 to 4: r ≤ 1.05, r ≤ 1.3, r ≤ 5, above.
fn periodicity(t1: u64, t2: u64) -> usize {
    let (small, large) = (u128::from(t1.min(t2)), u128::from(t1.max(t2)));
    if small == 0 || large * 100 <= small * 105 {
        1
    } else if large * 10 <= small * 13 {
        2
    } else if large <= small * 5 {
        3
    } else {
        4
    }
}

const fn size_class(bytes: u64) -> usize {
    match bytes {
        0..=250 => 0,
        251..=1100 => 1,
        _ => 2,
    }
}

const fn duration_class(duration: Duration) -> usize {
    match duration.as_nanos() {
        0..=100_000_000 => 0,
        100_000_001..=10_000_000_000 => 1,
        _ => 2,
    }
}

const fn time_character(t2: u64) -> Option<char> {
    match t2 {
        0 => None,
        _ if t2 <= 5 * SECOND => Some('.'),
        _ if t2 <= 60 * SECOND => Some(','),
        _ if t2 <= 300 * SECOND => Some('+'),
        _ if t2 <= HOUR => Some('*'),
        _ => None,
    }
}

/// Not negative: the caller knows `from` ≤ `to`.
const fn nanos_between(from: Timestamp, to: Timestamp) -> u64 {
    to.0.wrapping_sub(from.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(starts_ms: &[i64], duration_ms: u64, bytes: u64) -> String {
        let mut writer = Writer::default();
        for start in starts_ms {
            let start = Timestamp(start * 1_000_000);
            let duration = Duration::from_millis(duration_ms);
            writer
                .write(Stroke {
                    start,
                    duration,
                    bytes,
                })
                .unwrap();
        }
        writer.letters().text.clone()
    }

    /// `slips.md` §10: measured on Slips 1.1.21.
    #[test]
    fn measured_example() {
        let starts: Vec<i64> = (0..150).map(|n| n * 2_000).collect();
        assert_eq!(write(&starts, 50, 1_000), format!("44{}", "d.".repeat(148)));
    }

    #[test]
    fn every_cell_of_the_table() {
        // The third flow decides: T1 = 1,000 s; T2 by row. `*` is the time character of these gaps.
        let gaps = [
            ("abcdefghi", 1_000),
            ("ABCDEFGHI", 1_200),
            ("rstuvwxyz", 3_000),
            ("RSTUVWXYZ", 6_000),
        ];
        for (row, gap) in gaps {
            for (column, letter) in row.chars().enumerate() {
                let bytes = [250, 1_100, 1_101][column / 3];
                let duration = [100, 10_000, 10_001][column % 3];
                let text = write(&[0, 1_000_000, 1_000_000 + gap * 1_000], duration, bytes);
                let digit = char::from(b'1' + column as u8);
                let last = if gap > 3_600 {
                    format!("0{letter}")
                } else {
                    format!("{letter}*")
                };
                assert_eq!(text, format!("{digit}{digit}{last}"));
            }
        }
    }

    #[test]
    fn limits_of_the_ratio() {
        let third = |t1: i64, t2: i64| write(&[0, t1, t1 + t2], 0, 0).chars().nth(2).unwrap();
        assert_eq!(third(100, 105), 'a');
        assert_eq!(third(105, 100), 'a');
        assert_eq!(third(1_000, 1_051), 'A');
        assert_eq!(third(100, 130), 'A');
        assert_eq!(third(1_000, 1_301), 'r');
        assert_eq!(third(100, 500), 'r');
        assert_eq!(third(100, 501), 'R');
    }

    #[test]
    fn time_characters_and_zeros() {
        let end = |t2: i64| write(&[0, 1_000, 1_000 + t2], 0, 0)[2..].to_owned();
        assert_eq!(end(5_000), "r.");
        assert_eq!(end(5_001), "R,");
        assert_eq!(end(60_000), "R,");
        assert_eq!(end(60_001), "R+");
        assert_eq!(end(300_000), "R+");
        assert_eq!(end(300_001), "R*");
        // Both limits include the hour: one zero and the star.
        assert_eq!(end(3_600_000), "0R*");
        assert_eq!(end(3_600_001), "0R");
        assert_eq!(end(2 * 3_600_000 - 1), "0R");
        assert_eq!(end(2 * 3_600_000), "00R");
    }

    #[test]
    fn equal_starts_have_no_time_character_and_count_as_periodic() {
        assert_eq!(write(&[0, 0, 0, 1_000], 0, 0), "11aa.");
    }

    #[test]
    fn a_late_flow_changes_nothing() {
        let mut writer = Writer::default();
        let stroke = |start| Stroke {
            start: Timestamp::from_secs(start),
            duration: Duration::ZERO,
            bytes: 1,
        };
        writer.write(stroke(5)).unwrap();
        let before = writer.clone();
        assert_eq!(writer.write(stroke(4)), Err(Late));
        assert_eq!(writer, before);
    }

    #[test]
    fn a_full_text_stays_a_prefix() {
        let starts: Vec<i64> = (0..1_000).map(|n| n * n * 3_600_000).collect();
        let mut writer = Writer::default();
        for start in &starts {
            let start = Timestamp(start * 1_000_000);
            writer
                .write(Stroke {
                    start,
                    duration: Duration::ZERO,
                    bytes: 1,
                })
                .unwrap();
        }
        assert!(writer.letters().text.len() <= Letters::MAX_TEXT);
        assert_eq!(writer.letters().version, 1_000);
        assert!(
            writer.letters().text.starts_with("11000r00000r"),
            "{}",
            writer.letters().text
        );
    }

    #[test]
    fn any_times_are_safe() {
        assert_eq!(
            write(&[i64::MIN / 1_000_000, 0, i64::MAX / 1_000_000], 0, 0).len(),
            2
        );
    }
}
