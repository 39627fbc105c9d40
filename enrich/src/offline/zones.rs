//! Time zones: the nominal 15° zone of a longitude, the legal zones of a position, and what a clock shows there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::tz::{Dst, TimeZone};
use lynceus_model::time::Timestamp;
use tzf_rs::EmbeddedFinder;

/// What a clock shows in a zone at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds east of UTC.
    pub offset: i32,
    pub dst: bool,
    /// RFC 3339 with the offset, to the second.
    pub local: String,
    /// As people there write it: `CEST`.
    pub abbreviation: String,
}

/// The zone whose middle meridian is nearest: `round(longitude / 15)` hours, −12 to 12.
#[must_use]
pub fn nominal_hours(longitude: f64) -> i32 {
    (longitude / 15.0).round() as i32
}

/// `UTC+1`, `UTC−8`, `UTC`.
#[must_use]
pub fn nominal(longitude: f64) -> String {
    match nominal_hours(longitude) {
        0 => "UTC".to_owned(),
        hours if hours > 0 => format!("UTC+{hours}"),
        hours => format!("UTC−{}", -hours),
    }
}

/// Legal zones of a position in degrees, as IANA names: more than one where people there use two. Empty: no zone, as at a
/// position that is none.
#[must_use]
pub fn legal(latitude: f64, longitude: f64) -> Vec<&'static str> {
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return Vec::new();
    }
    let mut names = finder().get_tz_names(longitude, latitude);
    if let [_, _, ..] = names.as_slice() {
        // The one that the finder would give alone comes first.
        let first = finder().get_tz_name(longitude, latitude);
        names.sort_by_key(|name| (*name != first, *name));
    }
    names
}

/// Version of the zones' boundaries, as `2026f`.
#[must_use]
pub fn version() -> &'static str {
    finder().data_version()
}

/// All zones, in an order that does not change while the program runs.
#[must_use]
pub(super) fn names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = finder().timezonenames();
        names.sort_unstable();
        names
    })
}

/// What the clock shows; `None`: the time zone database of this machine does not know the zone.
#[must_use]
pub fn clock(zone: &str, at: Timestamp) -> Option<Clock> {
    let zone = rules(zone)?;
    let time = jiff::Timestamp::from_nanosecond(at.0.into()).ok()?;
    let info = zone.to_offset_info(time);
    let local = time.to_zoned(zone.clone());
    Some(Clock {
        offset: info.offset().seconds(),
        dst: info.dst() == Dst::Yes,
        local: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        abbreviation: info.abbreviation().to_owned(),
    })
}

/// Zones whose rules are kept: more than there are.
const MAX_RULES: usize = 1_024;

/// The rules of a zone, read once: those of this machine, else those in the program.
///
/// The library looks through all of the machine's zones when the first one is asked for, which costs more than all the
/// rest of a dossier; whose name is known, its file is.
fn rules(zone: &str) -> Option<TimeZone> {
    static RULES: OnceLock<Mutex<HashMap<String, TimeZone>>> = OnceLock::new();
    let kept = RULES.get_or_init(Mutex::default);
    let known = kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(zone)
        .cloned();
    if known.is_some() {
        return known;
    }
    let rules = of_machine(&folder(), zone).or_else(|| TimeZone::get(zone).ok())?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < MAX_RULES {
        kept.insert(zone.to_owned(), rules.clone());
    }
    Some(rules)
}

/// Where this machine has its zones.
fn folder() -> PathBuf {
    std::env::var_os("TZDIR").map_or_else(|| PathBuf::from("/usr/share/zoneinfo"), PathBuf::from)
}

fn of_machine(folder: &Path, zone: &str) -> Option<TimeZone> {
    let is_name = |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    if !zone.split('/').all(is_name) {
        return None;
    }
    let rules = std::fs::read(folder.join(zone)).ok()?;
    TimeZone::tzif(zone, &rules).ok()
}

/// Opened when first asked: it takes some milliseconds.
fn finder() -> &'static EmbeddedFinder {
    static FINDER: OnceLock<EmbeddedFinder> = OnceLock::new();
    FINDER.get_or_init(EmbeddedFinder::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_zones_are_not_the_nominal_ones() {
        for (latitude, longitude, expected, nominal_name) in [
            (28.61, 77.21, &["Asia/Kolkata"][..], "UTC+5"),
            (27.72, 85.32, &["Asia/Kathmandu"], "UTC+6"),
            (33.45, -112.07, &["America/Phoenix"], "UTC−7"),
            (39.74, -104.99, &["America/Denver"], "UTC−7"),
            (51.51, -0.13, &["Europe/London"], "UTC"),
            (40.42, -3.70, &["Europe/Madrid"], "UTC"),
        ] {
            assert_eq!(legal(latitude, longitude), expected);
            assert_eq!(nominal(longitude), nominal_name);
        }
        let mut both = legal(43.83, 87.62);
        both.sort_unstable();
        assert_eq!(both, ["Asia/Shanghai", "Asia/Urumqi"]);
    }

    #[test]
    fn the_source_names_the_version_of_the_boundaries() {
        let title = crate::fact::Source::new("timezone").title().to_owned();
        assert_eq!(title, format!("OpenStreetMap zones {}", version()));
    }

    #[test]
    fn the_ends_of_the_world_have_a_zone_and_nonsense_has_none() {
        assert_eq!((nominal_hours(180.0), nominal_hours(-180.0)), (12, -12));
        for (latitude, longitude) in [(90.0, 0.0), (-90.0, 0.0), (0.0, 180.0), (0.0, -180.0)] {
            let _ = legal(latitude, longitude);
        }
        assert!(legal(91.0, 0.0).is_empty());
        assert!(legal(f64::NAN, 0.0).is_empty());
    }

    #[test]
    fn rules_of_this_machine_come_first() {
        let folder = tempfile::tempdir().unwrap();
        // RFC 9636: a zone without changes, an hour and a half east; the footer says it for all times.
        let mut file = Vec::new();
        for version in [b'2', b'2'] {
            file.extend_from_slice(b"TZif");
            file.push(version);
            file.extend_from_slice(&[0; 15]);
            let counts: [u32; 6] = [0, 0, 0, 0, 1, 4];
            counts
                .iter()
                .for_each(|count| file.extend_from_slice(&count.to_be_bytes()));
            file.extend_from_slice(&5_400_i32.to_be_bytes());
            file.extend_from_slice(&[0, 0]);
            file.extend_from_slice(b"XYZ\0");
        }
        file.extend_from_slice(b"\nXYZ-1:30\n");
        std::fs::create_dir(folder.path().join("Europe")).unwrap();
        std::fs::write(folder.path().join("Europe/Nowhere"), file).unwrap();
        let zone = of_machine(folder.path(), "Europe/Nowhere").unwrap();
        let offset = zone.to_offset(jiff::Timestamp::from_second(1_782_907_200).unwrap());
        assert_eq!(offset.seconds(), 5_400);
        std::fs::write(folder.path().join("Damaged"), "TZif2").unwrap();
        for name in [
            "Damaged",
            "Missing",
            "",
            "../Damaged",
            "/Damaged",
            "Europe/../Damaged",
        ] {
            assert_eq!(of_machine(folder.path(), name), None, "{name}");
        }
    }

    #[test]
    fn clocks_know_summer() {
        // 2026-07-01 12:00 and 2026-01-15 12:00 UTC.
        let (summer, winter) = (
            Timestamp::from_secs(1_782_907_200),
            Timestamp::from_secs(1_768_478_400),
        );
        let prague = clock("Europe/Prague", summer).unwrap();
        assert_eq!((prague.offset, prague.dst), (7200, true));
        assert_eq!(prague.local, "2026-07-01T14:00:00+02:00");
        assert_eq!(prague.abbreviation, "CEST");
        let prague = clock("Europe/Prague", winter).unwrap();
        assert_eq!((prague.offset, prague.dst), (3600, false));
        let kolkata = clock("Asia/Kolkata", summer).unwrap();
        assert_eq!((kolkata.offset, kolkata.dst), (19_800, false));
        assert_eq!(clock("Nowhere/Atlantis", summer), None);
    }
}
