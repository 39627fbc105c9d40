//! Tables of profiles, evidence and alerts for the terminal.

use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceId};
use unicode_width::UnicodeWidthStr;

use crate::alerts::groups;
use crate::explain;
use crate::human::{self, Clock};
use crate::table::{Align, Cell, Table};
use crate::text::{Line, Tone};
use crate::view::ProfileView;

/// The way to rows that were left out, where a command has the flag.
pub const BY_LIMIT: &str = " (--limit N shows more)";
/// Longest description in a table.
const MAX_DESCRIPTION: usize = 300;

/// What a row of a profile has room for.
#[derive(Clone, Copy)]
struct Room {
    number: bool,
    packets: bool,
    year: bool,
    bytes: bool,
    /// Columns of the address.
    address: usize,
}

impl Room {
    /// Each step leaves out what says the least.
    const STEPS: [Self; 5] = {
        let full = Self {
            number: true,
            packets: true,
            year: true,
            bytes: true,
            address: usize::MAX,
        };
        let no_number = Self {
            number: false,
            ..full
        };
        let no_packets = Self {
            packets: false,
            ..no_number
        };
        let no_year = Self {
            year: false,
            ..no_packets
        };
        let no_bytes = Self {
            bytes: false,
            ..no_year
        };
        [full, no_number, no_packets, no_year, no_bytes]
    };
    /// Columns that an address keeps.
    const LEAST_ADDRESS: usize = 16;
}

/// A row for each window of each profile, the most threatening profiles first, at most `limit` rows; then what was
/// left out, and the `way` to it. Where there is a terminal, columns are left out and addresses cut until a row fits into
/// `width`.
#[must_use]
pub fn profiles(
    profiles: &[ProfileView],
    clock: &Clock,
    limit: usize,
    way: &str,
    width: Option<usize>,
) -> Vec<Line> {
    let wide = |lines: &[Line]| lines.iter().map(|line| line.plain().width()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for room in Room::STEPS {
        lines = profile_rows(profiles, clock, (limit, way), room);
        let Some(width) = width else { break };
        let over = wide(&lines).saturating_sub(width);
        if over == 0 {
            break;
        }
        if !room.bytes {
            let longest = profiles.iter().map(|profile| profile.ip.to_string().len()).max();
            let address = longest.unwrap_or(0).saturating_sub(over).max(Room::LEAST_ADDRESS);
            lines = profile_rows(profiles, clock, (limit, way), Room { address, ..room });
        }
    }
    lines
}

/// Both ends of an address, which tell it from others, in at most `width` columns.
fn ends(ip: IpAddr, width: usize) -> String {
    let text = ip.to_string();
    if text.len() <= width {
        return text;
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 2;
    format!("{}…{}", &text[..kept - tail], &text[text.len() - tail..])
}

fn profile_rows(
    profiles: &[ProfileView],
    clock: &Clock,
    (limit, way): (usize, &str),
    room: Room,
) -> Vec<Line> {
    let mut order: Vec<&ProfileView> = profiles.iter().collect();
    order.sort_by(|a, b| {
        (b.flagged().cmp(&a.flagged()))
            .then(b.threat().total_cmp(&a.threat()))
            .then(b.bytes().cmp(&a.bytes()))
            .then(a.ip.cmp(&b.ip))
    });
    let columns = [
        (true, "profile", Align::Left),
        (room.number, "window", Align::Right),
        (true, clock.heading(), Align::Left),
        (true, "flows", Align::Right),
        (room.packets, "packets", Align::Right),
        (room.bytes, "bytes", Align::Right),
        (true, "evidence", Align::Right),
        (true, "threat", Align::Right),
        (true, "", Align::Left),
    ];
    let shown = columns.iter().filter(|(shown, ..)| *shown);
    let mut table = Table::new(shown.map(|(_, name, align)| (*name, *align)).collect());
    let mut left_out = 0;
    for (rows, (profile, window)) in order
        .iter()
        .flat_map(|profile| profile.windows.iter().map(move |window| (profile, window)))
        .enumerate()
    {
        if rows >= limit {
            left_out += 1;
            continue;
        }
        let flagged = window.alerts > 0;
        let tone = if flagged { Tone::Alert } else { Tone::Plain };
        let verdict = match window.alerts {
            0 => String::new(),
            alerts => human::plural(alerts, "alert", "alerts"),
        };
        let dash = |text: String, is_empty: bool| {
            if is_empty {
                Cell::toned(Tone::Quiet, "–")
            } else {
                Cell::toned(tone, text)
            }
        };
        let time = if room.year {
            clock.date_minute(window.start)
        } else {
            clock.day_minute(window.start)
        };
        let cells: [Cell; 9] = [
            Cell::toned(
                tone,
                format!(
                    "{}{}",
                    ends(profile.ip, room.address),
                    if profile.me { " (me)" } else { "" }
                ),
            ),
            window.number.to_string().into(),
            time.into(),
            human::count(window.flows).into(),
            human::count(window.packets).into(),
            human::bytes(window.bytes).into(),
            dash(human::count(window.evidence), window.evidence == 0),
            dash(format!("{:.2}", window.threat), window.threat == 0.0),
            Cell::toned(Tone::Alert, verdict),
        ];
        let shown = cells.into_iter().zip(&columns).filter(|(_, (shown, ..))| *shown);
        table.row(shown.map(|(cell, _)| cell).collect());
    }
    let mut lines = table.lines(2);
    if left_out > 0 {
        let text = human::plural(left_out, "window more", "windows more");
        lines.push(Line::toned(Tone::Quiet, format!("  and {text}{way}")));
    }
    lines
}

/// A row for each evidence, in the order given, cut to `width` columns where there is a terminal.
#[must_use]
pub fn evidence(evidence: &[Evidence], clock: &Clock, width: Option<usize>) -> Vec<Line> {
    let mut table = Table::new(vec![
        (clock.heading(), Align::Left),
        ("level", Align::Left),
        ("conf", Align::Right),
        ("profile", Align::Left),
        ("what", Align::Left),
    ]);
    for found in evidence {
        let level = found.threat_level;
        table.row(vec![
            clock.date_time(found.last).into(),
            Cell::toned(Tone::of_level(level), level.name()),
            format!("{:.2}", found.confidence.value()).into(),
            found.profile.to_string().into(),
            human::printable(&found.description, MAX_DESCRIPTION).into(),
        ]);
    }
    table.lines_within(2, width)
}

/// Evidence, the worst first and at most `limit` of it, then alerts with their reasons, or that there is nothing.
#[must_use]
pub fn findings(
    evidence: &[Evidence],
    alerts: &[Alert],
    profiles: &[ProfileView],
    clock: &Clock,
    limit: usize,
    width: Option<usize>,
) -> Vec<Line> {
    if evidence.is_empty() {
        return vec![
            Line::toned(Tone::Good, "No evidence: nothing looked suspicious."),
            Line::default(),
        ];
    }
    let mut shown = evidence.to_vec();
    shown.sort_by(|a, b| {
        b.threat_level
            .cmp(&a.threat_level)
            .then(a.last.cmp(&b.last))
            .then(a.id.cmp(&b.id))
    });
    shown.truncate(limit);
    let mut lines = vec![Line::toned(Tone::Heading, "Evidence")];
    lines.extend(self::evidence(&shown, clock, width));
    let more = evidence.len() - shown.len();
    if more > 0 {
        lines.push(Line::toned(
            Tone::Quiet,
            format!("  and {} more", human::count(more as u64)),
        ));
    }
    lines.push(Line::default());
    if alerts.is_empty() {
        let thresholds = profiles
            .iter()
            .flat_map(|profile| &profile.windows)
            .map(|window| window.threshold);
        let threshold = thresholds.fold(0.0, f64::max);
        let text =
            format!("No alert: no window's accumulated threat reached the threshold of {threshold:.2}.");
        lines.extend([text.into(), Line::default()]);
        return lines;
    }
    lines.push(Line::toned(Tone::Heading, "Alerts"));
    lines.extend(self::alerts(alerts, evidence, clock));
    lines
}

/// A block for each group of alerts: the first with the terms of its sum, then what each further one added.
#[must_use]
pub fn alerts(alerts: &[Alert], evidence: &[Evidence], clock: &Clock) -> Vec<Line> {
    let known: HashMap<EvidenceId, &Evidence> = evidence.iter().map(|found| (found.id, found)).collect();
    let terms = |alert: &Alert| -> Vec<Evidence> {
        let terms = alert.terms.iter();
        terms
            .filter_map(|term| known.get(&term.evidence).map(|found| (*found).clone()))
            .collect()
    };
    let mut lines = Vec::new();
    for group in groups(alerts) {
        let Some((first, further)) = group.alerts.split_first() else {
            continue;
        };
        lines.extend(explain::alert(first, &terms(first), clock, None));
        if !further.is_empty() {
            let count = human::plural(further.len() as u64, "related alert", "related alerts");
            let heading = Line::toned(Tone::Heading, format!("{count} after it"));
            let all = format!(
                ", {:.2} in all; each begins at 0 again and takes what is new",
                group.sum()
            );
            lines.extend([Line::default(), heading.and(Tone::Quiet, all)]);
            let each = further.iter();
            lines.extend(each.map(|alert| explain::further(alert, &terms(alert), clock)));
        }
        lines.push(Line::default());
    }
    lines
}

/// Each alert in a block of its own.
#[must_use]
pub fn each_alert(alerts: &[Alert], evidence: &[Evidence], clock: &Clock) -> Vec<Line> {
    let alone = |alert: &Alert| Alert {
        group: alert.id,
        ..alert.clone()
    };
    let alone: Vec<Alert> = alerts.iter().map(alone).collect();
    self::alerts(&alone, evidence, clock)
}

#[cfg(test)]
mod tests {
    use lynceus_model::time::Timestamp;

    use super::*;
    use crate::tui::tests::{detail, overview};

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|line| line.plain() + "\n").collect()
    }

    #[test]
    fn profiles_as_a_table() {
        insta::assert_snapshot!(text(&profiles(
            &overview().profiles,
            &Clock::utc(),
            3,
            BY_LIMIT,
            None
        )));
    }

    #[test]
    fn rows_of_profiles_fit_the_terminal() {
        let mut shown = overview().profiles;
        shown[0].ip = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
        shown[0].windows[0].alerts = 120;
        // A live window is counted from the Unix epoch.
        shown[0].windows[0].number = 494_000;
        for width in [72, 80, 100, 120, 140] {
            let lines = profiles(&shown, &Clock::utc(), 3, BY_LIMIT, Some(width));
            for line in &lines {
                assert!(line.plain().width() <= width, "{width}: {}", line.plain());
            }
            let text = text(&lines);
            assert!(text.contains("2001:db8:1"), "{width}: {text}");
            assert!(
                text.contains(":5678 ") && text.contains("120 alerts"),
                "{width}: {text}"
            );
            assert!(text.contains("15.20"), "{width}: {text}");
        }
        let all = |width| text(&profiles(&shown, &Clock::utc(), 3, BY_LIMIT, width));
        assert_eq!(all(Some(200)), all(None));
        assert!(all(None).contains("494000"));
        assert!(!all(Some(100)).contains("494000"));
    }

    #[test]
    fn evidence_and_alerts_with_their_reasons() {
        let detail = detail();
        let mut lines = evidence(&detail.evidence, &Clock::utc(), Some(90));
        lines.extend(alerts(&detail.alerts, &detail.evidence, &Clock::utc()));
        lines.extend(explain::evidence(&detail.evidence[0], &Clock::utc(), None));
        insta::assert_snapshot!(text(&lines));
    }

    #[test]
    fn numbers_of_an_alert_are_folded_where_a_pane_is_narrow() {
        let detail = detail();
        let told = |width| {
            text(&explain::alert(
                &detail.alerts[0],
                &detail.evidence,
                &Clock::utc(),
                width,
            ))
        };
        assert!(told(Some(200)).contains("what was seen"));
        let narrow = told(Some(50));
        assert!(!narrow.contains("what was seen"), "{narrow}");
        let folded = "\nhorizontal port scan  destinations\n    value 40 addresses · threshold 10 addresses";
        assert!(narrow.contains(folded), "{narrow}");
    }

    #[test]
    fn related_alerts_are_one_block_with_what_each_added() {
        let detail = detail();
        let first = detail.alerts[0].clone();
        let mut later = first.clone();
        (later.id.0[0], later.window) = (8, 2);
        later.last = Timestamp::from_secs(1_493_719_500);
        let mut other = later.clone();
        (other.id.0[0], other.group.0[0]) = (7, 7);
        let alerts = [other, later, first];
        let told = text(&super::alerts(&alerts, &detail.evidence, &Clock::utc()));
        assert_eq!(told.matches("ALERT for 192.168.2.12").count(), 2, "{told}");
        let further = "1 related alert after it, 1.60 in all; each begins at 0 again and takes what is new\n  \
                       2017-05-02 10:05:00  +0.80  window 2: horizontal port scan (0.80)\n";
        assert!(told.contains(further), "{told}");
        let each = text(&each_alert(&alerts, &detail.evidence, &Clock::utc()));
        assert_eq!(each.matches("ALERT for 192.168.2.12").count(), 3, "{each}");
        assert!(!each.contains("related"), "{each}");
        // An alert shows what its heaviest evidence was compared with, and flows.
        assert!(
            told.contains("horizontal port scan  destinations   40 addresses  10 addresses"),
            "{told}"
        );
    }
}
